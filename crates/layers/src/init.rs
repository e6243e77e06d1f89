//! The first values of parameters.
//!
//! ```text
//! Formula      glorot_uniform: U(−l, l), l = √(6 / (fan_in + fan_out)); a convolution's fans are
//!              its channels times its receptive field
//! Conventions  every parameter draws from its own stream of the seed, named by its path, so that
//!              adding a layer changes no other layer's first values
//! Reference    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural
//!              networks. AISTATS 2010, equation 16
//! ```

use gradus_tensor::random::{Domain, Philox};
use gradus_tensor::{Device, Param, Path, Shape, Spec, Tensor};

/// Makes parameters on a device from a seed.
#[derive(Debug)]
pub struct Init<'a> {
    device: &'a Device,
    seed: u64,
    path: Path,
}

impl<'a> Init<'a> {
    /// Parameters on `device`, random ones from `seed`.
    #[must_use]
    pub fn new(device: &'a Device, seed: u64) -> Self {
        Self { device, seed, path: Path::default() }
    }

    /// Builds what lies inside the layer called `name`.
    pub fn within<R>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> R) -> R {
        let mut path = std::mem::take(&mut self.path);
        let result = path.within(name, |path| {
            let mut inner = Init { path: path.clone(), ..*self };
            build(&mut inner)
        });
        self.path = path;
        result
    }

    /// A number that belongs to this place in the network: dropout's share of the random numbers.
    #[must_use]
    pub fn id(&self) -> u32 {
        Domain::named(self.path.as_str()).number()
    }

    /// A parameter with the same value everywhere.
    #[must_use]
    pub fn constant(&self, shape: Shape, value: f32) -> Param {
        let mut param = Param::zeros(shape, self.device);
        param.value.slice_mut().fill(value);
        param
    }

    /// A buffer (state that is not learnt) with the same value everywhere.
    #[must_use]
    pub fn buffer(&self, shape: Shape, value: f32) -> Tensor {
        let mut tensor = Tensor::zeros(Spec::f32(shape), self.device);
        tensor.slice_mut().fill(value);
        tensor
    }

    /// The parameter `name` by Glorot and Bengio's uniform rule, Keras's default for kernels.
    #[must_use]
    pub fn glorot_uniform(&mut self, name: &str, shape: Shape, fans: [usize; 2]) -> Param {
        let limit = glorot_limit(fans);
        let id = self.within(name, |inner| inner.id());
        let mut rng = Philox::new(self.seed, [id, 0, 0]);
        let mut param = Param::zeros(shape, self.device);
        for value in param.value.slice_mut() {
            // 24 bits are all that f32 can tell apart in [0, 1).
            let unit = (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
            *value = (2.0 * unit - 1.0) * limit;
        }
        param
    }
}

/// √(6 / (fan_in + fan_out)).
fn glorot_limit(fans: [usize; 2]) -> f32 {
    (6.0 / (fans[0] + fans[1]) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_reference_network_are_keras_s() {
        let fans = [[27, 288], [288, 576], [576, 1152], [25088, 512], [512, 2]];
        let keras = [0.138_013_11, 0.083_333_336, 0.058_925_565, 0.015_309_310_5, 0.108_042_36];
        assert_eq!(fans.map(glorot_limit), keras);
    }

    #[test]
    fn glorot_uniform_fills_its_range_evenly() {
        let mut init = Init::new(&Device::Cpu, 1);
        let param = init.glorot_uniform("kernel", Shape::new(&[300, 200]), [300, 200]);
        let (values, limit) = (param.value.slice::<f32>(), glorot_limit([300, 200]));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        assert!(values.iter().all(|v| v.abs() <= limit));
        assert!(mean.abs() < limit / 100.0, "mean {mean}");
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.02, "variance {variance}");
    }

    #[test]
    fn first_values_depend_on_seed_and_path_alone() {
        let first = |seed, layer: &str| {
            let draw = |init: &mut Init<'_>| {
                let param = init.glorot_uniform("kernel", Shape::new(&[4]), [2, 2]);
                param.value.slice::<f32>()[0]
            };
            Init::new(&Device::Cpu, seed).within(layer, draw)
        };
        assert_eq!(first(1, "dense"), first(1, "dense"));
        assert_ne!(first(1, "dense"), first(2, "dense"));
        assert_ne!(first(1, "dense"), first(1, "dense_1"));
    }
}
