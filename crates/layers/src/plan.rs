//! Memory promised and kept.
//!
//! A [`Plan`] says what a layer will need for the largest batch; [`Saved`] is that memory, made
//! once and used in every step. A smaller batch is a shorter view of the same memory.

use gradus_tensor::{Context, Device, Shape, Spec, Tensor};

/// What the memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `forward` and `backward`: every activation is kept.
    Train,
    /// `infer`: nothing outlives the next layer.
    Infer,
}

/// One tensor that a layer keeps from `forward` to `backward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its shape for the largest batch, and its type.
    pub spec: Spec,
    /// Whether its first extent is the batch, and shrinks with it.
    pub per_batch: bool,
}

impl Slot {
    /// A tensor whose first extent is the batch.
    #[must_use]
    pub fn per_batch(spec: Spec) -> Self {
        Self { spec, per_batch: true }
    }

    /// A tensor of the same shape for every batch.
    #[must_use]
    pub fn fixed(spec: Spec) -> Self {
        Self { spec, per_batch: false }
    }
}

/// What one layer needs, and the layers inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// y for the largest batch.
    pub output: Spec,
    /// What is kept from `forward` to `backward`.
    pub saved: Vec<Slot>,
    /// Floats of scratch: the most that any verb takes.
    pub scratch: usize,
    /// Floats of scratch that every thread has to itself.
    pub desk: usize,
    /// Floats of scratch on a GPU, in place of the two above.
    pub gpu_scratch: usize,
    /// How many layers of a chain this is the plan of: more than one where they are done together.
    pub layers: usize,
    /// The plans of the layers inside.
    pub inner: Vec<Plan>,
}

impl Plan {
    /// The plan of a layer that keeps nothing and needs no scratch.
    #[must_use]
    pub fn new(output: Spec) -> Self {
        let (saved, inner) = (Vec::new(), Vec::new());
        Self { output, saved, scratch: 0, desk: 0, gpu_scratch: 0, layers: 1, inner }
    }

    /// The plan of a container, whose layers work one after the other.
    #[must_use]
    pub fn containing(output: Spec, inner: Vec<Plan>) -> Self {
        let most = |of: fn(&Plan) -> usize| inner.iter().map(of).max().unwrap_or(0);
        let (scratch, desk) = (most(|plan| plan.scratch), most(|plan| plan.desk));
        let gpu_scratch = most(|plan| plan.gpu_scratch);
        Self { scratch, desk, gpu_scratch, inner, ..Self::new(output) }
    }

    /// The same plan with these tensors kept.
    #[must_use]
    pub fn saving(mut self, slots: impl Into<Vec<Slot>>) -> Self {
        self.saved = slots.into();
        self
    }

    /// The same plan with that many floats of scratch.
    #[must_use]
    pub fn with_scratch(mut self, floats: usize) -> Self {
        self.scratch = floats;
        self
    }

    /// The same plan with that many floats of scratch for each thread.
    #[must_use]
    pub fn with_desk(mut self, floats: usize) -> Self {
        self.desk = floats;
        self
    }

    /// The same plan with that many floats of scratch on a GPU.
    #[must_use]
    pub fn with_gpu_scratch(mut self, floats: usize) -> Self {
        self.gpu_scratch = floats;
        self
    }

    /// Makes the scratch that was planned.
    pub fn reserve(&self, cx: &mut Context) {
        match &cx.device {
            Device::Cpu => cx.workspace.reserve(self.scratch, self.desk),
            Device::Cuda(_) => cx.workspace.scratch.reserve(self.gpu_scratch),
        }
    }

    /// Bytes of everything kept, the layers inside included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let own: usize = self.saved.iter().map(|slot| slot.spec.bytes()).sum();
        own + self.inner.iter().map(Plan::bytes).sum::<usize>()
    }
}

/// The memory of a plan.
#[derive(Debug)]
pub struct Saved {
    output: Shape,
    layers: usize,
    slots: Vec<Slot>,
    /// What the layer keeps, in the order of its plan.
    pub tensors: Vec<Tensor>,
    /// The memory of the layers inside.
    pub inner: Vec<Saved>,
}

impl Saved {
    /// Makes the memory, for the largest batch.
    #[must_use]
    pub fn allocate(plan: &Plan, device: &Device) -> Self {
        Self {
            output: plan.output.shape,
            layers: plan.layers,
            slots: plan.saved.clone(),
            tensors: plan.saved.iter().map(|s| Tensor::zeros(s.spec, device)).collect(),
            inner: plan.inner.iter().map(|p| Saved::allocate(p, device)).collect(),
        }
    }

    /// The kept tensors by position, to be given names:
    /// `let [mean, rstd] = saved.slots();`
    ///
    /// # Panics
    /// If the plan promised another number of them.
    #[must_use]
    pub fn slots<const N: usize>(&mut self) -> &mut [Tensor; N] {
        let planned = self.tensors.len();
        self.tensors
            .as_mut_slice()
            .try_into()
            .unwrap_or_else(|_| panic!("{N} kept tensors are used, the plan has {planned}"))
    }

    /// The shape of y for the current batch.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.output
    }

    /// How many layers of a chain this is the memory of: see [`Plan::layers`].
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Makes everything ready for a batch of `n`. Nothing is allocated.
    ///
    /// # Panics
    /// If `n` is larger than what was planned for.
    pub fn set_batch(&mut self, n: usize) {
        self.output = self.output.with_batch(n);
        for (slot, tensor) in self.slots.iter().zip(&mut self.tensors) {
            if slot.per_batch {
                tensor.set_shape(slot.spec.shape.with_batch(n));
            }
        }
        self.inner.iter_mut().for_each(|saved| saved.set_batch(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let spec = |n| Spec::f32(Shape::new(&[4, n]));
        let child = Plan::new(spec(2)).saving([Slot::per_batch(spec(3))]);
        let slots = [Slot::per_batch(spec(2)), Slot::fixed(spec(5))];
        Plan { inner: vec![child], ..Plan::new(spec(2)).saving(slots) }
    }

    #[test]
    fn a_smaller_batch_shrinks_what_grows_with_it() {
        let mut saved = Saved::allocate(&plan(), &Device::Cpu);
        saved.set_batch(3);
        let [activation, statistics] = saved.slots();
        assert_eq!(activation.shape().dims(), [3, 2]);
        assert_eq!(statistics.shape().dims(), [4, 5]);
        assert_eq!(saved.inner[0].tensors[0].shape().dims(), [3, 3]);
        assert_eq!(saved.inner[0].output().dims(), [3, 2]);
    }

    #[test]
    fn the_bytes_of_a_plan_count_what_is_inside() {
        assert_eq!(plan().bytes(), 4 * (8 + 20 + 12));
    }

    #[test]
    #[should_panic(expected = "1 kept tensors are used, the plan has 2")]
    fn a_slot_too_few_is_noticed() {
        let _: &mut [Tensor; 1] = Saved::allocate(&plan(), &Device::Cpu).slots();
    }
}
