//! The first values of parameters.
//!
//! ```text
//! Conventions  every parameter draws from its own stream of the seed, named by its path, so that
//!              adding a layer changes no other layer's first values
//! ```

use crate::Initializer;
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
        param.value.edit::<f32>(|values| values.fill(value));
        param
    }

    /// A buffer (state that is not learnt) with the same value everywhere.
    #[must_use]
    pub fn buffer(&self, shape: Shape, value: f32) -> Tensor {
        let mut tensor = Tensor::zeros(Spec::f32(shape), self.device);
        tensor.edit::<f32>(|values| values.fill(value));
        tensor
    }

    /// The parameter `name` with first values by that rule.
    ///
    /// # Panics
    /// If the rule makes matrices and the shape is of another rank.
    #[must_use]
    pub fn param(&mut self, name: &str, shape: Shape, rule: Initializer) -> Param {
        let id = self.within(name, |inner| inner.id());
        let mut param = Param::zeros(shape, self.device);
        let mut random = Philox::new(self.seed, [id, 0, 0]);
        param.value.edit(|values| rule.fill(&mut random, shape, values));
        param
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_reference_network_are_keras_s() {
        let kernels: [&[usize]; 5] =
            [&[3, 3, 3, 32], &[3, 3, 32, 64], &[3, 3, 64, 128], &[25088, 512], &[512, 2]];
        let keras = [0.138_013_11, 0.083_333_336, 0.058_925_565, 0.015_309_310_5, 0.108_042_36];
        for (shape, limit) in kernels.into_iter().zip(keras) {
            let mut init = Init::new(&Device::Cpu, 1);
            let param = init.param("kernel", Shape::new(shape), Initializer::GlorotUniform);
            let largest = param.value.slice::<f32>().iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(largest <= limit && largest > 0.98 * limit, "{shape:?}: {largest}, {limit}");
        }
    }

    #[test]
    fn the_first_values_of_a_seed_never_change() {
        let mut init = Init::new(&Device::Cpu, 42);
        let shape = Shape::new(&[3, 3, 3, 32]);
        let param = init.param("kernel", shape, Initializer::GlorotUniform);
        let limit = (6.0f64 / 315.0).sqrt() as f32;
        let mut rng = Philox::new(42, [Domain::named("kernel").number(), 0, 0]);
        for value in param.value.slice::<f32>() {
            let unit = (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
            assert_eq!(*value, (2.0 * unit - 1.0) * limit);
        }
    }

    #[test]
    fn first_values_depend_on_seed_and_path_alone() {
        let first = |seed, layer: &str| {
            let draw = |init: &mut Init<'_>| {
                let param = init.param("kernel", Shape::new(&[2, 2]), Initializer::GlorotUniform);
                param.value.slice::<f32>()[0]
            };
            Init::new(&Device::Cpu, seed).within(layer, draw)
        };
        assert_eq!(first(1, "dense"), first(1, "dense"));
        assert_ne!(first(1, "dense"), first(2, "dense"));
        assert_ne!(first(1, "dense"), first(1, "dense_1"));
    }
}
