//! The kernels of the workspace: where they lie, what they are called, and what each is wrapped in.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One `.cu` file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// A name for its objects, the same as long as it is not moved.
    pub(crate) id: String,
    pub(crate) kernels: Vec<Kernel>,
}

pub(crate) struct Kernel {
    pub(crate) name: String,
    /// The first argument of `__launch_bounds__`, as it is written, or 1024.
    pub(crate) most_threads: String,
}

/// The folders in which kernels may lie.
pub(crate) fn source_folders(workspace: &Path) -> Vec<PathBuf> {
    let crates = fs::read_dir(workspace.join("crates")).expect("the crates of the workspace");
    let mut folders: Vec<PathBuf> = crates
        .map(|entry| entry.expect("an entry").path().join("src"))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Every `.cu` file below them, and this crate's own, sorted.
pub(crate) fn find(workspace: &Path, here: &Path) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in source_folders(workspace) {
        walk(&folder, &mut paths);
    }
    walk(&here.join("kernels"), &mut paths);
    paths.sort();
    paths.into_iter().map(|path| Source::read(path, workspace)).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "cu") {
            found.push(path.canonicalize().expect("just found"));
        }
    }
}

/// The driver knows a kernel by its name alone.
pub(crate) fn expect_distinct(sources: &[Source]) {
    let mut seen: HashMap<&str, &Path> = HashMap::new();
    for source in sources {
        for kernel in &source.kernels {
            if let Some(other) = seen.insert(&kernel.name, &source.path) {
                let here = source.path.display();
                panic!(
                    "kernel {} is in {here} and in {}: rename one",
                    kernel.name,
                    other.display()
                );
            }
        }
    }
}

impl Source {
    fn read(path: PathBuf, workspace: &Path) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let place = path.strip_prefix(workspace).unwrap_or(&path).with_extension("");
        let id = place.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        Self { id, kernels: kernels_of(&text), path }
    }

    /// The C++ file that is compiled: the source in an anonymous namespace, and its entries in the
    /// table of kernels. `object` is its name. Kernels have C linkage,
    /// which knows no namespace, so that each variant's gets a name of its own.
    pub(crate) fn wrapper(&self, object: &str, checked: bool) -> String {
        let mut text = "// Written by build.rs.\n".to_owned();
        text += "#include \"emu/kernel.h\"\n#include \"emu/hopper.h\"\n";
        let suffix = if checked { "checked" } else { "plain" };
        for Kernel { name, .. } in &self.kernels {
            text += &format!("#define {name} {name}_{suffix}\n");
        }
        text += &format!(
            "namespace {{\n#include \"{}\"\n}}\n\
             extern \"C\" unsigned char shared_begin_{object}[], shared_end_{object}[];\n\
             namespace {{\nstruct Entries {{\n    Entries() {{\n",
            self.path.display()
        );
        for Kernel { name, most_threads } in &self.kernels {
            let variant =
                format!("{{emu::Entry<{name}>::call, shared_begin_{object}, shared_end_{object}}}");
            let variants =
                if checked { format!("{{}}, {variant}") } else { format!("{variant}, {{}}") };
            text += &format!(
                "        emu::enter_kernel({{\"{name}\", emu::Entry<{name}>::sizes, \
                 emu::Entry<{name}>::parameters, ({most_threads}), {{{variants}}}}}, {checked});\n"
            );
        }
        text + "    }\n} entries;\n}\n"
    }
}

/// A linker script that puts the `__shared__` variables of each object together, between two symbols.
///
/// They are the static variables of functions, whose mangled names begin with `_ZZ`, and which have
/// no first value. An attribute for their section would be shorter, but GCC before 14 ignores it in
/// templates (its bug 41091).
pub(crate) fn gather_shared(objects: &[String]) -> String {
    let mut script = "SECTIONS\n{\n".to_owned();
    for object in objects {
        script += &format!(
            "  shared_{object} (NOLOAD) : ALIGN(1024)\n  {{\n    HIDDEN(shared_begin_{object} = .);\n    \
             *{object}.o(.bss._ZZ*)\n    HIDDEN(shared_end_{object} = .);\n  }}\n"
        );
    }
    script + "}\nINSERT AFTER .bss;\n"
}

/// Every `extern "C" __global__ void [__launch_bounds__(..)] NAME(` that is not in a comment.
fn kernels_of(text: &str) -> Vec<Kernel> {
    let code = without_comments(text);
    let declarations = code.split("extern \"C\" __global__").skip(1);
    declarations.filter_map(kernel_of).collect()
}

fn kernel_of(declaration: &str) -> Option<Kernel> {
    let mut most_threads = "1024".to_owned();
    let mut rest = declaration.trim_start();
    loop {
        if let Some(bounds) = rest.strip_prefix("__launch_bounds__") {
            let (inside, after) = parenthesised(bounds.trim_start())?;
            most_threads = first_argument(inside).trim().to_owned();
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix("void") {
            rest = after.trim_start();
        } else {
            let name = rest.split('(').next()?.trim().to_owned();
            let plain =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            return plain.then_some(Kernel { name, most_threads });
        }
    }
}

/// What stands in the parentheses at the front, and what follows them.
fn parenthesised(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((text.get(1..i)?, &text[i + 1..]));
        }
    }
    None
}

fn first_argument(arguments: &str) -> &str {
    let mut depth = 0;
    for (i, c) in arguments.char_indices() {
        match c {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ',' if depth == 0 => return &arguments[..i],
            _ => {}
        }
    }
    arguments
}

fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        code += &rest[..at];
        let end = if rest[at..].starts_with("//") { "\n" } else { "*/" };
        rest = rest[at..].split_once(end).map_or("", |(_, after)| after);
        code.push('\n');
    }
    code + rest
}
