//! The house rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file of the project with its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["crates", "examples", "benches", "tests"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} files found", found.len());
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn expect_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_about() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    expect_none("a file opens with //! and its idea", &silent);
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    expect_none("500 lines are the limit: split by idea", &long);
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    let allowed = |path: &str| {
        let tensor = ["crates/tensor/src/", "crates/gpu/", "crates/cuda-emu/", "crates/xtask/"];
        tensor.iter().any(|p| path.contains(p))
            || path.contains("/cpu.rs")
            || path.contains("/cpu/")
            || path.contains("/cuda.rs")
            || path.contains("/cuda/")
            || path.ends_with("layers/src/matmul.rs")
            || path.ends_with("tests/no_alloc.rs")
            || path.ends_with("tests/counting/mod.rs")
            || path.ends_with("tests/tidy.rs")
    };
    let keyword = concat!("unsafe", " ");
    let strays: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path.display().to_string(), text))
        .filter(|(path, text)| !allowed(path) && code_lines(text).any(|l| l.contains(keyword)))
        .map(|(path, _)| path)
        .collect();
    expect_none(
        "only tensor, gpu, cuda-emu and the engines in cpu.rs and cuda.rs may be unsafe",
        &strays,
    );
}

#[test]
fn only_gpu_knows_cuda_and_features() {
    let words = [concat!("cuda", "rc::"), concat!("cfg(", "feature")];
    // The emulated driver's own tests drive it as the door does.
    let door = ["crates/gpu/", "crates/cuda-emu/tests/"];
    let strays: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| !door.iter().any(|d| path.display().to_string().contains(d)))
        .filter(|(_, text)| code_lines(text).any(|l| words.iter().any(|w| l.contains(w))))
        .map(|(path, _)| path.display().to_string())
        .collect();
    expect_none("the CUDA driver and features are named in crates/gpu alone", &strays);
}

/// Lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn every_place_that_the_documents_name_exists() {
    let mut checked = 0;
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect("the document");
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = quoted.contains('/') && !quoted.contains([' ', '<', '*', '$', '(']);
            let of_ours = ["crates/", "docs/", "tests/", "examples/", "benches/", ".ci/"];
            if is_path && of_ours.iter().any(|p| quoted.starts_with(p)) {
                let path = root().join(quoted);
                assert!(path.exists(), "{document} names {quoted}, which is not there");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "only {checked} places are named");
}

#[test]
fn every_layer_has_its_engine_beside_it_and_is_registered() {
    let layers = root().join("crates/layers/src");
    let rooms_of = fs::read_to_string(layers.join("lib.rs")).expect("the list of rooms");
    let mut rooms = 0;
    for (path, text) in sources() {
        // A layer says itself what it is called, or is another name for one of a kind.
        let named =
            ["impl Described for ", "pub type "].iter().find_map(|it| text.split(it).nth(1));
        let Some(named) = named.filter(|_| path.parent() == Some(&layers)) else { continue };
        let name = named.split_whitespace().next().expect("a type");
        assert!(rooms_of.contains(&format!(": {name},")), "{name} has no line under rooms!");
        let exempt = ["flatten.rs", "sequential.rs"]; // a copy and a container compute nothing
        let exempt = exempt.iter().any(|e| path.ends_with(e));
        assert!(exempt || path.with_extension("").join("cpu.rs").exists(), "{name}: no cpu.rs");
        rooms += 1;
    }
    assert!(rooms >= 13, "{rooms} layers found");
}
