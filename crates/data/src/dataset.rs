//! What the loader asks of a data set: how many images there are, how large, and to read one.
//!
//! ```text
//! Shapes       an image is (height, width, channels), bytes; a target is (outputs), floats
//! ```

use crate::targets::one_hot;
use crate::{Decoder, Error, Resizer};
use ndarray::{Array3, ArrayView3, ArrayViewMut1};

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

    /// Image `index`, where images are floats that are at hand: then [`Dataset::read`] need not fill
    /// in anything. None, unless overridden; all images are floats, or none is.
    fn floats(&self, _index: usize) -> Option<ArrayView3<'_, f32>> {
        None
    }

    /// How many numbers a target has. One for each class, unless overridden.
    fn outputs(&self) -> usize {
        self.classes().len()
    }

    /// Writes the target of image `index`, which the network sees as `image`: one-hot (1 for its
    /// class, 0 elsewhere), unless overridden. `into` has [`Dataset::outputs`] elements.
    fn target(&self, index: usize, _image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        one_hot(&self.labels()[index..=index], into);
    }

    /// Whether a target may depend on the image that the network sees, which then is made before its
    /// batch leaves the loader. True, unless overridden.
    fn targets_need_images(&self) -> bool {
        true
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
