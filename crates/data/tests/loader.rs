//! The promises of the loader: order, repeatability, short batches, errors and prompt ends.

use gradus_data::ndarray::{Array4, ArrayView3, ArrayViewMut3};
use gradus_data::{DataLoader, Dataset, Error, Flow, InMemory, Sample, Source, flow};
use gradus_random::Domain;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const ROWS: usize = 23;
const BATCH: usize = 5;

/// Every pixel of image n is n, and its class is n mod 3.
fn numbered() -> InMemory {
    let images = Array4::from_shape_fn((ROWS, 4, 6, 3), |(n, ..)| n as u8);
    let labels = (0..ROWS as u32).map(|n| n % 3).collect();
    InMemory::new(images, labels, &["a", "b", "c"]).unwrap()
}

fn open(workers: usize) -> DataLoader {
    described(workers).open().unwrap()
}

fn described(workers: usize) -> Flow<InMemory> {
    flow(numbered()).batch_size(BATCH).seed(9).workers(workers)
}

/// The rows of each batch of one epoch.
fn rows(loader: &mut DataLoader, epoch: u32, steps: Option<usize>) -> Vec<Vec<u32>> {
    loader.start(epoch, steps);
    let mut all = Vec::new();
    while let Some(batch) = loader.next_batch() {
        all.push(batch.unwrap().rows().to_vec());
    }
    all
}

#[test]
fn batches_are_the_same_bits_for_any_number_of_workers() {
    let noise = |source: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>| {
        let mut rng = source.stream(Domain::named("test"));
        into.zip_mut_with(&from, |y, &x| *y = f32::from(x) + rng.uniform() as f32);
    };
    let epochs = |workers| {
        let mut loader = described(workers).transform(noise).open().unwrap();
        let mut bits = Vec::new();
        for epoch in 0..3 {
            loader.start(epoch, None);
            while let Some(batch) = loader.next_batch() {
                let batch = batch.unwrap();
                bits.extend(batch.rows());
                bits.extend(batch.images().iter().map(|v| v.to_bits()));
                bits.extend(batch.targets().iter().map(|v| v.to_bits()));
            }
        }
        bits
    };
    let alone = epochs(0);
    assert_eq!(alone.len(), 3 * ROWS * (1 + 4 * 6 * 3 + 3));
    for workers in [1, 2, 8] {
        assert!(alone == epochs(workers), "{workers} workers");
    }
}

#[test]
fn an_epoch_is_every_row_once_in_another_order_each_time() {
    let mut loader = open(2);
    let (first, second) = (rows(&mut loader, 0, None), rows(&mut loader, 1, None));
    assert_ne!(first, second);
    assert_eq!(first, rows(&mut loader, 0, None));
    assert_ne!(first, rows(&mut flow(numbered()).seed(8).open().unwrap(), 0, None));
    for epoch in [first, second] {
        assert_eq!(epoch.len(), ROWS.div_ceil(BATCH));
        let mut all = epoch.concat();
        all.sort_unstable();
        assert_eq!(all, (0..ROWS as u32).collect::<Vec<_>>());
    }
}

#[test]
fn without_shuffling_the_order_is_that_of_the_rows() {
    let mut loader = described(2).shuffle(false).open().unwrap();
    for epoch in 0..2 {
        let all = rows(&mut loader, epoch, None).concat();
        assert_eq!(all, (0..ROWS as u32).collect::<Vec<_>>());
    }
}

#[test]
fn steps_cut_the_epoch_and_never_lengthen_it() {
    let mut loader = open(2);
    let whole = rows(&mut loader, 4, None);
    assert_eq!(rows(&mut loader, 4, Some(3)), whole[..3]);
    assert_eq!(rows(&mut loader, 4, Some(99)), whole);
    assert!(rows(&mut loader, 4, Some(0)).is_empty());
}

#[test]
fn an_epoch_that_is_taken_up_in_its_middle_goes_on_as_it_would_have() {
    for workers in [0, 1, 4] {
        let mut loader = open(workers);
        let whole = rows(&mut loader, 6, None);
        for first in 0..=whole.len() + 1 {
            for steps in [None, Some(3), Some(99)] {
                loader.start_at(6, first, steps);
                let mut rest = Vec::new();
                while let Some(batch) = loader.next_batch() {
                    rest.push(batch.unwrap().rows().to_vec());
                }
                let last = steps.unwrap_or(whole.len()).min(whole.len());
                assert_eq!(rest, whole[first.min(last)..last], "{workers}, {first}, {steps:?}");
            }
        }
    }
}

#[test]
fn the_fingerprint_of_a_loader_is_that_of_its_rows() {
    let images = || Array4::zeros((3, 1, 1, 3));
    let of = |labels| flow(InMemory::new(images(), labels, &["a", "b"]).unwrap()).open().unwrap();
    let first = of(vec![0, 1, 1]).fingerprint();
    assert_eq!(first, of(vec![0, 1, 1]).fingerprint());
    assert_ne!(first, of(vec![0, 1, 0]).fingerprint());
    let other = InMemory::new(images(), vec![0, 1, 1], &["a", "c"]).unwrap();
    assert_ne!(first, flow(other).open().unwrap().fingerprint());
    let weighed = |weights| {
        let dataset = InMemory::new(images(), vec![0, 1, 1], &["a", "b"]).unwrap();
        flow(dataset.sample_weight(weights).unwrap()).open().unwrap().fingerprint()
    };
    assert_ne!(first, weighed(vec![1.0; 3]));
    assert_ne!(weighed(vec![1.0, 2.0, 3.0]), weighed(vec![1.0, 3.0, 2.0]));
    let numbers = |targets: [[f32; 2]; 3]| {
        let dataset = InMemory::with_targets(images(), targets.to_vec().into()).unwrap();
        flow(dataset).open().unwrap().fingerprint()
    };
    let same = numbers([[0.0, 1.0], [2.0, 0.0], [3.0, 4.0]]);
    assert_eq!(same, numbers([[0.0, 1.0], [2.0, 0.0], [3.0, 4.0]]));
    assert_ne!(same, numbers([[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]]));
    assert_ne!(same, numbers([[0.0, 1.0], [2.0, 3.0], [0.0, 4.0]]));
}

#[test]
fn a_batch_larger_than_the_data_set_holds_all_of_it_and_an_impossible_one_is_refused() {
    let mut loader = described(2).batch_size(usize::MAX).open().unwrap();
    assert_eq!((loader.batches(), rows(&mut loader, 0, None)[0].len()), (1, ROWS));
    let error = described(2).prefetch(usize::MAX).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "batch_size", .. }), "{error}");
}

#[test]
fn images_and_targets_are_those_of_their_rows_and_a_short_batch_is_a_smaller_view() {
    let mut loader = open(3);
    let mut short = 0;
    loader.start(0, None);
    while let Some(batch) = loader.next_batch() {
        let batch = batch.unwrap();
        let n = batch.len();
        short += usize::from(n == ROWS % BATCH);
        assert_eq!(batch.images().dim(), (n, 4, 6, 3));
        assert_eq!(batch.targets().dim(), (n, 3));
        assert!(batch.images().as_slice().is_some() && batch.targets().as_slice().is_some());
        for (i, &row) in batch.rows().iter().enumerate() {
            let image = batch.images();
            assert!(image.outer_iter().nth(i).unwrap().iter().all(|&v| v == row as f32));
            let target: Vec<f32> = batch.targets().row(i).to_vec();
            let one_hot = |class: u32| if class == row % 3 { 1.0 } else { 0.0 };
            assert_eq!(target, [one_hot(0), one_hot(1), one_hot(2)]);
        }
    }
    assert_eq!(short, 1);
}

#[test]
fn the_loader_says_what_it_holds() {
    let loader = open(1);
    assert_eq!((loader.len(), loader.batch_size(), loader.batches()), (ROWS, BATCH, 5));
    assert_eq!(loader.classes(), ["a", "b", "c"]);
    assert_eq!(loader.labels()[..4], [0, 1, 2, 0]);
    assert_eq!(loader.image_shape(), [4, 6, 3]);
    assert_eq!(loader.found().to_string(), "Found 23 images belonging to 3 classes.");
}

#[test]
fn nothing_comes_before_the_start_or_after_the_end() {
    let mut loader = open(2);
    assert!(loader.next_batch().is_none());
    rows(&mut loader, 0, None);
    assert!(loader.next_batch().is_none() && loader.next_batch().is_none());
}

#[test]
fn an_epoch_that_is_given_up_leaves_no_trace_in_the_next() {
    for workers in [0, 1, 8] {
        let mut loader = open(workers);
        let whole = rows(&mut loader, 1, None);
        loader.start(0, None);
        loader.next_batch().unwrap().unwrap();
        assert_eq!(rows(&mut loader, 1, None), whole);
        loader.start(0, None);
        assert_eq!(rows(&mut loader, 1, None), whole);
    }
}

/// The same images, but reading takes its time, fails or panics.
struct Odd {
    images: InMemory,
    bad: Option<usize>,
    panics: bool,
}

impl Dataset for Odd {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> [usize; 3] {
        self.images.size()
    }

    fn classes(&self) -> &[String] {
        self.images.classes()
    }

    fn labels(&self) -> &[u32] {
        self.images.labels()
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        // Rows differ in how long they take, so that batches are finished out of order.
        std::thread::sleep(Duration::from_millis(index as u64 % 4));
        if Some(index) == self.bad {
            assert!(!self.panics, "row {index} is odd");
            return Err(Error::Argument { argument: "row", found: index.to_string(), remedy: "" });
        }
        self.images.read(index, into)
    }
}

fn odd(bad: Option<usize>, panics: bool, workers: usize) -> DataLoader {
    let images = numbered();
    let odd = Odd { images, bad, panics };
    flow(odd).batch_size(BATCH).shuffle(false).workers(workers).open().unwrap()
}

#[test]
fn batches_come_in_order_though_workers_finish_out_of_order() {
    let whole = (0..ROWS as u32).collect::<Vec<_>>();
    assert_eq!(rows(&mut odd(None, false, 8), 0, None).concat(), whole);
}

#[test]
fn a_loader_dropped_in_mid_epoch_ends_its_workers() {
    for workers in [1, 8] {
        let mut loader = odd(None, false, workers);
        loader.start(0, None);
        drop(loader);
        let mut loader = odd(None, false, workers);
        loader.start(0, None);
        loader.next_batch().unwrap().unwrap();
        drop(loader);
        drop(odd(None, false, workers));
    }
}

#[test]
fn a_bad_row_is_an_error_in_its_turn_and_ends_the_epoch() {
    for workers in [0, 1, 8] {
        let mut loader = odd(Some(11), false, workers);
        for _ in 0..2 {
            loader.start(0, None);
            assert_eq!(loader.next_batch().unwrap().unwrap().rows(), [0, 1, 2, 3, 4]);
            assert_eq!(loader.next_batch().unwrap().unwrap().rows(), [5, 6, 7, 8, 9]);
            let outcome = loader.next_batch().unwrap().map(|_| ());
            let Err(Error::Argument { found, .. }) = outcome else {
                panic!("row 11 cannot be read")
            };
            assert_eq!(found, "11");
            assert!(loader.next_batch().is_none());
        }
    }
}

#[test]
fn a_panic_in_a_worker_reaches_the_caller() {
    for workers in [0, 1, 8] {
        let mut loader = odd(Some(7), true, workers);
        loader.start(0, None);
        loader.next_batch().unwrap().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _ = loader.next_batch();
        }));
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "row 7 is odd");
        assert!(loader.next_batch().is_none());
    }
}

#[test]
fn a_loader_whose_panic_was_caught_starts_again() {
    let mut loader = odd(Some(7), true, 2);
    // Whoever gives an epoch up hears of the panic, if a worker came as far as that.
    let mut panics = (0..14).map(|n| {
        let again = catch_unwind(AssertUnwindSafe(|| loader.start(0, None)));
        std::thread::sleep(Duration::from_millis(1 << n));
        again.is_err()
    });
    assert!(panics.any(|panicked| panicked));
    assert!(loader.next_batch().is_none());
    assert_eq!(rows(&mut loader, 0, Some(1)), [[0, 1, 2, 3, 4]]);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let refused = |flow: Flow<InMemory>| match flow.open().map(|_| ()) {
        Err(Error::Argument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(described(1).batch_size(0)), "batch_size");
    let none = InMemory::new(Array4::zeros((0, 2, 2, 3)), vec![], &["a"]).unwrap();
    assert_eq!(refused(flow(none)), "dataset");
}

#[test]
fn a_loader_can_move_to_another_thread() {
    let mut loader = open(2);
    let thread = std::thread::spawn(move || rows(&mut loader, 0, None).concat().len());
    assert_eq!(thread.join().unwrap(), ROWS);
}
