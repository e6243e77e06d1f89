//! The targets, weights and subsets of a manifest, by Keras's arguments.

use gradus_data::ndarray::{Array2, Array4, ArrayView3};
use gradus_data::{ClassMode, DataLoader, Error, FlowFromDataframe, InMemory, Manifest, Reason};
use gradus_data::{Subset, flow, flow_from_dataframe};
use std::path::Path;
use tempfile::TempDir;

/// `a.png`, `b.png` … `f.png`, each of one gray: 10, 20 … 60.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, gray) in ["a", "b", "c", "d", "e", "f"].iter().zip((1u8..).map(|n| n * 10)) {
        let image = image::RgbImage::from_pixel(3, 2, image::Rgb([gray; 3]));
        image.save(folder.path().join(format!("{name}.png"))).unwrap();
    }
    folder
}

fn frame() -> Manifest {
    let rows = [
        ["a.png", "cat", "cat|in", "0.5", "1"],
        ["b.png", "dog", "dog", "1", "2"],
        ["c.png", "cat", " cat |dog", "2", "-3e-1"],
        ["d.png", "cat", "in", "0", "4"],
        ["e.png", "dog", "out|dog", "1.5", "5"],
        ["f.png", "dog", "out", "1", "6"],
    ];
    Manifest::from_rows(&["filename", "class", "tags", "weight", "age"], rows).unwrap()
}

fn describe<'a>(frame: &'a Manifest, folder: &Path) -> FlowFromDataframe<'a> {
    flow_from_dataframe(frame, folder).target_size(1, 2).shuffle(false).workers(0)
}

/// The targets of the first batch, row by row.
fn targets(loader: &mut DataLoader) -> Vec<Vec<f32>> {
    loader.start(0, None);
    let batch = loader.next_batch().unwrap().unwrap();
    batch.targets().outer_iter().map(|t| t.to_vec()).collect()
}

#[test]
fn binary_and_sparse_targets_are_the_index_of_the_class() {
    let (folder, frame) = (folder(), frame());
    for mode in [ClassMode::Binary, ClassMode::Sparse] {
        let mut loader = describe(&frame, folder.path()).class_mode(mode).open().unwrap();
        assert_eq!(targets(&mut loader).concat(), [0.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(loader.labels(), [0, 1, 0, 0, 1, 1]);
        assert_eq!(
            loader.found().to_string(),
            "Found 6 validated image filenames belonging to 2 classes."
        );
    }
}

#[test]
fn a_cell_of_several_classes_becomes_several_ones() {
    let (folder, frame) = (folder(), frame());
    let tags = || describe(&frame, folder.path()).y_col("tags").label_separator('|');
    let mut loader = tags().open().unwrap();
    assert_eq!(loader.classes(), ["cat", "dog", "in", "out"]);
    assert_eq!(
        targets(&mut loader),
        [
            [1.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    );
    assert!(loader.labels().is_empty());
    // Classes that are not asked for leave the cell, and a row without any left goes.
    let mut loader = tags().classes(["out", "cat"]).open().unwrap();
    assert_eq!(targets(&mut loader), [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]);
    assert_eq!(loader.found().ignored[0].reason, Reason::Class("dog".into()));
}

#[test]
fn raw_targets_are_the_numbers_of_the_columns() {
    let (folder, frame) = (folder(), frame());
    let raw = || describe(&frame, folder.path()).class_mode(ClassMode::Raw);
    let mut loader = raw().y_col("age").open().unwrap();
    assert_eq!(targets(&mut loader).concat(), [1.0, 2.0, -0.3, 4.0, 5.0, 6.0]);
    assert_eq!(loader.found().to_string(), "Found 6 validated image filenames.");
    for mode in [ClassMode::Raw, ClassMode::MultiOutput] {
        let flow = raw().class_mode(mode).y_cols(["age", "weight"]);
        assert_eq!(targets(&mut flow.open().unwrap())[..2], [[1.0, 0.5], [2.0, 1.0]]);
    }
    let error = raw().y_col("tags").open().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Number { line: 2, found, .. } if found == "cat|in"), "{error}");
}

#[test]
fn the_input_as_target_is_what_the_network_sees_and_none_is_nothing() {
    let (folder, frame) = (folder(), frame());
    let flow = describe(&frame, folder.path()).class_mode(ClassMode::Input).transform(
        |_: gradus_data::Source<'_>,
         from: ArrayView3<'_, u8>,
         mut into: gradus_data::ndarray::ArrayViewMut3<'_, f32>| {
            into.zip_mut_with(&from, |y, &x| *y = f32::from(x) / 10.0);
        },
    );
    let all = targets(&mut flow.open().unwrap());
    assert_eq!(all[2], [3.0; 6]);
    let flow = describe(&frame, folder.path()).class_mode(ClassMode::None).classes(["x"]);
    let mut loader = flow.open().unwrap();
    assert_eq!(targets(&mut loader), vec![Vec::<f32>::new(); 6]);
    let text = loader.found().to_string();
    assert!(text.starts_with("`classes` will be ignored given the class_mode=\"None\""), "{text}");
}

#[test]
fn weights_come_with_their_images() {
    let (folder, frame) = (folder(), frame());
    let flow = describe(&frame, folder.path()).weight_col("weight").batch_size(4).shuffle(true);
    let mut loader = flow.open().unwrap();
    let weights = [0.5, 1.0, 2.0, 0.0, 1.5, 1.0];
    loader.start(3, None);
    let mut seen = 0;
    while let Some(batch) = loader.next_batch() {
        let batch = batch.unwrap();
        let expected: Vec<f32> = batch.rows().iter().map(|&row| weights[row as usize]).collect();
        assert_eq!(batch.weights().unwrap().to_vec(), expected);
        seen += expected.len();
    }
    assert_eq!(seen, 6);
    let mut loader = describe(&frame, folder.path()).open().unwrap();
    loader.start(0, None);
    assert!(loader.next_batch().unwrap().unwrap().weights().is_none());
    let error = describe(&frame, folder.path()).weight_col("tags").open().map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("line 2: \"cat|in\" in tags is no finite number"),
        "{error}"
    );
}

#[test]
fn a_subset_is_taken_after_the_names_and_the_classes_and_knows_all_classes() {
    let folder = folder();
    let rows = [
        ["gone.png", "cat"],
        ["a.png", "cat"],
        ["b.png", "fox"],
        ["c.png", "cat"],
        ["d.png", "dog"],
        ["e.png", "dog"],
        ["f.png", "dog"],
    ];
    let frame = Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let open = |subset| {
        let flow = describe(&frame, folder.path()).classes(["cat", "dog"]);
        flow.validation_split(0.5).subset(subset).open().unwrap()
    };
    let mut validation = open(Subset::Validation);
    assert_eq!(targets(&mut validation), [[1.0, 0.0], [1.0, 0.0]]);
    let text = validation.found().to_string();
    assert!(text.contains("All 2 images of the validation subset are of class \"cat\""), "{text}");
    let mut training = open(Subset::Training);
    assert_eq!(targets(&mut training), [[0.0, 1.0]; 3]);
    let flow = describe(&frame, folder.path()).subset(Subset::Training);
    let error = flow.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "validation_split", .. }), "{error}");
}

#[test]
fn arguments_that_do_not_belong_together_are_refused() {
    let (folder, frame) = (folder(), frame());
    let refused = |flow: FlowFromDataframe<'_>| match flow.open().map(|_| ()) {
        Err(Error::Argument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    let describe = || describe(&frame, folder.path());
    assert_eq!(refused(describe().y_col("tags").class_mode(ClassMode::Binary)), "class_mode");
    assert_eq!(refused(describe().y_cols(["class", "tags"])), "y_col");
    assert_eq!(refused(describe().y_col("age").class_mode(ClassMode::MultiOutput)), "y_col");
    let separated = describe().label_separator('|').class_mode(ClassMode::Sparse);
    assert_eq!(refused(separated), "label_separator");
}

#[test]
fn arrays_have_the_same_options() {
    let images = Array4::from_shape_fn((5, 1, 1, 1), |(n, ..)| n as u8);
    let targets_of = Array2::from_shape_fn((5, 2), |(n, k)| (10 * n + k) as f32);
    let dataset = InMemory::with_targets(images, targets_of).unwrap();
    let dataset = dataset.sample_weight(vec![0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
    let flow = flow(dataset).shuffle(false).workers(0).validation_split(0.5);
    let mut loader = flow.subset(Subset::Training).open().unwrap();
    assert_eq!(loader.found().to_string(), "Found 3 images.");
    assert_eq!(targets(&mut loader), [[20.0, 21.0], [30.0, 31.0], [40.0, 41.0]]);
    loader.start(0, None);
    let batch = loader.next_batch().unwrap().unwrap();
    assert_eq!(batch.weights().unwrap().to_vec(), [2.0, 3.0, 4.0]);
    assert_eq!(batch.images()[[0, 0, 0, 0]], 2.0);
}

#[test]
fn images_are_saved_as_the_network_sees_them_under_the_same_names_each_time() {
    let (folder, frame) = (folder(), frame());
    let names = |workers, format| {
        let saved = tempfile::tempdir().unwrap();
        let to = saved.path().join("augmented");
        let flow = describe(&frame, folder.path()).shuffle(true).batch_size(4).workers(workers);
        let flow = flow.save_to_dir(&to).save_prefix("aug").save_format(format);
        let mut loader = flow.open().unwrap();
        loader.start(7, None);
        while let Some(batch) = loader.next_batch() {
            batch.unwrap();
        }
        let entries = std::fs::read_dir(to).unwrap().map(|e| e.unwrap());
        let mut names: Vec<String> = entries
            .inspect(|e| assert_eq!(image::image_dimensions(e.path()).unwrap(), (2, 1)))
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let expected: Vec<String> = (0..6).map(|row| format!("aug_{row}_7.png")).collect();
    assert_eq!(names(0, gradus_data::SaveFormat::Png), expected);
    assert_eq!(names(3, gradus_data::SaveFormat::Png), expected);
    assert_eq!(names(1, gradus_data::SaveFormat::Jpeg)[0], "aug_0_7.jpeg");
}

#[test]
fn images_that_the_format_cannot_hold_are_refused() {
    let saved = tempfile::tempdir().unwrap();
    for (channels, format) in
        [(4, gradus_data::SaveFormat::Jpeg), (2, gradus_data::SaveFormat::Png)]
    {
        let images = Array4::zeros((2, 1, 1, channels));
        let dataset = InMemory::new(images, vec![0, 0], &["a"]).unwrap();
        let error = flow(dataset).save_to_dir(saved.path()).save_format(format).open();
        assert!(matches!(error, Err(Error::Argument { argument: "save_format", .. })));
    }
}

#[test]
fn arrays_of_floats_flow_as_those_of_bytes_do() {
    use gradus_data::ndarray::{Array4, ArrayView3, ArrayViewMut3};
    use gradus_data::{Cache, InMemory, Source, flow};
    let floats = Array4::from_shape_fn((5, 2, 2, 1), |(i, r, c, _)| (40 * i + 9 * r + c) as f32);
    let open = |dataset: InMemory| {
        let dataset = dataset.class_mode(ClassMode::Input).unwrap();
        flow(dataset).batch_size(2).cache(Cache::Memory { limit_bytes: 1 << 20 }).open().unwrap()
    };
    let mut loaders = [
        open(InMemory::of_floats(&floats + 0.25)),
        open(InMemory::of_bytes(floats.mapv(|x| x as u8))),
    ];
    for epoch in 0..2 {
        loaders.iter_mut().for_each(|loader| loader.start(epoch, None));
        for _ in 0..3 {
            let [exact, whole] = loaders.each_mut().map(|loader| {
                let batch = loader.next_batch().unwrap().unwrap();
                (batch.images().to_owned(), batch.targets().to_owned())
            });
            assert_eq!(exact, (whole.0 + 0.25, whole.1 + 0.25));
        }
    }
    // A function takes bytes.
    let bytes = |_: Source<'_>, _: ArrayView3<'_, u8>, _: ArrayViewMut3<'_, f32>| {};
    let refused = flow(InMemory::of_floats(floats)).transform(bytes).open();
    assert!(matches!(refused, Err(Error::Argument { argument: "transform", .. })));
}
