//! What the tutorial does to an image: its `ImageDataGenerator`.

use gradus::augment::{ImageDataGenerator, ImageDataGeneratorBuilder};

pub(crate) fn tutorial() -> ImageDataGeneratorBuilder {
    ImageDataGenerator::builder()
        .rotation_range(15.0)
        .rescale(1.0 / 255.0)
        .shear_range(0.1)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .width_shift_range(0.1)
        .height_shift_range(0.1)
}
