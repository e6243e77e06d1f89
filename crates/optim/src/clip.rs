//! Gradient clipping: a step is never longer than it may be.
//!
//! ```text
//! Formula      Norm(c)        g ← g · c / max(‖g‖, c), each parameter by itself
//!              GlobalNorm(c)  the same, ‖g‖ taken over all parameters together
//!              Value(c)       g ← min(max(g, −c), c), value by value
//! Conventions  as Keras: before the weight decay and the update; of parameters that are trained
//!              only; one of the three, never two. A norm that is not finite makes the gradients
//!              NaN, so that a lost run shows. (Keras's clipnorm makes zeros of what lies beside an
//!              infinity.) The norm is summed in f64, in pieces of fixed length and in order: the
//!              same bits for any number of threads. A GPU sums in another order, which the factor,
//!              a float, hardly ever shows
//! Cost         a norm reads 4 bytes for a parameter, and where it is too long, as much again
//!              is read and written
//! Reference    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks,
//!              ICML 2013, section 3.2
//! ```

pub mod cpu;

use crate::chunks;
use crate::state::trainable;
use gradus_tensor::{Context, Field, Fields, Param, Path, Pool};

/// The longest that gradients may be: Keras's `clipnorm`, `clipvalue` or `global_clipnorm`. In
/// PyTorch: `nn.utils.clip_grad_norm_` is `GlobalNorm`, `clip_grad_value_` is `Value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// The norm of each parameter's gradient.
    Norm(f32),
    /// Each value of a gradient.
    Value(f32),
    /// The norm of all gradients as one vector.
    GlobalNorm(f32),
}

/// The formulas as loops.
pub mod definition {
    use super::Clip;
    use gradus_tensor::Real;

    /// Clips the gradients of a model, one of each parameter.
    pub fn clip<T: Real>(clip: Clip, grads: &mut [Vec<T>]) {
        match clip {
            Clip::Norm(limit) => {
                grads.iter_mut().for_each(|grad| shorten(std::slice::from_mut(grad), limit));
            }
            Clip::GlobalNorm(limit) => shorten(grads, limit),
            Clip::Value(limit) => {
                let limit = T::of(f64::from(limit));
                grads.iter_mut().flatten().for_each(|g| *g = g.clamp(-limit, limit));
            }
        }
    }

    fn shorten<T: Real>(grads: &mut [Vec<T>], limit: f32) {
        let norm = grads.iter().flatten().map(|&g| g * g).sum::<T>().sqrt();
        let factor = T::of(factor(norm.to_f64().expect("a float"), f64::from(limit)));
        grads.iter_mut().flatten().for_each(|g| *g *= factor);
    }

    /// What a vector of that norm is multiplied with.
    #[must_use]
    pub fn factor(norm: f64, limit: f64) -> f64 {
        match norm {
            _ if norm <= limit => 1.0,
            _ if norm.is_finite() => limit / norm,
            _ => f64::NAN,
        }
    }
}

/// Clipping at work.
#[derive(Debug)]
pub(crate) struct Clipping {
    clip: Clip,
    /// One for each piece of the longest gradient, so that a step allocates nothing.
    partial: Vec<f64>,
}

impl Clipping {
    /// What it does.
    pub(crate) fn clip(&self) -> Clip {
        self.clip
    }

    /// # Panics
    /// If the limit is not above 0 and finite.
    pub(crate) fn new(clip: Clip) -> Self {
        let (Clip::Norm(limit) | Clip::Value(limit) | Clip::GlobalNorm(limit)) = clip;
        assert!(limit > 0.0 && limit.is_finite(), "gradients are clipped above 0, got {clip:?}");
        Self { clip, partial: Vec::new() }
    }

    pub(crate) fn build(&mut self, model: &dyn Fields) {
        let mut longest = 0;
        model.visit(&mut Path::default(), &mut |_, field| {
            if let Field::Param(param) = field {
                longest = longest.max(param.value.len());
            }
        });
        self.partial = vec![0.0; cpu::pieces(longest)];
    }

    /// Clips the gradients of what is trained, on the CPU.
    pub(crate) fn apply(&mut self, cx: &Context, model: &mut dyn Fields, path: &mut Path) {
        let (partial, pool) = (&mut self.partial, &cx.workspace.pool);
        match self.clip {
            Clip::Norm(limit) => trainable(model, path, |_, param| {
                let sum = cpu::sum_of_squares(pool, param.grad.slice(), partial);
                shorten(pool, param, sum, limit);
            }),
            Clip::GlobalNorm(limit) => {
                let mut sum = 0.0;
                trainable(model, path, |_, param| {
                    sum += cpu::sum_of_squares(pool, param.grad.slice(), partial);
                });
                trainable(model, path, |_, param| shorten(pool, param, sum, limit));
            }
            Clip::Value(limit) => trainable(model, path, |_, param| {
                chunks::each(pool, param.grad.slice_mut(), |g| g.clamp(-limit, limit));
            }),
        }
    }
}

/// Shortens a gradient that is part of a vector with that sum of squares.
fn shorten(pool: &Pool, param: &mut Param, sum: f64, limit: f32) {
    let factor = definition::factor(sum.sqrt(), f64::from(limit)) as f32;
    if factor != 1.0 {
        chunks::each(pool, param.grad.slice_mut(), |g| g * factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::{Device, Shape, Tensor, fields};
    use gradus_testing::{Cases, Tolerance, assert_close};

    struct Model {
        w: Param,
        b: Param,
        k: Param,
    }

    fields! { Model: param w, param b, param k }

    fn clipped(clip: Clip, threads: usize, grads: &[Vec<f32>; 3]) -> [Vec<f32>; 3] {
        let [w, b, k] = grads.each_ref().map(|grad| {
            let shape = Shape::new(&[grad.len()]);
            let grad = Tensor::from_slice(shape, grad);
            Param { grad, ..Param::zeros(shape, &Device::Cpu) }
        });
        let mut model = Model { w, b, k };
        let (mut clipping, cx) = (Clipping::new(clip), Context::new(Device::Cpu, threads));
        clipping.build(&model);
        clipping.apply(&cx, &mut model, &mut Path::default());
        [model.w, model.b, model.k].map(|param| param.grad.slice().to_vec())
    }

    #[test]
    fn the_engine_is_the_definition_for_any_number_of_threads() {
        let clips = [Clip::Norm(10.0), Clip::Value(0.7), Clip::GlobalNorm(10.0)];
        for (case, clip) in (0..30).zip(clips.into_iter().cycle()) {
            let mut cases = Cases::new("clip", case);
            let grads = [(); 3].map(|()| {
                let n = cases.one_of(&[1, 2, 15, 17, 1000, 16_383, 16_385, 40_001]);
                cases.normal(n)
            });
            let double = |grad: &Vec<f32>| grad.iter().map(|&g| f64::from(g)).collect();
            let mut expected: [Vec<f64>; 3] = grads.each_ref().map(double);
            definition::clip(clip, &mut expected);
            let actual = clipped(clip, 1, &grads);
            for (actual, expected) in actual.iter().zip(&expected) {
                let what = format!("{clip:?} of {} values", expected.len());
                assert_close(&what, actual, expected, Tolerance::for_reduction(1));
            }
            assert_eq!(clipped(clip, 3, &grads), actual, "{clip:?}: threads change the bits");
        }
    }

    #[test]
    fn what_is_short_enough_keeps_its_bits() {
        let grads = [vec![0.1, -0.3], vec![0.2], vec![0.7]];
        for clip in [Clip::Norm(1.0), Clip::Value(1.0), Clip::GlobalNorm(1.0)] {
            assert_eq!(clipped(clip, 1, &grads), grads, "{clip:?}");
        }
    }

    #[test]
    fn a_norm_is_that_of_all_parameters_or_of_one() {
        let grads = [vec![3.0, 0.0], vec![4.0], vec![0.0]];
        assert_eq!(clipped(Clip::Norm(1.0), 1, &grads), [vec![1.0, 0.0], vec![1.0], vec![0.0]]);
        let [w, b, _] = clipped(Clip::GlobalNorm(1.0), 1, &grads);
        assert_eq!((w[0], b[0]), (0.6, 0.8));
        let cut = clipped(Clip::Value(3.5), 1, &grads);
        assert_eq!(cut, [vec![3.0, 0.0], vec![3.5], vec![0.0]]);
    }

    #[test]
    fn what_is_not_finite_shows() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let grads = [vec![1.0, bad], vec![2.0], vec![3.0]];
            let [w, b, _] = clipped(Clip::Norm(1.0), 1, &grads);
            assert!(w[0].is_nan() && w[1].is_nan() && b == [1.0], "{w:?} {b:?}");
            let all = clipped(Clip::GlobalNorm(1.0), 1, &grads);
            assert!(all.iter().flatten().all(|g| g.is_nan()), "{all:?}");
        }
        let [w, ..] = clipped(Clip::Value(1.0), 1, &[vec![f32::NAN], vec![0.0], vec![0.0]]);
        assert!(w[0].is_nan());
    }

    #[test]
    fn squares_that_no_float_can_hold_still_have_a_norm() {
        let [w, ..] = clipped(Clip::Norm(1.0), 1, &[vec![3e30, 4e30], vec![0.0], vec![0.0]]);
        assert_close("w", &w, &[0.6, 0.8], Tolerance::for_reduction(1));
    }

    #[test]
    #[should_panic(expected = "clipped above 0, got Norm(0.0)")]
    fn a_limit_of_nothing_is_refused() {
        let _ = Clipping::new(Clip::Norm(0.0));
    }
}
