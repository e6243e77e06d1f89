//! Images that are at hand as one array: what Keras's generator takes in `flow(x, y)`.
//!
//! ```text
//! Images       (N, H, W, C): bytes, or floats as Keras takes them, which are on the scale 0 to 255 as
//!              a rule: whatever changes values counts on it
//! Targets      Keras's `flow` gives y as it is: numbers are `raw`, and y = None is `none`. Beyond
//!              it, labels become what a class mode says, as with files
//! Reference    Keras 3, `legacy/preprocessing/image.py`, `NumpyArrayIterator`
//! ```

use crate::targets::Targets;
use crate::{ClassMode, Dataset, Error, Sample};
use ndarray::{Array2, Array4, ArrayView3, ArrayViewMut1, Axis};

/// Images that are at hand as one array, each with a target.
///
/// ```
/// use gradus_data::{ClassMode, InMemory, ndarray::Array4};
/// let images = Array4::zeros((2, 8, 8, 3));
/// let dataset = InMemory::new(images, vec![0, 1], &["cat", "dog"])?;
/// // The same of floats, each with the number of its class:
/// let images = Array4::<f32>::zeros((2, 8, 8, 3));
/// let dataset = InMemory::of_floats(images).labelled(vec![0, 1], &["cat", "dog"])?;
/// let dataset = dataset.class_mode(ClassMode::Sparse)?;
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InMemory {
    images: Images,
    classes: Vec<String>,
    /// The class of each image, where it has one.
    labels: Vec<u32>,
    targets: Targets,
    weights: Option<Vec<f32>>,
}

/// (N, H, W, C).
#[derive(Clone, Debug)]
enum Images {
    Bytes(Array4<u8>),
    Floats(Array4<f32>),
}

impl InMemory {
    /// `images` (N, H, W, C) with a class each: `labels` (N), indices into `classes`. Targets are
    /// one-hot, unless [`class_mode`](Self::class_mode) says otherwise.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more or fewer labels than images, or one is no class.
    pub fn new(images: Array4<u8>, labels: Vec<u32>, classes: &[&str]) -> Result<Self, Error> {
        Self::of_bytes(images).labelled(labels, classes)
    }

    /// `images` (N, H, W, C) with numbers each: `targets` (N, outputs), for regression.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more or fewer targets than images.
    pub fn with_targets(images: Array4<u8>, targets: Array2<f32>) -> Result<Self, Error> {
        Self::of_bytes(images).numbered(targets)
    }

    /// `images` (N, H, W, C) alone, until they are given targets.
    #[must_use]
    pub fn of_bytes(images: Array4<u8>) -> Self {
        Self::of(Images::Bytes(images))
    }

    /// `images` (N, H, W, C) of floats alone, until they are given targets. A transform that takes
    /// bytes cannot take them: an `ImageDataGenerator` can.
    #[must_use]
    pub fn of_floats(images: Array4<f32>) -> Self {
        Self::of(Images::Floats(images))
    }

    fn of(images: Images) -> Self {
        let (classes, labels) = Default::default();
        Self { images, classes, labels, targets: Targets::None, weights: None }
    }

    /// With a class each: `labels` (N), indices into `classes`.
    ///
    /// # Errors
    /// As [`InMemory::new`].
    pub fn labelled(mut self, labels: Vec<u32>, classes: &[&str]) -> Result<Self, Error> {
        let k = classes.len();
        one_each("labels", labels.len(), self.len())?;
        if let Some((i, label)) = labels.iter().enumerate().find(|(_, l)| **l as usize >= k) {
            return Err(Error::Argument {
                argument: "labels",
                found: format!("image {i} is of class {label}, and there are {k} classes"),
                remedy: "count the classes from 0",
            });
        }
        self.classes = classes.iter().map(ToString::to_string).collect();
        self.labels.clone_from(&labels);
        self.targets = Targets::OneHot { labels, classes: k };
        Ok(self)
    }

    /// With numbers each: `targets` (N, outputs).
    ///
    /// # Errors
    /// As [`InMemory::with_targets`].
    pub fn numbered(mut self, targets: Array2<f32>) -> Result<Self, Error> {
        one_each("targets", targets.nrows(), self.len())?;
        (self.classes, self.labels) = Default::default();
        self.targets = Targets::Numbers(targets);
        Ok(self)
    }

    /// What a target looks like: that of labels is one-hot by default, and numbers stay as they are,
    /// which is `raw` as well as `multi_output`.
    ///
    /// # Errors
    /// [`Error::Argument`] if images have no class and targets are to be one, or no numbers and they
    /// are to be those, or if there are not two classes for one bit.
    pub fn class_mode(mut self, mode: ClassMode) -> Result<Self, Error> {
        if let Some(found) = self.misfit(mode) {
            let remedy = "call `labelled` or `numbered` first, with what such targets are made of";
            return Err(Error::Argument { argument: "class_mode", found, remedy });
        }
        let (labels, classes) = (self.labels.clone(), self.classes.len());
        self.targets = match mode {
            ClassMode::Categorical => Targets::OneHot { labels, classes },
            ClassMode::Binary | ClassMode::Sparse => Targets::Index { labels },
            ClassMode::Input => Targets::Image { outputs: self.size().iter().product() },
            ClassMode::None => Targets::None,
            ClassMode::Raw | ClassMode::MultiOutput => self.targets,
        };
        Ok(self)
    }

    /// Why there are no targets of that mode, if so.
    fn misfit(&self, mode: ClassMode) -> Option<String> {
        let (name, classes) = (mode.name(), self.classes.len());
        let numbers = matches!(self.targets, Targets::Numbers(_));
        match mode {
            _ if mode.has_classes() && classes == 0 => {
                Some(format!("{name}, and the images have no class"))
            }
            ClassMode::Binary if classes != 2 => Some(format!("{name}, with {classes} classes")),
            ClassMode::Raw | ClassMode::MultiOutput if !numbers => {
                Some(format!("{name}, and the images have no numbers"))
            }
            _ => None,
        }
    }

    /// Says how much each image weighs in the loss (N).
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more or fewer weights than images.
    pub fn sample_weight(mut self, weights: Vec<f32>) -> Result<Self, Error> {
        one_each("sample_weight", weights.len(), self.len())?;
        self.weights = Some(weights);
        Ok(self)
    }
}

fn one_each(argument: &'static str, given: usize, images: usize) -> Result<(), Error> {
    if given == images {
        return Ok(());
    }
    Err(Error::Argument {
        argument,
        found: format!("{given} {argument} for {images} images"),
        remedy: "give one for each image",
    })
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        match &self.images {
            Images::Bytes(images) => images.dim().0,
            Images::Floats(images) => images.dim().0,
        }
    }

    fn size(&self) -> [usize; 3] {
        let (_, h, w, c) = match &self.images {
            Images::Bytes(images) => images.dim(),
            Images::Floats(images) => images.dim(),
        };
        [h, w, c]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        self.targets.labels()
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        if let Images::Bytes(images) = &self.images {
            into.image.assign(&images.index_axis(Axis(0), index));
        }
        Ok(())
    }

    fn floats(&self, index: usize) -> Option<ArrayView3<'_, f32>> {
        match &self.images {
            Images::Bytes(_) => None,
            Images::Floats(images) if index < images.dim().0 => {
                Some(images.index_axis(Axis(0), index))
            }
            Images::Floats(_) => None,
        }
    }

    fn outputs(&self) -> usize {
        self.targets.outputs()
    }

    fn target(&self, index: usize, image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        self.targets.write(index, image, into);
    }

    fn targets_need_images(&self) -> bool {
        self.targets.need_images()
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn an_image_and_its_one_hot_target_come_back() {
        let images = Array4::from_shape_fn((3, 2, 2, 1), |(n, y, x, _)| (n * 4 + y * 2 + x) as u8);
        let dataset = InMemory::new(images, vec![0, 2, 1], &["a", "b", "c"]).unwrap();
        let mut sample = Sample::new(dataset.size());
        dataset.read(1, &mut sample).unwrap();
        assert_eq!(sample.image.as_slice().unwrap(), [4, 5, 6, 7]);
        let mut target = ndarray::array![9.0, 9.0, 9.0];
        dataset.target(1, Array3::zeros((2, 2, 1)).view(), target.view_mut());
        assert_eq!(target, ndarray::array![0.0, 0.0, 1.0]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        for labels in [vec![0], vec![0, 2]] {
            let refused = InMemory::new(Array4::zeros((2, 1, 1, 3)), labels, &["a", "b"]);
            assert!(matches!(refused, Err(Error::Argument { argument: "labels", .. })));
        }
        let images = || Array4::zeros((2, 1, 1, 3));
        let refused = InMemory::with_targets(images(), Array2::zeros((3, 1)));
        assert!(matches!(refused, Err(Error::Argument { argument: "targets", .. })));
        let two = InMemory::with_targets(images(), Array2::zeros((2, 1))).unwrap();
        let refused = two.sample_weight(vec![1.0]);
        assert!(matches!(refused, Err(Error::Argument { argument: "sample_weight", .. })));
    }

    /// The target of image 1, which the network sees as 5, 6.
    fn target(dataset: &InMemory) -> Vec<f32> {
        let image = ndarray::arr3(&[[[5.0], [6.0]]]);
        let mut into = ndarray::Array1::from_elem(dataset.outputs(), 9.0);
        dataset.target(1, image.view(), into.view_mut());
        into.to_vec()
    }

    #[test]
    fn targets_are_what_the_class_mode_says() {
        let images = || InMemory::of_bytes(Array4::zeros((2, 1, 2, 1)));
        let labelled = images().labelled(vec![0, 1], &["a", "b"]).unwrap();
        let numbered = images().numbered(ndarray::array![[1.0, 2.0], [3.0, 4.0]]).unwrap();
        let of = |dataset: &InMemory, mode| target(&dataset.clone().class_mode(mode).unwrap());
        assert_eq!(of(&labelled, ClassMode::Categorical), [0.0, 1.0]);
        assert_eq!(of(&labelled, ClassMode::Binary), [1.0]);
        assert_eq!(of(&labelled, ClassMode::Sparse), [1.0]);
        assert_eq!(of(&labelled, ClassMode::Input), [5.0, 6.0]);
        assert!(of(&labelled, ClassMode::None).is_empty() && target(&images()).is_empty());
        assert_eq!(of(&numbered, ClassMode::Raw), [3.0, 4.0]);
        assert_eq!(of(&numbered, ClassMode::MultiOutput), [3.0, 4.0]);
        for (dataset, mode) in [
            (&labelled, ClassMode::Raw),
            (&numbered, ClassMode::Sparse),
            (&images().labelled(vec![0, 0], &["a"]).unwrap(), ClassMode::Binary),
        ] {
            let refused = dataset.clone().class_mode(mode);
            assert!(matches!(refused, Err(Error::Argument { argument: "class_mode", .. })));
        }
    }
}
