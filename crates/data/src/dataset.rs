//! What the loader asks of a data set: how many images there are, how large, and to read one.
//!
//! ```text
//! Shapes       an image is (height, width, channels), bytes; a target is (outputs), floats
//! ```

use crate::targets::{Targets, one_hot};
use crate::{Decoder, Error, Resizer};
use ndarray::{Array2, Array3, Array4, ArrayView3, ArrayViewMut1, Axis};

/// Images of one size, each with a target: its class, as a rule.
///
/// Reading must not depend on what was read before: several threads read at once, in any order.
pub trait Dataset: Send + Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height, width and channels of every image.
    fn size(&self) -> [usize; 3];

    /// The names of the classes.
    fn classes(&self) -> &[String];

    /// The class of every image: indices into [`Dataset::classes`]. Empty where targets are not
    /// one class each.
    fn labels(&self) -> &[u32];

    /// Reads image `index` into `into.image`, all of it.
    ///
    /// # Errors
    /// If it cannot be read. The error names the file and the line of the manifest.
    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error>;

    /// How many numbers a target has. One for each class, unless overridden.
    fn outputs(&self) -> usize {
        self.classes().len()
    }

    /// Writes the target of image `index`, which the network sees as `image`: one-hot (1 for its
    /// class, 0 elsewhere), unless overridden. `into` has [`Dataset::outputs`] elements.
    fn target(&self, index: usize, _image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        one_hot(&self.labels()[index..=index], into);
    }

    /// How much every image weighs in the loss; `None` (the default) where all weigh the same.
    fn weights(&self) -> Option<&[f32]> {
        None
    }

    /// What image `index` is called in messages: its file, where it has one.
    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }

    /// What image `index` is called wherever the data set lies: its file without the directory of
    /// them all. The last part of its name, unless overridden.
    fn short_name(&self, index: usize) -> String {
        let name = self.name(index);
        name.rsplit(['/', '\\']).next().unwrap_or(&name).to_string()
    }

    /// What there is to say about what was read so far. Nothing, unless overridden.
    fn remark(&self) -> Option<String> {
        None
    }

    /// How images are read, with all options: a run is resumed with the same only. Nothing, unless
    /// overridden.
    fn description(&self) -> String {
        String::new()
    }

    /// A number that changes whenever the pixels of image `index` may have: for a cache on disk,
    /// which is refused where there is none (the default).
    fn fingerprint(&self, _index: usize) -> Option<u64> {
        None
    }
}

/// Where one image is read to. Each worker has its own and uses it again and again.
#[derive(Debug)]
pub struct Sample {
    /// (height, width, channels), as [`Dataset::size`] says.
    pub image: Array3<u8>,
    /// The memory of the files that were read before, for data sets that read files.
    pub decoder: Decoder,
    /// The same for what resizes them.
    pub resizer: Resizer,
}

impl Sample {
    /// Room for one image of that height, width and number of channels.
    #[must_use]
    pub fn new(size: [usize; 3]) -> Self {
        Self {
            image: Array3::zeros(size),
            decoder: Decoder::default(),
            resizer: Resizer::default(),
        }
    }
}

/// Images that are at hand as one array.
///
/// ```
/// use gradus_data::{InMemory, ndarray::Array4};
/// let images = Array4::zeros((2, 8, 8, 3));
/// let dataset = InMemory::new(images, vec![0, 1], &["cat", "dog"])?;
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InMemory {
    images: Array4<u8>,
    classes: Vec<String>,
    targets: Targets,
    weights: Option<Vec<f32>>,
}

impl InMemory {
    /// `images` (N, H, W, C) with a class each: `labels` (N), indices into `classes`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more or fewer labels than images, or one is no class.
    pub fn new(images: Array4<u8>, labels: Vec<u32>, classes: &[&str]) -> Result<Self, Error> {
        let (n, k) = (images.dim().0, classes.len());
        one_each("labels", labels.len(), n)?;
        if let Some((i, label)) = labels.iter().enumerate().find(|(_, l)| **l as usize >= k) {
            return Err(Error::Argument {
                argument: "labels",
                found: format!("image {i} is of class {label}, and there are {k} classes"),
                remedy: "count the classes from 0",
            });
        }
        let classes = classes.iter().map(ToString::to_string).collect();
        Ok(Self { images, classes, targets: Targets::OneHot { labels, classes: k }, weights: None })
    }

    /// `images` (N, H, W, C) with numbers each: `targets` (N, outputs), for regression.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more or fewer targets than images.
    pub fn with_targets(images: Array4<u8>, targets: Array2<f32>) -> Result<Self, Error> {
        one_each("targets", targets.nrows(), images.dim().0)?;
        let targets = Targets::Numbers(targets);
        Ok(Self { images, classes: Vec::new(), targets, weights: None })
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
        self.images.dim().0
    }

    fn size(&self) -> [usize; 3] {
        let (_, h, w, c) = self.images.dim();
        [h, w, c]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        self.targets.labels()
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        into.image.assign(&self.images.index_axis(Axis(0), index));
        Ok(())
    }

    fn outputs(&self) -> usize {
        self.targets.outputs()
    }

    fn target(&self, index: usize, image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        self.targets.write(index, image, into);
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
