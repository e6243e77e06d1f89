//! Reads one image file and says what it is, as the loader would read it.
//!
//! ```text
//! cargo run --release -p gradus-data --example read_one -- photo.jpg [bytes.rgb]
//! ```
//!
//! Prints width and height, or why the file is refused, in which case the exit status is 1. Where a
//! second file is named, the pixels are written there: height x width x 3 bytes.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use gradus_data::Decoder;
use std::process::ExitCode;

fn main() -> Result<ExitCode, std::io::Error> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(path) = arguments.next() else {
        println!("name an image file");
        return Ok(ExitCode::FAILURE);
    };
    let mut decoder = Decoder::default();
    match decoder.read(path) {
        Ok(image) => {
            let (height, width, _) = image.dim();
            println!("{width} x {height}");
            if let Some(into) = arguments.next() {
                std::fs::write(into, image.as_slice().expect("a decoder's image is contiguous"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("{error}");
            Ok(ExitCode::FAILURE)
        }
    }
}
