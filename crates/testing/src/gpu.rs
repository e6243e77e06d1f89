//! A device for the tests of kernels.

use gradus_cuda_emu::{Emulated, Schedule};
use gradus_gpu::Gpu;
use std::sync::OnceLock;

/// A GPU if there is one, else an emulated one; none, saying why, where neither opens. With
/// `GRADUS_REQUIRE_GPU=1` only a real GPU will do. Each test has a stream of its own, so that what
/// one records is not mixed with what another launches.
///
/// # Panics
/// If a real GPU is required and none opens.
#[must_use]
pub fn gpu() -> Option<Gpu> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    if let Some(missing) = MISSING.get_or_init(prepare) {
        say(&format!("skipped: {missing}"));
        return None;
    }
    Some(Gpu::open(0).expect("a device that opened before"))
}

/// The same, if it has tensor cores that round to tf32 and bf16; none, saying so, before 8.0.
#[must_use]
pub fn gpu_with_tensor_cores() -> Option<Gpu> {
    let found = gpu()?;
    if found.compute_capability() < (8, 0) {
        say(&format!("skipped: {} is of compute capability before 8.0", found.name()));
        return None;
    }
    Some(found)
}

/// An emulated device of that compute capability, for good: for a test that has a process of its own.
/// None, saying why, where there is a real one or none is emulated.
///
/// # Panics
/// If the device is refused then.
#[must_use]
pub fn older_gpu(capability: (i32, i32)) -> Option<Gpu> {
    let (found, emulated) = emulated_gpu()?;
    drop(found);
    emulated.set_capability(capability);
    Some(Gpu::open(0).expect("a device that opened before"))
}

/// An emulated device and what emulates it, which counts for the whole process: for a test that has one
/// of its own. None, saying why, where there is a real one or none is emulated.
///
/// # Panics
/// As [`gpu`].
#[must_use]
pub fn emulated_gpu() -> Option<(Gpu, &'static Emulated)> {
    let found = gpu()?;
    match gradus_cuda_emu::install() {
        Ok(emulated) if found.name() == EMULATED => Some((found, emulated)),
        _ => {
            say(&format!("skipped: {} is not emulated", found.name()));
            None
        }
    }
}

/// What the emulated device is called.
const EMULATED: &str = "gradus emulated device";

/// Puts the emulated driver where there is no real one. What is missing, if no device opens.
fn prepare() -> Option<String> {
    let real = Gpu::open(0);
    if std::env::var_os("GRADUS_REQUIRE_GPU").is_some_and(|required| required == "1") {
        real.expect("GRADUS_REQUIRE_GPU=1 asks for a GPU");
        return None;
    }
    let reason = real.err()?;
    match gradus_cuda_emu::install() {
        Err(missing) => Some(format!("{reason}; {missing}")),
        Ok(emulated) => {
            emulated.schedule(schedule());
            Gpu::open(0).err().map(|reason| reason.to_string())
        }
    }
}

/// How the emulated device goes about its work: `GRADUS_EMULATED_SCHEDULE` is the number of one of
/// several, or `checked`.
fn schedule() -> Schedule {
    match std::env::var("GRADUS_EMULATED_SCHEDULE") {
        Ok(name) if name == "checked" => Schedule::checked(),
        Ok(number) => number
            .parse::<usize>()
            .ok()
            .and_then(|number| Schedule::several().get(number).copied())
            .unwrap_or_else(|| {
                panic!("GRADUS_EMULATED_SCHEDULE is {number:?}: say checked, or 0 to 4")
            }),
        Err(_) => Schedule::default(),
    }
}

#[allow(clippy::print_stdout, reason = "a test that skips says so")]
fn say(text: &str) {
    println!("{text}");
}
