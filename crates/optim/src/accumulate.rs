//! Gradient accumulation: one update for several batches, as if they were one large batch.
//!
//! ```text
//! Formula      s ← g₁, s ← s + g₂, …; with the k-th batch g ← (s + g_k)/k, and an update follows
//! State        gradient_accumulator (s), as large as the parameter
//! Conventions  the mean, as Keras: with losses that are means over equal batches, the gradient is
//!              that of the large batch. Batch normalization still sees the small ones. Batches
//!              left over at the end of an epoch wait for the next one
//! Cost         12 bytes of traffic for a parameter and batch
//! ```

use crate::{Schedule, State, chunks};
use gradus_tensor::{Context, Device, Field, FieldMut, Fields, Path};

/// The sums, and how many batches go into them.
#[derive(Debug)]
pub(crate) struct Accumulation {
    /// k; 1 for an update with every batch, which needs no sums.
    pub(crate) steps: u64,
    state: State<1>,
}

impl Default for Accumulation {
    fn default() -> Self {
        Self { steps: 1, state: State::new(["gradient_accumulator"]) }
    }
}

impl Accumulation {
    pub(crate) fn build(&mut self, model: &dyn Fields, device: &Device) {
        self.state.build(model, device, [self.steps > 1]);
    }

    /// Takes in the gradients of batch number `batch`, from 0. If it is a k-th one, they become the
    /// mean, and an update is due.
    pub(crate) fn gather(&mut self, cx: &Context, model: &mut dyn Fields, batch: u64) -> bool {
        if self.steps == 1 {
            return true;
        }
        let (first, last) = (self.place(batch) == 0, self.is_last(batch));
        let (pool, count) = (&cx.workspace.pool, self.steps as f32);
        self.state.each(model, |param, [sum]| match (first, last) {
            (true, _) => sum.slice_mut::<f32>().copy_from_slice(param.grad.slice()),
            (_, false) => {
                chunks::each_with(pool, sum.slice_mut(), param.grad.slice(), |s, g| s + g);
            }
            (_, true) => {
                let (grad, sum) = (param.grad.slice_mut(), sum.slice());
                chunks::each_with(pool, grad, sum, |g, s| (s + g) / count);
            }
        });
        last
    }

    /// The place of a batch among those of its update, from 0.
    pub(crate) fn place(&self, batch: u64) -> u64 {
        batch % self.steps
    }

    /// Whether an update is due after that batch.
    pub(crate) fn is_last(&self, batch: u64) -> bool {
        self.place(batch) + 1 == self.steps
    }

    /// The sums, for a table of all parameters.
    pub(crate) fn state(&mut self) -> &mut State<1> {
        &mut self.state
    }
}

impl Fields for Accumulation {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        self.state.visit(path, f);
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        self.state.visit_mut(path, f);
    }
}

/// A schedule of updates, asked for batches: each update's rate holds for all its batches.
pub(crate) struct PerUpdate {
    pub(crate) steps: u64,
    schedule: Box<dyn Schedule>,
}

impl PerUpdate {
    pub(crate) fn new(schedule: Box<dyn Schedule>) -> Self {
        Self { steps: 1, schedule }
    }

    pub(crate) fn set(&mut self, schedule: Box<dyn Schedule>) {
        self.schedule = schedule;
    }
}

impl Schedule for PerUpdate {
    fn at(&self, batch: u64) -> f32 {
        self.schedule.at(batch / self.steps)
    }

    fn is_constant(&self) -> bool {
        self.schedule.is_constant()
    }
}

impl std::fmt::Debug for PerUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at first, {} batches an update", self.at(0), self.steps)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Optimizer, SGD};
    use gradus_tensor::{Context, Device, Param, Shape, fields};

    struct Model {
        w: Param,
    }

    fields! { Model: param w }

    #[test]
    fn every_third_batch_moves_by_the_mean_of_three() {
        let mut model = Model { w: Param::zeros(Shape::new(&[1]), &Device::Cpu) };
        let mut optimizer = SGD::new().gradient_accumulation_steps(3);
        optimizer.build(&model, &Device::Cpu);
        let mut cx = Context::new(Device::Cpu, 1);
        cx.step.learning_rate = 1.0;
        let w = [1.0, 2.0, 6.0, 3.0, 3.0, 3.0, 100.0].map(|grad| {
            model.w.grad.slice_mut::<f32>()[0] = grad;
            optimizer.step(&mut cx, &mut model);
            model.w.value.slice::<f32>()[0]
        });
        assert_eq!(w, [0.0, 0.0, -3.0, -3.0, -3.0, -6.0, -6.0]);
    }

    #[test]
    fn the_schedule_counts_updates() {
        let optimizer = SGD::new().schedule(|update| update as f32).gradient_accumulation_steps(3);
        let rates = [0, 2, 3, 5, 6].map(|batch| Optimizer::schedule(&optimizer).at(batch));
        assert_eq!(rates, [0.0, 0.0, 1.0, 1.0, 2.0]);
        assert!(!Optimizer::schedule(&optimizer).is_constant());
        assert!(Optimizer::schedule(&optimizer.learning_rate(0.1)).is_constant());
    }

    #[test]
    #[should_panic(expected = "an update takes at least one batch")]
    fn an_update_without_a_batch_is_refused() {
        let _ = SGD::new().gradient_accumulation_steps(0);
    }
}
