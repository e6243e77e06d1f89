//! A small network of Inception blocks: every size of window at once.
//!
//! A block looks at its input through windows of 1×1, 3×3 and 5×5 and through a pooling, side by
//! side, and joins what they see as channels. Cheap 1×1 convolutions come before the wide windows.

use gradus_layers::{
    Activation, BatchNormalization, Concatenate, Conv2D, Dense, Dropout, GlobalAveragePooling2D,
    MaxPooling2D, Padding, Sequential,
};

/// Two Inception blocks. Takes N·H·W·C values, of at least 4×4 pixels, gives N·`classes`
/// probabilities.
///
/// Szegedy et al.: Going Deeper with Convolutions. CVPR 2015; the blocks are those of its figure
/// 2b, the rest is as small as a test wants it.
///
/// ```
/// use gradus_models::{inception_like, layers::{Summary, tensor::{Device, Shape}}};
/// let (mut model, images) = (inception_like(10), Shape::new(&[1, 64, 64, 3]));
/// model.build_on(images, &Device::Cpu, 42)?;
/// println!("{}", Summary::of(&model, images)?);
/// # Ok::<(), gradus_models::layers::ShapeError>(())
/// ```
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn inception_like(classes: usize) -> Sequential {
    Sequential::new()
        .add(convolution(16, 3))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(block(8, [8, 16], [4, 8], 8))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(block(16, [16, 32], [8, 16], 16))
        .add(BatchNormalization::new())
        .add(GlobalAveragePooling2D::new())
        .add(Dropout::new(0.2))
        .add(Dense::new(classes).activation(Activation::Softmax))
}

fn convolution(filters: usize, size: usize) -> Conv2D {
    Conv2D::new(filters, size).padding(Padding::Same).activation(Activation::Relu)
}

/// Filters of the 1×1 window; before and in the 3×3 window, before and in the 5×5 window; behind
/// the pooling.
fn block(one: usize, three: [usize; 2], five: [usize; 2], pooled: usize) -> Concatenate {
    let wide = |[before, within]: [usize; 2], size| {
        Sequential::new().add(convolution(before, 1)).add(convolution(within, size))
    };
    let pooling = MaxPooling2D::new(3).strides(1).padding(Padding::Same);
    Concatenate::new()
        .branch(convolution(one, 1))
        .branch(wide(three, 3))
        .branch(wide(five, 5))
        .branch(Sequential::new().add(pooling).add(convolution(pooled, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::tensor::{Device, Shape};
    use gradus_layers::{Layer, Registry, Summary, picture};

    const IMAGES: [usize; 4] = [2, 32, 32, 3];

    fn built() -> Sequential {
        let mut model = inception_like(10);
        model.build_on(Shape::new(&IMAGES), &Device::Cpu, 42).expect("the shapes fit");
        model
    }

    #[test]
    fn the_summary_shows_the_branches() {
        let summary = Summary::of(&built(), Shape::new(&IMAGES)).expect("the shapes fit");
        assert_eq!(format!("{summary:#}"), include_str!("inception_like/summary.txt").trim_end());
        // 3·3·3·16 + 16; then for each block its windows, and a bias for each filter.
        let block = |c, [one, a, b, d, e, pooled]: [usize; 6]| {
            let weights = c * (one + a + d + pooled) + 9 * a * b + 25 * d * e;
            weights + one + a + b + d + e + pooled
        };
        let blocks = block(16, [8, 8, 16, 4, 8, 8]) + block(40, [16, 16, 32, 8, 16, 16]);
        let normalizations = 2 * (16 + 40 + 80);
        assert_eq!(summary.trainable(), 448 + blocks + normalizations + 80 * 10 + 10);
        assert_eq!(summary.non_trainable(), normalizations);
        assert_eq!(summary.rows()[3].output, Shape::new(&[2, 16, 16, 40]));
    }

    #[test]
    fn the_picture_shows_the_branches() {
        let svg = picture(&built(), Shape::new(&IMAGES)).expect("the shapes fit");
        let chips = [">8 · 1×1<", ">8 · 5×5<", ">32 · 3×3<", ">16 · 5×5<", ">3×3<"];
        assert_eq!(chips.map(|chip| svg.matches(chip).count()), [4, 1, 1, 1, 2]);
    }

    #[test]
    fn it_is_rebuilt_from_its_description() {
        let config = built().config();
        let again = Registry::default().layer(&config).expect("every class is known");
        assert_eq!(again.config(), config);
    }
}
