//! Raw photos, and SavedModels that take them as they are.

use super::npy;
use anyhow::Result;
use gradus::data::Interpolation;
use gradus::export::Export;
use gradus::prelude::*;
use ndarray::{Array2, Array3, ArrayView3, Axis};
use std::path::Path;

/// How many there are: the first is of the network's own size.
const PHOTOS: usize = 6;

/// All that TensorFlow has, in which it does as Pillow.
const FILTERS: [(&str, Interpolation); 4] = [
    ("nearest", Interpolation::Nearest),
    ("bilinear", Interpolation::Bilinear),
    ("bicubic", Interpolation::Bicubic),
    ("lanczos", Interpolation::Lanczos),
];

/// Writes the photos, the models, and what gradus makes of each photo, decoded, resized and scaled.
pub(crate) fn write(model: &mut Model, folder: &Path, out: &Path) -> Result<()> {
    let out = out.join("pixels");
    std::fs::create_dir_all(&out)?;
    let frame = Manifest::read(folder.join("dogs_vs_cats-val.csv"))?;
    let mut photos = Vec::new();
    for name in frame.column("filename")?.take(PHOTOS) {
        photos.push(decode(&folder.join(name))?);
    }
    let [h, w, c] = model.image_shape();
    let mut first = Array3::zeros((h, w, c));
    Interpolation::Bilinear.resize(photos[0].view(), first.view_mut());
    photos[0] = first;
    for (i, photo) in photos.iter().enumerate() {
        let values = photo.as_slice().expect("in the standard order");
        npy::write(&out.join(format!("photo-{i}.npy")), photo.shape(), values)?;
    }
    let rescale = 1.0 / 255.0;
    for (name, interpolation) in FILTERS {
        let export = Export::new(model.network(), [h, w, c]).rescale(rescale);
        export.saved_model().pixels(interpolation).write(out.join(name))?;
        let mut answers = Array2::zeros((0, 2));
        for photo in &photos {
            answers.append(Axis(0), answer(model, photo.view(), interpolation)?.view())?;
        }
        let values = answers.as_slice().expect("in the standard order");
        npy::write(&out.join(format!("{name}.npy")), answers.shape(), values)?;
    }
    Ok(())
}

fn answer(
    model: &mut Model,
    photo: ArrayView3<'_, u8>,
    interpolation: Interpolation,
) -> Result<Array2<f32>> {
    let [h, w, c] = model.image_shape();
    let mut resized = Array3::zeros((h, w, c));
    interpolation.resize(photo, resized.view_mut());
    let image = resized.mapv(|level: u8| f32::from(level) * (1.0 / 255.0));
    Ok(model.predict(image.view().insert_axis(Axis(0)))?)
}

fn decode(path: &Path) -> Result<Array3<u8>> {
    let photo = image::open(path)?.into_rgb8();
    let (w, h) = photo.dimensions();
    Ok(Array3::from_shape_vec((h as usize, w as usize, 3), photo.into_raw())?)
}
