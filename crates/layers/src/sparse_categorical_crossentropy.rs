//! Sparse categorical crossentropy: categorical crossentropy, with the class given by its index.
//!
//! ```text
//! Formula      l of `categorical_crossentropy` with tₖ = 1 where k = class, else 0
//! Shapes       z, p: N·K; classes: N·1, whole numbers in 0..K as floats
//! Backward     that of categorical crossentropy
//! Conventions  samples of the class to ignore cost nothing, and the loss is the mean over the
//!              others, as in Keras 3 (Keras 2 divides by all); they count as misses in the
//!              accuracy, as in both
//! Reference    Keras 3, `losses.sparse_categorical_crossentropy`, on JAX: p / Σp is clipped, as
//!              the loss of one-hot targets does
//! ```

use crate::categorical_crossentropy::definition;
use crate::{Accuracy, Activation, Loss, LossKernel};
use gradus_tensor::Shape;

/// Keras's `SparseCategoricalCrossentropy`. In PyTorch: `nn.CrossEntropyLoss`, whose targets are
/// indices too, with `ignore_index`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
    ignore_class: Option<f32>,
}

impl SparseCategoricalCrossentropy {
    /// From probabilities, and with no class ignored: Keras's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the predictions are logits. `false` by default.
    #[must_use]
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }

    /// An index, often −1 or 255, that means "of no class": its samples are passed over. None by
    /// default.
    #[must_use]
    pub fn ignore_class(mut self, class: i32) -> Self {
        self.ignore_class = Some(class as f32);
        self
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }

    /// # Panics
    /// If the class is not the index of a prediction: the loader knows how many classes there are.
    fn sample(
        &self,
        prediction: &[f32],
        target: &[f32],
        gradient: &mut dyn FnMut(usize, f64),
    ) -> f64 {
        loss_of(self.from_logits, prediction, target[0], gradient)
    }

    fn target_shape(&self, predictions: Shape) -> Shape {
        Shape::new(&[predictions.batch(), 1])
    }

    fn kernel(&self) -> Option<LossKernel> {
        Some(LossKernel::sparse_classes(self.from_logits, self.ignore_class))
    }

    fn take_logits(&mut self, head: Activation) -> bool {
        self.from_logits |= head == Activation::Softmax;
        head == Activation::Softmax
    }

    fn accuracy(&self) -> Option<Accuracy> {
        Some(Accuracy::SparseCategorical)
    }

    fn counts(&self, target: &[f32]) -> bool {
        self.ignore_class != Some(target[0])
    }
}

/// The loss of one sample of that class, in f64.
///
/// # Panics
/// If the class is not the index of a prediction.
fn loss_of<T: Copy + Into<f64>>(
    from_logits: bool,
    prediction: &[T],
    class: f32,
    gradient: &mut dyn FnMut(usize, f64),
) -> f64 {
    let classes = prediction.len();
    let known = class >= 0.0 && class < classes as f32 && class.fract() == 0.0;
    assert!(known, "class {class} among {classes} predictions: expected 0 to {}", classes - 1);
    let p = |k: usize| prediction[k].into();
    let t = |k: usize| f64::from(u8::from(k as f32 == class));
    match from_logits {
        true => definition::from_logits(classes, p, t, gradient),
        false => definition::from_probabilities(classes, p, t, gradient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CategoricalCrossentropy;
    use crate::loss::tests::{batch, mean};
    use gradus_testing::{Cases, gradcheck};

    #[test]
    fn an_index_is_a_one_hot_row() {
        let mut cases = Cases::new("sparse crossentropy", 0);
        for (n, k) in [(1, 2), (5, 3), (7, 10)] {
            let z = batch(k, &cases.normal(n * k));
            let classes: Vec<usize> = (0..n).map(|_| cases.extent(0, k - 1)).collect();
            let index: Vec<f32> = classes.iter().map(|&class| class as f32).collect();
            let mut one_hot = vec![0.0; n * k];
            classes.iter().enumerate().for_each(|(i, class)| one_hot[i * k + class] = 1.0);
            let sparse = SparseCategoricalCrossentropy::new().from_logits(true);
            let dense = CategoricalCrossentropy::new().from_logits(true);
            let expected = mean(&dense, &z, &batch(k, &one_hot), None);
            assert_eq!(mean(&sparse, &z, &batch(1, &index), None), expected);
        }
    }

    /// In f64, on what `sample` hands to the definition: a row that is 1 at the class.
    #[test]
    fn the_gradient_is_the_derivative() {
        for case in 0..40 {
            let mut cases = Cases::new("sparse crossentropy gradient", case);
            let classes = cases.extent(2, 9);
            let class = cases.extent(0, classes - 1) as f32;
            let z = cases.normal_f64(classes);
            for from_logits in [true, false] {
                let p = |z: &f64| if from_logits { *z } else { z.exp() };
                let x: Vec<f64> = z.iter().map(p).collect();
                let mut dx = vec![0.0; classes];
                loss_of(from_logits, &x, class, &mut |k, g| dx[k] = g);
                let error = gradcheck(&x, &dx, |x| loss_of(from_logits, x, class, &mut |_, _| {}));
                assert!(error < 1e-6, "class {class} of {classes}: {error}");
            }
        }
    }

    #[test]
    fn an_ignored_class_is_no_part_of_the_mean() {
        let loss = SparseCategoricalCrossentropy::new().from_logits(true).ignore_class(-1);
        let z = [1.0, 2.0, 0.0, 3.0, 1.0, 1.0, 0.0, 2.0, f32::INFINITY];
        let weights = [2.0, 0.5, 5.0];
        let (tally, gradient) =
            mean(&loss, &batch(3, &z), &batch(1, &[1.0, 0.0, -1.0]), Some(&weights));
        let (kept, kept_gradient) =
            mean(&loss, &batch(3, &z[..6]), &batch(1, &[1.0, 0.0]), Some(&weights[..2]));
        assert!((tally.loss() - kept.loss()).abs() < 1e-12, "{tally:?} {kept:?}");
        assert_eq!((tally.correct, tally.judged, tally.samples), (2, 3, 3));
        gradient.iter().zip(&kept_gradient).for_each(|(a, b)| assert!((a - b).abs() < 1e-7));
        assert_eq!(gradient[6..], [0.0; 3]);
    }

    #[test]
    fn a_batch_of_ignored_samples_costs_nothing() {
        let loss = SparseCategoricalCrossentropy::new().ignore_class(9);
        let (tally, gradient) = mean(&loss, &batch(2, &[0.1, 0.9]), &batch(1, &[9.0]), None);
        assert_eq!((tally.loss(), gradient), (0.0, vec![0.0; 2]));
    }

    #[test]
    #[should_panic(expected = "class 2 among 2 predictions")]
    fn a_class_that_is_none_is_refused() {
        let loss = SparseCategoricalCrossentropy::new();
        let _ = mean(&loss, &batch(2, &[0.1, 0.9]), &batch(1, &[2.0]), None);
    }
}
