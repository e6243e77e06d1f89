//! The loader: batches in order, made by other threads while the network trains.
//!
//! What a batch holds depends on the seed, the epoch and its rows, and on nothing else: not on the
//! number of workers, not on their speed, not on the epochs before. So an epoch can be taken up in
//! its middle: the batches that come are those that would have come.

mod batch;
mod keras;
mod order;
mod pictures;
mod recipe;
mod ring;

pub use batch::Batch;
pub use keras::Randomness;

use crate::flow::Options;
use crate::hash::Hash;
use crate::{Dataset, Error, Fitted, Found, Mt19937, Problem};
use keras::Generator;
use ndarray::{Array1, Array3};
use order::Order;
use recipe::Recipe;
use ring::{Job, Ring};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError, RwLock};

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
    recipe: Arc<Recipe>,
    /// NumPy's generator, where that decides.
    keras: Option<Generator>,
    ring: Ring,
    /// What was skipped or replaced in the batches that were given.
    problems: Vec<Problem>,
    /// Where in `problems` the row is.
    known: HashMap<u32, usize>,
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
        mut found: Found,
        options: Options,
    ) -> Result<Self, Error> {
        let rows = options.check(dataset.len())?;
        let room = options.room(&*dataset)?;
        let capacity = options.batches_in_memory();
        let Options { batch_size, seed, workers, bad_images, save_to, .. } = options;
        save_to.check(dataset.size()[2])?;
        let spare = (0..capacity).map(|_| Batch::new(room, &*dataset)).collect();
        let keras = match options.randomness {
            Randomness::Keyed => None,
            Randomness::Keras => {
                found.remarks.extend(options.transform.keras_remark());
                Some(Generator::new(seed)?)
            }
        };
        let transform = RwLock::new(options.transform);
        let held = Arc::clone(&dataset);
        let recipe = Arc::new(Recipe { dataset: held, transform, seed, bad_images, save_to });
        Ok(Self {
            dataset,
            found,
            order: Order::new(rows, batch_size),
            shuffle: options.shuffle,
            seed,
            keras,
            problems: Vec::new(),
            known: HashMap::new(),
            ring: Ring::new(Arc::clone(&recipe), workers, capacity)?,
            recipe,
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

    /// Takes an epoch up in its middle: gives the batches that [`DataLoader::start`] with the same
    /// `epoch` and `steps` gives, without the first `first_step` of them.
    ///
    /// # Panics
    /// As [`DataLoader::start`].
    pub fn start_at(&mut self, epoch: u32, first_step: usize, steps: Option<usize>) {
        self.begin(epoch, first_step, steps, false);
    }

    /// The same for a device that makes the pictures: images come as they were read, with what is to
    /// be done to each ([`Batch::bytes`]), and workers only read. They come as floats all the same
    /// where the transform says that it takes the CPU, where images are floats to begin with, where
    /// targets are made of what the network sees, and where images are saved.
    ///
    /// # Panics
    /// As [`DataLoader::start`].
    pub fn start_bytes_at(&mut self, epoch: u32, first_step: usize, steps: Option<usize>) {
        let bytes = self.recipe.gives_bytes();
        self.begin(epoch, first_step, steps, bytes);
    }

    fn begin(&mut self, epoch: u32, first_step: usize, steps: Option<usize>, bytes: bool) {
        self.give_up();
        self.spare.iter_mut().for_each(|batch| batch.images.be_bytes(bytes));
        match &mut self.keras {
            Some(generator) => generator.start(epoch, &mut self.order, self.shuffle),
            None if self.shuffle => self.order.shuffle(self.seed, epoch),
            None => {}
        }
        self.epoch = epoch;
        self.steps = steps.map_or(self.batches(), |s| s.min(self.batches()));
        self.given = first_step.min(self.steps);
        self.submitted = self.given;
        self.submit();
    }

    /// Ends the epoch; no batch is being made afterwards.
    fn give_up(&mut self) {
        // Should what is given up hold a panic, there is no epoch any more, and the next may start.
        (self.submitted, self.given, self.steps) = (0, 0, 0);
        self.run += 1;
        self.spare.extend(self.lent.take());
        self.ring.abandon(self.run, &mut self.spare);
    }

    /// Hands every spare batch to the ring, as long as there are steps to come.
    fn submit(&mut self) {
        while self.submitted < self.steps {
            let Some(mut batch) = self.spare.pop() else {
                return;
            };
            batch.rows.clear();
            batch.rows.extend_from_slice(self.order.rows(self.submitted));
            batch.problems.clear();
            if let Some(generator) = &self.keras {
                let rng = batch.rng.get_or_insert_with(|| Mt19937::new(0));
                generator.at(self.submitted, rng);
            }
            self.ring.submit(Job { run: self.run, step: self.submitted, epoch: self.epoch, batch });
            self.submitted += 1;
        }
    }

    /// The next batch of the epoch, or `None` after its last one or where none was started.
    /// Waits until it is there.
    ///
    /// # Errors
    /// If an image of this batch cannot be read and [`BadImages::Stop`](crate::BadImages::Stop)
    /// is the rule, or none can be read in its place. The epoch ends with that.
    ///
    /// # Panics
    /// With the panic of the transform or the data set, if one happened in a worker.
    pub fn next_batch(&mut self) -> Option<Result<&Batch, Error>> {
        loop {
            self.spare.extend(self.lent.take());
            self.submit();
            if self.given == self.steps {
                return None;
            }
            let mut done = self.ring.take(self.given);
            self.note(&mut done.batch.problems);
            if !matches!(done.outcome, Ok(Ok(()))) {
                // Without this batch the epoch is not what was asked for: it ends here.
                self.spare.push(done.batch);
                self.steps = self.given;
                return match done.outcome {
                    Ok(outcome) => outcome.err().map(Err),
                    Err(panic) => resume_unwind(panic),
                };
            }
            self.given += 1;
            let empty = done.batch.is_empty();
            self.lent = Some(done.batch);
            if !empty {
                return self.lent.as_ref().map(Ok);
            }
        }
    }

    /// The step of the epoch that comes next: how many of its batches were given or, where all of
    /// their images were skipped, passed over. [`DataLoader::start_at`] this step goes on where the
    /// loader is.
    #[must_use]
    pub fn position(&self) -> usize {
        self.given
    }

    /// Adds the problems of a batch to those of the batches before, each row once.
    fn note(&mut self, problems: &mut Vec<Problem>) {
        for problem in problems.drain(..) {
            match self.known.entry(problem.row) {
                Entry::Occupied(known) => self.problems[*known.get()].times += 1,
                Entry::Vacant(place) => {
                    place.insert(self.problems.len());
                    self.problems.push(problem);
                }
            }
        }
    }

    /// The images that could not be read and were skipped or replaced in the batches so far, in
    /// the order in which they were met first. Those that [`Flow::verify`](crate::Flow::verify)
    /// left out beforehand stand in [`DataLoader::found`].
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What the transform has fitted on data: with [`DataLoader::problems`] all that a run that is
    /// resumed has to be given back.
    #[must_use]
    pub fn fitted(&self) -> Fitted {
        self.recipe.transform.read().unwrap_or_else(PoisonError::into_inner).fitted()
    }

    /// Takes back the [`problems`](DataLoader::problems) and what was
    /// [`fitted`](DataLoader::fitted), as a loader with the same arguments had them. What is left
    /// of an epoch before is given up.
    ///
    /// # Errors
    /// [`Error::Argument`] if the transform has not fitted that. Nothing is changed then.
    ///
    /// # Panics
    /// As [`DataLoader::start`].
    pub fn restore(&mut self, problems: Vec<Problem>, fitted: Fitted) -> Result<(), Error> {
        self.give_up();
        let size = self.image_shape();
        let transform = self.recipe.transform.write();
        let mut transform = transform.unwrap_or_else(PoisonError::into_inner);
        transform.set_fitted(fitted, size).map_err(|found| Error::Argument {
            argument: "transform",
            found,
            remedy: "give the transform that the run began with",
        })?;
        self.known = (0..).zip(&problems).map(|(i, problem)| (problem.row, i)).collect();
        drop(transform);
        self.problems = problems;
        Ok(())
    }

    /// What the images of a batch depend on besides the rows and the seed, in words: the order, what
    /// is random, how bad images are dealt with, how files are read and what the transform does.
    /// How many workers there are, caches and folders do not count.
    #[must_use]
    pub fn description(&self) -> String {
        let Recipe { bad_images, transform, dataset, .. } = &*self.recipe;
        let transform = transform.read().unwrap_or_else(PoisonError::into_inner).description();
        let randomness = match self.keras {
            Some(_) => Randomness::Keras,
            None => Randomness::Keyed,
        };
        let (shuffle, reading) = (self.shuffle, dataset.description());
        let reading = if reading.is_empty() { reading } else { format!(", reading: {reading}") };
        format!(
            "shuffle: {shuffle}, randomness: {randomness:?}, bad_images: {bad_images:?}{reading}, \
             transform: {transform}"
        )
    }

    /// What there is to say about the images that were read so far, beyond what `found` knew
    /// when the loader was opened: that some are damaged in a [`Cache`](crate::Cache) on disk.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        self.dataset.remark()
    }

    /// A number for the names, targets and weights of all rows, in order, and for the names of the
    /// classes. Loaders of the same number, seed and [`description`](DataLoader::description) give
    /// the same batches: ask before resuming a run. The directory does not count, so that a volume may be
    /// mounted elsewhere.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Hash::default();
        for row in 0..self.len() {
            hash.text(&self.dataset.short_name(row));
        }
        self.classes().iter().for_each(|class| _ = hash.text(class));
        self.labels().iter().for_each(|&label| _ = hash.number(u64::from(label)));
        hash.number(self.outputs() as u64);
        if self.labels().is_empty() {
            self.hash_targets(&mut hash);
        }
        let weights = self.dataset.weights().into_iter().flatten();
        weights.for_each(|weight| _ = hash.number(u64::from(weight.to_bits())));
        hash.finish()
    }

    /// Takes in the numbers that are not 0 of each target, as that of a black image: what a target
    /// has of the image itself does not count.
    fn hash_targets(&self, hash: &mut Hash) {
        let black = Array3::zeros(self.image_shape());
        let mut target = Array1::zeros(self.outputs());
        for row in 0..self.len() {
            self.dataset.target(row, black.view(), target.view_mut());
            for (place, number) in target.iter().enumerate().filter(|(_, y)| **y != 0.0) {
                hash.number(place as u64).number(u64::from(number.to_bits()));
            }
            hash.number(row as u64);
        }
    }

    /// The seed of order and augmentation.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
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

    /// How many numbers the target of an image has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.dataset.outputs()
    }

    /// The names of the classes, in the order of the targets.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// The class of every row of the data set, not of the shuffled order; empty where targets are
    /// not one class each.
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
