//! What an optimizer remembers of each parameter.
//!
//! A model shows its parameters in a fixed order, so what belongs to them is kept in a list of the
//! same order and never looked up. Name and length of each are compared in every step: a state
//! that meets another model would ruin it without a word.

use gradus_tensor::{Device, Field, FieldMut, Fields, Param, Path, Spec, Tensor};

/// Up to `N` tensors for each parameter of a model, as large as the parameter, zeros at first.
///
/// In checkpoints they are called `optim.<slot>.<parameter>`.
#[derive(Debug)]
pub struct State<const N: usize> {
    slots: [&'static str; N],
    entries: Vec<Entry<N>>,
    /// Kept, so that walking the model in a step allocates nothing.
    path: Path,
}

/// One parameter.
#[derive(Debug)]
struct Entry<const N: usize> {
    name: String,
    len: usize,
    /// Whether it was frozen when the state was made, and so has none.
    frozen: bool,
    /// Empty where not in use.
    tensors: [Tensor; N],
}

impl<const N: usize> State<N> {
    /// A state of no model, with slots of these names.
    #[must_use]
    pub fn new(slots: [&'static str; N]) -> Self {
        Self { slots, entries: Vec::new(), path: Path::default() }
    }

    /// Zeros for every parameter of `model` that is not frozen, in the slots that are `used`; the
    /// others stay empty.
    pub fn build(&mut self, model: &dyn Fields, device: &Device, used: [bool; N]) {
        let entries = &mut self.entries;
        entries.clear();
        model.visit(&mut self.path, &mut |path, field| {
            let Field::Param(param) = field else { return };
            let tensors = used.map(|used| match used && !param.frozen {
                true => Tensor::zeros(Spec::f32(param.value.shape()), device),
                false => Tensor::default(),
            });
            let (len, frozen) = (param.value.len(), param.frozen);
            entries.push(Entry { name: path.to_string(), len, frozen, tensors });
        });
    }

    /// Sets every tensor in use to that value.
    pub fn fill(&mut self, value: f32) {
        for tensor in self.entries.iter_mut().flat_map(|entry| &mut entry.tensors) {
            tensor.edit::<f32>(|values| values.fill(value));
        }
    }

    /// Lends every parameter that is not frozen together with its tensors, in the order of the
    /// model.
    ///
    /// # Panics
    /// If the state was built for a model with other parameters, or while this one was frozen.
    pub fn each(
        &mut self,
        model: &mut dyn Fields,
        mut update: impl FnMut(&mut Param, &mut [Tensor; N]),
    ) {
        self.each_named(model, |_, param, tensors| update(param, tensors));
    }

    /// As [`each`](State::each), with the name of the parameter.
    pub(crate) fn each_named(
        &mut self,
        model: &mut dyn Fields,
        mut update: impl FnMut(&Path, &mut Param, &mut [Tensor; N]),
    ) {
        let mut entries = self.entries.iter_mut();
        model.visit_mut(&mut self.path, &mut |path, field| {
            let FieldMut::Param(param) = field else {
                return;
            };
            let Some(entry) = entries.next() else {
                panic!("the optimizer was built for a model without {path}: build it for this one")
            };
            entry.expect(path, param);
            if !param.frozen {
                update(path, param, &mut entry.tensors);
            }
        });
        if let Some(Entry { name, .. }) = entries.next() {
            panic!("the optimizer was built for a model with {name}: build it for this one");
        }
    }
}

/// Lends every parameter that is not frozen.
pub(crate) fn trainable(
    model: &mut dyn Fields,
    path: &mut Path,
    mut f: impl FnMut(&Path, &mut Param),
) {
    model.visit_mut(path, &mut |path, field| {
        if let FieldMut::Param(param) = field
            && !param.frozen
        {
            f(path, param);
        }
    });
}

impl<const N: usize> Entry<N> {
    /// Whether this is the parameter that the tensors were made for.
    fn expect(&self, path: &Path, param: &Param) {
        let (name, len, found) = (&self.name, self.len, param.value.len());
        assert!(
            name == path.as_str() && len == found,
            "the optimizer was built for {name} of {len} values and meets {path} of {found}: \
             build it for this model",
        );
        assert!(
            param.frozen || !self.frozen,
            "{name} was frozen when the optimizer was built: build it again",
        );
    }
}

impl<const N: usize> Fields for State<N> {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        for (slot, name) in self.slots.iter().enumerate() {
            for entry in self.entries.iter().filter(|e| !e.tensors[slot].is_empty()) {
                within(path, [name, &entry.name], |path| {
                    f(path, Field::Buffer(&entry.tensors[slot]));
                });
            }
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        for (slot, name) in self.slots.iter().enumerate() {
            for entry in self.entries.iter_mut().filter(|e| !e.tensors[slot].is_empty()) {
                within(path, [name, &entry.name], |path| {
                    f(path, FieldMut::Buffer(&mut entry.tensors[slot]));
                });
            }
        }
    }
}

/// `optim.<slot>.<parameter>`, below `path`.
fn within(path: &mut Path, [slot, parameter]: [&str; 2], f: impl FnOnce(&mut Path)) {
    path.within("optim", |path| path.within(slot, |path| path.within(parameter, f)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::{Shape, fields};

    #[derive(Default)]
    struct Model {
        kernel: Param,
        moving_mean: Tensor,
        bias: Param,
    }

    fields! { Model: param kernel, buffer moving_mean, param bias }

    fn model(lengths: [usize; 2]) -> Model {
        let param = |n| Param::zeros(Shape::new(&[n]), &Device::Cpu);
        let moving_mean = Tensor::zeros(Spec::f32(Shape::new(&[9])), &Device::Cpu);
        Model { kernel: param(lengths[0]), moving_mean, bias: param(lengths[1]) }
    }

    fn built_for(model: &Model) -> State<2> {
        let mut state = State::new(["velocity", "momentum"]);
        state.build(model, &Device::Cpu, [true, false]);
        state
    }

    #[test]
    fn every_parameter_meets_its_own_tensors() {
        let mut model = model([6, 2]);
        let mut state = built_for(&model);
        let mut met = Vec::new();
        state.each(&mut model, |param, [velocity, momentum]| {
            met.push((param.value.len(), velocity.len(), momentum.len()));
            velocity.slice_mut::<f32>().fill(met.len() as f32);
        });
        assert_eq!(met, [(6, 6, 0), (2, 2, 0)]);
        state.each(&mut model, |param, [velocity, _]| {
            let expected = if param.value.len() == 6 { 1.0 } else { 2.0 };
            assert!(velocity.slice::<f32>().iter().all(|&v| v == expected));
        });
    }

    #[test]
    fn checkpoints_see_slot_and_parameter_and_can_restore_them() {
        let mut state = built_for(&model([6, 2]));
        let mut names = Vec::new();
        state.visit(&mut Path::default(), &mut |path, _| names.push(path.to_string()));
        assert_eq!(names, ["optim.velocity.kernel", "optim.velocity.bias"]);
        state.visit_mut(&mut Path::default(), &mut |path, field| {
            assert_eq!(names.remove(0), path.as_str());
            field.into_value().slice_mut::<f32>().fill(7.0);
        });
        state.visit(&mut Path::default(), &mut |_, field| {
            assert!(field.value().slice::<f32>().iter().all(|&v| v == 7.0));
        });
    }

    #[test]
    fn a_frozen_parameter_is_passed_over_and_has_no_state() {
        let mut model = model([6, 2]);
        model.kernel.frozen = true;
        let mut state = built_for(&model);
        let mut met = Vec::new();
        state.each(&mut model, |param, _| met.push(param.value.len()));
        assert_eq!(met, [2]);
        let mut names = Vec::new();
        state.visit(&mut Path::default(), &mut |path, _| names.push(path.to_string()));
        assert_eq!(names, ["optim.velocity.bias"]);
    }

    #[test]
    fn building_again_forgets() {
        let mut model = model([6, 2]);
        let mut state = built_for(&model);
        state.each(&mut model, |_, [velocity, _]| velocity.slice_mut::<f32>().fill(1.0));
        state.build(&model, &Device::Cpu, [true, false]);
        state.each(&mut model, |_, [velocity, _]| assert_eq!(velocity.slice::<f32>()[0], 0.0));
    }

    #[test]
    #[should_panic(expected = "kernel was frozen when the optimizer was built")]
    fn a_thawed_parameter_without_state_is_refused() {
        let mut model = model([6, 2]);
        model.kernel.frozen = true;
        let mut state = built_for(&model);
        model.kernel.frozen = false;
        state.each(&mut model, |_, _| {});
    }

    #[test]
    #[should_panic(expected = "built for kernel of 6 values and meets kernel of 5")]
    fn a_model_of_another_size_is_refused() {
        built_for(&model([6, 2])).each(&mut model([5, 2]), |_, _| {});
    }

    #[test]
    #[should_panic(expected = "built for a model with bias")]
    fn a_model_with_fewer_parameters_is_refused() {
        built_for(&model([6, 2])).each(&mut model([6, 0]), |_, _| {});
    }

    #[test]
    #[should_panic(expected = "built for a model without bias")]
    fn a_model_with_more_parameters_is_refused() {
        built_for(&model([6, 0])).each(&mut model([6, 2]), |_, _| {});
    }
}
