//! What each input pixel counts for each output pixel, as integers, for the sizes met lately.

use super::Interpolation;
use std::f64::consts::PI;

/// The weights along one axis.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// For each output: the first input, and where in `weights` its own begin and end.
    outputs: Vec<(usize, [usize; 2])>,
    weights: Vec<i32>,
    /// The same before it is made integers; kept for its memory.
    floats: Vec<f64>,
}

/// Length of the input, the part of it that is shown, length of the output.
pub(super) type Axis = (usize, [usize; 2], usize);

impl Weights {
    /// Behind the binary point; 8 are left for the byte and 2 for sign and overshoot.
    pub(super) const BITS: u32 = 32 - 8 - 2;

    fn fill(&mut self, filter: Interpolation, (n, [start, end], to): Axis) {
        self.outputs.clear();
        self.weights.clear();
        let scale = (end - start) as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = support(filter) * stretch;
        for i in 0..to {
            let centre = start as f64 + (i as f64 + 0.5) * scale;
            // Casts from floats stop at 0, as Pillow does by hand.
            let first = (centre - support + 0.5) as usize;
            let behind = ((centre + support + 0.5) as usize).min(n);
            let weight = |j: usize| value(filter, (j as f64 - centre + 0.5) * (1.0 / stretch));
            self.floats.clear();
            self.floats.extend((first..behind).map(weight));
            let sum: f64 = self.floats.iter().sum();
            let begin = self.weights.len();
            self.weights.extend(self.floats.iter().map(|w| {
                let w = if sum == 0.0 { *w } else { w / sum };
                (w * f64::from(1 << Self::BITS) + 0.5_f64.copysign(w)) as i32
            }));
            self.outputs.push((first, [begin, self.weights.len()]));
        }
    }

    /// How many outputs there are.
    pub(super) fn len(&self) -> usize {
        self.outputs.len()
    }

    /// For each output the first input and the weights from there on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.outputs.iter().map(|&(first, [a, b])| (first, &self.weights[a..b]))
    }

    /// The first input that counts, and the one behind the last.
    pub(super) fn span(&self) -> [usize; 2] {
        let behind = |&(first, [a, b]): &(usize, [usize; 2])| first + b - a;
        let first = self.outputs.first().map_or(0, |o| o.0);
        [first, self.outputs.last().map_or(0, behind)]
    }
}

/// How far a filter reaches to each side, in pixels.
fn support(filter: Interpolation) -> f64 {
    match filter {
        Interpolation::Nearest | Interpolation::Box => 0.5,
        Interpolation::Bilinear | Interpolation::Hamming => 1.0,
        Interpolation::Bicubic => 2.0,
        Interpolation::Lanczos => 3.0,
    }
}

/// The filter at `x`, the distance from its centre.
fn value(filter: Interpolation, x: f64) -> f64 {
    let d = x.abs();
    match filter {
        Interpolation::Nearest | Interpolation::Box => f64::from(x > -0.5 && x <= 0.5),
        Interpolation::Bilinear => (1.0 - d).max(0.0),
        Interpolation::Hamming if d >= 1.0 => 0.0,
        Interpolation::Hamming => sinc(d) * (0.54 + 0.46 * (d * PI).cos()),
        Interpolation::Bicubic => cubic(d),
        Interpolation::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Interpolation::Lanczos => 0.0,
    }
}

fn cubic(d: f64) -> f64 {
    const A: f64 = -0.5;
    match d {
        d if d < 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        d if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * A,
        _ => 0.0,
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    (x * PI).sin() / (x * PI)
}

/// The weights of the sizes that were met lately. Photos come in few sizes.
#[derive(Debug, Default)]
pub(super) struct Tables {
    known: Vec<(Interpolation, Axis, Weights)>,
    /// The one that gives its place to the next size.
    oldest: usize,
}

impl Tables {
    const KNOWN: usize = 64;

    /// The weights along two axes.
    pub(super) fn pair(&mut self, filter: Interpolation, axes: [Axis; 2]) -> [&Weights; 2] {
        self.find(filter, axes[0]);
        let second = self.find(filter, axes[1]);
        // The second may have taken the first one's place, but not the other way round: the next
        // to give way is another.
        let first = self.find(filter, axes[0]);
        [first, second].map(|i| &self.known[i].2)
    }

    fn find(&mut self, filter: Interpolation, axis: Axis) -> usize {
        if let Some(i) = self.known.iter().position(|k| k.0 == filter && k.1 == axis) {
            return i;
        }
        let i = if self.known.len() < Self::KNOWN {
            self.known.push((filter, axis, Weights::default()));
            self.known.len() - 1
        } else {
            self.oldest = (self.oldest + 1) % Self::KNOWN;
            self.oldest
        };
        let (f, a, weights) = &mut self.known[i];
        (*f, *a) = (filter, axis);
        weights.fill(filter, axis);
        i
    }
}
