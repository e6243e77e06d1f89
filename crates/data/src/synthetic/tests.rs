//! What the drawings promise: the same ones again, both classes alike in colour, whole files.

use super::{Class, Synthetic};
use crate::{Decoder, Error, Manifest};
use image::RgbImage;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn small() -> Synthetic {
    Synthetic::default().train(12).validation(6).size(40).seed(3)
}

/// The mean of each channel, from 0 to 255.
fn mean_colour(image: &RgbImage) -> [f64; 3] {
    let n = f64::from(image.width() * image.height());
    std::array::from_fn(|c| image.pixels().map(|p| f64::from(p[c])).sum::<f64>() / n)
}

fn square_distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    (0..3).map(|c| (a[c] - b[c]).powi(2)).sum()
}

/// Every file below the folder with its bytes, by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for part in ["", "train", "val"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                all.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_drawing_depends_on_seed_number_and_class_and_on_nothing_else() {
    let set = small();
    let cat = set.draw(5, Class::Cat);
    assert_eq!(cat, set.clone().train(99).draw(5, Class::Cat));
    assert_ne!(cat, set.draw(6, Class::Cat));
    assert_ne!(cat, set.draw(5, Class::Dog));
    assert_ne!(cat, set.seed(4).draw(5, Class::Cat));
}

#[test]
fn sides_lie_around_the_size_asked_for() {
    let sides: Vec<u32> = (0..40)
        .flat_map(|index| <[u32; 2]>::from(small().draw(index, Class::Cat).dimensions()))
        .collect();
    assert!(sides.iter().all(|side| (32..=50).contains(side)), "{sides:?}");
    assert!(sides.iter().collect::<BTreeSet<_>>().len() > 10, "{sides:?}");
}

/// The same scene with another animal has nearly the same colours: far more nearly so than
/// another scene.
#[test]
fn colours_belong_to_the_scene_and_not_to_the_class() {
    let of = |index, class| mean_colour(&small().draw(index, class));
    let (mut twin, mut other) = (0.0, 0.0);
    for index in 0..100 {
        let cat = of(index, Class::Cat);
        twin += square_distance(&cat, &of(index, Class::Dog));
        other += square_distance(&cat, &of(index + 1000, Class::Cat));
    }
    assert!(twin < 0.02 * other, "{twin} of {other}");
}

/// Mean colours of the classes from 400 drawings, tried on 400 others. A guess is right 200 ± 10
/// times, so four standard deviations are allowed.
#[test]
fn the_nearest_mean_colour_says_nothing_about_the_class() {
    let class = |n: u32| Class::ALL[n as usize % 2];
    let colour = |n: u32| mean_colour(&small().draw(n, class(n)));
    let mut centres = [[0.0; 3]; 2];
    for n in 0..400 {
        let (centre, colour) = (&mut centres[n as usize % 2], colour(n));
        *centre = std::array::from_fn(|c| centre[c] + colour[c] / 200.0);
    }
    let right = (400..800).filter(|&n| {
        let [cat, dog] = centres.map(|centre| square_distance(&centre, &colour(n)));
        (dog < cat) == (class(n) == Class::Dog)
    });
    let right = right.count();
    assert!((160..=240).contains(&right), "{right} of 400");
}

#[test]
fn the_manifests_list_every_file_once_and_all_of_them_decode() {
    let folder = tempfile::tempdir().unwrap();
    let written = small().write(folder.path()).unwrap();
    assert_eq!(written.drawn, 18);
    let mut decoder = Decoder::default();
    for (path, part, images) in [(written.train, "train", 12), (written.validation, "val", 6)] {
        let manifest = Manifest::read(path).unwrap();
        let names: Vec<&str> = manifest.column("filename").unwrap().collect();
        let classes: Vec<&str> = manifest.column("category").unwrap().collect();
        assert_eq!(classes.iter().filter(|class| **class == "cat").count(), images / 2);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), images);
        assert_eq!(fs::read_dir(folder.path().join(part)).unwrap().count(), images);
        for (name, class) in names.iter().zip(classes) {
            assert!(name.starts_with(&format!("{part}/{class}.")), "{name} is a {class}");
            let (height, width, _) = decoder.read(folder.path().join(name)).unwrap().dim();
            assert!((32..=50).contains(&height) && (32..=50).contains(&width));
        }
        assert!(!names.is_sorted(), "the rows are shuffled: {names:?}");
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let [one, two] = [1, 3].map(|threads| {
        let folder = tempfile::tempdir().unwrap();
        small().write_with(folder.path(), threads).unwrap();
        contents(folder.path())
    });
    assert_eq!(one.len(), 12 + 6 + 3);
    assert!(one == two, "the files differ");
}

#[test]
fn a_set_that_is_there_is_not_drawn_again_unless_a_file_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    small().write(folder.path()).unwrap();
    let before = contents(folder.path());
    assert_eq!(small().write(folder.path()).unwrap().drawn, 0);
    fs::remove_file(folder.path().join("val/dog.1.jpg")).unwrap();
    assert_eq!(small().write(folder.path()).unwrap().drawn, 18);
    assert!(contents(folder.path()) == before, "the files differ");
}

#[test]
fn a_smaller_set_takes_the_place_of_a_larger_one() {
    let [replaced, fresh] = [true, false].map(|larger_first| {
        let folder = tempfile::tempdir().unwrap();
        if larger_first {
            small().train(20).write(folder.path()).unwrap();
        }
        small().write(folder.path()).unwrap();
        contents(folder.path())
    });
    assert!(replaced == fresh, "something of the larger set is left");
}

#[test]
fn what_was_not_drawn_here_is_never_touched() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("train")).unwrap();
    let photo = folder.path().join("train/cat.0.jpg");
    fs::write(&photo, "somebody's photo").unwrap();
    let error = small().write(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "folder", .. }), "{error}");
    assert_eq!(fs::read(photo).unwrap(), b"somebody's photo");
}

#[test]
fn what_cannot_be_drawn_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (set, name) in [
        (small().train(1), "train"),
        (small().validation(0), "validation"),
        (small().size(15), "size"),
    ] {
        let error = set.write(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Argument { argument, .. } if argument == name), "{error}");
    }
}
