//! The ring: batches go from the loader to the workers and back, over two channels.
//!
//! ```text
//!   loader ──jobs──▶ workers ──done──▶ loader ──lent──▶ the caller's step
//!      ▲                                                       │
//!      └───────────────────────── spare ───────────────────────┘
//! ```
//!
//! There are as many batches as the ring was made with and never more: when none is spare the
//! workers wait (backpressure), and nothing is allocated while it turns. A worker makes one whole
//! batch, so workers share nothing; which of them is faster shows nowhere, as the loader takes
//! batches by their number.

use super::{Batch, recipe::Recipe};
use crate::{Error, Sample};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

/// A batch to be filled. Its rows are set.
pub(super) struct Job {
    /// The run (one call of `start`) that wants it.
    pub(super) run: u64,
    /// The step within the run.
    pub(super) step: usize,
    pub(super) epoch: u32,
    pub(super) batch: Batch,
}

/// A batch that was filled, or why not.
pub(super) struct Done {
    pub(super) step: usize,
    pub(super) batch: Batch,
    pub(super) outcome: Outcome,
}

/// The outer error is what a worker panicked with.
pub(super) type Outcome = Result<Result<(), Error>, Box<dyn Any + Send>>;

/// Who fills the batches.
pub(super) enum Ring {
    /// The calling thread, when it wants one.
    Inline { recipe: Arc<Recipe>, sample: Box<Sample>, queue: VecDeque<Job> },
    /// Worker threads, beforehand.
    Threads(Crew),
}

impl Ring {
    /// A ring for at most `capacity` batches.
    pub(super) fn new(recipe: Arc<Recipe>, workers: usize, capacity: usize) -> Result<Self, Error> {
        if workers > 0 {
            return Crew::new(&recipe, workers, capacity).map(Self::Threads);
        }
        Ok(Self::Inline {
            sample: Box::new(Sample::new(recipe.dataset.size())),
            queue: VecDeque::with_capacity(capacity),
            recipe,
        })
    }

    pub(super) fn submit(&mut self, job: Job) {
        match self {
            Self::Inline { queue, .. } => queue.push_back(job),
            Self::Threads(crew) => crew.submit(job),
        }
    }

    /// The batch of that step, which was submitted: waits until it is there.
    pub(super) fn take(&mut self, step: usize) -> Done {
        match self {
            Self::Inline { recipe, sample, queue } => {
                let mut job = queue.pop_front().expect("a batch is submitted before it is taken");
                let fill = || recipe.fill(&mut job.batch, job.epoch, sample, || true);
                let outcome = catch_unwind(AssertUnwindSafe(fill));
                Done { step, batch: job.batch, outcome }
            }
            Self::Threads(crew) => crew.take(step),
        }
    }

    /// Gives up what was submitted and not taken, and hands its batches to `spare`. Runs are
    /// numbered upwards, and `run` is the one that comes.
    pub(super) fn abandon(&mut self, run: u64, spare: &mut Vec<Batch>) {
        match self {
            Self::Inline { queue, .. } => spare.extend(queue.drain(..).map(|job| job.batch)),
            Self::Threads(crew) => crew.abandon(run, spare),
        }
    }
}

/// The worker threads and the two channels.
pub(super) struct Crew {
    /// `None` once the loader is being dropped.
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    /// Finished, but an earlier step is not.
    early: Vec<Done>,
    submitted: usize,
    /// The run whose batches are wanted: a worker looks between images.
    run: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    fn new(recipe: &Arc<Recipe>, workers: usize, capacity: usize) -> Result<Self, Error> {
        let (jobs, queue) = sync_channel(capacity);
        let (finished, done) = sync_channel(capacity);
        let queue = Arc::new(Mutex::new(queue));
        let mut crew = Self {
            jobs: Some(jobs),
            done,
            early: Vec::with_capacity(capacity),
            submitted: 0,
            run: Arc::new(AtomicU64::new(0)),
            threads: Vec::with_capacity(workers),
        };
        for number in 0..workers {
            let (recipe, queue) = (Arc::clone(recipe), Arc::clone(&queue));
            let (finished, run) = (finished.clone(), Arc::clone(&crew.run));
            let name = format!("data worker {number}");
            let thread =
                Builder::new().name(name).spawn(move || work(&recipe, &queue, &finished, &run));
            crew.threads.push(thread.map_err(|e| Error::Argument {
                argument: "workers",
                found: format!("thread {} of {workers} cannot be started: {e}", number + 1),
                remedy: "ask for fewer",
            })?);
        }
        Ok(crew)
    }

    fn submit(&mut self, job: Job) {
        let jobs = self.jobs.as_ref().expect("jobs are open until the drop");
        jobs.send(job).expect("workers stay until the drop");
        self.submitted += 1;
    }

    fn receive(&mut self) -> Done {
        self.submitted -= 1;
        self.done.recv().expect("workers stay until the drop")
    }

    fn take(&mut self, step: usize) -> Done {
        if let Some(at) = self.early.iter().position(|done| done.step == step) {
            return self.early.swap_remove(at);
        }
        loop {
            let done = self.receive();
            if done.step == step {
                return done;
            }
            self.early.push(done);
        }
    }

    fn abandon(&mut self, run: u64, spare: &mut Vec<Batch>) {
        self.run.store(run, Ordering::Relaxed);
        while self.submitted > 0 {
            let done = self.receive();
            self.early.push(done);
        }
        let mut panicked = None;
        for done in self.early.drain(..) {
            spare.push(done.batch);
            panicked = panicked.or(done.outcome.err());
        }
        // Whoever gives up an epoch need not hear of its bad images, but of a bug in any case.
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.run.store(u64::MAX, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker catches its panics, and a drop has nobody to tell.
            let _ = thread.join();
        }
    }
}

/// One worker: fills batches until the jobs end.
fn work(
    recipe: &Recipe,
    queue: &Mutex<Receiver<Job>>,
    finished: &SyncSender<Done>,
    run: &AtomicU64,
) {
    let mut sample = Sample::new(recipe.dataset.size());
    loop {
        // A worker that waits holds the lock, and the others wait for it: they wait all the same.
        let job = queue.lock().expect("nothing panics under the lock").recv();
        let Ok(Job { run: wanted, step, epoch, mut batch }) = job else {
            return;
        };
        let wanted = || run.load(Ordering::Relaxed) == wanted;
        let fill = || recipe.fill(&mut batch, epoch, &mut sample, wanted);
        let outcome = catch_unwind(AssertUnwindSafe(fill));
        // The loader may be gone: then the jobs have ended too.
        let _ = finished.send(Done { step, batch, outcome });
    }
}
