//! Folders as classes, walked as Keras walks them.

use gradus_data::ndarray::ArrayView3;
use gradus_data::{ClassMode, DataLoader, Error, Subset, flow_from_directory};
use std::path::Path;
use tempfile::TempDir;

/// Images of one gray each, 1, 2, 3 … in the order in which Keras 3.15 lists them, which is that of
/// whole paths as text: `-` comes before `/`.
const NAMES: [&str; 8] = [
    "cats/B.png",
    "cats/a.png",
    "cats/z.JPG",
    "cats/kittens/b.png",
    "cats/kittens-x/a.png",
    "cats/kittens/sub/a.png",
    "dogs/a.png",
    "dogs/b.png",
];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, gray) in NAMES.iter().zip(1u8..) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = image::RgbImage::from_pixel(2, 2, image::Rgb([gray; 3]));
        image.save_with_format(path, image::ImageFormat::Png).unwrap();
    }
    std::fs::write(folder.path().join("dogs/notes.txt"), "").unwrap();
    std::fs::write(folder.path().join("stray.png"), "").unwrap();
    folder
}

fn first_batch(loader: &mut DataLoader) -> (Vec<f32>, Vec<f32>) {
    loader.start(0, None);
    let batch = loader.next_batch().unwrap().unwrap();
    let gray = |image: ArrayView3<'_, f32>| image[[0, 0, 0]];
    let images = batch.images().outer_iter().map(gray).collect();
    (images, batch.targets().iter().copied().collect())
}

fn describe(folder: &Path) -> gradus_data::FlowFromDirectory {
    flow_from_directory(folder).target_size(2, 2).shuffle(false).workers(0)
}

#[test]
fn folders_are_classes_and_files_come_in_the_order_of_keras() {
    let folder = folder();
    let mut loader = describe(folder.path()).class_mode(ClassMode::Sparse).open().unwrap();
    assert_eq!(loader.found().to_string(), "Found 8 images belonging to 2 classes.");
    assert_eq!(loader.classes(), ["cats", "dogs"]);
    let (images, targets) = first_batch(&mut loader);
    assert_eq!(images, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!(targets, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn the_subsets_are_taken_within_each_class() {
    let folder = folder();
    let open = |subset| describe(folder.path()).validation_split(0.5).subset(subset).open();
    let (images, _) = first_batch(&mut open(Subset::Validation).unwrap());
    assert_eq!(images, [1.0, 2.0, 3.0, 7.0]);
    let (images, targets) = first_batch(&mut open(Subset::Training).unwrap());
    assert_eq!(images, [4.0, 5.0, 6.0, 8.0]);
    assert_eq!(targets, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn given_classes_choose_the_folders_and_their_order() {
    let folder = folder();
    let mut loader = describe(folder.path()).classes(["dogs", "cats", "dogs"]).open().unwrap();
    assert_eq!(first_batch(&mut loader).0, [7.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let error = describe(folder.path()).classes(["owls"]).open().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("owls")), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_is_followed_only_when_asked() {
    let folder = folder();
    let link = folder.path().join("dogs/more");
    std::os::unix::fs::symlink(folder.path().join("cats/kittens"), link).unwrap();
    let open = |follow| describe(folder.path()).follow_links(follow).open().unwrap();
    assert_eq!((open(false).len(), open(true).len()), (8, 10));
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_a_circle_are_followed_once() {
    let folder = folder();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(name)).unwrap();
    };
    link("dogs", "dogs/self");
    link("cats/kittens", "dogs/more");
    link("dogs", "cats/kittens/dogs");
    // Dogs hold two, and the two kittens; cats hold six, and the dogs among the kittens.
    let loader = describe(folder.path()).follow_links(true).open().unwrap();
    assert_eq!(loader.labels().iter().filter(|&&label| label == 1).count(), 4);
    assert_eq!(loader.len(), 4 + 8);
}

#[test]
fn the_fingerprint_knows_folders_but_not_where_they_lie() {
    let (one, two) = (folder(), folder());
    let of = |folder: &TempDir| {
        let flow = describe(folder.path()).class_mode(ClassMode::None);
        flow.open().unwrap().fingerprint()
    };
    assert_eq!(of(&one), of(&two));
    std::fs::rename(two.path().join("cats/B.png"), two.path().join("cats/kittens/B.png")).unwrap();
    assert_ne!(of(&one), of(&two));
}

#[test]
fn an_empty_list_of_classes_stands_for_all() {
    let folder = folder();
    let loader = describe(folder.path()).classes::<String>([]).open().unwrap();
    assert_eq!(loader.classes(), ["cats", "dogs"]);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_ignored_and_reported() {
    let folder = folder();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dogs/aa.png")).unwrap();
    let loader = describe(folder.path()).open().unwrap();
    let text = loader.found().to_string();
    assert!(text.starts_with("Found 1 invalid image filename(s). These"), "{text}");
    assert!(text.contains("dogs/aa.png: there is no such file"), "{text}");
    assert_eq!(loader.len(), 8);
}

#[test]
fn what_holds_no_images_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = describe(empty.path()).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "directory", .. }), "{error}");
    let error = describe(&empty.path().join("gone")).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let folder = folder();
    let error = describe(folder.path()).class_mode(ClassMode::Raw).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "class_mode", .. }), "{error}");
}

#[test]
fn a_gif_is_an_image_where_its_ending_is_asked_for() {
    let folder = folder();
    // The smallest GIF: one white pixel.
    let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0".to_vec();
    gif.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;");
    std::fs::write(folder.path().join("dogs/c.GIF"), gif).unwrap();
    assert_eq!(describe(folder.path()).open().unwrap().len(), 8, "Keras knows no gif");
    let mut loader = describe(folder.path()).extensions(["PNG", ".gif"]).open().unwrap();
    let (images, _) = first_batch(&mut loader);
    assert_eq!(images, [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 255.0]);

    let rows = [["dogs/c.GIF", "dog"], ["dogs/a.png", "dog"]];
    let frame = gradus_data::Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let open = || gradus_data::flow_from_dataframe(&frame, folder.path());
    assert_eq!(open().open().unwrap().found().ignored.len(), 1);
    assert_eq!(open().extensions(["png", "gif"]).open().unwrap().len(), 2);
}
