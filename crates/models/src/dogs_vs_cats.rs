//! The convolutional network of the tutorial that gradus redoes.
//!
//! Three times convolution, normalization, pooling and dropout: the image gets smaller and deeper,
//! 128 · 128 · 3 → 63 · 63 · 32 → 30 · 30 · 64 → 14 · 14 · 128. Then it becomes a row, and two
//! dense layers decide. 99 % of the 12,942,786 numbers are the kernel of the first dense layer.

use gradus_layers::{
    Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Sequential,
};

/// Dog or cat? Takes N·128·128·3 values in 0 to 1 (other sizes fit too, and make another first
/// dense layer), gives N·2 probabilities in the order of the classes.
///
/// In Keras:
///
/// ```python
/// model = Sequential()
///
/// model.add(Conv2D(32, (3, 3), activation="relu", input_shape=(128, 128, 3)))
/// model.add(BatchNormalization())
/// model.add(MaxPooling2D(pool_size=(2, 2)))
/// model.add(Dropout(0.25))
///
/// model.add(Conv2D(64, (3, 3), activation="relu"))
/// model.add(BatchNormalization())
/// model.add(MaxPooling2D(pool_size=(2, 2)))
/// model.add(Dropout(0.25))
///
/// model.add(Conv2D(128, (3, 3), activation="relu"))
/// model.add(BatchNormalization())
/// model.add(MaxPooling2D(pool_size=(2, 2)))
/// model.add(Dropout(0.25))
///
/// model.add(Flatten())
/// model.add(Dense(512, activation="relu"))
/// model.add(BatchNormalization())
/// model.add(Dropout(0.5))
/// model.add(Dense(2, activation="softmax"))
/// ```
///
/// In Rust:
///
/// ```
/// use gradus_models::{dogs_vs_cats, layers::{Summary, tensor::{Device, Shape}}};
/// let (mut model, images) = (dogs_vs_cats(), Shape::new(&[15, 128, 128, 3]));
/// model.build_on(images, &Device::Cpu, 42)?;
/// println!("{}", Summary::of(&model, images)?);
/// # Ok::<(), gradus_models::layers::ShapeError>(())
/// ```
#[must_use]
pub fn dogs_vs_cats() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(32, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        //
        .add(Conv2D::new(64, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        //
        .add(Conv2D::new(128, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        //
        .add(Flatten)
        .add(Dense::new(512).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(2).activation(Activation::Softmax))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::tensor::{Device, Shape};
    use gradus_layers::{Summary, picture};

    const IMAGES: [usize; 4] = [15, 128, 128, 3];

    fn built() -> Sequential {
        let mut model = dogs_vs_cats();
        model.build_on(Shape::new(&IMAGES), &Device::Cpu, 42).expect("the shapes fit");
        model
    }

    #[test]
    fn the_summary_is_that_of_keras() {
        let summary = Summary::of(&built(), Shape::new(&IMAGES)).expect("the shapes fit");
        // Printed by Keras 3.15.1.
        assert_eq!(summary.to_string(), include_str!("dogs_vs_cats/summary.txt").trim_end());
        assert_eq!(summary.total(), 12_942_786);
        assert_eq!(summary.trainable(), 12_941_314);
        assert_eq!(summary.non_trainable(), 1_472);
        let shapes: Vec<Shape> = summary.rows().iter().map(|row| row.output).collect();
        assert_eq!(shapes[3], Shape::new(&[15, 63, 63, 32]));
        assert_eq!(shapes[7], Shape::new(&[15, 30, 30, 64]));
        assert_eq!(shapes[11], Shape::new(&[15, 14, 14, 128]));
        assert_eq!(shapes[12], Shape::new(&[15, 25_088]));
        assert_eq!(shapes[16], Shape::new(&[15, 2]));
    }

    #[test]
    fn the_picture_shows_every_layer() {
        let svg = picture(&built(), Shape::new(&IMAGES)).expect("the shapes fit");
        for text in [
            ">Conv2D · 128 filters · 3×3 · relu<",
            ">MaxPooling2D · 2×2<",
            ">Dropout · rate 0.25<",
            ">Dense · 2 units · softmax<",
            ">12,845,568 params · 99 %<",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }

    #[test]
    fn an_image_too_small_for_the_last_convolution_is_refused_by_its_name() {
        // 14 → 12 → 6 → 4 → 2, and no window of 3×3 in it.
        let images = Shape::new(&[1, 14, 14, 3]);
        let error = dogs_vs_cats().build_on(images, &Device::Cpu, 0).expect_err("too small");
        assert_eq!(error.layer, "conv2d_2");
        assert_eq!(error.found, Shape::new(&[1, 2, 2, 64]));
    }
}
