//! Raw pixels at the door: images of any size, as bytes.

use super::messages::{Attr, dtype};
use super::writer::Writer;
use crate::Error;
use crate::compose::Compose as _;
use gradus_data::Interpolation;

impl Writer {
    /// What the network takes, made of bytes of shape (N, any, any, C): resized as Pillow does it,
    /// and multiplied with `rescale`.
    pub(super) fn pixels(
        &mut self,
        bytes: &str,
        [h, w]: [usize; 2],
        interpolation: Interpolation,
        rescale: f32,
    ) -> Result<String, Error> {
        self.scope = "pixels".to_owned();
        let types = vec![("SrcT", Attr::Type(dtype::UINT8)), ("DstT", Attr::Type(dtype::FLOAT))];
        let x = self.typed("Cast", &[bytes], types);
        let size = self.integers("size", &[2], &[h as i32, w as i32]);
        let x = match interpolation {
            Interpolation::Nearest => {
                let centers = vec![("half_pixel_centers", Attr::B(true))];
                self.op_with("ResizeNearestNeighbor", &[&x, &size], centers)
            }
            other => {
                let kernel = kernel(other)?;
                self.resample(&x, &size, kernel)
            }
        };
        let rescale = self.number("rescale", f64::from(rescale));
        Ok(self.op("Mul", &[&x, &rescale]))
    }

    /// x resized with that kernel, stretched where the image shrinks, and rounded to what bytes can
    /// hold.
    fn resample(&mut self, x: &str, size: &str, kernel: &str) -> String {
        let shape = vec![("T", Attr::Type(dtype::FLOAT)), ("out_type", Attr::Type(dtype::INT32))];
        let shape = self.typed("Shape", &[x], shape);
        let (begin, count) =
            (self.integers("begin", &[1], &[1]), self.integers("count", &[1], &[2]));
        let slice = vec![("T", Attr::Type(dtype::INT32)), ("Index", Attr::Type(dtype::INT32))];
        let found = self.typed("Slice", &[&shape, &begin, &count], slice);
        let [size_of_result, found] = [size, &found].map(|extents| {
            let types =
                vec![("SrcT", Attr::Type(dtype::INT32)), ("DstT", Attr::Type(dtype::FLOAT))];
            self.typed("Cast", &[extents], types)
        });
        let scale = self.op("RealDiv", &[&size_of_result, &found]);
        let translation = self.table("translation", &[2], &[0.0; 2]);
        let options = vec![("kernel_type", Attr::word(kernel)), ("antialias", Attr::B(true))];
        let y = self.op_with("ScaleAndTranslate", &[x, size, &scale, &translation], options);
        let (low, high) = (self.number("low", 0.0), self.number("high", 255.0));
        let y = self.op("Round", &[&y]);
        let y = self.op("Maximum", &[&y, &low]);
        self.op("Minimum", &[&y, &high])
    }
}

/// TensorFlow's name of a filter of Pillow's.
fn kernel(interpolation: Interpolation) -> Result<&'static str, Error> {
    match interpolation {
        Interpolation::Bilinear => Ok("triangle"),
        Interpolation::Bicubic => Ok("keyscubic"),
        Interpolation::Lanczos => Ok("lanczos3"),
        // A pixel on the edge of the window counts whole on one side in Pillow, half on both in
        // TensorFlow: up to 78 of 255 levels, where a photo of 166 columns becomes one of 128.
        Interpolation::Box => Err(other_filter("the edges of its box count otherwise")),
        other => Err(other_filter(&format!("it has no filter {other:?}"))),
    }
}

fn other_filter(why: &str) -> Error {
    let reason = format!("not in TensorFlow, {why}: use Nearest, Bilinear, Bicubic or Lanczos");
    Error::Option { option: "interpolation", reason }
}
