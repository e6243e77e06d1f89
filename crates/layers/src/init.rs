//! The first values of parameters.
//!
//! ```text
//! Conventions  every parameter draws from its own stream of the seed, named by its path, so that
//!              adding a layer changes no other layer's first values
//! ```

use crate::Initializer;
use gradus_tensor::random::{Domain, Philox};
use gradus_tensor::{Device, Param, Path, Shape, Spec, Tensor};
use std::cell::{Cell, RefCell};

/// Makes parameters on a device from a seed.
#[derive(Debug)]
pub struct Init<'a> {
    device: &'a Device,
    seed: u64,
    path: Path,
    /// Where the values come from a file.
    wanted: Option<&'a Wanted>,
}

/// What a network asks for while it is built to be filled from a file: the names, and whether the
/// file can have it all. A description that asks for more than there is costs no memory.
#[derive(Debug, Default)]
pub struct Wanted {
    numbers: usize,
    taken: Cell<usize>,
    params: RefCell<Vec<(String, Shape)>>,
}

impl Wanted {
    /// Parameters and buffers of that many numbers at most.
    #[must_use]
    pub fn at_most(numbers: usize) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// How many numbers were asked for.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.taken.get()
    }

    /// Whether there were enough numbers for all; otherwise the network is not to be used.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.numbers() <= self.numbers
    }

    /// The parameters that were asked for by name, in their order.
    #[must_use]
    pub fn params(&self) -> Vec<(String, Shape)> {
        self.params.borrow().clone()
    }

    /// The shape, if there are numbers left for it; none otherwise.
    fn take(&self, shape: Shape) -> Shape {
        self.taken.set(self.taken.get().saturating_add(shape.len()));
        if self.is_met() { shape } else { Shape::new(&[0]) }
    }
}

impl<'a> Init<'a> {
    /// Parameters on `device`, random ones from `seed`.
    #[must_use]
    pub fn new(device: &'a Device, seed: u64) -> Self {
        Self { device, seed, path: Path::default(), wanted: None }
    }

    /// Parameters on `device` whose values will come from a file: zeros, and empty once more was
    /// asked for than `wanted` allows. They have no gradients: whoever trains them makes these.
    #[must_use]
    pub fn to_be_filled(device: &'a Device, wanted: &'a Wanted) -> Self {
        Self { wanted: Some(wanted), ..Self::new(device, 0) }
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
        let mut param = Param::zeros(self.granted(shape), self.device);
        param.value.edit::<f32>(|values| values.fill(value));
        param
    }

    /// A buffer (state that is not learnt) with the same value everywhere.
    #[must_use]
    pub fn buffer(&self, shape: Shape, value: f32) -> Tensor {
        let mut tensor = Tensor::zeros(Spec::f32(self.granted(shape)), self.device);
        tensor.edit::<f32>(|values| values.fill(value));
        tensor
    }

    /// The parameter `name` with first values by that rule.
    ///
    /// # Panics
    /// If the rule makes matrices and the shape is of another rank.
    #[must_use]
    pub fn param(&mut self, name: &str, shape: Shape, rule: Initializer) -> Param {
        if let Some(wanted) = self.wanted {
            let path = self.within(name, |inner| inner.path.to_string());
            wanted.params.borrow_mut().push((path, shape));
            let value = Tensor::zeros(Spec::f32(wanted.take(shape)), self.device);
            return Param { value, ..Param::default() };
        }
        let id = self.within(name, |inner| inner.id());
        let mut param = Param::zeros(shape, self.device);
        let mut random = Philox::new(self.seed, [id, 0, 0]);
        param.value.edit(|values| rule.fill(&mut random, shape, values));
        param
    }

    fn granted(&self, shape: Shape) -> Shape {
        self.wanted.map_or(shape, |wanted| wanted.take(shape))
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

    #[test]
    fn what_a_file_does_not_have_is_not_made() {
        let wanted = Wanted::at_most(10);
        let mut init = Init::to_be_filled(&Device::Cpu, &wanted);
        let orthogonal = Initializer::Orthogonal { gain: 1.0 };
        let few = init.within("dense", |i| i.param("kernel", Shape::new(&[3, 3]), orthogonal));
        assert!(wanted.is_met() && few.value.slice::<f32>() == [0.0; 9]);
        let many = init.param("kernel", Shape::new(&[usize::MAX, 2]), orthogonal);
        assert!(!wanted.is_met() && many.is_empty() && wanted.numbers() == usize::MAX);
        assert!(init.constant(Shape::new(&[1]), 1.0).is_empty());
        let names = wanted.params().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names, ["dense.kernel", "kernel"]);
    }
}
