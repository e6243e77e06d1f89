//! Kernels compiled from their source when they are first used, for whoever edits one:
//! `GRADUS_KERNELS=source`.
//!
//! NVRTC compiles for the device at hand, and the result is kept in a cache on disk under a hash of
//! everything it depends on. NVRTC is part of the CUDA toolkit and of PyTorch; it is looked for
//! where these put it.

mod cache;

use super::DeviceInfo;
use crate::{CudaError, Module};
use cudarc::nvrtc::{result, sys};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::path::{Path, PathBuf};

const VARIABLE: &str = "GRADUS_KERNELS";

/// Whether kernels shall be compiled from source.
///
/// # Errors
/// If the variable says something that has no meaning.
pub(super) fn wanted() -> Result<bool, CudaError> {
    meant(std::env::var_os(VARIABLE).as_deref())
}

/// What a value of the variable means. An empty one is as good as none.
fn meant(value: Option<&OsStr>) -> Result<bool, CudaError> {
    match value {
        None => Ok(false),
        Some(value) if value.is_empty() => Ok(false),
        Some(value) if value == "source" => Ok(true),
        Some(value) => Err(CudaError::Variable {
            variable: VARIABLE,
            found: value.to_string_lossy().into_owned(),
            allowed: "source, to have kernels compiled from their sources",
        }),
    }
}

/// The module for that device, as a cubin.
///
/// # Errors
/// In words: that the source or NVRTC was not found, or what the compiler said.
pub(super) fn compile(module: &Module, device: &DeviceInfo) -> Result<Vec<u8>, String> {
    let path = Path::new(module.root).join("src").join(format!("{}.cu", module.path));
    let source = std::fs::read_to_string(&path)
        .map_err(|e| format!("GRADUS_KERNELS=source reads {}: {e}", path.display()))?;
    find_nvrtc()?;
    let options = options(&path, device.compute_capability);
    let kept = cache::path(&cache::folder(), &source, &options, version()?);
    cache::cached(&kept, || cubin(&source, &path, &options))
}

/// What the compiler is told: the very architecture, and where headers lie.
fn options(source: &Path, (major, minor): (i32, i32)) -> Vec<String> {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/include");
    let room = source.parent().unwrap_or(Path::new("."));
    // Hopper's own instructions are in the architecture with an a.
    let own = if (major, minor) == (9, 0) { "a" } else { "" };
    vec![
        format!("--gpu-architecture=sm_{major}{minor}{own}"),
        "--std=c++17".to_owned(),
        "-lineinfo".to_owned(),
        format!("-I{}", headers.display()),
        format!("-I{}", room.display()),
    ]
}

fn version() -> Result<(i32, i32), String> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: two numbers to write to; the library is there.
    let asked = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor).result() };
    asked.map(|()| (major, minor)).map_err(|e| format!("NVRTC does not say its version: {e}"))
}

/// Compiles. What the compiler says is the error.
fn cubin(source: &str, path: &Path, options: &[String]) -> Result<Vec<u8>, String> {
    let text = |text: &str| CString::new(text).map_err(|e| e.to_string());
    let (source, name) = (text(source)?, text(&path.display().to_string())?);
    let program = result::create_program(&source, Some(&name)).map_err(|e| e.to_string())?;
    // SAFETY: the program was just made and is destroyed once, below.
    let compiled = unsafe { result::compile_program(program, options) };
    let outcome = match compiled {
        Ok(()) => finished(program),
        Err(error) => Err(format!("{error}: {}", log(program))),
    };
    // SAFETY: as above.
    unsafe { result::destroy_program(program) }.map_err(|e| e.to_string())?;
    outcome
}

fn finished(program: sys::nvrtcProgram) -> Result<Vec<u8>, String> {
    let mut size = 0;
    // SAFETY: a compiled program, and a number to write to.
    unsafe { sys::nvrtcGetCUBINSize(program, &raw mut size).result() }
        .map_err(|e| e.to_string())?;
    let mut cubin = vec![0u8; size];
    // SAFETY: as many bytes as were asked for.
    unsafe { sys::nvrtcGetCUBIN(program, cubin.as_mut_ptr().cast::<c_char>()).result() }
        .map_err(|e| e.to_string())?;
    Ok(cubin)
}

fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: a program that was compiled, if in vain.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    let bytes: Vec<u8> = log.iter().map(|&c| c as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map_or(String::new(), |s| s.to_string_lossy().into_owned())
}

/// Makes sure that NVRTC is in the process: where the loader finds it, or where the toolkit and
/// Python's packages put it. Opened by its path once, it is found by its name from then on.
fn find_nvrtc() -> Result<(), String> {
    // SAFETY: opens the library if it is there, which runs its initialisers and no more.
    let present = || unsafe { sys::is_culib_present() };
    if present() {
        return Ok(());
    }
    let folders = folders();
    for folder in &folders {
        let newest = |prefix: &str| {
            let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| name.starts_with(prefix) && !name.contains(".alt.")).max()
        };
        let (Some(builtins), Some(nvrtc)) =
            (newest("libnvrtc-builtins.so."), newest("libnvrtc.so."))
        else {
            continue;
        };
        // The builtins first: the compiler asks for them by name when it is used.
        if open(&folder.join(builtins)) && open(&folder.join(nvrtc)) && present() {
            return Ok(());
        }
    }
    let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    Err(format!(
        "GRADUS_KERNELS=source needs NVRTC, and there is no libnvrtc.so on the loader's path nor in \
         {}: set CUDA_HOME, or leave the variable unset to use the kernels as they were built",
        folders.join(", ")
    ))
}

fn open(library: &Path) -> bool {
    // SAFETY: runs the initialisers of NVIDIA's own library. It stays open for ever.
    unsafe { libloading::Library::new(library) }.map(std::mem::forget).is_ok()
}

/// Where the toolkit and Python's packages put the library.
fn folders() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let mut folders: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(variable)
        .map(|toolkit| toolkit.join("lib64"))
        .collect();
    folders.push("/usr/local/cuda/lib64".into());
    for python in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable) {
        for entry in std::fs::read_dir(python.join("lib")).into_iter().flatten().flatten() {
            let packages = entry.path().join("site-packages/nvidia");
            folders.extend(["cu13/lib", "cuda_nvrtc/lib"].map(|lib| packages.join(lib)));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of all kernels, of this crate's neighbours too.
    fn kernels() -> Vec<PathBuf> {
        let (mut folders, mut found) = (Vec::new(), Vec::new());
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of crates");
        for entry in std::fs::read_dir(crates).expect("it can be read").flatten() {
            folders.push(entry.path().join("src"));
        }
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.extension() {
                    _ if path.is_dir() => folders.push(path),
                    Some(e) if e == "cu" => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    /// The oldest GPU that a source is for.
    fn oldest(source: &str) -> (i32, i32) {
        let target = source.lines().find_map(|line| line.strip_prefix("// target compute_"));
        match target.map(str::trim) {
            Some("75") => (7, 5),
            Some("80") => (8, 0),
            Some("90a") => (9, 0),
            other => panic!("it names its target: {other:?}"),
        }
    }

    #[test]
    fn a_value_that_means_nothing_is_an_error_that_says_what_does() {
        let of = |value: &str| meant(Some(OsStr::new(value)));
        assert_eq!([meant(None), of(""), of("source")], [Ok(false), Ok(false), Ok(true)]);
        for wrong in ["sources", "SOURCE", "1", "ptx"] {
            let said = of(wrong).expect_err(wrong).to_string();
            let value = format!("GRADUS_KERNELS is {wrong:?}");
            assert!(said.starts_with(&value) && said.contains("unset, or say source"), "{said}");
        }
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that skips says so")]
    fn every_kernel_compiles_from_its_source() {
        if let Err(missing) = find_nvrtc() {
            let required = std::env::var_os("GRADUS_REQUIRE_NVRTC").is_some();
            assert!(!required, "{missing}");
            eprintln!("skipped: {missing}");
            return;
        }
        let kernels = kernels();
        assert!(kernels.len() > 20, "the kernels of all crates: {kernels:?}");
        for path in &kernels {
            let source = std::fs::read_to_string(path).expect("it can be read");
            let options = options(path, oldest(&source));
            let cubin = cubin(&source, path, &options);
            let cubin = cubin.unwrap_or_else(|said| panic!("{}: {said}", path.display()));
            assert!(cubin.starts_with(b"\x7fELF"), "{}: {} bytes", path.display(), cubin.len());
        }
        let wrong = "extern \"C\" __global__ void f() { undeclared(); }";
        let said = cubin(wrong, Path::new("wrong.cu"), &options(&kernels[0], (8, 0)));
        assert!(said.as_ref().is_err_and(|said| said.contains("undeclared")), "{said:?}");
    }
}
