//! A moving average of the weights, which is often better than the weights.
//!
//! ```text
//! Formula      a ← w after the first update, then a ← μ a + (1 − μ) w after each
//! State        average (a), as large as the parameter
//! Conventions  as Keras 3. (Keras 2 begins with the weights before the first update.) After each
//!              `overwrite_frequency` updates, and at the end of `fit`, w ← a. Only what is trained
//!              is averaged: batch normalization's moving statistics are those of w
//! Cost         12 bytes of traffic for a parameter
//! Reference    Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging, 1992
//! ```

use crate::formula::fraction;
use crate::{State, chunks};
use gradus_tensor::{Context, Device, Field, FieldMut, Fields, Path};

/// How the moving average of the weights is taken: Keras's `use_ema` and what belongs to it. In
/// PyTorch: `optim.swa_utils.AveragedModel`.
///
/// ```
/// use gradus_optim::{Adam, Ema};
/// let optimizer = Adam::new().use_ema(Ema::new().momentum(0.999));
/// ```
#[derive(Debug)]
pub struct Ema {
    /// μ.
    momentum: f64,
    overwrite_frequency: Option<u64>,
    state: State<1>,
}

impl Default for Ema {
    fn default() -> Self {
        Self::new()
    }
}

impl Ema {
    /// Keras's `ema_momentum`, 0.99; the weights are overwritten at the end only.
    #[must_use]
    pub fn new() -> Self {
        Self { momentum: 0.99, overwrite_frequency: None, state: State::new(["average"]) }
    }

    /// With that μ: what the average keeps in an update. Keras's `ema_momentum`.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = fraction("momentum", momentum);
        self
    }

    /// The weights become their average after each so many updates. Keras's
    /// `ema_overwrite_frequency`.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn overwrite_frequency(mut self, updates: u64) -> Self {
        assert!(updates > 0, "the weights are overwritten after each so many updates, got 0");
        self.overwrite_frequency = Some(updates);
        self
    }

    /// μ, and after how many updates the weights are overwritten.
    pub(crate) fn options(&self) -> (f64, Option<u64>) {
        (self.momentum, self.overwrite_frequency)
    }

    pub(crate) fn build(&mut self, model: &dyn Fields, device: &Device) {
        self.state.build(model, device, [true]);
    }

    /// What the average keeps and takes after update `number`, from 1.
    pub(crate) fn numbers(&self, number: u64) -> [f32; 2] {
        let momentum = if number == 1 { 0.0 } else { self.momentum };
        [momentum, 1.0 - momentum].map(|number| number as f32)
    }

    /// After update `number`, from 1.
    pub(crate) fn follow(&mut self, cx: &Context, model: &mut dyn Fields, number: u64) {
        let [kept, taken] = self.numbers(number);
        self.state.each(model, |param, [average]| {
            let (average, w) = (average.slice_mut(), param.value.slice());
            chunks::each_with(&cx.workspace.pool, average, w, |a, w| kept * a + taken * w);
        });
    }

    /// The averages, for a table of all parameters.
    pub(crate) fn state(&mut self) -> &mut State<1> {
        &mut self.state
    }

    /// Whether the weights are overwritten after update `number`, from 1.
    pub(crate) fn is_due(&self, number: u64) -> bool {
        self.overwrite_frequency.is_some_and(|frequency| number.is_multiple_of(frequency))
    }

    /// The weights become their average.
    pub(crate) fn overwrite(&mut self, model: &mut dyn Fields) {
        self.state.each(model, |param, [average]| param.value.copy_from(average));
    }
}

impl Fields for Ema {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        self.state.visit(path, f);
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        self.state.visit_mut(path, f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, SGD};
    use gradus_tensor::{Param, Shape, fields};

    struct Model {
        w: Param,
    }

    fields! { Model: param w }

    /// w after each of four updates by 1, and at the end.
    fn run(ema: Ema) -> [f32; 5] {
        let mut model = Model { w: Param::zeros(Shape::new(&[1]), &Device::Cpu) };
        let mut optimizer = SGD::new().use_ema(ema);
        optimizer.build(&model, &Device::Cpu);
        let mut cx = Context::new(Device::Cpu, 1);
        cx.step.learning_rate = 1.0;
        let w = |model: &Model| model.w.value.slice::<f32>()[0];
        optimizer.finish(&mut model);
        assert_eq!(w(&model), 0.0, "without an update there is no average");
        let steps = [(); 4].map(|()| {
            model.w.grad.slice_mut::<f32>()[0] = -1.0;
            optimizer.step(&mut cx, &mut model);
            w(&model)
        });
        optimizer.finish(&mut model);
        [steps[0], steps[1], steps[2], steps[3], w(&model)]
    }

    #[test]
    fn the_model_gets_the_average_at_the_end() {
        // 1, then 0.5 · 1 + 0.5 · 2, and so on.
        assert_eq!(run(Ema::new().momentum(0.5)), [1.0, 2.0, 3.0, 4.0, 3.125]);
    }

    #[test]
    fn the_model_gets_the_average_every_so_often() {
        let ema = Ema::new().momentum(0.5).overwrite_frequency(2);
        assert_eq!(run(ema), [1.0, 1.5, 2.5, 2.75, 2.75]);
    }
}
