//! ResNet-18: eight blocks that learn what to add to their input.
//!
//! Two convolutions make a block, and the block's input goes around them. Four stages of two blocks
//! halve the image and double the channels, 64 · 128 · 256 · 512, but for the first; the mean over
//! the image is what the last layer decides on.

use gradus_layers::{
    Activation, BatchNormalization, Conv2D, Dense, Distribution, FanMode, GlobalAveragePooling2D,
    Initializer, MaxPooling2D, Padding, ReLU, Residual, Sequential,
};

/// What stands before the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// A 7×7 convolution and a pooling, which leave a quarter of height and width: for images of
    /// 224×224, and no smaller than 32×32.
    ImageNet,
    /// A 3×3 convolution, which leaves all of it: for images of 32×32 and thereabouts.
    Cifar,
}

/// ResNet-18 with torchvision's blocks. Takes N·H·W·C values, gives N·`classes` probabilities.
///
/// With the stem of ImageNet and 1000 classes it has torchvision's 11,689,512 parameters, and
/// 9,600 moving statistics of the normalizations, which Keras counts too: 11,699,112.
///
/// Windows lie where torchvision's lie, and convolutions begin as there, with
/// `kaiming_normal_(mode="fan_out")`; the last layer begins as Keras's do.
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016; the second stem is
/// that of its section 4.2.
///
/// ```
/// use gradus_models::{Stem, layers::{Summary, tensor::{Device, Shape}}, resnet18};
/// let (mut model, images) = (resnet18(Stem::Cifar, 10), Shape::new(&[1, 32, 32, 3]));
/// model.build_on(images, &Device::Cpu, 42)?;
/// println!("{:#}", Summary::of(&model, images)?); // with the layers inside the blocks
/// # Ok::<(), gradus_models::layers::ShapeError>(())
/// ```
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn resnet18(stem: Stem, classes: usize) -> Sequential {
    residual_network(stem, [2, 2, 2, 2], 1, block, classes)
}

/// A stem, four stages of so many blocks, and what decides. `block` makes one from its filters, its
/// stride, and whether its shape changes; what it gives has `expansion` times as many channels.
pub(crate) fn residual_network(
    stem: Stem,
    stages: [usize; 4],
    expansion: usize,
    block: fn(usize, usize, bool) -> Residual,
    classes: usize,
) -> Sequential {
    let start = match stem {
        Stem::ImageNet => normalized(Sequential::new(), 64, 7, 2)
            .add(ReLU::new())
            .add(MaxPooling2D::new(3).strides(2).padding(Padding::from(1))),
        Stem::Cifar => normalized(Sequential::new(), 64, 3, 1).add(ReLU::new()),
    };
    let blocks = (0..4).flat_map(|stage| {
        let (filters, stride) = (64 << stage, if stage == 0 { 1 } else { 2 });
        (0..stages[stage]).map(move |i| match i {
            0 => block(filters, stride, stride > 1 || expansion > 1),
            _ => block(filters, 1, false),
        })
    });
    blocks
        .fold(start, Sequential::add)
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(classes).activation(Activation::Softmax))
}

/// torchvision's `kaiming_normal_(mode="fan_out", nonlinearity="relu")`: `he_normal` by the fan of
/// the outputs, and not cut off.
const KAIMING_NORMAL: Initializer = Initializer::VarianceScaling {
    scale: 2.0,
    mode: FanMode::FanOut,
    distribution: Distribution::UntruncatedNormal,
};

/// Two convolutions and the way around them, which is a convolution of its own where the shape
/// changes.
pub(crate) fn block(filters: usize, stride: usize, changes: bool) -> Residual {
    let body = normalized(Sequential::new(), filters, 3, stride).add(ReLU::new());
    let block = Residual::new(normalized(body, filters, 3, 1)).activation(Activation::Relu);
    match changes {
        true => block.shortcut(normalized(Sequential::new(), filters, 1, stride)),
        false => block,
    }
}

/// A convolution and its normalization, whose β makes a bias needless; torchvision's constants, and
/// its padding: both sides alike, where `same` would move the windows of stride 2 by a pixel.
pub(crate) fn normalized(
    chain: Sequential,
    filters: usize,
    size: usize,
    stride: usize,
) -> Sequential {
    let convolution = Conv2D::new(filters, size).strides(stride).padding(Padding::from(size / 2));
    chain
        .add(convolution.use_bias(false).kernel_initializer(KAIMING_NORMAL))
        .add(BatchNormalization::new().momentum(0.9).epsilon(1e-5))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gradus_layers::Wanted;
    use gradus_layers::tensor::{Device, Shape};
    use gradus_layers::{Layer, Summary, picture};

    fn built(stem: Stem, images: Shape, classes: usize) -> (Sequential, Summary) {
        let mut model = resnet18(stem, classes);
        model.build_on(images, &Device::Cpu, 42).expect("the shapes fit");
        let summary = Summary::of(&model, images).expect("the shapes fit");
        (model, summary)
    }

    /// What a network would hold, moving statistics included, of which nothing is made.
    pub(crate) fn numbers(mut model: Sequential) -> usize {
        let wanted = Wanted::at_most(0);
        let images = Shape::new(&[1, 224, 224, 3]);
        model.build_to_be_filled(images, &Device::Cpu, &wanted).expect("the shapes fit");
        wanted.numbers()
    }

    #[test]
    fn it_has_the_parameters_of_torchvision() {
        let images = Shape::new(&[1, 224, 224, 3]);
        let (_, summary) = built(Stem::ImageNet, images, 1000);
        assert_eq!(summary.trainable(), 11_689_512);
        assert_eq!(summary.non_trainable(), 9_600);
        assert_eq!(summary.total(), 11_699_112, "as Keras counts");
        let rows = summary.rows();
        let outputs: Vec<&[usize]> = rows.iter().map(|row| &row.output.dims()[1..]).collect();
        assert_eq!(outputs[3], [56, 56, 64], "what the first block sees");
        let blocks = [56, 56, 28, 28, 14, 14, 7, 7];
        assert!(blocks.iter().zip(&outputs[4..12]).all(|(side, output)| output[0] == *side));
        assert_eq!(outputs[11..], [&[7, 7, 512][..], &[512], &[1000]]);
    }

    #[test]
    fn every_normalization_can_be_folded() {
        let images = Shape::new(&[1, 32, 32, 3]);
        let (mut model, _) = built(Stem::Cifar, images, 10);
        assert_eq!(model.fold_batch_normalization(), 20);
        let summary = format!("{}", Summary::of(&model, images).expect("the shapes fit"));
        assert!(!summary.contains("BatchNormalization"), "{summary}");
    }

    #[test]
    fn the_summary_shows_the_layers_inside_the_blocks() {
        let (_, summary) = built(Stem::Cifar, Shape::new(&[1, 32, 32, 3]), 10);
        let text = format!("{summary:#}");
        assert_eq!(text, include_str!("resnet18/summary.txt").trim_end());
        assert_eq!(summary.trainable(), 11_173_962);
    }

    #[test]
    fn the_picture_shows_both_ways_of_every_block() {
        let images = Shape::new(&[1, 224, 224, 3]);
        let (model, _) = built(Stem::ImageNet, images, 1000);
        let svg = picture(&model, images).expect("the shapes fit");
        assert_eq!(svg.matches(">Residual · relu<").count(), 8);
        assert_eq!(svg.matches(">128 · 1×1 · stride 2×2<").count(), 1);
    }
}
