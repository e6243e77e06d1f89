//! Builds one `libcuda.so` out of the emulator and every kernel of the workspace.
//!
//! Each `.cu` becomes two host objects: a plain one, and a checked one whose memory accesses call our
//! own hooks. A file is compiled inside an anonymous namespace, so that two rooms may use the same
//! names. An object is made anew only when a file that it was made of has changed; with `PLAIN_ONLY` set
//! a checked one stays as it is all the same. Without a C++ compiler, or for another machine, nothing is
//! built, and `install()` says why.

#[path = "build/kernels.rs"]
mod kernels;
#[path = "build/objects.rs"]
mod objects;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use kernels::Source;
use objects::{Compiler, Object};

/// What every object is compiled with. Products and sums are not contracted, so that the plain and
/// the checked object give the same bits; `fmaf` is one instruction where the machine has it.
const FLAGS: [&str; 11] = [
    "-std=c++20",
    "-DCUDA_EMU",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-w",
    "-Wno-psabi",
    "-O2",
];

/// Of a checked kernel besides: the sanitizers' calls, without their runtimes.
const CHECKED_FLAGS: [&str; 3] =
    ["-DEMU_CHECKED", "-fsanitize=thread", "-fsanitize=alignment,bounds,shift-exponent"];

/// Set by who wants unchecked schedules alone, and has built all before: `cargo xtask full cuda`.
const PLAIN_ONLY: &str = "GRADUS_CUDA_EMU_PLAIN_ONLY";

fn main() {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let workspace = here.join("../..").canonicalize().expect("the crate lies in crates/");
    println!("cargo:rerun-if-env-changed=CXX");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=emu");
    println!("cargo:rerun-if-changed=kernels");
    println!("cargo:rerun-if-changed={}", workspace.join("Cargo.toml").display());
    // Cargo looks through whole folders: that is how a new kernel is noticed.
    for folder in kernels::source_folders(&workspace) {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    match buildable().map(|compiler| build(&compiler, &here, &workspace)) {
        Ok(library) => println!("cargo:rustc-env=GRADUS_CUDA_EMU={}", library.display()),
        Err(why) => println!("cargo:rustc-env=GRADUS_CUDA_EMU_MISSING={why}"),
    }
}

/// The compiler, or why there is no emulation.
fn buildable() -> Result<Compiler, String> {
    let of = |name: &str| env::var(name).unwrap_or_default();
    let target = (of("CARGO_CFG_TARGET_ARCH"), of("CARGO_CFG_TARGET_OS"));
    if (target.0.as_str(), target.1.as_str()) != ("x86_64", "linux") || of("HOST") != of("TARGET") {
        return Err(format!("it runs on x86-64 Linux only, not on {}", of("TARGET")));
    }
    Compiler::find()
}

fn build(compiler: &Compiler, here: &Path, workspace: &Path) -> PathBuf {
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    let sources = kernels::find(workspace, here);
    kernels::expect_distinct(&sources);
    let mut objects: Vec<Object> = runtime(here, &out);
    let mut names = Vec::new();
    for source in &sources {
        for checked in [false, true] {
            let name = format!("{}_{}", source.id, if checked { "checked" } else { "plain" });
            objects.push(kernel_object(source, &name, checked, here, workspace, &out));
            names.push(name);
        }
    }
    objects::make(compiler, &objects);
    let script = kernels::gather_shared(&names);
    objects::link(compiler, &objects, &script, &out.join("libcuda.so"))
}

/// The emulator itself.
fn runtime(here: &Path, out: &Path) -> Vec<Object> {
    let mut files: Vec<PathBuf> = fs::read_dir(here.join("emu"))
        .expect("emu/ is part of the crate")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cpp"))
        .collect();
    files.sort();
    let object = |file: PathBuf| {
        let name = file.file_stem().expect("a file").to_string_lossy().into_owned();
        let mut flags = common_flags(here);
        match name.as_str() {
            "hooks" => flags.push("-DEMU_CHECKED".into()), // it is what checked kernels call
            "tensorcore" | "hopper" => flags.push("-O3".into()),
            _ => {}
        }
        Object { source: file, object: out.join(format!("{name}.o")), flags, stays: false }
    };
    files.into_iter().map(object).collect()
}

fn kernel_object(
    source: &Source,
    name: &str,
    checked: bool,
    here: &Path,
    workspace: &Path,
    out: &Path,
) -> Object {
    let wrapper = out.join(format!("{name}.cpp"));
    objects::write_if_new(&wrapper, &source.wrapper(name, checked));
    let mut flags = common_flags(here);
    let folder = source.path.parent().expect("a file lies in a folder");
    for include in [folder, &workspace.join("crates/gpu/src/include")] {
        flags.push(format!("-I{}", include.display()));
    }
    flags.push("-fdata-sections".into()); // for the linker to find the __shared__ variables
    if checked {
        flags.extend(CHECKED_FLAGS.map(String::from));
    }
    let stays = checked && env::var_os(PLAIN_ONLY).is_some();
    Object { source: wrapper, object: out.join(format!("{name}.o")), flags, stays }
}

fn common_flags(here: &Path) -> Vec<String> {
    let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.into()).collect();
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        flags.extend(["-mavx2".into(), "-mfma".into()]);
    }
    flags.push(format!("-I{}", here.display()));
    flags
}
