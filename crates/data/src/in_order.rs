//! Work on many rows by several threads, whose results come in the order of the rows.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many results each thread may have waiting.
const AHEAD: usize = 32;

/// Does `work` for 0, 1, … n − 1 on `threads` threads, each with a state of its own, and hands the
/// results to `sink` in that order. Ends early with the first error of `sink`.
pub(crate) fn in_order<S: Send, T: Send, E>(
    n: usize,
    threads: usize,
    state: impl Fn() -> S,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut sink: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let mut states: Vec<S> = (0..threads.clamp(1, n.max(1))).map(|_| state()).collect();
    let span = AHEAD * states.len();
    for begin in (0..n).step_by(span) {
        let end = n.min(begin + span);
        let next = AtomicUsize::new(begin);
        let (work, next) = (&work, &next);
        let some = |state: &mut S| {
            let claim = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < end);
            std::iter::from_fn(claim).map(|i| (i, work(state, i))).collect::<Vec<_>>()
        };
        let mut results: Vec<(usize, T)> = thread::scope(|scope| {
            let crew: Vec<_> = states.iter_mut().map(|s| scope.spawn(|| some(s))).collect();
            let joined = crew.into_iter().map(|thread| thread.join());
            joined.flat_map(|all| all.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        results.sort_unstable_by_key(|(i, _)| *i);
        results.into_iter().try_for_each(|(i, result)| sink(i, result))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_threads() {
        for (n, threads) in [(0, 3), (1, 3), (300, 1), (301, 3), (64, 2)] {
            let mut seen = Vec::new();
            let outcome: Result<(), ()> = in_order(
                n,
                threads,
                || 0,
                |_, i| i * i,
                |i, square| {
                    seen.push((i, square));
                    Ok(())
                },
            );
            assert_eq!(outcome, Ok(()));
            assert_eq!(seen, (0..n).map(|i| (i, i * i)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        let sink = |i, bad: bool| if bad { Err(i) } else { Ok(()) };
        assert_eq!(in_order(500, 4, || (), |(), i| i == 7 || i == 9 || i > 200, sink), Err(7));
    }
}
