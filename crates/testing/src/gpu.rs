//! A device for the tests of kernels.

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
    match real {
        Ok(gpu) => Some(gpu),
        Err(reason) => {
            say(&format!("skipped: {reason}"));
            None
        }
    }
}

#[allow(clippy::print_stdout, reason = "a test that skips says so")]
fn say(text: &str) {
    println!("{text}");
}
