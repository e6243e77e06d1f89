//! VGG: convolutions of 3×3 only, five poolings, three dense layers.

use gradus_layers::{
    Activation, Conv2D, Dense, Dropout, Flatten, Initializer, MaxPooling2D, Padding, Sequential,
};

/// VGG-11, configuration A. Takes N·H·W·C values, gives N·`classes` probabilities. For images of
/// 224×224 with 3 channels and 1000 classes it has torchvision's 132,863,336 parameters.
///
/// Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. ICLR
/// 2015.
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn vgg11(classes: usize) -> Sequential {
    vgg([1, 1, 2, 2, 2], classes)
}

/// VGG-16, configuration D: as [`vgg11`] with more convolutions; 138,357,544 parameters.
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn vgg16(classes: usize) -> Sequential {
    vgg([2, 2, 3, 3, 3], classes)
}

/// So many convolutions before each pooling.
fn vgg(stages: [usize; 5], classes: usize) -> Sequential {
    let filters = [64, 128, 256, 512, 512];
    let features =
        stages.into_iter().zip(filters).fold(Sequential::new(), |chain, (n, filters)| {
            (0..n).fold(chain, |chain, _| chain.add(convolution(filters))).add(MaxPooling2D::new(2))
        });
    let dense = || Dense::new(4096).activation(Activation::Relu);
    features
        .add(Flatten)
        .add(dense())
        .add(Dropout::new(0.5))
        .add(dense())
        .add(Dropout::new(0.5))
        .add(Dense::new(classes).activation(Activation::Softmax))
}

fn convolution(filters: usize) -> Conv2D {
    Conv2D::new(filters, 3)
        .padding(Padding::from(1))
        .activation(Activation::Relu)
        .kernel_initializer(Initializer::HeNormal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resnet18::tests::numbers;

    #[test]
    fn it_has_the_parameters_of_torchvision() {
        assert_eq!(numbers(vgg11(1000)), 132_863_336);
        assert_eq!(numbers(vgg16(1000)), 138_357_544);
    }
}
