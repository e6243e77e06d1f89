//! Decoupled weight decay: weights shrink by themselves, whatever the gradient.
//!
//! ```text
//! Formula      w ← w − (wd · lr) w, before the update
//! Conventions  as Keras, and as PyTorch's AdamW: scaled by the learning rate, seen by no moment.
//!              (L2 regularization adds wd · w to the gradient; for plain SGD that is the same)
//! Cost         none: it is part of the update's pass over the parameter
//! Reference    Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019
//! ```

use crate::formula::not_negative;
use gradus_tensor::{Path, Real};

/// What shrinks, and how fast.
#[derive(Debug)]
pub(crate) struct WeightDecay {
    /// wd; 0 for none.
    rate: f64,
    excluded: Vec<String>,
}

impl WeightDecay {
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate, excluded: Vec::new() }
    }

    /// # Panics
    /// If the rate is negative or not finite.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.rate = not_negative("weight_decay", rate);
    }

    pub(crate) fn exclude(&mut self, words: &[&str]) {
        self.excluded = words.iter().map(|&word| word.to_owned()).collect();
    }

    /// What a parameter of that name loses before an update with that learning rate.
    pub(crate) fn fraction(&self, name: &Path, learning_rate: f32) -> Option<f32> {
        self.concerns(name).then(|| self.at(learning_rate))
    }

    /// Whether a parameter of that name shrinks.
    pub(crate) fn concerns(&self, name: &Path) -> bool {
        self.rate != 0.0 && !self.excluded.iter().any(|word| name.as_str().contains(word))
    }

    /// What those that shrink lose before an update with that learning rate.
    pub(crate) fn at(&self, learning_rate: f32) -> f32 {
        (self.rate * f64::from(learning_rate)) as f32
    }
}

/// One weight to the next.
#[inline(always)]
pub(crate) fn decayed<T: Real>(fraction: T, w: T) -> T {
    w - fraction * w
}

#[cfg(test)]
mod tests {
    use crate::{Optimizer, SGD};
    use gradus_tensor::{Context, Device, Param, Shape, Tensor, fields};

    #[derive(Default)]
    struct Model {
        kernel: Param,
        bias: Param,
    }

    fields! { Model: param kernel, param bias }

    /// What becomes of two ones without gradient in an update.
    fn decayed(optimizer: SGD, freeze: bool) -> [f32; 2] {
        let mut optimizer = optimizer.learning_rate(0.5);
        let one = || {
            let value = Tensor::from_slice(Shape::new(&[1]), &[1.0f32]);
            Param { value, ..Param::zeros(Shape::new(&[1]), &Device::Cpu) }
        };
        let mut model = Model { kernel: one(), bias: one() };
        model.kernel.frozen = freeze;
        let mut cx = Context::new(Device::Cpu, 1);
        cx.step.learning_rate = 0.5;
        optimizer.build(&model, &Device::Cpu);
        optimizer.step(&mut cx, &mut model);
        [&model.kernel, &model.bias].map(|param| param.value.slice::<f32>()[0])
    }

    #[test]
    fn weights_shrink_by_rate_times_learning_rate() {
        assert_eq!(decayed(SGD::new(), false), [1.0, 1.0]);
        assert_eq!(decayed(SGD::new().weight_decay(0.25), false), [0.875, 0.875]);
    }

    #[test]
    fn names_may_be_excluded_and_what_is_frozen_stays() {
        let optimizer = || SGD::new().exclude_from_weight_decay(&["bias"]).weight_decay(0.25);
        assert_eq!(decayed(optimizer(), false), [0.875, 1.0]);
        assert_eq!(decayed(optimizer(), true), [1.0, 1.0]);
        let words = SGD::new().weight_decay(0.25).exclude_from_weight_decay(&["gamma", "ker"]);
        assert_eq!(decayed(words, false), [1.0, 0.875]);
    }

    #[test]
    #[should_panic(expected = "weight_decay is not negative, got -0.1")]
    fn growing_weights_are_refused() {
        let _ = SGD::new().weight_decay(-0.1);
    }
}
