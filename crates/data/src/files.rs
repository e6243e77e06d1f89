//! The arguments that all image files share, however they are listed: in a manifest or in folders.

use crate::{ClassMode, ColorMode, Error, Flow, Interpolation, Reading};
use std::collections::HashSet;

/// Image files that are being described: how they are listed (`L`), and what all of them share.
#[derive(Clone, Debug)]
pub struct Files<L> {
    pub(crate) listing: L,
    pub(crate) class_mode: ClassMode,
    pub(crate) classes: Option<Vec<String>>,
    pub(crate) endings: Endings,
    pub(crate) loading: Loading,
}

/// How names of image files end, in small letters.
#[derive(Clone, Debug)]
pub(crate) struct Endings(Vec<String>);

impl Default for Endings {
    /// Keras's, which asks not for the dot.
    fn default() -> Self {
        Self(["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"].map(str::to_owned).into())
    }
}

impl Endings {
    /// Whether a file of that name is taken for an image.
    pub(crate) fn has(&self, filename: &str) -> bool {
        let name = filename.to_lowercase();
        self.0.iter().any(|ending| name.ends_with(ending))
    }
}

/// How a file becomes an image: the arguments of Keras's `load_img`. Its text is part of a cache's
/// fingerprint: whatever changes the pixels belongs in here.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    /// Height and width.
    pub(crate) target_size: [usize; 2],
    pub(crate) interpolation: Interpolation,
    pub(crate) keep_aspect_ratio: bool,
    pub(crate) reading: Reading,
}

impl Default for Loading {
    /// Keras's.
    fn default() -> Self {
        Self {
            target_size: [256, 256],
            interpolation: Interpolation::default(),
            keep_aspect_ratio: false,
            reading: Reading::default(),
        }
    }
}

impl Loading {
    /// Height, width and channels of every image.
    pub(crate) fn size(&self) -> [usize; 3] {
        let [height, width] = self.target_size;
        [height, width, self.reading.color_mode.channels()]
    }

    fn check(&self) -> Result<(), Error> {
        let [height, width] = self.target_size;
        if height > 0 && width > 0 {
            return Ok(());
        }
        Err(Error::Argument {
            argument: "target_size",
            found: format!("{height} x {width}"),
            remedy: "give 1 or more pixels on each side",
        })
    }
}

impl<L> Files<L> {
    pub(crate) fn new(listing: L) -> Self {
        Self {
            listing,
            class_mode: ClassMode::default(),
            classes: None,
            endings: Endings::default(),
            loading: Loading::default(),
        }
    }

    /// Refuses arguments that make no sense together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.loading.check()
    }

    /// The classes that were given, each once, or else `all` that there are, sorted as text.
    pub(crate) fn class_names<'a>(&self, all: impl Iterator<Item = &'a str>) -> Vec<String> {
        let Some(given) = &self.classes else {
            let mut all: Vec<&str> = all.collect();
            all.sort_unstable();
            all.dedup();
            return all.into_iter().map(String::from).collect();
        };
        let mut seen = HashSet::new();
        given.iter().filter(|name| seen.insert(*name)).cloned().collect()
    }

    /// Refuses more or fewer than two classes where the target is one bit.
    pub(crate) fn check_classes(&self, classes: &[String]) -> Result<(), Error> {
        if self.class_mode != ClassMode::Binary || classes.len() == 2 {
            return Ok(());
        }
        Err(Error::Argument {
            argument: "class_mode",
            found: format!("binary, with {} classes: {classes:?}", classes.len()),
            remedy: "name two in `classes`, or use categorical or sparse",
        })
    }
}

impl<L> Flow<Files<L>> {
    /// The size in pixels that every image is resized to: 256 by 256 by default.
    pub fn target_size(mut self, height: usize, width: usize) -> Self {
        self.source.loading.target_size = [height, width];
        self
    }

    /// How images are resized: the nearest pixel by default.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.source.loading.interpolation = interpolation;
        self
    }

    /// Whether what sticks out of the target's aspect ratio is cut off on both sides, so that
    /// nothing is squeezed. Not by default.
    pub fn keep_aspect_ratio(mut self, keep: bool) -> Self {
        self.source.loading.keep_aspect_ratio = keep;
        self
    }

    /// Which channels images have: RGB by default.
    pub fn color_mode(mut self, mode: ColorMode) -> Self {
        self.source.loading.reading.color_mode = mode;
        self
    }

    /// Whether images are turned as their EXIF block says. Not by default, as in Keras.
    pub fn exif_orientation(mut self, turn: bool) -> Self {
        self.source.loading.reading.exif_orientation = turn;
        self
    }

    /// The most pixels a file may declare ([`Reading::max_pixels`]).
    pub fn max_pixels(mut self, pixels: u64) -> Self {
        self.source.loading.reading.max_pixels = pixels;
        self
    }

    /// How the names of image files end, in capitals or not; other files are left out. By default
    /// Keras's list: png, jpg, jpeg, bmp, ppm, tif, tiff. There is no gif in it, though GIF files
    /// (their first frame) can be read: `.extensions(["jpg", "png", "gif"])`. As in Keras a name
    /// need not have the dot before its ending, unless that is given with one.
    pub fn extensions<E: AsRef<str>>(mut self, extensions: impl IntoIterator<Item = E>) -> Self {
        let endings = extensions.into_iter().map(|ending| ending.as_ref().to_lowercase());
        self.source.endings = Endings(endings.collect());
        self
    }

    /// What a target looks like: one-hot by default.
    pub fn class_mode(mut self, mode: ClassMode) -> Self {
        self.source.class_mode = mode;
        self
    }

    /// The classes, in the order of the targets; images of others are left out. By default all that
    /// there are, sorted as text. A class that is named twice counts once; an empty list stands for
    /// all, as in Keras.
    pub fn classes<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        self.source.classes = Some(classes).filter(|given| !given.is_empty());
        self
    }
}
