//! A small patient for every finding.

use super::*;
use std::fs;
use tempfile::TempDir;

/// A photo-like drawing: another one for every number.
fn draw(number: u32, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let n = f64::from(number);
        let v = 127.0 + 60.0 * ((5.0 + n) * x + n * y).sin() + 50.0 * ((7.0 - n) * y * x + n).cos();
        image::Rgb([v as u8; 3])
    })
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(1, 40, 30).save(at("a.png")).unwrap();
    draw(2, 50, 20).save(at("b.png")).unwrap();
    draw(3, 60, 60).save(at("c.png")).unwrap();
    draw(3, 90, 90).save(at("c-large.png")).unwrap();
    draw(4, 30, 30).save_with_format(at("bmp.png"), image::ImageFormat::Bmp).unwrap();
    fs::copy(at("a.png"), at("a-copy.png")).unwrap();
    let bytes = fs::read(at("b.png")).unwrap();
    fs::write(at("cut.png"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at("empty.png"), "").unwrap();
    fs::write(at("notes.txt"), "no image").unwrap();
    folder
}

fn kinds(report: &Report) -> Vec<(u64, &'static str)> {
    report.findings.iter().map(|f| (f.place.line, f.kind.heading())).collect()
}

#[test]
fn a_healthy_set_has_no_findings_and_its_numbers_are_right() {
    let folder = folder();
    let rows = [["a.png", "x"], ["b.png", "y"], ["c.png", "y"]];
    let frame = Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let doctor = Doctor::new().y_col("class").part("train", &frame, folder.path());
    let report = doctor.examine().unwrap();
    assert_eq!((report.errors(), report.warnings()), (0, 0));
    let part = &report.parts[0];
    assert_eq!((part.rows, part.readable), (3, 3));
    assert_eq!(part.classes, [("x".to_string(), 1), ("y".to_string(), 2)]);
    let sizes = part.sizes.unwrap();
    assert_eq!((sizes.height, sizes.width), ([20, 30, 60], [40, 50, 60]));
    assert!(report.to_string().ends_with("nothing is wrong"), "{report}");
}

#[test]
fn every_fault_is_found_on_its_line_by_any_number_of_threads() {
    let folder = folder();
    let rows = [
        ["a.png", "x"],
        ["A.png", "x"],
        ["cut.png", "x"],
        ["empty.png", "x"],
        ["notes.txt", "x"],
        ["", "x"],
        ["b.png", ""],
        ["bmp.png", "x"],
        ["a-copy.png", "y"],
        ["a.png", "x"],
    ];
    let frame = Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let doctor = Doctor::new().y_col("class").part("train", &frame, folder.path());
    let report = doctor.clone().threads(1).examine().unwrap();
    let mut found = kinds(&report);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (3, "missing files"),
            (4, "images that cannot be decoded"),
            (5, "empty files"),
            (6, "files that are no images"),
            (6, "names that do not end like an image's (ignored)"),
            (7, "without a file name"),
            (8, "without a class"),
            (9, "content of another type than the name says"),
            (10, "the same bytes under two names"),
            (10, "the same file in two classes"),
            (11, "listed twice in one manifest"),
        ]
    );
    assert_eq!((report.errors(), report.warnings()), (7, 4));
    let text = report.to_string();
    assert!(text.contains("line 3, A.png: did you mean a.png?"), "{text}");
    assert!(text.contains("line 10, a-copy.png: \"y\" here, \"x\" in line 2, a.png"), "{text}");
    assert_eq!(doctor.threads(5).examine().unwrap(), report);
}

#[test]
fn a_file_that_leaks_into_validation_is_an_error_and_a_look_alike_a_warning() {
    let folder = folder();
    let read = |rows: &[[&str; 2]]| Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let train = read(&[["a.png", "x"], ["c.png", "y"], ["b.png", "y"]]);
    let val = read(&[["a-copy.png", "x"], ["c-large.png", "x"]]);
    let doctor = Doctor::new().y_col("class").part("train", &train, folder.path());
    let doctor = doctor.part("val", &val, folder.path()).near_duplicates(true);
    let report = doctor.examine().unwrap();
    let expected =
        [(2, "the same file in two manifests"), (3, "looks like a picture in another manifest")];
    assert_eq!(kinds(&report), expected);
    let text = report.to_string();
    assert!(text.contains("val line 2, a-copy.png: also train line 2, a.png"), "{text}");
    assert!(text.contains("val has no image of these classes of train: [\"y\"]"), "{text}");
    assert!(text.ends_with("1 error(s), 2 warning(s)"), "{text}");
}

#[test]
fn a_row_in_two_manifests_leaks_and_is_repeated_only_within_one() {
    let folder = folder();
    let read = |rows: &[&str]| Manifest::from_rows(&["filename"], rows.iter().map(|r| [r]));
    let train = read(&["a.png", "gone.png"]).unwrap();
    let val = read(&["a.png", "gone.png", "gone.png", "b.png"]).unwrap();
    let doctor = Doctor::new().part("train", &train, folder.path());
    let report = doctor.part("val", &val, folder.path()).examine().unwrap();
    let of = |heading: &str| {
        let findings = report.findings.iter().filter(|f| f.kind.heading() == heading);
        findings.map(|f| (f.place.part, f.place.line)).collect::<Vec<_>>()
    };
    assert_eq!(of("the same file in two manifests"), [(1, 2), (1, 3)]);
    assert_eq!(of("listed twice in one manifest"), [(1, 4)]);
}

#[test]
fn a_long_list_is_cut_unless_all_is_asked_for() {
    let folder = folder();
    let rows = (0..30).map(|n| [format!("none {n}.png")]);
    let frame = Manifest::from_rows(&["filename"], rows).unwrap();
    let report = Doctor::new().part("train", &frame, folder.path()).examine().unwrap();
    let lines = |text: String| text.lines().filter(|line| line.contains("line ")).count();
    assert_eq!((lines(report.to_string()), lines(format!("{report:#}"))), (10, 30));
    assert!(report.to_string().contains("and 20 more"));
    let error = Doctor::new().x_col("file").part("t", &frame, "").examine().unwrap_err();
    assert!(matches!(error, Error::Column { .. }), "{error}");
}
