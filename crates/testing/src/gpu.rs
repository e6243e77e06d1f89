//! A device for the tests of kernels.

use gradus_cuda_emu::Schedule;
use gradus_gpu::Gpu;
use std::sync::OnceLock;

/// A GPU if there is one, else an emulated one; none, saying why, where neither opens. With
/// `GRADUS_REQUIRE_GPU=1` only a real GPU will do. All tests of a process share it.
///
/// # Panics
/// If a real GPU is required and none opens.
#[must_use]
pub fn gpu() -> Option<Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(open).clone()
}

fn open() -> Option<Gpu> {
    let real = Gpu::open(0);
    if std::env::var_os("GRADUS_REQUIRE_GPU").is_some_and(|required| required == "1") {
        return Some(real.expect("GRADUS_REQUIRE_GPU=1 asks for a GPU"));
    }
    let opened = real.map_err(|reason| reason.to_string()).or_else(|reason| {
        let emulated = gradus_cuda_emu::install().map_err(|missing| format!("{reason}; {missing}"))?;
        emulated.schedule(schedule());
        Gpu::open(0).map_err(|reason| reason.to_string())
    });
    opened.inspect_err(|reason| say(&format!("skipped: {reason}"))).ok()
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
            .unwrap_or_else(|| panic!("GRADUS_EMULATED_SCHEDULE is {number:?}: say checked, or 0 to 4")),
        Err(_) => Schedule::default(),
    }
}

#[allow(clippy::print_stdout, reason = "a test that skips says so")]
fn say(text: &str) {
    println!("{text}");
}
