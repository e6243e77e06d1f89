//! Drawings as a folder of JPEG files with their CSVs.
//!
//! ```text
//! Layout       train/cat.0.jpg, train/dog.0.jpg, …, val/…, dogs_vs_cats-train.csv,
//!              dogs_vs_cats-val.csv, and last of all synthetic.txt, which says what was asked for
//! Numbers      image n of a part is a cat where n is even and number ⌊n/2⌋ of its class; it is
//!              drawing n, or drawing 2³¹ + n in validation, so that no two files share a scene
//! ```

use super::{Class, Synthetic};
use crate::{Error, Manifest};
use gradus_random::{Domain, Key};
use image::codecs::jpeg::JpegEncoder;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const QUALITY: u8 = 90;
const STAMP: &str = "synthetic.txt";
const ORDER: Domain = Domain::named("drawing order");

/// The set that lies in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The manifest of the training images: columns `filename` and `category`, names relative to
    /// its own folder.
    pub train: PathBuf,
    /// The same for validation.
    pub validation: PathBuf,
    /// How many images were drawn: 0 where the same set was there already.
    pub drawn: usize,
}

/// Training or validation: a folder of images and a manifest of them.
#[derive(Clone, Copy, Debug)]
struct Part {
    folder: &'static str,
    manifest: &'static str,
    images: u32,
    /// The drawing that is image 0.
    first: u32,
}

impl Part {
    fn of(set: &Synthetic) -> [Self; 2] {
        let train = Self {
            folder: "train",
            manifest: "dogs_vs_cats-train.csv",
            images: set.train,
            first: 0,
        };
        let validation = Self {
            folder: "val",
            manifest: "dogs_vs_cats-val.csv",
            images: set.validation,
            first: 1 << 31,
        };
        [train, validation]
    }

    fn class(n: u32) -> Class {
        Class::ALL[n as usize % 2]
    }

    /// Where image `n` lies, as the manifest says it.
    fn filename(&self, n: u32) -> String {
        format!("{}/{}.{}.jpg", self.folder, Self::class(n).name(), n / 2)
    }

    /// The rows in an order that the seed shuffles.
    fn rows(&self, seed: u64) -> Result<Manifest, Error> {
        let mut order: Vec<u32> = (0..self.images).collect();
        let key = Key { seed, epoch: 0, index: self.first };
        key.stream(ORDER).shuffle(&mut order);
        let rows = order.iter().map(|&n| [self.filename(n), Self::class(n).name().to_string()]);
        Manifest::from_rows(&["filename", "category"], rows)
    }
}

impl Synthetic {
    /// Draws the set into `folder`, which is made if need be, on all cores; does nothing where the
    /// same set lies there. Another synthetic set is replaced. Every file is written beside and
    /// renamed, and the stamp comes last: a set that was broken off is drawn again.
    ///
    /// # Errors
    /// [`Error::Argument`] if a part has fewer than two images or the size is out of bounds, or if
    /// the folder holds images or manifests that are not a synthetic set, which are never touched;
    /// [`Error::Io`] if it cannot be written to.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Written, Error> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        self.write_with(folder.as_ref(), threads)
    }

    pub(super) fn write_with(&self, folder: &Path, threads: usize) -> Result<Written, Error> {
        self.check()?;
        let parts = Part::of(self);
        let [train, validation] = parts.map(|part| folder.join(part.manifest));
        let mut written = Written { train, validation, drawn: 0 };
        let stamp = folder.join(STAMP);
        match fs::read_to_string(&stamp) {
            Ok(text) if text == self.stamp() && whole(folder, &parts) => return Ok(written),
            Ok(_) => {}
            Err(_) => refuse_others(folder, &parts)?,
        }
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        // From here on the folder is known as one that may be replaced.
        put(&stamp, b"unfinished\n")?;
        for part in &parts {
            let images = folder.join(part.folder);
            fs::create_dir_all(&images).map_err(Error::io(&images))?;
            self.draw_all(folder, part, threads)?;
            clear(&images, part)?;
            part.rows(self.seed)?.write(folder.join(part.manifest))?;
            written.drawn += part.images as usize;
        }
        put(&stamp, self.stamp().as_bytes())?;
        Ok(written)
    }

    /// What was asked for, in words. The number is that of the way of drawing: whoever changes a
    /// picture raises it.
    fn stamp(&self) -> String {
        format!(
            "Drawings of cats and dogs by gradus, way 1: {} to train, {} to validate, about {} \
             pixels a side, seed {}.\n",
            self.train, self.validation, self.size, self.seed
        )
    }

    /// Draws the images of a part; whichever thread is free takes the next.
    fn draw_all(&self, folder: &Path, part: &Part, threads: usize) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), Error> {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= part.images as usize {
                    return Ok(());
                }
                let n = n as u32;
                let image = self.draw(part.first + n, Part::class(n));
                let path = folder.join(part.filename(n));
                let mut bytes = Vec::new();
                let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
                image.write_with_encoder(encoder).map_err(|cause| Error::Image {
                    path: path.clone(),
                    line: None,
                    cause,
                })?;
                put(&path, &bytes)?;
            }
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = others.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            others.fold(own, Result::and)
        })
    }
}

/// Whether every file of the set is there.
fn whole(folder: &Path, parts: &[Part]) -> bool {
    parts.iter().all(|part| {
        let mut images = (0..part.images).map(|n| part.filename(n));
        folder.join(part.manifest).is_file() && images.all(|name| folder.join(name).is_file())
    })
}

/// Without a stamp, what has the names of a synthetic set may be somebody's photos.
fn refuse_others(folder: &Path, parts: &[Part]) -> Result<(), Error> {
    let names = parts.iter().flat_map(|part| [part.folder, part.manifest]);
    match names.map(|name| folder.join(name)).find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => Err(Error::Argument {
            argument: "folder",
            found: format!("{} is there and was not drawn by this", path.display()),
            remedy: "name a folder that is empty or not there yet",
        }),
    }
}

/// Takes what an earlier, larger set left out of the folder of a part. Other files stay.
fn clear(folder: &Path, part: &Part) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let left_over = entry
            .file_name()
            .to_str()
            .is_some_and(|name| number(name).is_some_and(|n| n >= u64::from(part.images)));
        if left_over {
            fs::remove_file(entry.path()).map_err(Error::io(&entry.path()))?;
        }
    }
    Ok(())
}

/// Which image of its part has that name: `dog.3.jpg` is 7.
fn number(name: &str) -> Option<u64> {
    let (class, rest) = name.split_once('.')?;
    let class = Class::ALL.iter().position(|c| c.name() == class)?;
    let count: u32 = rest.strip_suffix(".jpg")?.parse().ok()?;
    Some(2 * u64::from(count) + class as u64)
}

/// Writes a file beside and renames it. Without `write_beside`'s wait for the disk: there are
/// thousands, and what a power cut takes is drawn again.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|e| {
        // What could not be put in place is of no use to anybody.
        let _ = fs::remove_file(&partial);
        Error::io(path)(e)
    })
}
