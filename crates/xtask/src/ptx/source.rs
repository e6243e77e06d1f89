//! A `.cu` with the headers that it includes, as nvcc sees them.

use super::fingerprint;
use super::lex::without_comments;
use super::target::Target;
use super::toolkit;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Where the headers that kernels share stand.
pub(super) const HEADERS: &str = "crates/gpu/src/include";
/// Defined where a kernel is built for the CPU: what stands under it is not for nvcc.
const EMULATION: &str = "CUDA_EMU";

/// One file of kernels.
#[derive(Debug)]
pub(super) struct Source {
    /// From the project's root, with slashes.
    pub(super) path: String,
    /// As it is written.
    pub(super) text: String,
    /// What it is compiled for.
    pub(super) target: Target,
    /// The headers and the file in the order of inclusion, without comments and blank lines.
    pub(super) code: String,
    /// Changes with the code, the target and the toolkit.
    pub(super) hash: u64,
}

impl Source {
    /// Every `.cu` of the crates, in the order of their paths.
    pub(super) fn all(root: &Path) -> Result<Vec<Self>> {
        files(root, "cu")?.iter().map(|path| Self::read(root, path)).collect()
    }

    fn read(root: &Path, path: &str) -> Result<Self> {
        let text = read(&root.join(path))?;
        let target = Target::of(&text).with_context(|| path.to_owned())?;
        let mut unit = Unit { root, code: String::new(), seen: Vec::new() };
        unit.add(&root.join(path), &text)?;
        let hash = fingerprint::of(&[&toolkit::recipe(target), path, &unit.code]);
        Ok(Self { path: path.to_owned(), text, target, code: unit.code, hash })
    }

    /// Where its PTX stands: beside it.
    pub(super) fn ptx(&self) -> String {
        format!("{}.ptx", self.path.trim_end_matches(".cu"))
    }
}

/// The files with that extension below `crates/*/src`, from the root, with slashes, in order.
pub(super) fn files(root: &Path, extension: &str) -> Result<Vec<String>> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, extension, found)?;
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).context("run it in the project's root")? {
        let folder = entry?.path().join("src");
        if folder.is_dir() {
            walk(&folder, extension, &mut found)?;
        }
    }
    let mut paths = Vec::with_capacity(found.len());
    for path in found {
        let path = path.strip_prefix(root)?;
        paths.push(path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/"));
    }
    paths.sort();
    Ok(paths)
}

/// A file's text; the error names it.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What nvcc compiles as one: a header's text in place of the first line that includes it.
struct Unit<'a> {
    root: &'a Path,
    code: String,
    seen: Vec<PathBuf>,
}

impl Unit<'_> {
    fn add(&mut self, path: &Path, text: &str) -> Result<()> {
        for line in device_lines(text) {
            match included(&line) {
                Some(Include::Own(name)) => self.include(path, name)?,
                Some(Include::System(name)) => bail!(
                    "{} includes <{name}>: kernels include no header of NVIDIA or of the host, \
                     since NVRTC has none; what is for the emulation goes under {EMULATION}",
                    path.display()
                ),
                None => {
                    self.code.push_str(&line);
                    self.code.push('\n');
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, from: &Path, name: &str) -> Result<()> {
        let beside = from.parent().unwrap_or(self.root).join(name);
        let shared = self.root.join(HEADERS).join(name);
        let Some(path) = [beside, shared].into_iter().find(|path| path.is_file()) else {
            let from = from.display();
            bail!("{from} includes {name:?}, which stands neither beside it nor in {HEADERS}");
        };
        let path = path.canonicalize().with_context(|| path.display().to_string())?;
        if self.seen.contains(&path) {
            return Ok(());
        }
        let text = read(&path)?;
        self.seen.push(path.clone());
        self.add(&path, &text)
    }
}

/// The lines that nvcc sees: no comments, no blank lines, continued lines joined, and nothing of
/// what stands there for the emulation.
fn device_lines(text: &str) -> Vec<String> {
    let code = without_comments(text).replace("\\\r\n", " ").replace("\\\n", " ");
    let mut lines = Vec::new();
    let mut branches = Vec::new();
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let known = branch(line, &mut branches);
        if !known && branches.iter().all(|branch| *branch != Branch::Host) {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// A condition that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    /// Only where kernels are emulated.
    Host,
    /// Only where they are not.
    Device,
    /// It has nothing to do with the emulation.
    Other,
}

/// Follows the conditions; true if the line asks for the emulation, or ends what does.
fn branch(line: &str, branches: &mut Vec<Branch>) -> bool {
    let Some(directive) = line.strip_prefix('#').map(str::trim_start) else { return false };
    let start = directive.find(|c: char| !c.is_alphabetic()).unwrap_or(directive.len());
    let (verb, condition) = directive.split_at(start);
    match verb {
        "if" | "ifdef" | "ifndef" => {
            let negated = verb == "ifndef" || condition.trim_start().starts_with('!');
            branches.push(match (condition.contains(EMULATION), negated) {
                (false, _) => Branch::Other,
                (true, false) => Branch::Host,
                (true, true) => Branch::Device,
            });
            condition.contains(EMULATION)
        }
        "else" | "elif" => {
            let Some(last) = branches.last_mut() else { return false };
            *last = match *last {
                Branch::Host => Branch::Device,
                Branch::Device => Branch::Host,
                Branch::Other => return false,
            };
            true
        }
        "endif" => branches.pop().is_some_and(|branch| branch != Branch::Other),
        _ => false,
    }
}

enum Include<'a> {
    Own(&'a str),
    System(&'a str),
}

/// What the line includes, if it does.
fn included(line: &str) -> Option<Include<'_>> {
    let name = line.strip_prefix('#')?.trim_start().strip_prefix("include")?.trim();
    match name.strip_prefix('"') {
        Some(own) => Some(Include::Own(own.trim_end_matches('"'))),
        None => Some(Include::System(name.trim_matches(['<', '>']))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KERNEL: &str = "// One.\n#include \"prelude.cuh\"\n#include \"own.cuh\"\nint kernel;\n";

    /// A project of one kernel, a header beside it and a shared one.
    fn project() -> tempfile::TempDir {
        let project = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = project.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("crates/layers/src/dense/gemm.cu", KERNEL);
        write(
            "crates/layers/src/dense/own.cuh",
            "#pragma once\n#include \"prelude.cuh\"\nint own;\n",
        );
        write(
            "crates/gpu/src/include/prelude.cuh",
            "#if defined(CUDA_EMU)\n#include <cmath>\n#else\nint prelude;\n#endif\n",
        );
        project
    }

    fn only(project: &tempfile::TempDir) -> Source {
        let mut sources = Source::all(project.path()).unwrap();
        assert_eq!(sources.len(), 1);
        sources.remove(0)
    }

    #[test]
    fn a_unit_is_its_headers_once_and_what_is_for_the_device() {
        let source = only(&project());
        assert_eq!(source.code, "int prelude;\n#pragma once\nint own;\nint kernel;\n");
        assert_eq!(source.ptx(), "crates/layers/src/dense/gemm.ptx");
    }

    #[test]
    fn the_hash_follows_code_of_headers_and_no_comment() {
        let project = project();
        let before = only(&project).hash;
        let header = project.path().join("crates/gpu/src/include/prelude.cuh");
        let text = fs::read_to_string(&header).unwrap();
        fs::write(&header, format!("// Says more.\n\n{}", text.replace("cmath", "math.h")))
            .unwrap();
        assert_eq!(only(&project).hash, before, "comments and the emulation's part do not count");
        fs::write(&header, text.replace("int prelude", "int  other")).unwrap();
        assert_ne!(only(&project).hash, before);
        let target = KERNEL.replace("// One.", "// target compute_80");
        fs::write(&header, text).unwrap();
        fs::write(project.path().join("crates/layers/src/dense/gemm.cu"), target).unwrap();
        assert_ne!(only(&project).hash, before, "the target is a comment that counts");
    }

    #[test]
    fn a_header_that_is_missing_or_not_ours_is_named() {
        let project = project();
        let path = project.path().join("crates/layers/src/dense/gemm.cu");
        fs::write(&path, "#include \"absent.cuh\"\n").unwrap();
        let error = Source::all(project.path()).unwrap_err().to_string();
        assert!(error.contains("gemm.cu includes \"absent.cuh\""), "{error}");
        fs::write(&path, "#include <cuda_fp16.h>\n").unwrap();
        let error = Source::all(project.path()).unwrap_err().to_string();
        assert!(error.contains("<cuda_fp16.h>"), "{error}");
    }

    #[test]
    fn conditions_on_other_names_stay() {
        let text = "#ifndef CUDA_EMU\na\n#ifdef B\nb\n#else\nc\n#endif\n#else\nd\n#endif\ne\n";
        assert_eq!(device_lines(text), ["a", "#ifdef B", "b", "#else", "c", "#endif", "e"]);
    }
}
