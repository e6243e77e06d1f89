//! ResNet-34: ResNet-18 with more blocks, 3 · 4 · 6 · 3 in its four stages.

use crate::Stem;
use crate::resnet18::{block, residual_network};
use gradus_layers::Sequential;

/// ResNet-34 with torchvision's blocks. Takes N·H·W·C values, gives N·`classes` probabilities. With
/// the stem of ImageNet and 1000 classes it has torchvision's 21,797,672 parameters, and 17,024
/// moving statistics.
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016.
///
/// # Panics
/// If `classes` is 0.
#[must_use]
pub fn resnet34(stem: Stem, classes: usize) -> Sequential {
    residual_network(stem, [3, 4, 6, 3], 1, block, classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resnet18::tests::numbers;

    #[test]
    fn it_has_the_parameters_of_torchvision() {
        assert_eq!(numbers(resnet34(Stem::ImageNet, 1000)), 21_797_672 + 17_024);
    }
}
