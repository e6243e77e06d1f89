//! Both layouts, the split, strange files, and folders that cannot be used.

use super::{Counts, Prepare, Prepared, Skip, prepare};
use crate::{Error, Manifest, flow_from_dataframe};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these files, all of them pictures of one pixel.
fn images<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"P6 1 1 255 abc").unwrap();
    }
    folder
}

fn named(cats: usize, dogs: usize) -> Vec<String> {
    let numbered = |class, n| (0..n).map(move |i| format!("{class}.{i}.jpg"));
    numbered("cat", cats).chain(numbered("dog", dogs)).collect()
}

fn rows(manifest: &Path) -> Vec<(String, String)> {
    let manifest = Manifest::read(manifest).unwrap();
    let names = manifest.column("filename").unwrap().map(String::from);
    names.zip(manifest.column("category").unwrap().map(String::from)).collect()
}

fn both(prepared: &Prepared) -> [Vec<(String, String)>; 2] {
    [&prepared.train, &prepared.validation].map(|path| rows(path))
}

fn counts(class: &str, train: usize, validation: usize) -> Counts {
    Counts { class: class.into(), train, validation }
}

#[test]
fn the_split_is_by_class_and_every_image_is_listed_once() {
    let folder = images(named(20, 11));
    let prepared = prepare(folder.path(), &Prepare::default()).unwrap();
    assert_eq!(prepared.classes, [counts("cat", 16, 4), counts("dog", 9, 2)]);
    assert_eq!(prepared.train, folder.path().join("dogs_vs_cats-train.csv"));
    let [train, validation] = both(&prepared);
    assert_eq!((train.len(), validation.len()), (25, 6));
    let all: BTreeSet<String> = train.iter().chain(&validation).map(|row| row.0.clone()).collect();
    assert_eq!(all, named(20, 11).into_iter().collect());
    assert!(train.iter().all(|(name, class)| name.starts_with(&format!("{class}."))));
    assert!(!train.is_sorted_by_key(|row| &row.1), "the rows are shuffled");
}

#[test]
fn the_seed_decides_and_the_order_on_disk_does_not() {
    let split = |names: Vec<String>, seed| {
        let folder = images(names);
        let options = Prepare { seed, ..Prepare::default() };
        both(&prepare(folder.path(), &options).unwrap())
    };
    let backwards: Vec<String> = named(9, 9).into_iter().rev().collect();
    assert_eq!(split(named(9, 9), 1), split(backwards, 1));
    assert_ne!(split(named(9, 9), 1), split(named(9, 9), 2));
}

#[test]
fn folders_are_classes_where_names_have_none() {
    let folder = images(["cats/a.jpg", "cats/b.x.PNG", "dogs/a.jpg", "dogs/b.bmp", "stray.jpg"]);
    fs::write(folder.path().join("cats/Thumbs.db"), "x").unwrap();
    let prepared = prepare(folder.path(), &Prepare::default()).unwrap();
    assert_eq!(prepared.classes, [counts("cats", 1, 1), counts("dogs", 1, 1)]);
    let [train, validation] = both(&prepared);
    let all: BTreeSet<String> = train.into_iter().chain(validation).map(|row| row.0).collect();
    let expected = ["cats/a.jpg", "cats/b.x.PNG", "dogs/a.jpg", "dogs/b.bmp"];
    assert_eq!(all, expected.map(String::from).into());
    let skipped: Vec<String> = prepared.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "cats/Thumbs.db: its name does not end like that of an image",
            "stray.jpg: its name has no class in front, as cat.0.jpg has",
        ]
    );
}

#[test]
fn strange_things_are_reported_and_not_fatal() {
    let folder = images(named(3, 3).iter().map(String::as_str).chain([
        ".DS_Store",
        "._cat.0.jpg",
        "cat.mat",
        "photo.jpg",
        "test1/1.jpg",
    ]));
    fs::write(folder.path().join("cat.666.jpg"), "").unwrap();
    fs::write(folder.path().join("dog.667.jpg"), "<html>not found</html>").unwrap();
    fs::create_dir(folder.path().join("cat.9.jpg")).unwrap();
    let prepared = prepare(folder.path(), &Prepare::default()).unwrap();
    assert_eq!(prepared.classes, [counts("cat", 2, 1), counts("dog", 2, 1)]);
    let found: Vec<_> = prepared.skipped.iter().map(|s| (s.name.as_str(), s.reason)).collect();
    assert_eq!(
        found,
        [
            (".DS_Store", Skip::Hidden),
            ("._cat.0.jpg", Skip::Hidden),
            ("cat.666.jpg", Skip::Empty),
            ("cat.9.jpg", Skip::Folder),
            ("cat.mat", Skip::Ending),
            ("dog.667.jpg", Skip::NotAnImage),
            ("photo.jpg", Skip::NoClass),
            ("test1", Skip::Folder),
        ]
    );
    // Its own manifests are nothing strange the second time.
    assert_eq!(prepare(folder.path(), &Prepare::default()).unwrap(), prepared);
    let report = prepared.to_string();
    assert!(report.contains("cat: 2 to train, 1 to validate\n"), "{report}");
    assert!(report.contains("and 3 more\n"), "{report}");
}

#[test]
fn manifests_elsewhere_lead_back_to_the_images() {
    let root = images(named(4, 4).iter().map(|name| format!("images/{name}")));
    let options = Prepare {
        out: Some(root.path().join("lists/first")),
        name: "pets".into(),
        validation_split: 0.5,
        x_col: "photo".into(),
        y_col: "kind, said twice".into(),
        ..Prepare::default()
    };
    let prepared = prepare(root.path().join("images"), &options).unwrap();
    let out: PathBuf = root.path().join("lists/first");
    assert_eq!(prepared.validation, out.join("pets-val.csv"));
    let frame = Manifest::read(&prepared.train).unwrap();
    let flow = flow_from_dataframe(&frame, &out).x_col("photo").y_col("kind, said twice");
    let loader = flow.target_size(2, 2).open().unwrap();
    assert_eq!(loader.found().images, 4);
}

/// What the error says was found.
fn refused(folder: &Path, options: &Prepare, name: &str) -> String {
    match prepare(folder, options).unwrap_err() {
        Error::Argument { argument, found, .. } => {
            assert_eq!(argument, name);
            found
        }
        other => panic!("{other}"),
    }
}

#[test]
fn folders_from_which_nothing_can_be_learned_are_refused() {
    let default = Prepare::default();
    for (names, found) in [
        (vec![], "no image that can be used"),
        (vec!["notes.txt"], "(the first thing in it: notes.txt: its name does not end"),
        (vec!["cat.0.jpg", "cat.1.jpg"], "images of one class only, 2 of \"cat\""),
        (vec!["train/cat.0.jpg"], "images of one class only, 1 of \"train\""),
        (vec!["cat.0.jpg", "cat.1.jpg", "dog.0.jpg"], "a single image of class \"dog\""),
    ] {
        let folder = images(&names);
        let text = refused(folder.path(), &default, "folder");
        assert!(text.contains(found), "{names:?}: {text}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), names.len(), "nothing written");
    }
    let error = prepare("no such folder", &default).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn shares_and_names_that_make_no_sense_are_refused() {
    let folder = images(named(2, 2));
    for validation_split in [0.0, 1.0, -0.5, f64::NAN] {
        let options = Prepare { validation_split, ..Prepare::default() };
        refused(folder.path(), &options, "validation_split");
    }
    for (x_col, y_col) in [("same", "same"), ("", "label"), ("file", " ")] {
        let (x_col, y_col) = (x_col.into(), y_col.into());
        refused(folder.path(), &Prepare { x_col, y_col, ..Prepare::default() }, "x_col, y_col");
    }
    for name in ["", "a/b", ".."] {
        let options = Prepare { name: name.into(), ..Prepare::default() };
        refused(folder.path(), &options, "name");
    }
}
