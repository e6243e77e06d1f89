//! A fixed number of threads, and work in pieces.
//!
//! Work is cut into pieces by its geometry, never by the number of threads, and each piece writes
//! its own part of the output; sums over pieces are added in the order of the pieces. So every
//! result has the same bits with 1, 2 or 16 threads.
//!
//! The calling thread works too: a pool of `n` threads starts `n − 1`. A worker that has run out
//! of work looks for more for a moment before it sleeps, long enough to bridge the gap between two
//! layers and too short to starve the threads that decode images. Nothing is allocated when work
//! is handed out.

use std::any::Any;
use std::hint;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How many times a worker without work looks for more before it sleeps: about 20 µs.
const LOOKS: u32 = 2000;

/// Threads that share the pieces of one job at a time.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Held while a job runs. A second caller, or a job within a job, works alone instead.
    busy: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts jobs; what idle workers watch without taking the lock.
    jobs: AtomicU64,
    /// The next piece of the current job that nobody has taken.
    next: AtomicUsize,
    wake: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Workers inside the current job.
    active: usize,
    panic: Option<Box<dyn Any + Send>>,
    quit: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("active", &self.active).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Job {
    /// The closure, its lifetime erased: see the `SAFETY` lines of `share`. It is told the piece and
    /// the thread.
    work: *const (dyn Fn(usize, usize) + Sync),
    pieces: usize,
}

// SAFETY: the closure behind the pointer is Sync, and `share` keeps it alive while any worker may
// call it.
unsafe impl Send for Job {}

impl Pool {
    /// A pool of `threads` threads, the caller included; 0 means one for each core.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            jobs: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            wake: Condvar::new(),
            done: Condvar::new(),
        });
        let start = |i| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("gradus-{i}")).spawn(move || shared.work(i)).ok()
        };
        // Where the system gives no more threads, fewer do the same work.
        let workers = (1..threads).map_while(start).collect();
        Self { shared, busy: Mutex::default(), workers }
    }

    /// How many threads work, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(i)` once for each `i < pieces`, on all threads, in no particular order.
    ///
    /// # Panics
    /// If `work` does; the other pieces are still done, or left, before the panic goes on.
    pub fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        self.share(pieces, &|i, _| work(i));
    }

    /// Calls `work(i, thread)` once for each `i < pieces`. No two calls that run at the same time
    /// are told the same thread, and every thread is below [`Pool::threads`].
    fn share(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let alone = self.workers.is_empty() || pieces <= 1;
        let Some(_busy) = (if alone { None } else { self.busy.try_lock().ok() }) else {
            return (0..pieces).for_each(|i| work(i, 0));
        };
        let work: *const (dyn Fn(usize, usize) + Sync) = work;
        // SAFETY: only the lifetime changes. The pointer is used by workers that counted
        // themselves into `active` while `job` was set; below, `job` is cleared and `active` is
        // waited down to 0 before this call, and with it the borrow of `work`, ends.
        let work: *const (dyn Fn(usize, usize) + Sync + 'static) =
            unsafe { std::mem::transmute(work) };
        let job = Job { work, pieces };
        self.shared.next.store(0, Ordering::Relaxed);
        self.shared.lock().job = Some(job);
        self.shared.jobs.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        // A panic of our own must not leave before the workers have let go of `work`.
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.pieces(job, 0)));
        if own.is_err() {
            self.shared.next.store(pieces, Ordering::Relaxed);
        }
        let mut state = self.shared.lock();
        state.job = None;
        while state.active > 0 {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(panic) = own.err().or(state.panic.take()) {
            drop(state);
            drop(_busy);
            resume_unwind(panic);
        }
    }

    /// Hands piece `i` of `parts` to `work(i, piece)`, for every piece, on all threads.
    pub fn each<P: Parts>(&self, parts: P, work: impl Fn(usize, P::Part) + Sync) {
        // SAFETY: `run` calls the closure once for each index, so no piece is handed out twice,
        // and every piece is gone when `run` returns, while `parts` still borrows its slices.
        self.run(parts.count(), &|i| work(i, unsafe { parts.part(i) }));
    }

    /// As [`Pool::each`], and lends every piece the desk of the thread that works on it: memory
    /// that stays in that thread's cache, and whose contents mean nothing from one piece to the
    /// next. `desks` is cut into as many desks of equal length as there are threads.
    pub fn each_at_desk<P: Parts>(
        &self,
        parts: P,
        desks: &mut [f32],
        work: impl Fn(usize, P::Part, &mut [f32]) + Sync,
    ) {
        let desk = desks.len() / self.threads();
        let desks = Chunks::new(desks, desk.max(1));
        // SAFETY: for the parts as in `each`. No two pieces that are worked on at the same time
        // are told the same thread, so no desk is lent twice at a time; and there is a chunk for
        // each thread, unless a desk has no length.
        self.share(parts.count(), &|i, thread| unsafe {
            let own = if desk == 0 { &mut [] } else { desks.part(thread) };
            work(i, parts.part(i), own);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.jobs.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker never panics by itself: `work` catches what its pieces throw.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pieces until there are none.
    fn pieces(&self, job: Job, thread: usize) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= job.pieces {
                return;
            }
            // SAFETY: `share` does not return while this thread works: it is the caller itself, or
            // a worker counted in `active`.
            unsafe { (*job.work)(i, thread) };
        }
    }

    /// The life of a worker.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            for _ in 0..LOOKS {
                if self.jobs.load(Ordering::Acquire) != seen {
                    break;
                }
                hint::spin_loop();
            }
            let mut state = self.lock();
            while self.jobs.load(Ordering::Acquire) == seen && !state.quit {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.quit {
                return;
            }
            seen = self.jobs.load(Ordering::Acquire);
            let Some(job) = state.job else { continue };
            state.active += 1;
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(|| self.pieces(job, thread)));
            let mut state = self.lock();
            if let Err(panic) = result {
                state.panic = Some(panic);
            }
            state.active -= 1;
            if state.active == 0 {
                self.done.notify_all();
            }
        }
    }
}

/// Something that falls into disjoint pieces: [`Chunks`] of a slice, or a tuple of such.
pub trait Parts: Sync {
    /// One piece.
    type Part;
    /// How many pieces there are.
    fn count(&self) -> usize;
    /// Piece `i`.
    ///
    /// # Safety
    /// `i < count()`, and no piece is asked for twice while an earlier one lives.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// A mutable slice in chunks of equal length; the last may be shorter.
#[derive(Debug)]
pub struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    /// What no chunk reaches out of: a divisor of the length, or the length itself.
    whole: usize,
    chunk: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: a Chunks only hands out disjoint `&mut [T]`, which may go to other threads if T may.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Chunks of `chunk` numbers each.
    ///
    /// # Panics
    /// If `chunk` is 0.
    #[must_use]
    pub fn new(slice: &'a mut [T], chunk: usize) -> Self {
        let whole = slice.len().max(1);
        Self::within(slice, whole, chunk)
    }

    /// Chunks of `chunk` numbers each, counted anew in every `whole` numbers, so that none reaches
    /// from one image, say, into the next: the last of each may be shorter.
    ///
    /// # Panics
    /// If `chunk` or `whole` is 0, or the slice is not made of wholes.
    #[must_use]
    pub fn within(slice: &'a mut [T], whole: usize, chunk: usize) -> Self {
        assert!(chunk > 0, "a chunk holds at least one element");
        let len = slice.len();
        assert!(len.is_multiple_of(whole), "{len} elements are no multiple of {whole}");
        Self { start: slice.as_mut_ptr(), len, whole, chunk, slice: PhantomData }
    }

    fn chunks_of_whole(&self) -> usize {
        self.whole.div_ceil(self.chunk)
    }
}

impl<'a, T: Send> Parts for Chunks<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.len / self.whole * self.chunks_of_whole()
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let (whole, chunk) = (i / self.chunks_of_whole(), i % self.chunks_of_whole());
        let begin = chunk * self.chunk;
        let len = self.chunk.min(self.whole - begin);
        // SAFETY: the range lies within its whole, and that within the slice, since i < count();
        // it overlaps no other chunk, and the caller takes each once, so the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(whole * self.whole + begin), len) }
    }
}

macro_rules! parts_of_tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Parts),+> Parts for ($($name,)+) {
            type Part = ($($name::Part,)+);

            fn count(&self) -> usize {
                let counts = [$(self.$index.count()),+];
                assert!(counts.iter().all(|&c| c == counts[0]), "unequal pieces: {counts:?}");
                counts[0]
            }

            unsafe fn part(&self, i: usize) -> Self::Part {
                // SAFETY: passed on to each member as the caller promised it.
                unsafe { ($(self.$index.part(i),)+) }
            }
        }
    };
}

parts_of_tuples!(A 0, B 1);
parts_of_tuples!(A 0, B 1, C 2);
parts_of_tuples!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_whatever_the_number_of_threads() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for pieces in [0, 1, 7, 1000] {
                let mut counts = vec![0u32; pieces];
                pool.each(Chunks::new(&mut counts, 1), |i, c| c[0] += 1 + i as u32);
                assert!(counts.iter().enumerate().all(|(i, &c)| c == 1 + i as u32));
            }
        }
    }

    #[test]
    fn chunks_of_two_slices_go_together() {
        let (mut a, mut b) = (vec![0usize; 10], vec![0usize; 5]);
        let pool = Pool::new(2);
        pool.each((Chunks::new(&mut a, 4), Chunks::new(&mut b, 2)), |i, (a, b)| {
            a.fill(i);
            b.fill(i);
        });
        assert_eq!(a, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
        assert_eq!(b, [0, 0, 1, 1, 2]);
    }

    #[test]
    fn no_chunk_reaches_into_the_next_whole() {
        let mut rows = [0; 14];
        Pool::new(2).each(Chunks::within(&mut rows, 7, 3), |i, chunk| chunk.fill(i));
        assert_eq!(rows, [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5]);
    }

    #[test]
    fn many_short_jobs_in_a_row_are_all_done() {
        let pool = Pool::new(3);
        let total = AtomicUsize::new(0);
        for _ in 0..20_000 {
            pool.run(4, &|i| {
                total.fetch_add(i, Ordering::Relaxed);
            });
        }
        assert_eq!(total.into_inner(), 20_000 * 6);
    }

    #[test]
    fn a_job_within_a_job_is_done_by_the_thread_that_asks() {
        let pool = Pool::new(2);
        let total = AtomicUsize::new(0);
        pool.run(3, &|_| {
            pool.run(5, &|_| {
                total.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(total.into_inner(), 15);
    }

    #[test]
    fn no_desk_is_lent_to_two_pieces_at_a_time() {
        for threads in [1, 3] {
            let pool = Pool::new(threads);
            let (mut desks, mut sums) = (vec![0.0; 64 * threads], vec![0.0; 500]);
            pool.each_at_desk(Chunks::new(&mut sums, 1), &mut desks, |i, sum, desk| {
                desk.fill(i as f32);
                std::thread::yield_now();
                sum[0] = desk.iter().sum();
            });
            assert!(sums.iter().enumerate().all(|(i, sum)| *sum == 64.0 * i as f32));
            pool.each_at_desk(Chunks::new(&mut sums, 1), &mut [], |_, _, desk| {
                assert!(desk.is_empty())
            });
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for bad in [0, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, &|i| assert!(i != bad, "piece {i}"));
            }));
            assert!(result.is_err());
        }
        let mut ones = [0; 8];
        pool.each(Chunks::new(&mut ones, 1), |_, c| c[0] = 1);
        assert_eq!(ones, [1; 8]);
    }

    #[test]
    #[should_panic(expected = "unequal pieces")]
    fn slices_that_do_not_go_together_are_refused() {
        let (mut a, mut b) = ([0; 4], [0; 9]);
        Pool::new(1).each((Chunks::new(&mut a, 2), Chunks::new(&mut b, 2)), |_, _| {});
    }
}
