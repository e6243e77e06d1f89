//! NumPy's file of an array.

use anyhow::Result;
use std::io::Write as _;
use std::path::Path;

/// A type of numbers.
pub(crate) trait Number: Copy {
    /// NumPy's word for it.
    const DESCR: &'static str;
    /// Its bytes, the lowest first.
    fn bytes(self) -> impl AsRef<[u8]>;
}

impl Number for f32 {
    const DESCR: &'static str = "<f4";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Number for u8 {
    const DESCR: &'static str = "|u1";
    fn bytes(self) -> impl AsRef<[u8]> {
        [self]
    }
}

/// Writes numbers in the standard order, with Python's literal of their shape before them.
pub(crate) fn write<T: Number>(path: &Path, shape: &[usize], values: &[T]) -> Result<()> {
    let (descr, shape) = (T::DESCR, shape.iter().map(|n| format!("{n},")).collect::<String>());
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape})}}");
    // Magic, version and length take 10 bytes; the numbers begin at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    gradus::train::write_beside(path, |file| {
        file.write_all(b"\x93NUMPY\x01\x00")?;
        file.write_all(&u16::try_from(header.len()).expect("a short header").to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        values.iter().try_for_each(|value| file.write_all(value.bytes().as_ref()))
    })?;
    Ok(())
}
