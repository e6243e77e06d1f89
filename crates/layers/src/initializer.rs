//! The rules of first values.
//!
//! ```text
//! Formula      scale s and fan n: uniform U(−l, l), l = √(3s/n); untruncated_normal N(0, s/n);
//!              truncated_normal: N(0, s/n/0.8796²) redrawn beyond two deviations, which has
//!              variance s/n again
//!              glorot: s = 1, n = (fan_in + fan_out)/2; he: s = 2, n = fan_in;
//!              lecun: s = 1, n = fan_in
//!              orthogonal: gain · Q of a matrix of normal numbers, whose columns (or rows, where
//!              there are more of these) are orthonormal
//! Conventions  the fans of a kernel (R, S, C, K) are R·S·C and R·S·K; of a vector, both its length.
//!              Keras's `seed` is passed over: the seed of the run and the path of the parameter
//!              decide
//! Reference    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural
//!              networks. AISTATS 2010, equation 16; He et al., arXiv 1502.01852; LeCun et al.:
//!              Efficient BackProp. 1998; Saxe, McClelland, Ganguli, arXiv 1312.6120
//! ```

use crate::Config;
use gradus_tensor::Shape;
use gradus_tensor::random::Philox;

/// Keras's `kernel_initializer=` and its like: written as Keras's `get_config`, and read from that
/// or from Keras's string, such as `"he_normal"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Words", into = "Words")]
#[allow(missing_docs, reason = "the fields are Keras's arguments of the same name")]
#[non_exhaustive]
pub enum Initializer {
    /// 0 everywhere: Keras's default for biases.
    Zeros,
    /// 1 everywhere.
    Ones,
    /// One number everywhere. Keras's default is 0.
    Constant { value: f64 },
    /// Even between two numbers. Keras's defaults are ∓0.05.
    RandomUniform { minval: f64, maxval: f64 },
    /// Normal. Keras's defaults are 0 and 0.05.
    RandomNormal { mean: f64, stddev: f64 },
    /// Normal, redrawn beyond two deviations. Keras's defaults are 0 and 0.05.
    TruncatedNormal { mean: f64, stddev: f64 },
    /// Uniform by both fans: Keras's default for kernels.
    #[default]
    GlorotUniform,
    /// Normal by both fans.
    GlorotNormal,
    /// Uniform by the fan of the inputs, for relu.
    HeUniform,
    /// Normal by the fan of the inputs, for relu.
    HeNormal,
    /// Uniform by the fan of the inputs.
    LecunUniform,
    /// Normal by the fan of the inputs, for selu.
    LecunNormal,
    /// The rule of which the six above are cases.
    VarianceScaling { scale: f64, mode: Mode, distribution: Distribution },
    /// Orthonormal rows or columns times a gain.
    Orthogonal { gain: f64 },
    /// The unit matrix times a gain.
    Identity { gain: f64 },
}

/// Which fan the variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Of the inputs.
    FanIn,
    /// Of the outputs.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// Of which kind the random numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Even between −l and l.
    Uniform,
    /// Normal within two deviations.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
}

/// The standard deviation of the standard normal distribution cut off at ∓2.
const TRUNCATED: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// Fills `values`, of that shape, with numbers of `rng`.
    ///
    /// # Panics
    /// If the shape has no matrix that the rule could make: see [`Initializer::flaw`].
    pub(crate) fn fill(self, rng: &mut Philox, shape: Shape, values: &mut [f32]) {
        use Distribution::{TruncatedNormal, Uniform};
        let scaling =
            |scale, mode, distribution| Self::VarianceScaling { scale, mode, distribution };
        match self {
            Self::Zeros => values.fill(0.0),
            Self::Ones => values.fill(1.0),
            Self::Constant { value } => values.fill(value as f32),
            Self::RandomUniform { minval, maxval } => {
                let (middle, limit) = ((minval + maxval) / 2.0, (maxval - minval) / 2.0);
                uniform(rng, limit as f32, values);
                values.iter_mut().for_each(|v| *v += middle as f32);
            }
            Self::RandomNormal { mean, stddev } => {
                values.fill_with(|| (mean + stddev * rng.normal()) as f32);
            }
            Self::TruncatedNormal { mean, stddev } => {
                values.fill_with(|| (mean + stddev * truncated(rng)) as f32);
            }
            Self::GlorotUniform => scaling(1.0, Mode::FanAvg, Uniform).fill(rng, shape, values),
            Self::GlorotNormal => {
                scaling(1.0, Mode::FanAvg, TruncatedNormal).fill(rng, shape, values);
            }
            Self::HeUniform => scaling(2.0, Mode::FanIn, Uniform).fill(rng, shape, values),
            Self::HeNormal => scaling(2.0, Mode::FanIn, TruncatedNormal).fill(rng, shape, values),
            Self::LecunUniform => scaling(1.0, Mode::FanIn, Uniform).fill(rng, shape, values),
            Self::LecunNormal => {
                scaling(1.0, Mode::FanIn, TruncatedNormal).fill(rng, shape, values);
            }
            Self::VarianceScaling { scale, mode, distribution } => {
                let variance = scale / mode.fan(shape);
                let normal = |stddev| Self::RandomNormal { mean: 0.0, stddev };
                let cut = |stddev| Self::TruncatedNormal { mean: 0.0, stddev };
                match distribution {
                    Uniform => uniform(rng, (3.0 * variance).sqrt() as f32, values),
                    TruncatedNormal => cut(variance.sqrt() / TRUNCATED).fill(rng, shape, values),
                    Distribution::UntruncatedNormal => {
                        normal(variance.sqrt()).fill(rng, shape, values);
                    }
                }
            }
            Self::Orthogonal { gain } => orthogonal(rng, shape, gain, values),
            Self::Identity { gain } => {
                for (i, row) in values.chunks_exact_mut(shape.last()).enumerate() {
                    row.fill(0.0);
                    row.iter_mut().skip(i).take(1).for_each(|v| *v = gain as f32);
                }
            }
        }
    }

    /// What is wrong with the rule for a parameter of that rank, if anything.
    pub(crate) fn flaw(self, option: &str, rank: usize) -> Option<String> {
        let fits = match self {
            Self::Orthogonal { .. } => rank >= 2,
            Self::Identity { .. } => rank == 2,
            _ => true,
        };
        (!fits).then(|| format!("{option} {self:?} makes matrices, and nothing of rank {rank}"))
    }
}

impl Mode {
    /// The fan of a parameter of that shape, at least 1.
    fn fan(self, shape: Shape) -> f64 {
        let (fan_in, fan_out) = match *shape.dims() {
            [] => (1, 1),
            [n] => (n, n),
            [ref field @ .., inputs, outputs] => {
                let field: usize = field.iter().product();
                (field * inputs, field * outputs)
            }
        };
        let fan = match self {
            Mode::FanIn => fan_in as f64,
            Mode::FanOut => fan_out as f64,
            Mode::FanAvg => (fan_in + fan_out) as f64 / 2.0,
        };
        fan.max(1.0)
    }
}

/// Even in −limit..limit.
fn uniform(rng: &mut Philox, limit: f32, values: &mut [f32]) {
    for value in values {
        // 24 bits are all that f32 can tell apart in [0, 1).
        let unit = (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
        *value = (2.0 * unit - 1.0) * limit;
    }
}

/// Standard normal within −2..2.
fn truncated(rng: &mut Philox) -> f64 {
    loop {
        let drawn = rng.normal();
        if drawn.abs() <= 2.0 {
            return drawn;
        }
    }
}

/// Columns made orthonormal one after the other (Gram and Schmidt, each twice against rounding).
fn orthogonal(rng: &mut Philox, shape: Shape, gain: f64, values: &mut [f32]) {
    let columns = shape.last();
    let rows = values.len() / columns;
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(short);
    while basis.len() < short {
        let mut next: Vec<f64> = (0..long).map(|_| rng.normal()).collect();
        for earlier in basis.iter().chain(&basis) {
            let dot: f64 = next.iter().zip(earlier).map(|(a, b)| a * b).sum();
            next.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = next.iter().map(|v| v * v).sum::<f64>().sqrt();
        next.iter_mut().for_each(|v| *v /= norm);
        basis.push(next);
    }
    for (i, value) in values.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let of_basis = if rows >= columns { basis[column][row] } else { basis[row][column] };
        *value = (gain * of_basis) as f32;
    }
}

/// A name, or a class with its arguments.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Words {
    Name(String),
    Class(Config),
}

/// All arguments of all classes.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minval: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxval: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stddev: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<Distribution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gain: Option<f64>,
}

/// Keras's classes; the names are the same words in lower case with `_` between.
const CLASSES: [&str; 15] = [
    "Zeros",
    "Ones",
    "Constant",
    "RandomUniform",
    "RandomNormal",
    "TruncatedNormal",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "VarianceScaling",
    "Orthogonal",
    "Identity",
];

impl From<Initializer> for Words {
    fn from(initializer: Initializer) -> Self {
        let mut a = Arguments::default();
        let class = match initializer {
            Initializer::Constant { value } => {
                a.value = Some(value);
                "Constant"
            }
            Initializer::RandomUniform { minval, maxval } => {
                (a.minval, a.maxval) = (Some(minval), Some(maxval));
                "RandomUniform"
            }
            Initializer::RandomNormal { mean, stddev } => {
                (a.mean, a.stddev) = (Some(mean), Some(stddev));
                "RandomNormal"
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                (a.mean, a.stddev) = (Some(mean), Some(stddev));
                "TruncatedNormal"
            }
            Initializer::VarianceScaling { scale, mode, distribution } => {
                (a.scale, a.mode, a.distribution) = (Some(scale), Some(mode), Some(distribution));
                "VarianceScaling"
            }
            Initializer::Orthogonal { gain } => {
                a.gain = Some(gain);
                "Orthogonal"
            }
            Initializer::Identity { gain } => {
                a.gain = Some(gain);
                "Identity"
            }
            Initializer::Zeros => "Zeros",
            Initializer::Ones => "Ones",
            Initializer::GlorotUniform => "GlorotUniform",
            Initializer::GlorotNormal => "GlorotNormal",
            Initializer::HeUniform => "HeUniform",
            Initializer::HeNormal => "HeNormal",
            Initializer::LecunUniform => "LecunUniform",
            Initializer::LecunNormal => "LecunNormal",
        };
        Self::Class(Config::new(class, &a))
    }
}

impl TryFrom<Words> for Initializer {
    type Error = String;

    fn try_from(words: Words) -> Result<Self, String> {
        let config = match words {
            Words::Name(name) => Config::new(&name, &Arguments::default()),
            Words::Class(config) => config,
        };
        let a: Arguments = config.options().map_err(|e| e.to_string())?;
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let found = CLASSES.iter().find(|class| plain(class) == plain(&config.class_name));
        let (mean, stddev) = (a.mean.unwrap_or(0.0), a.stddev.unwrap_or(0.05));
        Ok(match found.copied().unwrap_or_default() {
            "Zeros" => Self::Zeros,
            "Ones" => Self::Ones,
            "Constant" => Self::Constant { value: a.value.unwrap_or(0.0) },
            "RandomUniform" => {
                let (minval, maxval) = (a.minval.unwrap_or(-0.05), a.maxval.unwrap_or(0.05));
                Self::RandomUniform { minval, maxval }
            }
            "RandomNormal" => Self::RandomNormal { mean, stddev },
            "TruncatedNormal" => Self::TruncatedNormal { mean, stddev },
            "GlorotUniform" => Self::GlorotUniform,
            "GlorotNormal" => Self::GlorotNormal,
            "HeUniform" => Self::HeUniform,
            "HeNormal" => Self::HeNormal,
            "LecunUniform" => Self::LecunUniform,
            "LecunNormal" => Self::LecunNormal,
            "VarianceScaling" => Self::VarianceScaling {
                scale: a.scale.unwrap_or(1.0),
                mode: a.mode.unwrap_or(Mode::FanIn),
                distribution: a.distribution.unwrap_or(Distribution::TruncatedNormal),
            },
            "Orthogonal" => Self::Orthogonal { gain: a.gain.unwrap_or(1.0) },
            "Identity" => Self::Identity { gain: a.gain.unwrap_or(1.0) },
            _ => {
                let known = CLASSES.join(", ");
                let name = config.class_name;
                return Err(format!("no initializer is called {name:?}: use one of {known}"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_testing::test_data;

    fn filled(initializer: Initializer, shape: &[usize]) -> Vec<f32> {
        let shape = Shape::new(shape);
        let mut values = vec![f32::NAN; shape.len()];
        initializer.fill(&mut Philox::new(1, [7, 0, 0]), shape, &mut values);
        values
    }

    /// Mean, standard deviation and largest magnitude.
    fn moments(values: &[f32]) -> [f64; 3] {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let square = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        [mean, square.sqrt(), largest]
    }

    fn named(name: &str) -> Initializer {
        serde_json::from_value(name.into()).unwrap()
    }

    #[test]
    fn random_values_have_keras_s_statistics() {
        let Some(path) = test_data("goldens/stats.json") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = stats["initializers"].as_array().unwrap();
        assert_eq!(cases.len(), 12, "five layers of the tutorial, seven rules");
        for case in cases {
            let number = |name: &str| case[name].as_f64();
            let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
            let values = filled(named(case["init"].as_str().unwrap()), &shape);
            let [mean, deviation, largest] = moments(&values);
            // The deviation of a sample of n normal numbers is off by 1/√(2n), its mean by 1/√n.
            let n = values.len() as f64;
            let expected = number("var").map(f64::sqrt).or(number("keras_sample_std")).unwrap();
            assert!((deviation / expected - 1.0).abs() < 5.0 / n.sqrt(), "{case}: {deviation}");
            assert!(mean.abs() < 5.0 * expected / n.sqrt(), "{case}: mean {mean}");
            if let Some(limit) = number("limit") {
                assert!(largest <= limit && largest > 0.98 * limit, "{case}: {largest}");
            }
        }
    }

    #[test]
    fn scales_follow_the_fans() {
        let deviation = |name, shape: &[usize]| moments(&filled(named(name), shape))[1];
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
        let kernel = [3, 3, 32, 64];
        assert!(close(deviation("lecun_uniform", &kernel), (1.0f64 / 288.0).sqrt()));
        assert!(close(deviation("lecun_normal", &kernel), (1.0f64 / 288.0).sqrt()));
        assert!(close(deviation("he_uniform", &kernel), (2.0f64 / 288.0).sqrt()));
        assert!(close(deviation("glorot_normal", &kernel), (2.0f64 / 864.0).sqrt()));
        let out = Initializer::VarianceScaling {
            scale: 3.0,
            mode: Mode::FanOut,
            distribution: Distribution::UntruncatedNormal,
        };
        assert!(close(moments(&filled(out, &kernel))[1], (3.0f64 / 576.0).sqrt()));
    }

    #[test]
    fn a_truncated_normal_ends_at_two_deviations() {
        let rule = Initializer::TruncatedNormal { mean: 1.0, stddev: 0.5 };
        let values = filled(rule, &[100, 200]);
        assert!(values.iter().all(|v| (0.0..=2.0).contains(v)));
        assert!((moments(&values)[1] / (0.5 * TRUNCATED) - 1.0).abs() < 0.02);
    }

    #[test]
    fn an_orthogonal_matrix_is_one() {
        for shape in [&[5, 5][..], &[40, 7], &[7, 40], &[3, 3, 2, 9]] {
            let columns = *shape.last().unwrap();
            let q = filled(Initializer::Orthogonal { gain: 2.0 }, shape);
            let rows = q.len() / columns;
            let at = |i: usize, j: usize| {
                f64::from(if rows >= columns { q[i * columns + j] } else { q[j * columns + i] })
            };
            let (long, short) = (rows.max(columns), rows.min(columns));
            for (a, b) in (0..short).flat_map(|a| (0..short).map(move |b| (a, b))) {
                let dot: f64 = (0..long).map(|i| at(i, a) * at(i, b)).sum();
                let expected = if a == b { 4.0 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-5, "{shape:?}: {a}·{b} is {dot}");
            }
        }
    }

    #[test]
    fn plain_rules_are_plain() {
        assert_eq!(filled(named("ones"), &[3]), [1.0; 3]);
        assert_eq!(filled(Initializer::Constant { value: 0.5 }, &[2]), [0.5; 2]);
        let identity = Initializer::Identity { gain: 3.0 };
        assert_eq!(filled(identity, &[2, 3]), [3.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!(filled(identity, &[3, 2]), [3.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
        assert!(identity.flaw("kernel_initializer", 4).unwrap().contains("rank 4"));
        let rule = Initializer::RandomUniform { minval: 2.0, maxval: 3.0 };
        let values = filled(rule, &[1000]);
        assert!(values.iter().all(|v| (2.0..=3.0).contains(v)));
        assert!((moments(&values)[0] - 2.5).abs() < 0.05);
    }

    #[test]
    fn rules_are_written_as_keras_writes_them() {
        let json = serde_json::json!({"class_name": "TruncatedNormal",
            "config": {"mean": 0.0, "stddev": 0.02}});
        let rule = Initializer::TruncatedNormal { mean: 0.0, stddev: 0.02 };
        assert_eq!(serde_json::to_value(rule).unwrap(), json);
        // As Keras 3 writes it.
        let keras = serde_json::json!({"module": "keras.initializers", "class_name": "HeNormal",
            "config": {"seed": null}, "registered_name": null});
        assert_eq!(serde_json::from_value::<Initializer>(keras).unwrap(), Initializer::HeNormal);
        for class in CLASSES {
            let rule = named(class);
            let again = serde_json::to_value(rule).unwrap();
            assert_eq!(serde_json::from_value::<Initializer>(again).unwrap(), rule, "{class}");
        }
        let error = serde_json::from_value::<Initializer>("xavier".into()).unwrap_err();
        assert!(error.to_string().contains("no initializer is called \"xavier\""), "{error}");
    }
}
