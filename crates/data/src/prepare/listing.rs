//! What is in a folder: images by class, and the rest with a reason.

use crate::Error;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Endings of the formats that can be decoded, of those that Keras accepts.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "ppm"];

/// Something in the folder that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name, relative to the folder; what is not UTF-8 in it is shown as �.
    pub name: String,
    /// Why.
    pub reason: Skip,
}

/// Why a file or folder is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// A file whose name does not end like that of an image.
    Ending,
    /// A hidden file or folder: its name begins with a dot.
    Hidden,
    /// A name that is not UTF-8, which no manifest can hold.
    NotUtf8,
    /// An image with no class in its name, and in no folder of a class.
    NoClass,
    /// A file of no bytes.
    Empty,
    /// The content is of no format that can be decoded, whatever the name says.
    NotAnImage,
    /// A file that cannot be opened.
    Unreadable,
    /// A folder with no image directly in it.
    NoImages,
    /// A folder inside that of a class, or beside images that bear their class in their names.
    Folder,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ending => "its name does not end like that of an image",
            Self::Hidden => "it is hidden",
            Self::NotUtf8 => "its name is not UTF-8",
            Self::NoClass => "its name has no class in front, as cat.0.jpg has",
            Self::Empty => "the file is empty",
            Self::NotAnImage => "its content is no image that can be decoded",
            Self::Unreadable => "it cannot be opened",
            Self::NoImages => "no image lies in this folder",
            Self::Folder => "it is a folder among images",
        })
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// Images by class, and what is not used. Names are relative to the folder, with `/` in between.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sorted by class, and by name within it.
    pub(super) classes: BTreeMap<String, Vec<String>>,
    /// Sorted by name.
    pub(super) skipped: Vec<Skipped>,
}

impl Listing {
    fn skip(&mut self, name: String, reason: Skip) {
        self.skipped.push(Skipped { name, reason });
    }
}

/// Lists a folder, passing over the files called `own`.
pub(super) fn listing(folder: &Path, own: &[String]) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut folders = Vec::new();
    for name in names(folder, "", &mut listing)? {
        if folder.join(&name).is_dir() {
            folders.push(name);
        } else if !own.contains(&name) {
            match class_in(&name).and_then(|class| look(folder, &name).map(|()| class)) {
                Ok(class) => listing.classes.entry(class).or_default().push(name),
                Err(reason) => listing.skip(name, reason),
            }
        }
    }
    // Folders are classes only where no image bears its class in its name.
    let by_name = !listing.classes.is_empty();
    for class in folders {
        if by_name {
            listing.skip(class, Skip::Folder);
        } else {
            list_class(folder, class, &mut listing)?;
        }
    }
    listing.skipped.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

/// Adds the images that lie directly in the folder of a class.
fn list_class(folder: &Path, class: String, listing: &mut Listing) -> Result<(), Error> {
    let mut images = Vec::new();
    for name in names(&folder.join(&class), &class, listing)? {
        let usable = if folder.join(&name).is_dir() {
            Err(Skip::Folder)
        } else {
            ending(&name).and_then(|()| look(folder, &name))
        };
        match usable {
            Ok(()) => images.push(name),
            Err(reason) => listing.skip(name, reason),
        }
    }
    if images.is_empty() {
        listing.skip(class, Skip::NoImages);
    } else {
        listing.classes.insert(class, images);
    }
    Ok(())
}

/// The names in a folder, sorted, each with `within/` in front. Hidden ones and those that are not
/// UTF-8 are skipped.
fn names(folder: &Path, within: &str, listing: &mut Listing) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name();
        let shown = name.to_string_lossy();
        let full = if within.is_empty() { shown.to_string() } else { format!("{within}/{shown}") };
        match name.to_str() {
            None => listing.skip(full, Skip::NotUtf8),
            Some(name) if name.starts_with('.') => listing.skip(full, Skip::Hidden),
            Some(_) => names.push(full),
        }
    }
    names.sort();
    Ok(names)
}

fn ending(name: &str) -> Result<(), Skip> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    known.then_some(()).ok_or(Skip::Ending)
}

/// The class in a name: `cat` of `cat.123.jpg`. `photo.jpg` has none.
fn class_in(name: &str) -> Result<String, Skip> {
    ending(name)?;
    let (stem, _) = name.rsplit_once('.').ok_or(Skip::Ending)?;
    let (class, _) = stem.split_once('.').ok_or(Skip::NoClass)?;
    Ok(class.to_string())
}

/// Whether a file begins like an image. Only the loader decodes it to its end.
fn look(folder: &Path, name: &str) -> Result<(), Skip> {
    // As many bytes as the longest signature has.
    let mut start = Vec::new();
    File::open(folder.join(name))
        .and_then(|file| file.take(32).read_to_end(&mut start))
        .map_err(|_| Skip::Unreadable)?;
    if start.is_empty() {
        return Err(Skip::Empty);
    }
    match image::guess_format(&start) {
        Ok(format) if format.reading_enabled() => Ok(()),
        _ => Err(Skip::NotAnImage),
    }
}
