//! Holds the `.cu` of every room against what the room's Rust says of it.

use super::lex::{tokens, without_comments};
use super::signature::{self, Declared, Signature};
use super::source::{Source, files, read};
use super::structs::{self, Definitions};
use super::text;
use super::types::aliases;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A `kernels!` and the file that it stands in.
struct Declaration {
    file: String,
    declared: Declared,
}

impl Declaration {
    /// The `src` of its crate, with a slash.
    fn crate_source(&self) -> &str {
        source_folder(&self.file)
    }

    /// The `.cu` that it declares.
    fn source(&self) -> String {
        format!("{}{}.cu", self.crate_source(), self.declared.path)
    }
}

/// `crates/NAME/src/` of a path below it.
fn source_folder(path: &str) -> &str {
    const SRC: &str = "/src/";
    path.find(SRC).map_or("", |i| &path[..i + SRC.len()])
}

/// Everything in which the two languages do not agree.
pub(super) fn flaws(root: &Path, sources: &[Source]) -> Result<Vec<String>> {
    let declarations = declarations(root)?;
    let rust = if declarations.is_empty() { Vec::new() } else { rust_files(root)? };
    let mut flaws = Vec::new();
    for of in &declarations {
        if !sources.iter().any(|source| source.path == of.source()) {
            let (file, path, cu) = (&of.file, &of.declared.path, of.source());
            flaws.push(format!("{file}: kernels! names {path:?}, and there is no {cu}"));
        }
    }
    let mut names = BTreeMap::new();
    for source in sources {
        let own: Vec<&Declaration> =
            declarations.iter().filter(|of| of.source() == source.path).collect();
        let found = of_source(root, source, &own, &rust, &mut names)?;
        flaws.extend(found.into_iter().map(|flaw| format!("{}: {flaw}", source.path)));
    }
    Ok(flaws)
}

fn declarations(root: &Path) -> Result<Vec<Declaration>> {
    let mut declarations = Vec::new();
    for file in files(root, "rs")? {
        let text = read(&root.join(&file))?;
        if !text.contains("kernels!") {
            continue;
        }
        let code = without_comments(&text);
        let all = signature::declared(&tokens(&code)).with_context(|| file.clone())?;
        let of_file = all.into_iter().map(|declared| Declaration { file: file.clone(), declared });
        declarations.extend(of_file);
    }
    Ok(declarations)
}

fn of_source<'a>(
    root: &Path,
    source: &'a Source,
    own: &[&Declaration],
    rust: &[RustFile],
    names: &mut BTreeMap<String, &'a str>,
) -> Result<Vec<String>> {
    let unit = tokens(&source.code);
    let aliases = aliases(&unit);
    let defined = signature::defined(&unit, &aliases).with_context(|| source.path.clone())?;
    let mut flaws = Vec::new();
    for kernel in &defined {
        if let Some(other) = names.insert(kernel.name.clone(), &source.path) {
            flaws.push(format!("{} is also a kernel of {other}: names are unique", kernel.name));
        }
    }
    flaws.extend(compiled_otherwise(root, source, &defined)?);
    let declared: Vec<Signature> = own.iter().flat_map(|of| of.declared.kernels.clone()).collect();
    flaws.extend(signature::differences(&defined, &declared));
    let cpp = structs::of_unit(&source.code, &unit, &aliases);
    if let Some(declaration) = own.first() {
        let rust = definitions(rust, declaration);
        flaws.extend(structs::differences(passed(&defined), &cpp, &rust));
    }
    Ok(flaws)
}

/// Kernels of the PTX that the text of the source does not show.
fn compiled_otherwise(root: &Path, source: &Source, defined: &[Signature]) -> Result<Vec<String>> {
    let path = root.join(source.ptx());
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let ptx = read(&path)?;
    let unknown = text::entries(&ptx).into_iter();
    let unknown = unknown.filter(|entry| !defined.iter().any(|kernel| kernel.name == *entry));
    Ok(unknown
        .map(|entry| {
            format!(
                "its PTX has a kernel {entry}: spell kernels out, as extern \"C\" __global__ void"
            )
        })
        .collect())
}

/// The structs that kernels take, by value or in memory; numbers are among the names and are found
/// nowhere.
fn passed(kernels: &[Signature]) -> Vec<&str> {
    let parameters = kernels.iter().flat_map(|kernel| &kernel.parameters);
    let mut names: Vec<&str> = parameters.map(|(_, ty)| ty.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A file of the project, and what it defines.
struct RustFile {
    path: String,
    defines: Definitions,
}

fn rust_files(root: &Path) -> Result<Vec<RustFile>> {
    let mut all = Vec::new();
    for path in files(root, "rs")? {
        let code = without_comments(&read(&root.join(&path))?);
        all.push(RustFile { path, defines: structs::of_rust_file(&tokens(&code)) });
    }
    Ok(all)
}

/// Structs and numbers of Rust, nearest first: of the file that declares the kernels, of its room,
/// and last of its crate with what other crates lay out by the rules of C.
fn definitions(rust: &[RustFile], of: &Declaration) -> Definitions {
    let source = of.crate_source();
    let room = of.declared.path.split('/').next().unwrap_or_default();
    let (file, folder) = (format!("{source}{room}.rs"), format!("{source}{room}/"));
    let mut rings = [Vec::new(), Vec::new(), Vec::new()];
    for RustFile { path, defines } in rust {
        if *path == of.file {
            rings[0].push(defines.clone());
        } else if *path == file || path.starts_with(&folder) {
            rings[1].push(defines.clone());
        } else if source_folder(path) == source {
            rings[2].push(defines.clone());
        } else {
            rings[2].push(defines.plain());
        }
    }
    let mut all = Definitions::default();
    rings.into_iter().for_each(|ring| all.fill(ring));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CPP: &str = "struct Geometry { int n, h; };\n\
        extern \"C\" __global__ void copy(Geometry g, const float* x, float* y) {}\n";
    const RUST: &str =
        "kernels! { \"dense/copy\"; fn copy(g: Geometry, x: In<f32>, y: Out<f32>); }\n";
    const STRUCT: &str = "#[repr(C)]\nstruct Geometry { n: i32, h: i32 }\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let project = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = project.path().join("crates").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        flaws(project.path(), &Source::all(project.path()).unwrap()).unwrap()
    }

    #[track_caller]
    fn expect(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
    }

    #[test]
    fn a_room_that_agrees_has_no_flaws_wherever_its_struct_stands() {
        let (cu, room) = ("layers/src/dense/copy.cu", "layers/src/dense/cuda.rs");
        let ptx = ("layers/src/dense/copy.ptx", ".visible .entry copy(\n");
        let (wrong, bad) = ("layers/src/conv2d.rs", "struct Geometry { k: u8 }\n");
        for place in [room, "layers/src/dense.rs", "layers/src/geometry.rs", "tensor/src/a.rs"] {
            let text = if place == room { format!("{STRUCT}{RUST}") } else { STRUCT.to_owned() };
            let flaws = found(&[(cu, CPP), ptx, (wrong, bad), (room, RUST), (place, &text)]);
            expect(&flaws, &[]);
            let other = text.replace("h: i32", "h: u32");
            let flaws = found(&[(cu, CPP), (wrong, bad), (room, RUST), (place, &other)]);
            expect(&flaws, &["copy.cu: struct Geometry has h: i32 in C++ where Rust has h: u32"]);
        }
    }

    #[test]
    fn of_two_structs_with_one_name_one_has_to_agree() {
        let (cu, room) = ("layers/src/dense/copy.cu", "layers/src/dense/cuda.rs");
        let (near, far) = ("layers/src/a.rs", "layers/src/b.rs");
        let other = "#[repr(C)]\nstruct Geometry { k: u64 }\n";
        expect(&found(&[(cu, CPP), (room, RUST), (near, other), (far, STRUCT)]), &[]);
        let wrong = STRUCT.replace("n: i32", "n: u32");
        let flaws = found(&[(cu, CPP), (room, RUST), (near, &wrong), (far, other)]);
        expect(&flaws, &["struct Geometry has n: i32 in C++ where Rust has n: u32"]);
    }

    #[test]
    fn structs_behind_pointers_are_compared_too() {
        let (cu, room) = ("layers/src/dense/copy.cu", "layers/src/dense/cuda.rs");
        let cpp = CPP.replace("Geometry g", "const Geometry* g");
        let rust = format!("{STRUCT}{RUST}").replace("g: Geometry", "g: In<Geometry>");
        expect(&found(&[(cu, &cpp), (room, &rust)]), &[]);
        let flaws = found(&[(cu, &cpp), (room, &rust.replace("n: i32", "n: i64"))]);
        expect(&flaws, &["struct Geometry has n: i32 in C++ where Rust has n: i64"]);
    }

    #[test]
    fn what_only_one_side_has_is_a_flaw() {
        let (cu, room) = ("layers/src/dense/copy.cu", "layers/src/dense/cuda.rs");
        expect(&found(&[(cu, CPP)]), &["copy.cu: copy is declared in no kernels!"]);
        let flaws = found(&[(room, RUST)]);
        expect(&flaws, &["cuda.rs: kernels! names \"dense/copy\", and there is no crates/layers"]);
        let other = RUST.replace("fn copy", "fn copied");
        let flaws = found(&[(cu, CPP), (room, &other)]);
        expect(&flaws, &["copy is declared in no", "copied is declared and not defined"]);
    }

    #[test]
    fn names_are_unique_and_entries_of_the_ptx_are_spelled_out() {
        let (cu, room) = ("layers/src/dense/copy.cu", "layers/src/dense/cuda.rs");
        let other = ("optim/src/a/copy.cu", CPP);
        let rust = RUST.replace("dense/", "a/");
        let flaws = found(&[(cu, CPP), (room, RUST), other, ("optim/src/a.rs", &rust)]);
        expect(&flaws, &["optim/src/a/copy.cu: copy is also a kernel of crates/layers"]);
        let ptx = ("layers/src/dense/copy.ptx", ".visible .entry _Z4copyPf(\n");
        let flaws = found(&[(cu, CPP), (room, RUST), ptx]);
        expect(&flaws, &["its PTX has a kernel _Z4copyPf: spell"]);
    }
}
