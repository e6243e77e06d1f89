//! Images that cannot be read: before the first epoch, and when their turn comes.

use gradus_data::ndarray::Array4;
use gradus_data::{
    BadImages, DataLoader, Dataset, Error, Flow, FlowFromDataframe, InMemory, Manifest, Reason,
    Sample, flow, flow_from_dataframe,
};
use std::path::Path;
use tempfile::TempDir;

const N: usize = 20;
const BAD: [usize; 3] = [3, 4, 11];

/// Twenty images of one gray each, of which three are cut short.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..N {
        let path = folder.path().join(format!("{n}.png"));
        image::RgbImage::from_pixel(3, 2, image::Rgb([n as u8; 3])).save(&path).unwrap();
        if BAD.contains(&n) {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..40]).unwrap();
        }
    }
    folder
}

fn frame() -> Manifest {
    let rows = (0..N).map(|n| [format!("{n}.png"), ["cat", "dog"][n % 2].into()]);
    Manifest::from_rows(&["filename", "class"], rows).unwrap()
}

fn describe<'a>(frame: &'a Manifest, folder: &Path, rule: BadImages) -> FlowFromDataframe<'a> {
    flow_from_dataframe(frame, folder).target_size(2, 2).batch_size(6).seed(5).bad_images(rule)
}

/// Rows and grays of each batch of some epochs, and the problems as text.
fn run(loader: &mut DataLoader, epochs: u32) -> (Vec<Vec<(u32, f32)>>, Vec<String>) {
    let mut batches = Vec::new();
    for epoch in 0..epochs {
        loader.start(epoch, None);
        while let Some(batch) = loader.next_batch() {
            let batch = batch.unwrap();
            assert_eq!(batch.images().dim().0, batch.len());
            let grays =
                batch.images().outer_iter().map(|image| image[[0, 0, 0]]).collect::<Vec<_>>();
            batches.push(batch.rows().iter().copied().zip(grays).collect());
        }
    }
    (batches, loader.problems().iter().map(ToString::to_string).collect())
}

#[test]
fn skipped_images_are_missing_from_their_batches_and_are_counted() {
    let (folder, frame) = (folder(), frame());
    let mut alone = None;
    for workers in [0, 1, 4] {
        let flow = describe(&frame, folder.path(), BadImages::Skip).workers(workers);
        let mut loader = flow.open().unwrap();
        let (batches, problems) = run(&mut loader, 2);
        let mut rows: Vec<usize> = batches.concat().iter().map(|(row, _)| *row as usize).collect();
        rows.sort_unstable();
        let good = (0..N).filter(|n| !BAD.contains(n));
        assert_eq!(rows, good.flat_map(|n| [n, n]).collect::<Vec<_>>());
        assert!(batches.concat().iter().all(|(row, gray)| *row as f32 == *gray));
        let mut bad: Vec<(u32, u32)> = loader.problems().iter().map(|p| (p.row, p.times)).collect();
        bad.sort_unstable();
        assert_eq!(bad, [(3, 2), (4, 2), (11, 2)]);
        assert!(problems[0].contains("of the manifest)"), "{problems:?}");
        assert_eq!(alone.get_or_insert((batches.clone(), problems.clone())), &(batches, problems));
    }
}

#[test]
fn the_position_counts_batches_that_were_passed_over() {
    let (folder, frame) = (folder(), frame());
    let flow = describe(&frame, folder.path(), BadImages::Skip).batch_size(1).shuffle(false);
    let mut loader = flow.open().unwrap();
    loader.start(0, None);
    let mut positions = Vec::new();
    while let Some(batch) = loader.next_batch() {
        batch.unwrap();
        positions.push(loader.position());
    }
    let good = (0..N).filter(|n| !BAD.contains(n));
    assert_eq!(positions, good.map(|n| n + 1).collect::<Vec<_>>());
    loader.start_at(0, positions[3], None);
    assert_eq!(loader.position(), 6);
    assert_eq!(loader.next_batch().unwrap().unwrap().rows(), [6]);
}

#[test]
fn replaced_images_depend_on_seed_epoch_and_row_alone() {
    let (folder, frame) = (folder(), frame());
    let open =
        |workers, rule| describe(&frame, folder.path(), rule).workers(workers).open().unwrap();
    let (skipped, _) = run(&mut open(0, BadImages::Skip), 3);
    let whole = run(&mut open(0, BadImages::Replace), 3);
    for workers in [1, 4] {
        assert_eq!(run(&mut open(workers, BadImages::Replace), 3), whole);
    }
    assert_eq!(whole.0.concat().len(), 3 * N);
    assert!(whole.0.concat().iter().all(|(row, gray)| *row as f32 == *gray));
    for (batch, without) in whole.0.iter().zip(&skipped) {
        assert!(without.iter().all(|item| batch.contains(item)));
    }
    // Resumed in the middle, the same rows stand in.
    let mut loader = open(2, BadImages::Replace);
    loader.start_at(2, 1, None);
    let rows: Vec<u32> = loader.next_batch().unwrap().unwrap().rows().to_vec();
    let batches = whole.0.len() / 3;
    let expected: Vec<u32> = whole.0[2 * batches + 1].iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, expected);
}

#[test]
fn verified_rows_are_those_of_a_data_set_without_the_bad_ones() {
    let (folder, frame) = (folder(), frame());
    let clean = (0..N).filter(|n| !BAD.contains(n));
    let rows = clean.map(|n| [format!("{n}.png"), ["cat", "dog"][n % 2].to_string()]);
    let clean = Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let expected = run(&mut describe(&clean, folder.path(), BadImages::Stop).open().unwrap(), 2);
    for rule in [BadImages::Skip, BadImages::Replace] {
        let flow = describe(&frame, folder.path(), rule).verify(true);
        let mut loader = flow.open().unwrap();
        assert_eq!(run(&mut loader, 2), expected);
        let found = loader.found();
        assert_eq!((found.images, found.ignored.len(), loader.labels().len()), (17, 3, 17));
        assert!(
            matches!(&found.ignored[0].reason, Reason::Bad(why) if why.contains("3.png (line 5"))
        );
        assert!(found.to_string().starts_with("Found 3 image(s) that cannot be read."));
    }
    let flow = describe(&frame, folder.path(), BadImages::Stop).verify(true);
    let error = flow.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Image { line: Some(5), .. }), "{error}");
}

#[test]
fn a_file_that_vanishes_in_mid_epoch_follows_the_rule() {
    for (rule, left) in
        [(BadImages::Skip, Some(N - 1)), (BadImages::Replace, Some(N)), (BadImages::Stop, None)]
    {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..N {
            let path = folder.path().join(format!("{n}.png"));
            image::RgbImage::from_pixel(3, 2, image::Rgb([n as u8; 3])).save(&path).unwrap();
        }
        let frame = frame();
        let flow = describe(&frame, folder.path(), rule).shuffle(false).workers(0);
        let mut loader = flow.verify(true).open().unwrap();
        loader.start(0, None);
        let mut seen = loader.next_batch().unwrap().unwrap().len();
        std::fs::remove_file(folder.path().join("19.png")).unwrap();
        let outcome: Result<(), Error> =
            std::iter::from_fn(|| loader.next_batch().map(|batch| batch.map(|b| seen += b.len())))
                .collect();
        match left {
            Some(left) => {
                assert_eq!((outcome.is_ok(), seen, loader.problems().len()), (true, left, 1))
            }
            None => assert!(matches!(outcome, Err(Error::Io { .. }))),
        }
    }
}

#[test]
fn what_stands_in_is_saved_under_the_name_of_what_it_stands_in_for() {
    let (folder, frame) = (folder(), frame());
    let saved = tempfile::tempdir().unwrap();
    let flow = describe(&frame, folder.path(), BadImages::Replace).save_to_dir(saved.path());
    run(&mut flow.open().unwrap(), 1);
    let name = |row: usize| saved.path().join(format!("_{row}_0.png"));
    assert!((0..N).all(|row| name(row).is_file()));
    assert_eq!(std::fs::read_dir(saved.path()).unwrap().count(), N);
}

/// Every image is bad from the start, and says so in one way or another.
struct Bad {
    images: InMemory,
    panics: bool,
}

impl Dataset for Bad {
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
        if self.panics && index.is_multiple_of(2) {
            panic!("image {index} is too much");
        }
        if index < 6 {
            let found = index.to_string();
            return Err(Error::Argument { argument: "row", found, remedy: "" });
        }
        self.images.read(index, into)
    }
}

fn bad(n: usize, panics: bool) -> Flow<Bad> {
    let images = InMemory::new(Array4::zeros((n, 1, 1, 1)), vec![0; n], &["a"]).unwrap();
    flow(Bad { images, panics }).batch_size(3).shuffle(false).workers(2)
}

#[test]
fn a_batch_without_any_image_left_is_passed_over() {
    let mut loader = bad(9, false).bad_images(BadImages::Skip).open().unwrap();
    loader.start(0, None);
    assert_eq!(loader.next_batch().unwrap().unwrap().rows(), [6, 7, 8]);
    assert!(loader.next_batch().is_none());
    assert_eq!(loader.problems().len(), 6);
}

#[test]
fn where_nothing_can_stand_in_the_image_is_an_error() {
    let mut loader = bad(6, false).bad_images(BadImages::Replace).open().unwrap();
    loader.start(0, None);
    assert!(loader.next_batch().unwrap().is_err());
    assert!(loader.next_batch().is_none());
    let refused = bad(6, false).bad_images(BadImages::Skip).verify(true).open();
    assert!(matches!(refused, Err(Error::Argument { argument: "row", .. })));
}

#[test]
fn a_decoder_that_panics_is_a_bad_image_to_those_who_skip() {
    let mut loader = bad(9, true).bad_images(BadImages::Skip).open().unwrap();
    loader.start(0, None);
    assert_eq!(loader.next_batch().unwrap().unwrap().rows(), [7]);
    let panicked = loader.problems().iter().filter(|p| p.reason.contains("is too much")).count();
    assert_eq!(panicked, 5);
}
