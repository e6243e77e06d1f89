//! A driver that is too old. In a process of its own, where nothing else stands for the driver.

#![cfg(all(feature = "cuda", target_os = "linux"))]

use gradus_gpu::{CudaError, Gpu, devices};
use std::path::Path;
use std::process::Command;

/// A library that calls itself the driver's and is for CUDA 11.8. None where there is no C compiler.
fn driver_for_11_8(folder: &Path) -> Option<libloading::Library> {
    let (source, library) = (folder.join("driver.c"), folder.join("libcuda.so"));
    std::fs::write(&source, "int cuDriverGetVersion(int* v) { *v = 11080; return 0; }\n")
        .expect("a file");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so", "-o"]);
    compiler.arg(&library).arg(&source).status().ok().filter(|status| status.success())?;
    // SAFETY: a library of one function.
    Some(unsafe { libloading::Library::new(&library) }.expect("just made"))
}

#[test]
fn a_driver_that_is_too_old_is_an_error_that_says_which_would_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_library) = driver_for_11_8(folder.path()) else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    let expected = CudaError::OldDriver { found: "11.8".into(), needed: "12.0" };
    assert_eq!(Gpu::open(0).map(drop), Err(expected.clone()));
    assert_eq!(devices(), Err(expected.clone()));
    let text = expected.to_string();
    for part in ["CUDA 11.8", "CUDA 12.0 or newer", "update the driver"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
