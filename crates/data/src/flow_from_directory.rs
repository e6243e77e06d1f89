//! Batches of the images in a folder for each class: Keras's `flow_from_directory`.
//!
//! ```text
//! Classes      the folders in `directory`, sorted as text, or `classes` in that order
//! Files        those in a class's folder and the folders in it, sorted by folder and then by name,
//!              whose name ends like an image's; a link to a folder is followed only when asked,
//!              and never into a folder that it lies in itself
//! Subset       within each class: its first ⌊v · n⌋ files are for validation
//! Source       Keras 3, `legacy/preprocessing/image.py`, `DirectoryIterator`
//! ```

use crate::files::Endings;
use crate::image_files::ImageFile;
use crate::split::Split;
use crate::targets::Targets;
use crate::{ClassMode, DataLoader, Error, Files, Flow, Found, Ignored, ImageFiles, Reason};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where [`flow_from_directory()`] takes its images from: Keras's arguments and defaults.
#[derive(Clone, Debug)]
pub struct Directory {
    directory: PathBuf,
    follow_links: bool,
}

/// A [`Flow`] from a folder for each class.
pub type FlowFromDirectory = Flow<Files<Directory>>;

/// The images in `directory`, which has a folder for each class.
///
/// ```no_run
/// use gradus_data::{Subset, flow_from_directory};
/// let mut train = flow_from_directory("data/train")
///     .target_size(128, 128)
///     .validation_split(0.2)
///     .subset(Subset::Training)
///     .open()?;
/// println!("{}", train.found()); // Found 3200 images belonging to 2 classes.
/// # Ok::<(), gradus_data::Error>(())
/// ```
pub fn flow_from_directory(directory: impl AsRef<Path>) -> FlowFromDirectory {
    let directory = directory.as_ref().to_path_buf();
    Flow::new(Files::new(Directory { directory, follow_links: false }))
}

impl FlowFromDirectory {
    /// Whether links to folders inside that of a class are followed. Not by default.
    pub fn follow_links(mut self, follow: bool) -> Self {
        self.source.listing.follow_links = follow;
        self
    }

    /// Lists the files and starts the workers.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be read, [`Error::Argument`] if there is no image in any or
    /// an argument makes no sense; and what [`Flow::verify`] and [`Flow::cache`] say.
    pub fn open(self) -> Result<DataLoader, Error> {
        let (dataset, found) = self.source.find(self.options.split)?;
        self.options.open(Arc::new(dataset), found)
    }
}

impl Files<Directory> {
    fn find(&self, split: Split) -> Result<(ImageFiles, Found), Error> {
        self.check()?;
        let Directory { directory, follow_links } = &self.listing;
        let folders = folders(directory)?;
        let classes = self.class_names(folders.iter().map(String::as_str));
        self.check_classes(&classes)?;
        let (mut files, mut labels, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        for (class, label) in classes.iter().zip(0..) {
            let mut all = Vec::new();
            let folder = directory.join(class);
            list(&folder, *follow_links, &self.endings, &mut Vec::new(), &mut all)?;
            all.sort();
            all.retain(|(folder, name)| is_file(&Path::new(folder).join(name), &mut ignored));
            let wanted = split.range(all.len())?;
            labels.extend(wanted.clone().map(|_| label));
            let paths = all.drain(wanted).map(|(folder, name)| Path::new(&folder).join(name));
            files.extend(paths.map(|path| ImageFile { path, line: None }));
        }
        if files.is_empty() {
            return Err(self.no_images(&folders));
        }
        let found = Found {
            images: files.len(),
            what: "images",
            classes: Some(classes.len()),
            ignored,
            remarks: split.warning(&labels, &classes).into_iter().collect(),
            x_col: String::new(),
            y_col: String::new(),
        };
        let targets = self.targets(labels, classes.len())?;
        let loading = self.loading.clone();
        let directory = directory.clone();
        Ok((ImageFiles { directory, files, classes, targets, weights: None, loading }, found))
    }

    fn targets(&self, labels: Vec<u32>, classes: usize) -> Result<Targets, Error> {
        Ok(match self.class_mode {
            ClassMode::Categorical => Targets::OneHot { labels, classes },
            ClassMode::Binary | ClassMode::Sparse => Targets::Index { labels },
            ClassMode::Input => Targets::Image { outputs: self.loading.size().iter().product() },
            ClassMode::None => Targets::None,
            ClassMode::Raw | ClassMode::MultiOutput => {
                return Err(Error::Argument {
                    argument: "class_mode",
                    found: format!("{}, and folders hold no numbers", self.class_mode.name()),
                    remedy: "list the images with their numbers for flow_from_dataframe",
                });
            }
        })
    }

    fn no_images(&self, folders: &[String]) -> Error {
        let directory = self.listing.directory.display();
        Error::Argument {
            argument: "directory",
            found: format!("{directory} holds no image of this subset in its folders {folders:?}"),
            remedy: "put the images of each class into a folder of its own in there",
        }
    }
}

/// Whether that is a file: not a link that leads nowhere, nor a pipe that would never end.
fn is_file(path: &Path, ignored: &mut Vec<Ignored>) -> bool {
    let is_file = path.is_file();
    if !is_file {
        let filename = path.display().to_string();
        ignored.push(Ignored { line: None, filename, reason: Reason::NoFile { nearest: None } });
    }
    is_file
}

/// The names of the folders in `directory`, and of links to folders.
fn folders(directory: &Path) -> Result<Vec<String>, Error> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io(directory))? {
        let entry = entry.map_err(Error::io(directory))?;
        if entry.path().is_dir() {
            folders.push(text(directory, entry.file_name())?);
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

/// Adds folder and name of the images in `folder` and in the folders in it. `above` are the real
/// paths of the folders that are being listed: a link to one of them would never end.
fn list(
    folder: &Path,
    follow: bool,
    endings: &Endings,
    above: &mut Vec<PathBuf>,
    into: &mut Vec<(String, String)>,
) -> Result<(), Error> {
    let real = folder.canonicalize().map_err(Error::io(folder))?;
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    let shown = text(folder, folder.as_os_str().to_os_string())?;
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        if path.is_dir() {
            if follow || !path.is_symlink() {
                list(&path, follow, endings, above, into)?;
            }
            continue;
        }
        if endings.has(&entry.file_name().to_string_lossy()) {
            into.push((shown.clone(), text(folder, entry.file_name())?));
        }
    }
    above.pop();
    Ok(())
}

/// Names as text, in whose order Keras sorts them.
fn text(folder: &Path, name: std::ffi::OsString) -> Result<String, Error> {
    name.into_string().map_err(|name| Error::Argument {
        argument: "directory",
        found: format!("{} holds {}, which is not UTF-8", folder.display(), name.display()),
        remedy: "rename it",
    })
}
