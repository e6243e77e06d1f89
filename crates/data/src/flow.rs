//! How batches flow: the arguments that every source of images shares.

use crate::transform::cast;
use crate::{DataLoader, Dataset, Error, Found, Transform};
use std::fmt;
use std::sync::Arc;

/// A loader that is being described: where the images come from, and how they flow.
///
/// Made by [`flow()`] and [`flow_from_dataframe`](crate::flow_from_dataframe()). Keras's names and
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
            transform: Box::new(cast),
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
}

impl<D: Dataset + 'static> Flow<D> {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::Argument`] if the batch size is 0 or the data set has no image.
    pub fn open(self) -> Result<DataLoader, Error> {
        let found = Found {
            images: self.source.len(),
            what: "images",
            classes: self.source.classes().len(),
            ignored: Vec::new(),
            x_col: String::new(),
            y_col: String::new(),
        };
        DataLoader::open(Arc::new(self.source), found, self.options)
    }
}

impl Options {
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
            .finish_non_exhaustive()
    }
}
