//! How batches flow: the arguments that every source of images shares.

use crate::Transform;
use crate::save_to_dir::SaveTo;
use crate::selected::Selected;
use crate::split::Split;
use crate::transform::AsTheyAre;
use crate::{BadImages, Cache, DataLoader, Dataset, Error, Found, Randomness, SaveFormat, Subset};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A loader that is being described: where the images come from, and how they flow.
///
/// Made by [`flow()`], [`flow_from_dataframe`](crate::flow_from_dataframe()) and
/// [`flow_from_directory`](crate::flow_from_directory()). Keras's names and
/// defaults, but for two: an order that is not asked for is still one that can be repeated (`seed`
/// 0, where Keras takes the clock), and the work is shared by two threads (`workers`, Keras's 1).
#[must_use = "a flow does nothing before it is opened"]
#[derive(Debug)]
pub struct Flow<S> {
    pub(crate) source: S,
    pub(crate) options: Options,
}

pub(crate) struct Options {
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) prefetch: usize,
    pub(crate) transform: Box<dyn Transform>,
    pub(crate) randomness: Randomness,
    pub(crate) split: Split,
    pub(crate) bad_images: BadImages,
    pub(crate) verify: bool,
    pub(crate) cache: Option<Cache>,
    pub(crate) save_to: SaveTo,
}

/// The batches of a data set. See [`DataLoader`] for an example.
pub fn flow<D: Dataset + 'static>(dataset: D) -> Flow<D> {
    Flow::new(dataset)
}

impl<S> Flow<S> {
    pub(crate) fn new(source: S) -> Self {
        let options = Options {
            batch_size: 32,
            shuffle: true,
            seed: 0,
            workers: 2,
            prefetch: 2,
            transform: Box::new(AsTheyAre),
            randomness: Randomness::default(),
            split: Split::default(),
            bad_images: BadImages::default(),
            verify: false,
            cache: None,
            save_to: SaveTo {
                folder: None,
                prefix: String::new(),
                format: SaveFormat::default(),
                numbers: 10_000_000,
            },
        };
        Self { source, options }
    }

    /// How many images a batch has; the last one of an epoch may have fewer. 32 by default.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.options.batch_size = batch_size;
        self
    }

    /// Whether every epoch has an order of its own (the default), or that of the data set.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.options.shuffle = shuffle;
        self
    }

    /// What all that is random depends on, besides the epoch and the row. 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    /// How many threads make batches: 2 by default. With 0 the calling thread does, when it asks
    /// for one. The batches are the same, bit for bit.
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = workers;
        self
    }

    /// How many finished batches may wait for the caller, besides the one that it has and those
    /// that the workers are making. 2 by default.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.options.prefetch = batches;
        self
    }

    /// What turns bytes into floats: augmentation, rescaling. By default the values stay as they
    /// are, 0 to 255.
    pub fn transform(mut self, transform: impl Transform + 'static) -> Self {
        self.options.transform = Box::new(transform);
        self
    }

    /// What all that is random comes from: by default (seed, epoch, row); or NumPy's generator, for
    /// the very batches that Keras's generator of the same seed gives by `next()`, epoch after
    /// epoch: order and augmentation, where that is set to Keras's compatibility too
    /// ([`Found::remarks`] says where it is not).
    ///
    /// These are not the batches of a `fit` in Keras. That asks for batches by number, beforehand,
    /// and at the end of an epoch shuffles the rows from wherever the generator, which it shares
    /// with all else, happens to be: it cannot be repeated. A `fit` of ours goes through the batches
    /// of `next()`, and can be resumed. Where an epoch has fewer steps than there are batches
    /// (`steps_per_epoch`), ours leaves the others out and begins the next epoch with an order of
    /// its own; Keras's `next()` would begin it with the batches that are left.
    pub fn randomness(mut self, randomness: Randomness) -> Self {
        self.options.randomness = randomness;
        self
    }

    /// The share of the rows that is for validation. It takes effect with [`Flow::subset`].
    pub fn validation_split(mut self, share: f64) -> Self {
        self.options.split.validation_split = share;
        self
    }

    /// Which part of the rows is wanted, of the two that [`Flow::validation_split`] makes: the
    /// first rows are for validation, as they come. By default all are wanted.
    pub fn subset(mut self, subset: Subset) -> Self {
        self.options.split.subset = Some(subset);
        self
    }

    /// What happens when an image cannot be read: by default the epoch ends with the error.
    pub fn bad_images(mut self, rule: BadImages) -> Self {
        self.options.bad_images = rule;
        self
    }

    /// Whether every image is read once before the first epoch, by the worker threads. One that
    /// cannot be read is left out and stands in [`DataLoader::found`]; where bad images
    /// [stop](BadImages::Stop), it is the error of `open`. Not by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.options.verify = verify;
        self
    }

    /// Where decoded and resized images are kept, so that they are decoded once. Nowhere by
    /// default. The batches are the same with and without.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.options.cache = Some(cache);
        self
    }

    /// A folder into which every image is written as the network sees it, to be looked at: also
    /// those of batches that were made beforehand and never asked for. It is made if need be.
    pub fn save_to_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.options.save_to.folder = Some(folder.as_ref().to_path_buf());
        self
    }

    /// What the names of saved images begin with: `<prefix>_<row>_<epoch>.png`. Empty by default.
    pub fn save_prefix(mut self, prefix: &str) -> Self {
        self.options.save_to.prefix = prefix.into();
        self
    }

    /// The format of saved images: PNG by default.
    pub fn save_format(mut self, format: SaveFormat) -> Self {
        self.options.save_to.format = format;
        self
    }
}

impl<D: Dataset + 'static> Flow<D> {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::Argument`] if an argument makes no sense or the data set has no image; and what
    /// [`Flow::verify`] and [`Flow::cache`] say.
    pub fn open(mut self) -> Result<DataLoader, Error> {
        self.options.save_to.numbers = 10_000;
        let mut dataset: Arc<dyn Dataset> = Arc::new(self.source);
        let split = self.options.split;
        let wanted = split.range(dataset.len())?;
        if wanted.len() < dataset.len() {
            dataset = Arc::new(Selected::new(dataset, wanted.collect()));
        }
        let classes = dataset.classes();
        let found = Found {
            images: dataset.len(),
            what: "images",
            classes: Some(classes.len()).filter(|&k| k > 0),
            ignored: Vec::new(),
            remarks: split.warning(dataset.labels(), classes).into_iter().collect(),
            x_col: String::new(),
            y_col: String::new(),
        };
        self.options.open(dataset, found)
    }
}

impl Options {
    /// Puts the cache around the data set, leaves out what cannot be read, starts the workers.
    pub(crate) fn open(
        mut self,
        mut dataset: Arc<dyn Dataset>,
        mut found: Found,
    ) -> Result<DataLoader, Error> {
        self.check(dataset.len())?;
        let threads = self.workers.max(1);
        // Floats are at hand: there is nothing to keep.
        let floats = dataset.floats(0).is_some();
        if let Some(cache) = self.cache.take().filter(|_| !floats) {
            dataset = cache.around(dataset, threads, &mut found.remarks)?;
        }
        if floats && self.transform.on_floats().is_none() {
            return Err(Error::Argument {
                argument: "transform",
                found: format!("{}, which takes bytes, for floats", self.transform.description()),
                remedy: "give an ImageDataGenerator, a Pipeline, or one with Transform::on_floats",
            });
        }
        if self.verify {
            dataset = self.bad_images.verify(dataset, threads, &mut found)?;
        }
        DataLoader::open(dataset, found, self)
    }

    /// How many batches there are: one is lent, every worker fills one, and the others are ready
    /// beforehand.
    pub(crate) fn batches_in_memory(&self) -> usize {
        match self.workers {
            0 => 1,
            workers => workers.saturating_add(self.prefetch).saturating_add(1),
        }
    }

    /// How many images a batch needs room for.
    pub(crate) fn room(&self, dataset: &dyn Dataset) -> Result<usize, Error> {
        let room = self.batch_size.min(dataset.len());
        let [h, w, c] = dataset.size();
        let image = h.checked_mul(w).and_then(|n| n.checked_mul(c));
        let floats = image.and_then(|n| n.checked_add(dataset.outputs()));
        let bytes = floats.and_then(|n| n.checked_mul(4)?.checked_mul(room));
        let all = bytes.and_then(|n| n.checked_mul(self.batches_in_memory()));
        match all.filter(|n| isize::try_from(*n).is_ok()) {
            Some(_) => Ok(room),
            None => Err(Error::Argument {
                argument: "batch_size",
                found: format!(
                    "{room} images of {h} x {w} x {c}, and {} such batches at once",
                    self.batches_in_memory()
                ),
                remedy: "that is more than any memory holds: lower it, `workers`, `prefetch` or \
                         `target_size`",
            }),
        }
    }

    /// How many rows there are, once the arguments are seen to make sense.
    pub(crate) fn check(&self, rows: usize) -> Result<u32, Error> {
        if self.batch_size == 0 {
            return Err(Error::Argument {
                argument: "batch_size",
                found: "0".into(),
                remedy: "give 1 or more",
            });
        }
        match u32::try_from(rows) {
            Ok(rows) if rows > 0 => Ok(rows),
            _ => Err(Error::Argument {
                argument: "dataset",
                found: format!("{rows} images"),
                remedy: "give at least one, and fewer than 2³²",
            }),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("batch_size", &self.batch_size)
            .field("shuffle", &self.shuffle)
            .field("seed", &self.seed)
            .field("workers", &self.workers)
            .field("prefetch", &self.prefetch)
            .field("randomness", &self.randomness)
            .field("split", &self.split)
            .field("bad_images", &self.bad_images)
            .field("verify", &self.verify)
            .field("cache", &self.cache)
            .field("save_to", &self.save_to)
            .finish_non_exhaustive()
    }
}
