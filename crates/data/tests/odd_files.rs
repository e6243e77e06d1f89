//! Real files that are odd: each is read as Pillow reads it, or refused with a reason.

use gradus_data::{Decoder, Error, Manifest, flow_from_dataframe};
use gradus_testing::test_data;
use std::path::PathBuf;

/// Beginnings of the names of files that are refused: a GIF (for which no decoder is built in), two
/// that are no images, two cut short, one of lossless JPEG, and one whose few bytes declare much.
/// Pillow refuses them too, but for the GIF.
const REFUSED: [&str; 7] = ["01", "05", "06", "26", "27", "28", "32"];

/// Height and width of some that are read though something about them is odd.
const READ: [(&str, [usize; 2]); 9] = [
    ("02", [150, 200]),   // a PNG with alpha, named .jpg
    ("16", [64, 64]),     // gray
    ("18", [1538, 2048]), // progressive
    ("20", [600, 450]),   // EXIF says to turn it
    ("22", [600, 450]),   // EXIF says to turn and mirror it
    ("24", [397, 600]),   // CMYK
    ("30", [1, 1]),
    ("31", [1, 1000]),
    ("33", [500, 500]), // EXIF is damaged
];

fn odd_files() -> Option<Vec<(String, PathBuf)>> {
    let folder = test_data("data/odd")?;
    let mut files: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    files.sort();
    assert_eq!(files.len(), 33);
    Some(files)
}

#[test]
fn odd_files_are_read_or_refused_as_pillow_does() {
    let Some(files) = odd_files() else { return };
    let mut decoder = Decoder::default();
    for (name, path) in files {
        let number = &name[..2];
        match decoder.read(&path) {
            Ok(image) => {
                assert!(!REFUSED.contains(&number), "{name}");
                let (height, width, channels) = image.dim();
                assert_eq!(channels, 3, "{name}");
                let size = READ.iter().find(|(n, _)| *n == number);
                assert!(size.is_none_or(|(_, s)| *s == [height, width]), "{name}");
            }
            Err(Error::Image { path: named, .. }) => {
                assert!(REFUSED.contains(&number), "{name}");
                assert_eq!(named, path);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn an_odd_file_that_is_refused_is_named_with_its_line() {
    let Some(files) = odd_files() else { return };
    let rows: Vec<[&str; 2]> = ["02", "26"]
        .iter()
        .map(|n| files.iter().find(|(name, _)| name.starts_with(n)).unwrap())
        .map(|(_, path)| [path.to_str().unwrap(), "cat"])
        .collect();
    let frame = Manifest::from_rows(&["filename", "class"], &rows).unwrap();
    let mut loader = flow_from_dataframe(&frame, "").shuffle(false).open().unwrap();
    loader.start(0, None);
    let error = loader.next_batch().unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Image { line: Some(3), .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("26-truncated") && text.contains("line 3"), "{text}");
}
