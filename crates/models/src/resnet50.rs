//! ResNet-50: blocks that narrow the channels, look around, and widen them again.
//!
//! A convolution of 1×1 leaves a quarter of the channels to one of 3×3, and another of 1×1 gives
//! four times as many back; 3 · 4 · 6 · 3 such blocks.

use crate::Stem;
use crate::resnet18::{normalized, residual_network};
use gradus_layers::{Activation, ReLU, Residual, Sequential};

/// ResNet-50 with torchvision's blocks, which step in the convolution of 3×3. Takes N·H·W·C values,
/// gives N·`classes` probabilities. With the stem of ImageNet and 1000 classes it has torchvision's
/// 25,557,032 parameters, and 53,120 moving statistics.
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016.
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn resnet50(stem: Stem, classes: usize) -> Sequential {
    residual_network(stem, [3, 4, 6, 3], 4, bottleneck, classes)
}

/// Three convolutions and the way around them.
fn bottleneck(filters: usize, stride: usize, changes: bool) -> Residual {
    let narrow = normalized(Sequential::new(), filters, 1, 1).add(ReLU::new());
    let body = normalized(narrow, filters, 3, stride).add(ReLU::new());
    let block = Residual::new(normalized(body, 4 * filters, 1, 1)).activation(Activation::Relu);
    match changes {
        true => block.shortcut(normalized(Sequential::new(), 4 * filters, 1, stride)),
        false => block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resnet18::tests::numbers;

    #[test]
    fn it_has_the_parameters_of_torchvision() {
        assert_eq!(numbers(resnet50(Stem::ImageNet, 1000)), 25_557_032 + 53_120);
    }
}
