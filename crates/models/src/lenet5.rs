//! LeNet-5: the first convolutional network that read cheques.
//!
//! Two times convolution and pooling, then three dense layers, for grey images of a digit.

use gradus_layers::{Activation, Conv2D, Dense, Flatten, MaxPooling2D, Padding, Sequential};

/// LeNet-5 for grey images of `side` × `side` pixels: 32, or 28 as MNIST has them, which are padded
/// by two pixels on every side. Takes N·side·side·1 values, gives N·`classes` probabilities.
///
/// As it is built today: rectified units where LeCun has tanh, the largest value where his pooling
/// has a weighted mean, full connections, softmax. 61,706 parameters with ten classes.
///
/// LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. 1998.
///
/// ```
/// use gradus_models::{layers::tensor::{Device, Shape}, lenet5};
/// let mut model = lenet5(28, 10);
/// model.build_on(Shape::new(&[1, 28, 28, 1]), &Device::Cpu, 42)?;
/// # Ok::<(), gradus_models::layers::ShapeError>(())
/// ```
///
/// # Panics
/// If `side` is neither 28 nor 32, or `classes` is 0.
#[must_use]
pub fn lenet5(side: usize, classes: usize) -> Sequential {
    let padding = match side {
        28 => Padding::Same,
        32 => Padding::Valid,
        other => panic!("LeNet-5 reads images of 28 or 32 pixels, not {other}"),
    };
    Sequential::new()
        .add(Conv2D::new(6, 5).padding(padding).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(16, 5).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(120).activation(Activation::Relu))
        .add(Dense::new(84).activation(Activation::Relu))
        .add(Dense::new(classes).activation(Activation::Softmax))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::Summary;
    use gradus_layers::tensor::{Device, Shape};

    #[test]
    fn both_sizes_have_the_same_parameters() {
        for side in [28, 32] {
            let (mut model, images) = (lenet5(side, 10), Shape::new(&[1, side, side, 1]));
            model.build_on(images, &Device::Cpu, 42).expect("the shapes fit");
            let summary = Summary::of(&model, images).expect("the shapes fit");
            assert_eq!((summary.total(), summary.non_trainable()), (61_706, 0));
            assert_eq!(summary.rows()[4].output, Shape::new(&[1, 400]), "{side}");
        }
    }

    #[test]
    #[should_panic(expected = "28 or 32 pixels, not 64")]
    fn another_size_is_refused() {
        let _ = lenet5(64, 10);
    }
}
