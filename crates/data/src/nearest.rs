//! The name that was probably meant, for messages about one that does not exist.
//!
//! ```text
//! First        the same name in other letters: `Cat.JPG` for `cat.jpg`
//! Then         the same name with another ending: `cat.png` for `cat.jpg`
//! Then         the fewest letters inserted, left out or changed, at most a third of the name
//! Ties         the first in the order of the text, so that a message is the same every time
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The one of `candidates` that `name` was probably meant to be, if any is near.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let far = 1 + name.chars().count() / 3;
    let ranked = candidates.into_iter().filter_map(|candidate| {
        let rank = if candidate.to_lowercase() == name.to_lowercase() {
            (0, 0)
        } else if name.contains('.') && stem(candidate) == stem(name) {
            (1, 0)
        } else {
            (2, distance(name, candidate, far)?)
        };
        Some((rank, candidate))
    });
    ranked.min().map(|(_, candidate)| candidate)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// How many letters have to be inserted, left out or changed, if they are fewer than `far`.
/// (Levenshtein's distance, row by row)
fn distance(a: &str, b: &str, far: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    if a.chars().count().abs_diff(b.len()) >= far {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().filter(|&d| d < far)
}

/// Finds files that were probably meant, and remembers the folders it has looked into.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    folders: HashMap<PathBuf, Vec<String>>,
    asked: usize,
}

impl Neighbours {
    /// After so many missing files something else is wrong, and looking further costs seconds.
    const ANSWERS: usize = 50;

    /// The name of the file in the same folder that `path` was probably meant to be.
    pub(crate) fn nearest(&mut self, path: &Path) -> Option<String> {
        self.asked += 1;
        if self.asked > Self::ANSWERS {
            return None;
        }
        let folder = path.parent()?;
        let name = path.file_name()?.to_str()?;
        let names = self.folders.entry(folder.to_path_buf()).or_insert_with(|| files_in(folder));
        nearest(name, names.iter().map(String::as_str)).map(String::from)
    }
}

/// The names of the files in a folder; none if it cannot be read.
fn files_in(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| !entry.path().is_dir());
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_count_first_then_the_ending_then_the_distance() {
        let names = ["cat.jpeg", "Cat.jpg", "cab.jpg"];
        assert_eq!(nearest("cat.jpg", names), Some("Cat.jpg"));
        assert_eq!(nearest("cat.jpg", ["cab.jpg", "cat.jpeg"]), Some("cat.jpeg"));
        assert_eq!(nearest("cat.jpg", ["dog.jpg.old", "cart.jpg", "cab.jpg"]), Some("cab.jpg"));
        assert_eq!(nearest("catgory", ["filename", "category"]), Some("category"));
        assert_eq!(nearest("class", ["filename", "category"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn the_distance_is_levenshtein_s() {
        for (a, b, d) in
            [("kitten", "sitting", 3), ("", "ab", 2), ("flaw", "lawn", 2), ("ä", "a", 1)]
        {
            assert_eq!((distance(a, b, 9), distance(b, a, 9)), (Some(d), Some(d)), "{a} {b}");
            assert_eq!(distance(a, b, d), None);
        }
    }

    #[test]
    fn a_file_is_looked_for_in_its_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cat.1.jpg")).unwrap();
        fs::write(folder.path().join("cat.12.jpg"), "").unwrap();
        let mut neighbours = Neighbours::default();
        let meant = neighbours.nearest(&folder.path().join("cat.1.jpg"));
        assert_eq!(meant.as_deref(), Some("cat.12.jpg"));
        assert_eq!(neighbours.nearest(Path::new("no such folder/cat.1.jpg")), None);
    }
}
