//! Which rows of a manifest become images, in which classes, and what is said about the others.

use gradus_data::{DataLoader, Error, FlowFromDataframe, Manifest, Reason, flow_from_dataframe};
use std::path::Path;
use tempfile::TempDir;

/// A folder with small images of those names, each of one gray: 10, 20, 30 …
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, gray) in names.iter().zip((1u8..).map(|n| n * 10)) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = image::RgbImage::from_pixel(3, 2, image::Rgb([gray; 3]));
        image.save_with_format(path, image::ImageFormat::Png).unwrap();
    }
    folder
}

fn frame(rows: &[[&str; 2]]) -> Manifest {
    Manifest::from_rows(&["filename", "category"], rows).unwrap()
}

fn describe<'a>(frame: &'a Manifest, folder: &Path) -> FlowFromDataframe<'a> {
    let flow = flow_from_dataframe(frame, folder).y_col("category");
    flow.target_size(4, 4).shuffle(false).workers(0)
}

fn first_batch(loader: &mut DataLoader) -> (Vec<f32>, Vec<Vec<f32>>) {
    loader.start(0, None);
    let batch = loader.next_batch().unwrap().unwrap();
    let gray = |image: gradus_data::ndarray::ArrayView3<'_, f32>| image[[0, 0, 0]];
    let images = batch.images().outer_iter().map(gray).collect();
    (images, batch.targets().outer_iter().map(|t| t.to_vec()).collect())
}

#[test]
fn images_come_with_one_hot_targets_in_the_order_of_the_manifest() {
    let folder = folder(&["b.png", "a.jpg", "sub/c.JPG"]);
    let frame = frame(&[["b.png", "dog"], ["a.jpg", "cat"], ["sub/c.JPG", "dog"]]);
    let mut loader = describe(&frame, folder.path()).open().unwrap();
    assert_eq!(loader.classes(), ["cat", "dog"]);
    let (images, targets) = first_batch(&mut loader);
    assert_eq!(images, [10.0, 20.0, 30.0]);
    assert_eq!(targets, [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(
        loader.found().to_string(),
        "Found 3 validated image filenames belonging to 2 classes."
    );
}

#[test]
fn classes_are_sorted_as_text() {
    let folder = folder(&["a.png"]);
    let frame = frame(&[["a.png", "2"], ["a.png", "10"], ["a.png", "B"], ["a.png", "a"]]);
    let loader = describe(&frame, folder.path()).open().unwrap();
    assert_eq!(loader.classes(), ["10", "2", "B", "a"]);
    assert_eq!(loader.labels(), [1, 0, 2, 3]);
}

#[test]
fn names_that_are_no_image_files_are_ignored_and_reported() {
    let folder = folder(&["a.png", "b.gif", "d.png/e.png"]);
    let frame = frame(&[["a.png", "cat"], ["b.gif", "cat"], ["c.png", "bird"], ["d.png", "cat"]]);
    let loader = describe(&frame, folder.path()).open().unwrap();
    let ignored = &loader.found().ignored;
    let reasons: Vec<(Option<u64>, &str, &Reason)> =
        ignored.iter().map(|i| (i.line, i.filename.as_str(), &i.reason)).collect();
    let missing = Reason::NoFile { nearest: Some("a.png".into()) };
    assert_eq!(
        reasons,
        [
            (Some(3), "b.gif", &Reason::Extension),
            (Some(4), "c.png", &missing),
            (Some(5), "d.png", &missing),
        ]
    );
    // A class that only ignored rows have is no class.
    assert_eq!((loader.len(), loader.classes()), (1, &["cat".to_string()][..]));
}

#[test]
fn given_classes_keep_their_order_and_leave_other_rows_out() {
    let folder = folder(&["a.png"]);
    let frame = frame(&[["a.png", "cat"], ["a.png", "fox"], ["a.png", "dog"]]);
    let flow = describe(&frame, folder.path()).classes(["dog", "cat", "dog", "owl"]);
    let loader = flow.open().unwrap();
    assert_eq!(loader.classes(), ["dog", "cat", "owl"]);
    assert_eq!(loader.labels(), [1, 0]);
    assert_eq!(loader.found().ignored[0].reason, Reason::Class("fox".into()));
}

#[test]
fn without_validation_a_missing_file_is_an_error_in_its_turn() {
    let folder = folder(&["a.png"]);
    let frame = frame(&[["a.png", "cat"], ["gone.png", "cat"]]);
    let flow = describe(&frame, folder.path()).validate_filenames(false);
    let mut loader = flow.batch_size(1).open().unwrap();
    assert_eq!(
        loader.found().to_string(),
        "Found 2 non-validated image filenames belonging to 1 classes."
    );
    loader.start(0, None);
    assert!(loader.next_batch().unwrap().is_ok());
    let error = loader.next_batch().unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("gone.png")), "{error}");
}

#[test]
fn an_absolute_name_stands_for_itself() {
    let folder = folder(&["a.png"]);
    let path = folder.path().join("a.png");
    let frame = frame(&[[path.to_str().unwrap(), "cat"]]);
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(describe(&frame, elsewhere.path()).open().unwrap().len(), 1);
    assert_eq!(describe(&frame, Path::new("")).open().unwrap().len(), 1);
}

#[test]
fn a_damaged_image_is_named_with_its_path_and_line() {
    let folder = folder(&["a.png", "b.png"]);
    let path = folder.path().join("b.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let frame = frame(&[["a.png", "cat"], ["b.png", "cat"]]);
    for workers in [0, 2] {
        let mut loader = describe(&frame, folder.path()).workers(workers).open().unwrap();
        loader.start(0, None);
        let error = loader.next_batch().unwrap().map(|_| ()).unwrap_err();
        let Error::Image { path: named, line: Some(3), .. } = &error else { panic!("{error}") };
        assert_eq!(named, &path);
    }
}

#[test]
fn what_cannot_become_a_data_set_is_refused() {
    let folder = folder(&["a.png"]);
    let open = |frame: &Manifest| describe(frame, folder.path()).open().map(|_| ()).unwrap_err();

    let error = open(&frame(&[["gone.png", "cat"]]));
    assert!(matches!(error, Error::NoRows { rows: 1, .. }), "{error}");
    let error = open(&frame(&[]));
    assert!(matches!(error, Error::NoRows { rows: 0, .. }), "{error}");
    let error = open(&frame(&[["a.png", "cat"], ["a.png", ""]]));
    assert!(matches!(error, Error::Empty { line: 3, .. }), "{error}");

    let frame = frame(&[["a.png", "cat"]]);
    let error = flow_from_dataframe(&frame, folder.path()).open().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Column { column, .. } if column == "class"), "{error}");
    let flow = describe(&frame, folder.path()).target_size(0, 4);
    let error = flow.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "target_size", .. }), "{error}");
}
