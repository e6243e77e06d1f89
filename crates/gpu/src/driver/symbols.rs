//! Whether the driver has every function that is called here.
//!
//! `cudarc` looks a function up when it is first called and panics if there is none: in a driver
//! that calls itself new enough but is not whole, such as the one of a container that brings its
//! own. So all are looked for before the first is called.

use super::said;
use crate::CudaError;
use cudarc::driver::result::DriverError;
use cudarc::driver::sys;

/// Every function of the driver that this crate calls, by itself or through `cudarc`.
const FUNCTIONS: [&str; 46] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetDefaultMemPool",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventDestroy_v2",
    "cuMemPoolSetAttribute",
    "cuMemPoolGetAttribute",
    "cuMemAllocAsync",
    "cuMemFreeAsync",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemGetInfo_v2",
    "cuMemsetD8Async",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncGetAttribute",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuTensorMapEncodeTiled",
];

/// The oldest driver that will do: memory pools, graphs and PTX 8.0 are in it.
const OLDEST: i32 = 12_000;

/// The version of CUDA that the driver is for, 1000 · major + 10 · minor.
///
/// # Errors
/// If there is no driver, it is older than [`OLDEST`], or lacks a function.
pub(super) fn driver_version() -> Result<i32, CudaError> {
    // SAFETY: opens the library if it is there, which runs the driver's initialisers and no more.
    if !unsafe { sys::is_culib_present() } {
        let library = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
        return Err(CudaError::NoDriver { library });
    }
    // SAFETY: the library is there, and an address in it is looked up, not used.
    let has = |name: &str| unsafe { sys::culib().get::<*const ()>(name.as_bytes()) }.is_ok();
    let version = has("cuDriverGetVersion").then(version);
    if let Some(Ok(found @ ..OLDEST)) = version {
        return Err(CudaError::OldDriver { found: dotted(found), needed: "12.0" });
    }
    if let Some(function) = FUNCTIONS.into_iter().find(|name| !has(name)) {
        let found = version.and_then(Result::ok).map_or("an unknown version".into(), dotted);
        return Err(CudaError::NoFunction { function, found });
    }
    let version = version.expect("among the functions");
    version.map_err(|e| said("asking for the driver's version", e))
}

fn version() -> Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: an i32 to write to; the function is there.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version).result() };
    asked.map(|()| version)
}

pub(super) fn dotted(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Gpu;
    use std::path::Path;
    use std::process::Command;

    /// A library that calls itself the driver's, says that it is for that version, and has all but
    /// one of the functions. None where there is no C compiler.
    fn driver_without(missing: &str, folder: &Path) -> Option<libloading::Library> {
        let others = FUNCTIONS.into_iter().filter(|&f| f != missing && f != "cuDriverGetVersion");
        let mut text = "int cuDriverGetVersion(int* v) { *v = 12040; return 0; }\n".to_owned();
        others.for_each(|function| text += &format!("int {function}(void) {{ return 0; }}\n"));
        let (source, library) = (folder.join("driver.c"), folder.join("libcuda.so"));
        std::fs::write(&source, text).expect("a file");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so", "-o"]);
        compiler.arg(&library).arg(&source).status().ok().filter(|status| status.success())?;
        // SAFETY: a library of functions that do nothing.
        Some(unsafe { libloading::Library::new(&library) }.expect("just made"))
    }

    #[test]
    fn a_driver_that_lacks_a_function_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(_library) = driver_without("cuMemAllocAsync", folder.path()) else {
            eprintln!("skipped: there is no C compiler");
            return;
        };
        let found = "12.4".to_owned();
        let error = Gpu::open(0).expect_err("no such function");
        assert_eq!(error, CudaError::NoFunction { function: "cuMemAllocAsync", found });
        let text = error.to_string();
        assert!(text.contains("cuMemAllocAsync") && text.contains("CUDA 12.4"), "{text}");
        assert_eq!(crate::devices(), Err(error));
    }

    #[test]
    fn every_function_that_is_called_by_name_is_looked_for() {
        let sources = [
            include_str!("../driver.rs"),
            include_str!("buffer.rs"),
            include_str!("devices.rs"),
            include_str!("event.rs"),
            include_str!("feed.rs"),
            include_str!("graph.rs"),
            include_str!("launch.rs"),
            include_str!("numbers.rs"),
            include_str!("pinned.rs"),
            include_str!("pool.rs"),
            include_str!("tensor_map.rs"),
            include_str!("timer.rs"),
        ];
        for call in sources.iter().flat_map(|text| text.split("sys::cu").skip(1)) {
            let end = call.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').expect("an end");
            let name = format!("cu{}", &call[..end]);
            if call[end..].starts_with('(') && name != "culib" {
                assert!(FUNCTIONS.contains(&name.as_str()), "{name} is not looked for");
            }
        }
    }
}
