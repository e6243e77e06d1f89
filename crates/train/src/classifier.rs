//! From a saved model and a picture to an answer in words.
//!
//! ```text
//! Steps        decode, resize to what the network was built for, multiply with the model's rescale,
//!              infer: what validation did in training, by what stands in `model.json`
//! Conventions  the class is the one with the largest output; of a network with one output it is
//!              class 1 above ½ and class 0 otherwise, and its probability is that of the class
//! ```

use crate::{Error, Model};
use gradus_data::{ColorMode, CropBox, Decoder, Reading, Resizer};
use gradus_layers::argmax;
use gradus_tensor::gpu::CudaError;
use gradus_tensor::{Context, Device};
use ndarray::{Array3, Array4, ArrayView1, ArrayView3, ArrayViewMut3, Axis};
use std::fmt;
use std::path::{Path, PathBuf};

/// Loads a saved model, such as `models/1`, to ask it what is on pictures: on the GPU where there is
/// one, and on all cores; where there is none, [`Classifier::no_gpu`] has the reason. Batch normalization is folded into the layers beside it where that can be
/// done ([`Model::fold_batch_normalization`]); a model to be trained on is loaded by [`Model::load`].
///
/// ```no_run
/// # fn main() -> Result<(), gradus_train::Error> {
/// let answer = gradus_train::load("models/1")?.predict("photo.jpg")?;
/// println!("{answer}"); // dog 98.1 %
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If a file is missing or is not what it should be.
pub fn load(from: impl AsRef<Path>) -> Result<Classifier, Error> {
    let (device, no_gpu) = Device::auto();
    let mut model = Model::load(from, Context::new(device, 0))?;
    model.fold_batch_normalization();
    Ok(Classifier { no_gpu, ..Classifier::new(model) })
}

/// A picture in any of the forms that one has it in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Picture<'a> {
    /// A file.
    File(PathBuf),
    /// What a file would hold: JPEG, PNG and so on.
    Bytes(&'a [u8]),
    /// Levels from 0 to 255: height, width, channels.
    Pixels(ArrayView3<'a, u8>),
}

impl From<&str> for Picture<'_> {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<&Path> for Picture<'_> {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for Picture<'_> {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<PathBuf> for Picture<'_> {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a [u8]> for Picture<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Picture<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<ArrayView3<'a, u8>> for Picture<'a> {
    fn from(pixels: ArrayView3<'a, u8>) -> Self {
        Self::Pixels(pixels)
    }
}

impl<'a> From<&'a Array3<u8>> for Picture<'a> {
    fn from(pixels: &'a Array3<u8>) -> Self {
        Self::Pixels(pixels.view())
    }
}

/// A model that answers in words. It keeps its memory from picture to picture.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    decoder: Decoder,
    resizer: Resizer,
    /// Height, width and channels of the network's input.
    pixels: Array3<u8>,
    /// The same as the network sees it.
    input: Array4<f32>,
    no_gpu: Option<CudaError>,
}

impl Classifier {
    /// Asks a model that is at hand.
    #[must_use]
    pub fn new(model: Model) -> Self {
        let [h, w, c] = model.image_shape();
        let (pixels, input) = (Array3::zeros((h, w, c)), Array4::zeros((1, h, w, c)));
        let (decoder, resizer) = (Decoder::default(), Resizer::default());
        Self { model, decoder, resizer, pixels, input, no_gpu: None }
    }

    /// Why it works on the CPU and not on a GPU, if [`load`] found none: a line that a program may
    /// print.
    #[must_use]
    pub fn no_gpu(&self) -> Option<&CudaError> {
        self.no_gpu.as_ref()
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, to be compiled and trained on, unless it was folded, as [`load`] does.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }

    /// What is on the picture: a path, the bytes of a file, or levels (height, width, channels) of any
    /// size.
    ///
    /// # Errors
    /// If it cannot be read, or has not the channels that the network takes.
    pub fn predict<'a>(&mut self, picture: impl Into<Picture<'a>>) -> Result<Answer, Error> {
        self.prepare(picture.into())?;
        let rescale = self.model.rescale();
        let mut image = self.input.index_axis_mut(Axis(0), 0);
        image.zip_mut_with(&self.pixels, |value, level| *value = f32::from(*level) * rescale);
        let outputs = self.model.predict(self.input.view())?;
        Ok(Answer::new(outputs.row(0), self.model.classes()))
    }

    /// The picture that [`Classifier::predict`] looked at last, of the size that the network takes.
    #[must_use]
    pub fn seen(&self) -> ArrayView3<'_, u8> {
        self.pixels.view()
    }

    /// Fills `pixels`.
    fn prepare(&mut self, picture: Picture<'_>) -> Result<(), Error> {
        let expected = self.pixels.dim().2;
        let color_mode = match (expected, &picture) {
            (1, _) => ColorMode::Grayscale,
            (4, _) => ColorMode::Rgba,
            (3, _) | (_, Picture::Pixels(_)) => ColorMode::Rgb,
            (_, _) => return Err(Error::Channels { expected, found: 3 }),
        };
        let reading = Reading { color_mode, ..Reading::default() };
        let from = match picture {
            Picture::File(path) => self.decoder.read_as(path, reading)?,
            Picture::Bytes(bytes) => self.decoder.read_bytes("the picture", bytes, reading)?,
            Picture::Pixels(pixels) => pixels,
        };
        let (height, width, found) = from.dim();
        if found != expected || height * width == 0 {
            return Err(Error::Channels {
                expected,
                found: if height * width == 0 { 0 } else { found },
            });
        }
        let whole = CropBox::whole(height, width);
        let into: ArrayViewMut3<'_, u8> = self.pixels.view_mut();
        self.resizer.resize(self.model.interpolation(), from, whole, into);
        Ok(())
    }
}

/// What a network says of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    outputs: Vec<f32>,
    names: Vec<String>,
}

impl Answer {
    /// The outputs of the network in the words of its classes; a class without a name is called by
    /// its number.
    #[must_use]
    pub fn new(outputs: ArrayView1<'_, f32>, classes: &[String]) -> Self {
        let number = outputs.len().max(2).max(classes.len());
        let name = |i: usize| classes.get(i).cloned().unwrap_or_else(|| format!("class {i}"));
        Self { outputs: outputs.to_vec(), names: (0..number).map(name).collect() }
    }

    /// The number of the class.
    #[must_use]
    pub fn index(&self) -> usize {
        match *self.outputs {
            [one] => usize::from(one > 0.5),
            _ => argmax(ArrayView1::from(&self.outputs)),
        }
    }

    /// The name of the class.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.names[self.index()]
    }

    /// How probable it is, where the network ends in a softmax or a sigmoid.
    #[must_use]
    pub fn probability(&self) -> f32 {
        self.probability_of(self.index())
    }

    /// How probable that class is; 0 where there is none of that number.
    #[must_use]
    pub fn probability_of(&self, class: usize) -> f32 {
        match (*self.outputs).as_ref() {
            [one] if class == 0 => 1.0 - one,
            [one] if class == 1 => *one,
            [_] => 0.0,
            several => several.get(class).copied().unwrap_or(0.0),
        }
    }

    /// What the network gave, as it gave it.
    #[must_use]
    pub fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// The most probable classes, `count` at most, and how probable each is.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<(&str, f32)> {
        let mut all: Vec<(&str, f32)> = (0..self.names.len())
            .map(|i| (self.names[i].as_str(), self.probability_of(i)))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(count);
        all
    }
}

/// `dog 98.1 %`.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.1} %", self.class(), 100.0 * self.probability())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{Activation, Dense, Flatten, Sequential};

    /// A network that tells whether a picture is red or blue.
    fn classifier(rescale: f32) -> Classifier {
        let dense = Dense::new(2).activation(Activation::Softmax);
        let network = Sequential::new().add(Flatten).add(dense);
        let mut model = Model::build(network, [2, 2, 3], Context::new(Device::Cpu, 1), 0).unwrap();
        model.fields_mut().visit_mut(&mut Default::default(), &mut |path, field| {
            let values = field.into_value().slice_mut::<f32>();
            // \[pixels · channels, classes\]: red for the first class, blue for the second.
            let at = |i: usize| f32::from(u8::from([0, 5].contains(&(i % 6))));
            let kernel = path.as_str() == "dense.kernel";
            values.iter_mut().enumerate().for_each(|(i, v)| *v = if kernel { at(i) } else { 0.0 });
        });
        let model =
            model.with_classes(&["red".to_owned(), "blue".to_owned()]).with_rescale(rescale);
        Classifier::new(model)
    }

    fn picture(color: [u8; 3]) -> Array3<u8> {
        Array3::from_shape_fn((5, 7, 3), |(_, _, c)| color[c])
    }

    #[test]
    fn a_file_its_bytes_and_its_pixels_get_the_same_answer() {
        let mut classifier = classifier(1.0 / 255.0);
        let (blue, folder) = (picture([51, 0, 204]), tempfile::tempdir().unwrap());
        let file = folder.path().join("blue.png");
        let raw = blue.iter().copied().collect::<Vec<u8>>();
        image::RgbImage::from_raw(7, 5, raw).unwrap().save(&file).unwrap();
        let answer = classifier.predict(&blue).unwrap();
        // Four pixels: logits 4 · 0.2 and 4 · 0.8.
        let expected = 1.0 / (1.0 + (-2.4f32).exp());
        assert!((answer.probability() - expected).abs() < 1e-6, "{answer:?}");
        assert_eq!(
            (answer.class(), answer.index(), answer.to_string().as_str()),
            ("blue", 1, "blue 91.7 %")
        );
        assert_eq!(classifier.predict(&file).unwrap(), answer);
        assert_eq!(classifier.predict(&std::fs::read(&file).unwrap()).unwrap(), answer);
        assert_eq!(classifier.seen().dim(), (2, 2, 3));
        assert_eq!(classifier.predict(&picture([9, 9, 8])).unwrap().class(), "red");
    }

    #[test]
    fn a_model_that_is_loaded_on_the_cpu_says_why_it_is_not_on_a_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let version = classifier(1.0).into_model().save(folder.path()).unwrap();
        let loaded = load(version).unwrap();
        assert_eq!(loaded.model().context.device == Device::Cpu, loaded.no_gpu().is_some());
        assert_eq!(classifier(1.0).no_gpu(), None, "nobody looked for a GPU");
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let mut classifier = classifier(1.0);
        let gray = Array3::zeros((4, 4, 1));
        assert!(matches!(
            classifier.predict(&gray),
            Err(Error::Channels { expected: 3, found: 1 })
        ));
        let error = classifier.predict(&b"no picture"[..]).unwrap_err().to_string();
        assert!(error.starts_with("the picture: "), "{error}");
        assert!(
            classifier.predict("no/such/file.png").unwrap_err().to_string().contains("file.png")
        );
    }

    #[test]
    fn one_output_is_the_probability_of_the_second_class() {
        let classes = ["cat".to_owned(), "dog".to_owned()];
        let answer = |p: f32| Answer::new(ArrayView1::from(&[p]), &classes);
        assert_eq!((answer(0.25).class(), answer(0.25).probability()), ("cat", 0.75));
        assert_eq!(answer(0.9).top(2), [("dog", 0.9), ("cat", 1.0 - 0.9)]);
        let unnamed = Answer::new(ArrayView1::from(&[0.1, 0.7, 0.2]), &[]);
        assert_eq!((unnamed.class(), unnamed.top(1)), ("class 1", vec![("class 1", 0.7)]));
    }
}
