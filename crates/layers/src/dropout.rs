//! Dropout.
//!
//! ```text
//! Formula      y = x · m / (1 − rate), m = 0 with probability `rate`, else 1; y = x in inference
//! Shapes       x, y: any, equal
//! Backward     dx = dy · m / (1 − rate)
//! Saved        m: u8, one for each element
//! Randomness   decision i of layer L in update t: word of
//!              philox4x32((⌊i/8⌋, L, t mod 2³², ⌊t/2³²⌋), seed), sixteen bits each. It depends on
//!              nothing else: no two layers share a mask, and neither threads nor a resumed run
//!              can change one
//! Conventions  inverted dropout, as Keras and PyTorch: inference does nothing. The rate is rounded
//!              to a multiple of 2⁻¹⁶, the factor 1/(1 − rate) is not
//! Reference    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout. JMLR 15, 2014
//! ```

pub mod cpu;
pub mod cuda;

use crate::{
    Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError, Slot,
};
use gradus_tensor::random::philox4x32_beside;
use gradus_tensor::{Context, Device, Shape, Spec, StepScalars, Tensor, fields};

/// What one call needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The fraction to drop, 0 to 1.
    pub rate: f32,
    /// The layer's own number.
    pub layer: u32,
    /// Seed and update.
    pub step: StepScalars,
}

impl Draw {
    /// A decision is *drop* where its sixteen bits are below this.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 65536.0).round() as u32
    }

    /// What kept values are multiplied with; 0 where nothing is kept.
    #[must_use]
    pub fn scale(&self) -> f32 {
        if self.rate < 1.0 { 1.0 / (1.0 - self.rate) } else { 0.0 }
    }

    /// The sixteen-bit decisions 8·block to 8·block + 7.
    #[inline(always)]
    #[must_use]
    pub fn bits(&self, block: u32) -> [u32; 8] {
        let [a, b, c, d] = self.words::<1>(block).map(|[word]| word as u32);
        [a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16, c & 0xFFFF, c >> 16, d & 0xFFFF, d >> 16]
    }

    /// The four words of each of `N` blocks from `first` on, two decisions in the low half of each:
    /// the first words of all blocks, the second words, and so on.
    #[inline(always)]
    pub(crate) fn words<const N: usize>(&self, first: u32) -> [[u64; N]; 4] {
        let (step, seed) = (self.step.step, self.step.seed);
        let mut counters = [[0; N], [u64::from(self.layer); N], [step; N], [step >> 32; N]];
        for (i, block) in counters[0].iter_mut().enumerate() {
            *block = u64::from(first) + i as u64;
        }
        philox4x32_beside(counters, [seed as u32, (seed >> 32) as u32])
    }
}

/// The formula as loops.
pub mod definition {
    use super::Draw;
    use gradus_tensor::Real;

    /// y and m from x.
    pub fn forward<T: Real>(draw: &Draw, x: &[T], y: &mut [T], mask: &mut [u8]) {
        for (i, x) in x.iter().enumerate() {
            let bits = draw.bits((i / 8) as u32)[i % 8];
            mask[i] = u8::from(bits >= draw.threshold());
            y[i] = *x * T::of(f64::from(mask[i])) * T::of(f64::from(draw.scale()));
        }
    }

    /// dx from dy and m.
    pub fn backward<T: Real>(draw: &Draw, dy: &[T], mask: &[u8], dx: &mut [T]) {
        for (i, dy) in dy.iter().enumerate() {
            dx[i] = *dy * T::of(f64::from(mask[i])) * T::of(f64::from(draw.scale()));
        }
    }
}

/// Keras's `Dropout`. In PyTorch: `nn.Dropout`, the same.
#[derive(Clone, Debug)]
pub struct Dropout {
    options: Options,
    id: u32,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Options {
    rate: f32,
}

impl Dropout {
    /// Drops that fraction of the values in training.
    ///
    /// # Panics
    /// If `rate` is not in 0..=1.
    #[must_use]
    pub fn new(rate: f32) -> Self {
        assert!((0.0..=1.0).contains(&rate), "dropout's rate is a fraction, got {rate}");
        Self { options: Options { rate }, id: 0 }
    }

    pub(crate) fn draw(&self, cx: &Context) -> Draw {
        Draw { rate: self.options.rate, layer: self.id, step: cx.step }
    }
}

fields! { Dropout }

impl Described for Dropout {
    const CLASS_NAME: &'static str = "Dropout";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options: Options = config.options()?;
        if !(0.0..=1.0).contains(&options.rate) {
            let reason = format!("rate {} is not a fraction", options.rate);
            return Err(ConfigError::Options { class_name: config.class_name.clone(), reason });
        }
        Ok(Self { options, id: 0 })
    }
}

impl Layer for Dropout {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn build(&mut self, _: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        self.id = init.id();
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let plan = Plan::new(x);
        Ok(match mode {
            Mode::Train => plan.saving([Slot::per_batch(Spec::u8(x.shape))]),
            Mode::Infer => plan,
        })
    }

    fn infer(&self, _: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        y.copy_from(x);
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let (draw, [mask]) = (self.draw(cx), saved.slots());
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::forward(pool, &draw, x.slice(), y.slice_mut(), mask.slice_mut());
            }
            Device::Cuda(gpu) => {
                let now = cx.published_step();
                cuda::forward(gpu, &draw, now, x.gpu(), y.gpu_mut(), mask.gpu_mut());
            }
        }
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        _: &Tensor,
        _: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        saved: &mut Saved,
    ) {
        let (draw, [mask], Some(dx)) = (self.draw(cx), saved.slots(), dx) else { return };
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::backward(pool, &draw, dy.slice(), mask.slice(), dx.slice_mut());
            }
            Device::Cuda(gpu) => cuda::backward(gpu, &draw, dy.gpu(), mask.gpu(), dx.gpu_mut()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Pool;
    use gradus_testing::{Cases, gradcheck};

    fn draw(rate: f32, layer: u32, update: u64) -> Draw {
        let step = StepScalars { step: update, seed: 3, learning_rate: 0.0 };
        Draw { rate, layer, step }
    }

    fn mask(draw: &Draw, n: usize) -> Vec<u8> {
        let mut mask = vec![0; n];
        definition::forward(draw, &vec![1.0f32; n], &mut vec![0.0; n], &mut mask);
        mask
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        let mut cases = Cases::new("dropout gradient", 0);
        let (x, r, draw) = (cases.normal_f64(50), cases.normal_f64(50), draw(0.3, 1, 7));
        let (mut y, mut mask, mut dx) = (vec![0.0; 50], vec![0; 50], vec![0.0; 50]);
        definition::forward(&draw, &x, &mut y, &mut mask);
        definition::backward(&draw, &r, &mask, &mut dx);
        let error = gradcheck(&x, &dx, |x| {
            definition::forward(&draw, x, &mut y, &mut mask);
            y.iter().zip(&r).map(|(y, r)| y * r).sum()
        });
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn the_engine_is_the_definition() {
        for (case, rate) in [0.0, 0.25, 0.5, 0.9, 1.0].into_iter().enumerate() {
            let mut cases = Cases::new("dropout engine", case as u32);
            for n in [1, 7, 8, 4097, 50_001] {
                let (draw, x) = (draw(rate, 5, 1 << 33), cases.normal(n));
                let run = |threads| {
                    let pool = Pool::new(threads);
                    let (mut y, mut mask, mut dx) = (vec![9.0; n], vec![9; n], vec![9.0; n]);
                    cpu::forward(&pool, &draw, &x, &mut y, &mut mask);
                    cpu::backward(&pool, &draw, &x, &mask, &mut dx);
                    (y, mask, dx)
                };
                let (mut y, mut mask, mut dx) = (vec![0.0; n], vec![0; n], vec![0.0; n]);
                definition::forward(&draw, &x, &mut y, &mut mask);
                definition::backward(&draw, &x, &mask, &mut dx);
                assert_eq!(run(1), (y, mask, dx), "rate {rate}, {n} values");
                assert_eq!(run(1), run(3));
            }
        }
    }

    #[test]
    fn the_fraction_dropped_is_the_rate_and_the_mean_stays() {
        let n = 1 << 20;
        for rate in [0.25f32, 0.5, 0.1] {
            let dropped = mask(&draw(rate, 1, 1), n).iter().filter(|&&m| m == 0).count();
            let expected = f64::from(rate) * n as f64;
            let sigma = (expected * f64::from(1.0 - rate)).sqrt();
            assert!((dropped as f64 - expected).abs() < 4.0 * sigma, "{rate}: {dropped}");
        }
    }

    #[test]
    fn what_is_kept_has_keras_s_statistics() {
        let Some(path) = gradus_testing::test_data("goldens/stats.json") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = stats["dropout"].as_array().unwrap();
        assert_eq!(cases.len(), 2, "the tutorial's rates");
        for case in cases {
            let number = |name: &str| case[name].as_f64().unwrap();
            let (n, draw) = (100_000, draw(number("rate") as f32, 1, 1));
            let (mut y, mut mask) = (vec![9.0f32; n], vec![9; n]);
            definition::forward(&draw, &vec![1.0; n], &mut y, &mut mask);
            let kept = y.iter().filter(|&&y| y != 0.0).count() as f64 / n as f64;
            let sigma = number("kept_fraction_sigma_for_1e5");
            assert!(
                (kept - number("kept_fraction_expected")).abs() < 4.0 * sigma,
                "{case}: {kept}"
            );
            let value = number("kept_value_for_x1") as f32;
            assert!(y.iter().all(|&y| y == 0.0 || y == value), "{case}");
        }
    }

    #[test]
    fn layers_updates_and_seeds_do_not_share_masks() {
        let base = mask(&draw(0.5, 1, 1), 256);
        assert_ne!(base, mask(&draw(0.5, 2, 1), 256));
        assert_ne!(base, mask(&draw(0.5, 1, 2), 256));
        assert_ne!(base, mask(&draw(0.5, 1, 1 << 32 | 1), 256));
        let mut other = draw(0.5, 1, 1);
        other.step.seed = 4;
        assert_ne!(base, mask(&other, 256));
        assert_eq!(base, mask(&draw(0.5, 1, 1), 256));
    }
}
