//! Real files that are odd: each is read as Pillow reads it, or refused with a reason.
//!
//! What Pillow makes of them is in golden/odd.csv, which golden/odd.py writes: the verdict, the
//! size, and the mean colour of each of 8 x 8 parts. `docs/odd-files.md` says how far single pixels
//! are off.

use gradus_data::ndarray::{ArrayView3, Axis, s};
use gradus_data::{Decoder, Error, Manifest, flow_from_dataframe};
use gradus_testing::test_data;
use std::path::PathBuf;
use std::process::Command;

/// A damaged file that Pillow makes a scrambled picture of, without saying so. It is refused.
const SCRAMBLED: &str = "33-bad-exif-gray.jpg";

const CHILD: &str = "GRADUS_DATA_ODD_FILE";
const LIMIT_KB: u64 = 300 * 1024;

struct Odd {
    path: PathBuf,
    /// Width, height and the mean colours, where Pillow reads it.
    image: Option<([usize; 2], Vec<f64>)>,
}

fn odd_files() -> Option<Vec<Odd>> {
    let folder = test_data("data/odd")?;
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/odd.csv");
    let mut files = Vec::new();
    for row in csv::Reader::from_path(table).unwrap().records() {
        let row = row.unwrap();
        let size = || [2, 3].map(|i| row[i].parse().unwrap());
        let means = || row[4].split(' ').map(|v| v.parse().unwrap()).collect();
        let image = (&row[1] == "read").then(|| (size(), means()));
        files.push(Odd { path: folder.join(&row[0]), image });
    }
    assert_eq!(files.len(), 33);
    Some(files)
}

fn means(image: ArrayView3<'_, u8>) -> Vec<f64> {
    let (height, width, _) = image.dim();
    let part = |i: usize, n: usize| i * n / 8..(i * n / 8 + 1).max((i + 1) * n / 8);
    let mut means = Vec::new();
    for place in 0..64 {
        let (rows, columns) = (part(place / 8, height), part(place % 8, width));
        let cell = image.slice(s![rows, columns, ..]).mapv(f64::from);
        let mean = cell.mean_axis(Axis(0)).and_then(|m| m.mean_axis(Axis(0)));
        means.extend(mean.expect("a part has a pixel"));
    }
    means
}

#[test]
fn odd_files_are_read_or_refused_as_pillow_does() {
    let Some(files) = odd_files() else { return };
    let mut decoder = Decoder::default();
    for Odd { path, image } in files {
        let expected = image.filter(|_| !path.ends_with(SCRAMBLED));
        match (decoder.read(&path), expected) {
            (Ok(read), Some(([width, height], pillow))) => {
                assert_eq!(read.dim(), (height, width, 3), "{}", path.display());
                for (part, (a, b)) in means(read).iter().zip(&pillow).enumerate() {
                    assert!((a - b).abs() <= 0.01, "{}, {part}: {a} is not {b}", path.display());
                }
            }
            (Err(Error::Image { path: named, .. }), None) => assert_eq!(named, path),
            (Ok(_), None) => panic!("{} is read", path.display()),
            (Err(error), _) => panic!("{error}"),
        }
    }
}

/// Run by the next test, in a process of its own for each file.
#[test]
#[ignore = "reads the one file that its parent names"]
fn the_child_reads_one_file() {
    let path = std::env::var_os(CHILD).expect("the parent names a file");
    drop(Decoder::default().read(path));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak < LIMIT_KB, "{peak} kB");
}

#[test]
#[cfg(target_os = "linux")]
fn an_odd_file_takes_less_than_300_mb() {
    let Some(files) = odd_files() else { return };
    for Odd { path, .. } in files {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "the_child_reads_one_file"])
            .env(CHILD, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{}: {said}", path.display());
    }
}

#[test]
fn an_odd_file_that_is_refused_is_named_with_its_line() {
    let Some(files) = odd_files() else { return };
    let rows: Vec<[&str; 2]> = ["02", "26"]
        .iter()
        .map(|n| files.iter().find(|f| f.path.to_string_lossy().contains(&format!("/{n}-"))))
        .map(|file| [file.unwrap().path.to_str().unwrap(), "cat"])
        .collect();
    let frame = Manifest::from_rows(&["filename", "class"], &rows).unwrap();
    let mut loader = flow_from_dataframe(&frame, "").shuffle(false).open().unwrap();
    loader.start(0, None);
    let error = loader.next_batch().unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Image { line: Some(3), .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("26-truncated") && text.contains("line 3"), "{text}");
}
