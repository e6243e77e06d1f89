//! A folded network gives what the network gives, and nothing is folded that would not.

use crate::trial::{Trial, draw_fields};
use crate::*;
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close};

/// Folds the network, whose parameters are random, and holds it against itself, on the CPU and on a
/// GPU: that many normalizations shall go, that many layers stay.
fn holds(what: &str, network: fn() -> Sequential, x: [usize; 4], gone: usize, left: usize) {
    for device in std::iter::once(Device::Cpu).chain(gradus_testing::gpu().map(Device::Cuda)) {
        let (shape, mut cases) = (Shape::new(&x), Cases::new(what, 0));
        let mut trial = Trial::on(&device, network(), shape, 1);
        draw_fields(&mut trial.layer, &mut cases);
        let x = Tensor::from_slice(shape, &cases.normal(shape.len())).on(&device);
        let expected = trial.infer(&x).on(&Device::Cpu);
        let network = &mut trial.layer;
        assert_eq!(network.fold_batch_normalization(), gone, "{what}");
        assert_eq!(network.children().len(), left, "{what}: {:?}", network.children());
        let actual = trial.infer(&x).on(&Device::Cpu);
        let expected: Vec<f64> = expected.slice::<f32>().iter().map(|&v| f64::from(v)).collect();
        assert_close(what, actual.slice::<f32>(), &expected, Tolerance::for_reduction(500));
    }
}

#[test]
fn what_is_behind_a_linear_product_is_folded_into_it() {
    let network = || {
        Sequential::new()
            .add(Conv2D::new(5, 3).padding(Padding::Same).strides(2).use_bias(false))
            .add(BatchNormalization::new())
            .add(ReLU::new())
            .add(Conv2D::new(4, [1, 2]))
            .add(BatchNormalization::new().scale(false))
            .add(ActivationLayer::new(Activation::Tanh))
            .add(Flatten)
            .add(Dense::new(7).use_bias(false))
            .add(BatchNormalization::new())
    };
    holds("behind", network, [2, 7, 9, 3], 3, 4);
}

#[test]
fn what_is_before_a_product_is_folded_into_it() {
    let network = || {
        Sequential::new()
            .add(BatchNormalization::new())
            .add(Conv2D::new(5, 2).activation(Activation::Relu))
            .add(BatchNormalization::new())
            .add(Dropout::new(0.5))
            .add(Conv2D::new(6, 1).padding(Padding::Same).use_bias(false))
            .add(Flatten)
            .add(Dense::new(4).activation(Activation::Relu))
            .add(BatchNormalization::new().center(false))
            .add(Dropout::new(0.5))
            .add(Dense::new(2).activation(Activation::Softmax))
    };
    holds("before", network, [3, 5, 6, 2], 3, 7);
}

#[test]
fn containers_fold_what_is_inside() {
    let network = || {
        let block = |filters| {
            let conv = Conv2D::new(filters, 3).padding(Padding::Same).use_bias(false);
            Sequential::new().add(conv).add(BatchNormalization::new())
        };
        let ways = Concatenate::new().branch(block(2)).branch(block(3).add(ReLU::new()));
        let shortcut = Conv2D::new(6, 1).use_bias(false);
        let shortcut = Sequential::new().add(shortcut).add(BatchNormalization::new());
        let residual = Residual::new(block(6)).shortcut(shortcut).activation(Activation::Relu);
        Sequential::new().add(ways).add(residual).add(GlobalAveragePooling2D::new())
    };
    holds("inside", network, [2, 6, 5, 3], 4, 3);
}

#[test]
fn what_would_give_other_numbers_stays() {
    let network = || {
        Sequential::new()
            .add(Conv2D::new(4, 3).activation(Activation::Relu))
            .add(BatchNormalization::new()) // before zeros around an image
            .add(Conv2D::new(4, 3).padding(Padding::Same).activation(Activation::Relu))
            .add(BatchNormalization::new()) // before groups
            .add(Conv2D::new(4, 1).groups(2).activation(Activation::Relu))
            .add(BatchNormalization::new()) // before pooling
            .add(MaxPooling2D::new(2))
            .add(Conv2D::new(4, 2).padding(1).activation(Activation::Relu))
            .add(BatchNormalization::new()) // before an activation
            .add(ReLU::new())
            .add(Conv2D::new(4, 1))
    };
    holds("neither", network, [2, 9, 9, 3], 0, 11);
}
