//! The loader: batches in order, made by other threads while the network trains.
//!
//! What a batch holds depends on the seed, the epoch and its rows, and on nothing else: not on the
//! number of workers, not on their speed, not on the epochs before.

mod batch;
mod order;
mod recipe;
mod ring;

pub use batch::Batch;

use crate::flow::Options;
use crate::{Dataset, Error, Found};
use order::Order;
use recipe::Recipe;
use ring::{Job, Ring};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

/// Gives the batches of one epoch after another.
///
/// ```
/// use gradus_data::{InMemory, flow, ndarray::Array4};
/// let images = Array4::zeros((5, 8, 8, 3));
/// let dataset = InMemory::new(images, vec![0, 1, 0, 1, 1], &["cat", "dog"])?;
/// let mut loader = flow(dataset).batch_size(2).seed(42).open()?;
/// let mut seen = 0;
/// for epoch in 0..3 {
///     loader.start(epoch, None);
///     while let Some(batch) = loader.next_batch() {
///         seen += batch?.images().dim().0;
///     }
/// }
/// assert_eq!(seen, 3 * 5);
/// # Ok::<(), gradus_data::Error>(())
/// ```
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    found: Found,
    order: Order,
    shuffle: bool,
    seed: u64,
    ring: Ring,
    /// Batches that nobody uses.
    spare: Vec<Batch>,
    /// The batch that the caller looks at.
    lent: Option<Batch>,
    run: u64,
    epoch: u32,
    /// The steps of this epoch: handed to the ring, given to the caller, and all of them.
    submitted: usize,
    given: usize,
    steps: usize,
}

impl DataLoader {
    pub(crate) fn open(
        dataset: Arc<dyn Dataset>,
        found: Found,
        options: Options,
    ) -> Result<Self, Error> {
        let rows = options.check(dataset.len())?;
        let Options { batch_size, seed, workers, .. } = options;
        // One is lent, every worker fills one, and the others are ready beforehand.
        let capacity = if workers == 0 { 1 } else { 1 + workers + options.prefetch };
        let room = || Batch::new(batch_size, dataset.size(), dataset.outputs());
        let spare = (0..capacity).map(|_| room()).collect();
        let recipe =
            Arc::new(Recipe { dataset: Arc::clone(&dataset), transform: options.transform, seed });
        Ok(Self {
            dataset,
            found,
            order: Order::new(rows, batch_size),
            shuffle: options.shuffle,
            seed,
            ring: Ring::new(recipe, workers, capacity)?,
            spare,
            lent: None,
            run: 0,
            epoch: 0,
            submitted: 0,
            given: 0,
            steps: 0,
        })
    }

    /// Begins an epoch of `steps` batches: as many as there are, ⌈N/B⌉, if `None` or more than
    /// that. The workers set to work at once. What is left of an epoch before is given up.
    ///
    /// # Panics
    /// With the panic of a transform or data set, if one happened in what is given up.
    pub fn start(&mut self, epoch: u32, steps: Option<usize>) {
        self.start_at(epoch, 0, steps);
    }

    /// Begins an epoch in its middle: as [`DataLoader::start`], but the first `done` of its `steps`
    /// batches are left out. The others are what they would have been; none of what is left out is
    /// read.
    ///
    /// # Panics
    /// With the panic of a transform or data set, if one happened in what is given up.
    pub fn start_at(&mut self, epoch: u32, done: usize, steps: Option<usize>) {
        self.run += 1;
        self.spare.extend(self.lent.take());
        self.ring.abandon(self.run, &mut self.spare);
        if self.shuffle {
            self.order.shuffle(self.seed, epoch);
        }
        self.epoch = epoch;
        self.steps = steps.map_or(self.batches(), |s| s.min(self.batches()));
        (self.submitted, self.given) = (done.min(self.steps), done.min(self.steps));
        self.submit();
    }

    /// Hands every spare batch to the ring, as long as there are steps to come.
    fn submit(&mut self) {
        while self.submitted < self.steps {
            let Some(mut batch) = self.spare.pop() else {
                return;
            };
            batch.rows.clear();
            batch.rows.extend_from_slice(self.order.rows(self.submitted));
            self.ring.submit(Job { run: self.run, step: self.submitted, epoch: self.epoch, batch });
            self.submitted += 1;
        }
    }

    /// The next batch of the epoch, or `None` after its last one or where none was started.
    /// Waits until it is there.
    ///
    /// # Errors
    /// If an image of this batch cannot be read. The epoch ends with that.
    ///
    /// # Panics
    /// With the panic of the transform or the data set, if one happened in a worker.
    pub fn next_batch(&mut self) -> Option<Result<&Batch, Error>> {
        self.spare.extend(self.lent.take());
        self.submit();
        if self.given == self.steps {
            return None;
        }
        let done = self.ring.take(self.given);
        if matches!(done.outcome, Ok(Ok(()))) {
            self.given += 1;
            return Some(Ok(self.lent.insert(done.batch)));
        }
        // Without this batch the epoch is not what was asked for: it ends here.
        self.spare.push(done.batch);
        self.steps = self.given;
        match done.outcome {
            Ok(outcome) => outcome.err().map(Err),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// How many images there are: N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Never true: a loader without images is refused when it is opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// How many images a batch has, but for the last one: B.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.order.batch_size()
    }

    /// How many batches an epoch has: ⌈N/B⌉.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.order.batches()
    }

    /// The names of the classes, in the order of the targets.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// The class of every row of the data set, not of the shuffled order.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        self.dataset.labels()
    }

    /// Height, width and channels of every image.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        self.dataset.size()
    }

    /// What was found and what is ignored, to be printed.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataLoader")
            .field("found", &self.found)
            .field("batch_size", &self.batch_size())
            .field("shuffle", &self.shuffle)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
