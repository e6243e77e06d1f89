//! Activations: what stands between linear layers.
//!
//! ```text
//! Formula      linear  y = z
//!              relu    y = max(z, 0)
//!              softmax yᵢ = exp(zᵢ − max z) / Σⱼ exp(zⱼ − max z), over the last axis
//! Shapes       z, y: any, equal
//! Backward     relu    dz = dy where y > 0, else 0
//!              softmax dzᵢ = yᵢ (dyᵢ − Σⱼ dyⱼ yⱼ)
//!              all from y alone, so z need not be kept
//! Conventions  relu'(0) = 0, as Keras and PyTorch; relu(NaN) = NaN, so that a lost run shows;
//!              softmax subtracts the maximum and never overflows
//! Reference    Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines. ICML
//!              2010; Bridle, 1990 (softmax)
//! ```

pub mod cpu;

use gradus_tensor::{Context, Device, Tensor};

/// Keras's `activation=` argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// None. The default, as in Keras.
    #[default]
    Linear,
    /// max(z, 0).
    Relu,
    /// Probabilities over the last axis.
    Softmax,
    /// 1 / (1 + exp(−z)).
    Sigmoid,
}

/// The formulas as loops over rows of the last axis.
pub mod definition {
    use super::Activation;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2, Zip};

    /// y from z, in place.
    pub fn forward<T: Real>(activation: Activation, mut y: ArrayViewMut2<'_, T>) {
        match activation {
            Activation::Linear => {}
            Activation::Relu => y.mapv_inplace(|z| if z < T::zero() { T::zero() } else { z }),
            Activation::Sigmoid => y.mapv_inplace(|z| T::one() / (T::one() + (-z).exp())),
            Activation::Softmax => {
                for mut row in y.rows_mut() {
                    let max = row.iter().fold(T::neg_infinity(), |m, &z| m.max(z));
                    row.mapv_inplace(|z| (z - max).exp());
                    let sum: T = row.iter().copied().sum();
                    row.mapv_inplace(|e| e / sum);
                }
            }
        }
    }

    /// dz from y and dy, in place of dy.
    pub fn backward<T: Real>(
        activation: Activation,
        y: ArrayView2<'_, T>,
        mut dy: ArrayViewMut2<'_, T>,
    ) {
        match activation {
            Activation::Linear => {}
            Activation::Relu => Zip::from(&mut dy).and(y).for_each(|dy, &y| {
                // Not `y <= 0`: the gradient of a NaN shall not look like a quiet unit's.
                if y == T::zero() {
                    *dy = T::zero();
                }
            }),
            Activation::Sigmoid => {
                Zip::from(&mut dy).and(y).for_each(|d, &y| *d = *d * y * (T::one() - y));
            }
            Activation::Softmax => {
                for (mut dy, y) in dy.rows_mut().into_iter().zip(y.rows()) {
                    let dot: T = dy.iter().zip(y).map(|(&d, &y)| d * y).sum();
                    Zip::from(&mut dy).and(y).for_each(|d, &y| *d = y * (*d - dot));
                }
            }
        }
    }
}

impl Activation {
    /// y from z, in place.
    pub fn forward(self, cx: &Context, y: &mut Tensor) {
        match &cx.device {
            Device::Cpu => cpu::forward(&cx.workspace.pool, self, y.rows_mut()),
            Device::Cuda(gpu) => match *gpu {},
        }
    }

    /// dz from y and dy, in place of dy.
    pub fn backward(self, cx: &Context, y: &Tensor, dy: &mut Tensor) {
        match &cx.device {
            Device::Cpu => cpu::backward(&cx.workspace.pool, self, y.rows(), dy.rows_mut()),
            Device::Cuda(gpu) => match *gpu {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Pool;
    use gradus_tensor::ndarray::Array2;
    use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

    const ALL: [Activation; 3] = [Activation::Linear, Activation::Relu, Activation::Softmax];

    #[test]
    fn the_gradient_is_the_derivative() {
        for activation in ALL {
            let mut cases = Cases::new("activation gradient", 0);
            let (z, r) = (cases.normal_f64(35), cases.normal_f64(35));
            let of = |z: &[f64]| {
                let mut y = Array2::from_shape_vec((5, 7), z.to_vec()).unwrap();
                definition::forward(activation, y.view_mut());
                y
            };
            let mut dz = Array2::from_shape_vec((5, 7), r.clone()).unwrap();
            definition::backward(activation, of(&z).view(), dz.view_mut());
            let error = gradcheck(&z, dz.as_slice().unwrap(), |z| {
                of(z).iter().zip(&r).map(|(y, r)| y * r).sum()
            });
            assert!(error < 1e-6, "{activation:?}: {error}");
        }
    }

    #[test]
    fn the_engine_is_the_definition() {
        for activation in ALL {
            for (case, (n, c)) in [(1, 1), (15, 2), (7, 33), (600, 65)].into_iter().enumerate() {
                let mut cases = Cases::new("activation engine", case as u32);
                let z = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
                let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
                let (mut expected, mut expected_dz) = (z.clone(), dy.clone());
                definition::forward(activation, expected.view_mut());
                definition::backward(activation, expected.view(), expected_dz.view_mut());
                let (pool, mut y, mut dz) = (Pool::new(2), z, dy);
                cpu::forward(&pool, activation, y.view_mut());
                cpu::backward(&pool, activation, y.view(), dz.view_mut());
                let what = format!("{activation:?} {n}·{c}");
                let close = |a: &Array2<f32>, e: &Array2<f32>| {
                    let (a, e) = (a.as_slice().unwrap(), e.as_slice().unwrap());
                    assert_close(&what, a, e, Tolerance::for_reduction(c));
                };
                close(&y, &expected);
                close(&dz, &expected_dz);
            }
        }
    }

    #[test]
    fn a_lost_number_stays_visible() {
        let mut y = Array2::from_elem((1, 3), f32::NAN);
        cpu::forward(&Pool::new(1), Activation::Relu, y.view_mut());
        assert!(y.iter().all(|v| v.is_nan()));
    }

    #[test]
    fn activations_agree_with_keras() {
        let Some(golden) = Golden::open("dense_activation") else { return };
        for (case, activation) in [
            ("act_relu", Activation::Relu),
            ("act_softmax", Activation::Softmax),
            ("softmax_extreme", Activation::Softmax),
        ] {
            let rows = |field| golden.tensor(case, field).into_dimensionality().unwrap();
            let mut y: Array2<f32> = rows("x");
            definition::forward(activation, y.view_mut());
            let expect = |field, actual: &Array2<f32>| {
                let tolerance = Tolerance::golden(golden.noise(case, field));
                let expected: Array2<f32> = rows(field);
                let (a, e) = (actual.as_slice().unwrap(), expected.as_slice().unwrap());
                assert_close(&format!("{case}/{field}"), a, e, tolerance);
            };
            expect("y", &y);
            if golden.has(case, "dy") {
                let mut dz: Array2<f32> = rows("dy");
                definition::backward(activation, y.view(), dz.view_mut());
                expect("dx", &dz);
            }
        }
    }
}
