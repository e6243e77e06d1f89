//! One file: is it there, what is it, can all of it be read, and what does it look like.

use super::Kind;
use super::twins::Looks;
use crate::files::Endings;
use crate::hash::Hash;
use crate::{Decoder, Error};
use image::ImageFormat;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What was seen of a file.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// Height and width, if it is an image that can be read.
    pub(super) size: Option<[usize; 2]>,
    /// How many bytes it has, and their hash.
    pub(super) bytes: Option<(u64, u64)>,
    pub(super) looks: Option<Looks>,
    pub(super) kinds: Vec<Kind>,
}

pub(super) fn examine(path: &Path, near: bool, decoder: &mut Decoder) -> Examined {
    let mut examined = Examined::default();
    if !Endings::default().has(&path.to_string_lossy()) {
        examined.kinds.push(Kind::Ending);
    }
    if let Err(kind) = look(path, near, decoder, &mut examined) {
        examined.kinds.push(kind);
    }
    examined
}

fn look(
    path: &Path,
    near: bool,
    decoder: &mut Decoder,
    examined: &mut Examined,
) -> Result<(), Kind> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Kind::Missing { nearest: None },
        _ => Kind::Unreadable { reason: error.to_string() },
    })?;
    // A pipe, for instance, would never end.
    if !metadata.is_file() {
        return Err(Kind::Unreadable { reason: "it is no file but a folder or a device".into() });
    }
    let (begin, bytes) = skim(path).map_err(|e| Kind::Unreadable { reason: e.to_string() })?;
    if begin.is_empty() {
        return Err(Kind::NoBytes);
    }
    examined.bytes = Some(bytes);
    let content = image::guess_format(&begin).map_err(|_| Kind::NotAnImage)?;
    if ImageFormat::from_path(path).is_ok_and(|named| named != content) {
        let content = content.extensions_str().first().copied().unwrap_or("another format");
        examined.kinds.push(Kind::WrongType { content: content.into() });
    }
    let mut read = || {
        let image = decoder.read(path)?;
        let (height, width, _) = image.dim();
        Ok(([height, width], near.then(|| Looks::of(image))))
    };
    let (size, looks) = catch_unwind(AssertUnwindSafe(&mut read))
        .map_err(|_| Kind::Damaged { reason: "its decoder panicked".into() })?
        .map_err(|error| Kind::Damaged { reason: without_the_path(error) })?;
    (examined.size, examined.looks) = (Some(size), looks);
    Ok(())
}

/// How a file begins, and the length and the hash of all of it, however long it is.
fn skim(path: &Path) -> io::Result<(Vec<u8>, (u64, u64))> {
    const PIECE: u64 = 1 << 16;
    let mut file = File::open(path)?;
    let (mut begin, mut piece) = (Vec::new(), Vec::new());
    let (mut length, mut hash) = (0, Hash::default());
    loop {
        piece.clear();
        let n = file.by_ref().take(PIECE).read_to_end(&mut piece)?;
        if n == 0 {
            return Ok((begin, (length, hash.finish())));
        }
        if length == 0 {
            begin.extend(piece.iter().take(64));
        }
        hash.bytes(&piece);
        length += n as u64;
    }
}

/// Whether two files hold the same bytes, as far as they can be read.
pub(super) fn same_content(a: &Path, b: &Path) -> bool {
    let bytes = |path| Some(BufReader::new(File::open(path).ok()?).bytes().map(Result::ok));
    match (bytes(a), bytes(b)) {
        (Some(a), Some(b)) => a.eq(b),
        _ => false,
    }
}

/// What an error says beside the path, which the report gives anyway.
fn without_the_path(error: Error) -> String {
    match error {
        Error::Image { cause, .. } => cause.to_string(),
        Error::Io { cause, .. } => cause.to_string(),
        Error::TooLarge { width, height, limit, .. } => {
            format!("{width} x {height} pixels are more than the {limit} that are decoded at most")
        }
        other => other.to_string(),
    }
}
