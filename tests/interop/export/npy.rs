//! NumPy's file of an array.

use anyhow::Result;
use std::io::Write as _;
use std::path::Path;

/// Writes floats in the standard order, with Python's literal of their shape before them.
pub(crate) fn write(path: &Path, shape: &[usize], values: &[f32]) -> Result<()> {
    let shape: String = shape.iter().map(|extent| format!("{extent},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version and length take 10 bytes; the numbers begin at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    gradus::train::write_beside(path, |file| {
        file.write_all(b"\x93NUMPY\x01\x00")?;
        file.write_all(&u16::try_from(header.len()).expect("a short header").to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
    })?;
    Ok(())
}
