//! The fourteen changes of RandAugment, on whole levels 0-255.
//!
//! ```text
//! Formula      shear x     (x, y)ᵢₙ = (x + m·y, y), coordinates from the upper left corner
//!              rotate      by m degrees, counter-clockwise, about the middle
//!              brightness, color, contrast, sharpness   y = d + (1 + m)·(x − d), d: black, the gray
//!                          of the pixel, the mean gray of the image, the image smoothed
//!              posterize   the upper bits alone          solarize   255 − x from a threshold on
//!              autocontrast, equalize   of each channel: its levels spread evenly over 0-255, by
//!                          their extremes, by their histogram
//! Shapes       x, y: h·w·C, in place; the alpha of four channels is moved and otherwise left alone
//! Conventions  what is moved shows the nearest pixel, and `fill` beyond the border. Levels are
//!              computed as Pillow does, to the bit: `Image.blend` cuts off, gray is
//!              (19595·R + 38470·G + 7471·B + 2¹⁵) >> 16, the smoothing leaves the border as it is
//! Reference    Pillow, `ImageEnhance`, `ImageOps`; torchvision, `transforms/autoaugment.py`
//! ```

use crate::brightness::{blend, colours, cut};
use crate::channel_shift::extremes;
use crate::scratch;
use ndarray::{ArrayView1, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis};

/// One change of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// None.
    Identity,
    /// Rows move by that many pixels for each row.
    ShearX(f64),
    /// Columns move by that many pixels for each column.
    ShearY(f64),
    /// To the right, in pixels.
    TranslateX(i32),
    /// Downwards, in pixels.
    TranslateY(i32),
    /// Counter-clockwise, in degrees.
    Rotate(f64),
    /// By 1 + that.
    Brightness(f64),
    /// The saturation, by 1 + that.
    Color(f64),
    /// By 1 + that.
    Contrast(f64),
    /// By 1 + that.
    Sharpness(f64),
    /// That many bits of each level remain.
    Posterize(u32),
    /// Levels from that on are reversed.
    Solarize(f64),
    /// Each channel spread over all levels.
    AutoContrast,
    /// Each level as often as any other.
    Equalize,
}

impl Change {
    /// Makes the change, on whole levels.
    pub fn apply(self, fill: f32, image: ArrayViewMut3<'_, f32>) {
        let (height, width, channels) = image.dim();
        let all = channels;
        let split = |image| ArrayViewMut3::split_at(image, Axis(2), colours(all)).0;
        match self {
            Self::Identity => {}
            Self::ShearX(m) => moved(image, fill, [[1.0, m, 0.0], [0.0, 1.0, 0.0]]),
            Self::ShearY(m) => moved(image, fill, [[1.0, 0.0, 0.0], [m, 1.0, 0.0]]),
            Self::TranslateX(t) => moved(image, fill, [[1.0, 0.0, -f64::from(t)], [0.0, 1.0, 0.0]]),
            Self::TranslateY(t) => moved(image, fill, [[1.0, 0.0, 0.0], [0.0, 1.0, -f64::from(t)]]),
            Self::Rotate(degrees) => {
                let (sin, cos) = degrees.to_radians().sin_cos();
                let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
                let right = [cos, -sin, x - cos * x + sin * y];
                moved(image, fill, [right, [sin, cos, y - sin * x - cos * y]]);
            }
            Self::Brightness(m) => split(image).mapv_inplace(|x| blend(0.0, x, factor(m))),
            Self::Color(m) => {
                for mut pixel in split(image).rows_mut() {
                    let gray = gray(pixel.view());
                    pixel.mapv_inplace(|x| blend(gray, x, factor(m)));
                }
            }
            Self::Contrast(m) => {
                let mut image = split(image);
                let gray: f64 = image.rows().into_iter().map(|p| f64::from(gray(p))).sum();
                let mean = (gray / (height * width).max(1) as f64 + 0.5).floor() as f32;
                image.mapv_inplace(|x| blend(mean, x, factor(m)));
            }
            Self::Sharpness(m) => scratch::with_copy(split(image), |x, y| sharpen(x, y, factor(m))),
            Self::Posterize(bits) => {
                let mask = !(255u32 >> bits.min(8)) as u8;
                split(image).mapv_inplace(|x| f32::from(x as u8 & mask));
            }
            Self::Solarize(threshold) => {
                let reverse = |x: f32| if f64::from(x) < threshold { x } else { 255.0 - x };
                split(image).mapv_inplace(reverse);
            }
            Self::AutoContrast => split(image).axis_iter_mut(Axis(2)).for_each(spread),
            Self::Equalize => split(image).axis_iter_mut(Axis(2)).for_each(equalize),
        }
    }
}

fn factor(m: f64) -> f32 {
    (1.0 + m) as f32
}

/// Each pixel from where the matrix says: rows x and y, columns x, y and 1, where the upper left
/// corner of the image is (0, 0) and pixel centres lie half a pixel further.
fn moved(image: ArrayViewMut3<'_, f32>, fill: f32, [right, down]: [[f64; 3]; 2]) {
    let (height, width, channels) = image.dim();
    let within = |place: f64, n: usize| (0.0..n as f64).contains(&place).then_some(place as usize);
    scratch::with_copy(image, |from, mut into| {
        let from = from.as_slice().expect("a copy in standard layout");
        for (r, mut row) in into.outer_iter_mut().enumerate() {
            for (c, mut pixel) in row.outer_iter_mut().enumerate() {
                let (x, y) = (c as f64 + 0.5, r as f64 + 0.5);
                let place = |[along_x, along_y, at]: [f64; 3]| along_x * x + along_y * y + at;
                let Some((i, j)) = within(place(down), height).zip(within(place(right), width))
                else {
                    pixel.fill(fill);
                    continue;
                };
                let shown = &from[(i * width + j) * channels..][..channels];
                pixel.iter_mut().zip(shown).for_each(|(into, &x)| *into = x);
            }
        }
    });
}

/// The level of a pixel in gray.
fn gray(pixel: ArrayView1<'_, f32>) -> f32 {
    match pixel.len() {
        3 => {
            let [r, g, b] = [0, 1, 2].map(|k| pixel[k] as u32);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as f32
        }
        n => pixel.sum() / n as f32,
    }
}

/// `y` = from the smoothed image through the image itself and beyond.
fn sharpen(x: ArrayView3<'_, f32>, mut y: ArrayViewMut3<'_, f32>, factor: f32) {
    let (height, width, channels) = x.dim();
    let x = x.as_slice().expect("a copy in standard layout");
    let line = width * channels;
    for r in 1..height.saturating_sub(1) {
        let [above, here, below] = [r - 1, r, r + 1].map(|r| &x[r * line..][..line]);
        for c in 1..width.saturating_sub(1) {
            for k in 0..channels {
                let at = c * channels + k;
                let three = |row: &[f32]| row[at - channels] + row[at] + row[at + channels];
                let sum = three(above) + three(here) + three(below) + 4.0 * here[at];
                // Thirteenths are never half way between two levels: all sums are whole.
                y[[r, c, k]] = blend(cut(sum / 13.0 + 0.5), here[at], factor);
            }
        }
    }
}

/// One channel, its extremes moved to 0 and 255.
fn spread(mut channel: ArrayViewMut2<'_, f32>) {
    let [least, most] = extremes(channel.view().insert_axis(Axis(2))).map(f64::from);
    if least < most {
        let scale = 255.0 / (most - least);
        let offset = -least * scale;
        channel.mapv_inplace(|x| (f64::from(x) * scale + offset).clamp(0.0, 255.0).trunc() as f32);
    }
}

/// One channel, its levels moved so that their histogram is as even as it can be.
fn equalize(mut channel: ArrayViewMut2<'_, f32>) {
    let mut histogram = [0u32; 256];
    channel.iter().for_each(|&x| histogram[usize::from(x as u8)] += 1);
    let last = histogram.iter().rev().find(|&&n| n > 0).copied().unwrap_or(0);
    let step = (channel.len() as u32 - last) / 255;
    if step > 0 {
        let mut sum = step / 2;
        let levels = histogram.map(|n| {
            let level = sum / step;
            sum += n;
            level.min(255) as f32
        });
        channel.mapv_inplace(|x| levels[usize::from(x as u8)]);
    }
}
