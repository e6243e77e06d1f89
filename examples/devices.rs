//! Is there a GPU? The notebook's first question, as one command.
//!
//! ```text
//! cargo run --release --example devices
//! ```
//!
//! One line for each device, with its name, memory, compute capability and driver, and whether
//! gradus can open it; else what was looked for and not found. Takes no time and needs no toolkit.

#![allow(clippy::print_stdout, reason = "a program for people")]

use clap::Parser;
use gradus::tensor::Device;
use gradus::tensor::gpu::{Gpu, devices};

/// Lists the CUDA devices, and says which device `auto` would take.
#[derive(Parser)]
struct Args {}

fn main() {
    let Args {} = Args::parse();
    match devices() {
        Ok(devices) if devices.is_empty() => println!("There is an NVIDIA driver, and no device."),
        Ok(devices) => {
            for (ordinal, device) in devices.iter().enumerate() {
                match Gpu::open(ordinal) {
                    Ok(_) => println!("{device}"),
                    Err(reason) => println!("{device}: cannot be used, {reason}"),
                }
            }
        }
        Err(reason) => println!("No GPU: {reason}."),
    }
    println!("--device auto takes: {}", Device::auto().0);
}
