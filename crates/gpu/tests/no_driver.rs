//! Where there is no driver, nothing panics. In a process of its own, into which nobody has put the
//! emulated one.

#![cfg(all(feature = "cuda", not(target_family = "wasm")))]

use gradus_gpu::{CudaError, Gpu, devices};

const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// Whether the loader finds the driver.
fn there_is_a_driver() -> bool {
    // SAFETY: opens the library if it is there, which runs the driver's initialisers and no more.
    unsafe { libloading::Library::new(LIBRARY) }.is_ok()
}

#[test]
fn without_a_driver_the_error_says_what_was_looked_for_and_where() {
    if there_is_a_driver() {
        eprintln!("skipped: there is a driver");
        return;
    }
    let expected = CudaError::NoDriver { library: LIBRARY };
    for ordinal in [0, 64] {
        assert_eq!(Gpu::open(ordinal).map(drop), Err(expected.clone()));
    }
    assert_eq!(devices(), Err(expected.clone()));
    let text = expected.to_string();
    for part in [LIBRARY, "loader's path", "install the driver", "LD_LIBRARY_PATH"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
