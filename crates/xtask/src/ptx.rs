//! `cargo xtask ptx`: the CUDA kernels as PTX, checked in beside their sources.
//!
//! ```text
//! cargo xtask ptx            compiles each .cu that has changed to the .ptx beside it
//! cargo xtask ptx --check    compiles all of them and compares; writes nothing
//! ```
//!
//! A build of gradus compiles no kernel: it takes the PTX as it lies there, and the driver of the
//! user's machine makes code of it. So the text must be that of the source, which is checked
//! twice. Every `.ptx` carries the hash of its source, which needs no compiler; and where NVIDIA's
//! toolkit can be had, the kernels are compiled again and compared byte by byte.

mod agreement;
mod compile;
mod fingerprint;
mod lex;
mod sass;
mod signature;
mod source;
mod structs;
mod table;
mod target;
mod text;
mod toolkit;
mod types;

use anyhow::{Result, bail};
use source::{Source, files, read};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use table::Table;
use text::Freshness;
use toolkit::Toolkit;

const REMEDY: &str = "run `cargo xtask ptx` and commit what it writes with the .cu";

/// The task, from the command line.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let arguments: Vec<String> = arguments.collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => renew(&Source::all(root())?),
        ["--check"] => {
            let sources = Source::all(root())?;
            hold(&flaws(&sources)?)?;
            if sources.is_empty() {
                return Ok(());
            }
            hold(&differences(&Toolkit::install(&folder())?, &sources)?)
        }
        _ => bail!("cargo xtask ptx takes nothing or --check, not {:?}", arguments.join(" ")),
    }
}

/// What needs no toolkit: are the files of each other?
pub(crate) fn fresh() -> Result<()> {
    hold(&flaws(&Source::all(root())?)?)
}

/// Compiles all again and compares, where the toolkit can be had.
pub(crate) fn check() -> Result<()> {
    let sources = Source::all(root())?;
    if sources.is_empty() {
        crate::say("ptx: there are no kernels");
        return Ok(());
    }
    match Toolkit::install(&folder()) {
        Ok(toolkit) => hold(&differences(&toolkit, &sources)?),
        Err(error) => {
            // One line, in which what was left out comes first.
            crate::say(&format!(
                "ptx: NOT CHECKED: that nvcc writes this PTX of the sources, that ptxas takes it, and \
                 what kernels take of a GPU (hashes and declarations are right); NVIDIA's toolkit \
                 cannot be had: {error:#}"
            ));
            Ok(())
        }
    }
}

/// Compiles what is not fresh.
fn renew(sources: &[Source]) -> Result<()> {
    let old = Table::read(&table_text()?);
    let (mut stale, mut rows) = (Vec::new(), Vec::new());
    for source in sources {
        match state(source, &old)? {
            Some(Freshness::Fresh) => rows.extend(old.of(&source.path).cloned()),
            _ => stale.push(source),
        }
    }
    if !stale.is_empty() {
        let toolkit = Toolkit::install(&folder())?;
        let compiled = compile::all(&toolkit, &stale, &scratch()?)?;
        for (source, compiled) in stale.iter().zip(compiled) {
            write(&root().join(source.ptx()), &compiled.ptx)?;
            crate::say(&format!("ptx: {}", source.ptx()));
            compiled.warnings.iter().for_each(|warning| crate::say(warning));
            rows.extend(compiled.rows);
        }
    }
    let table = Table::new(rows).to_string();
    if table_text()? != table {
        write(&root().join(table::PATH), &table)?;
    }
    crate::say(&format!("ptx: {} of {} files compiled", stale.len(), sources.len()));
    hold(&flaws(sources)?)
}

/// What is wrong that can be seen without a compiler.
fn flaws(sources: &[Source]) -> Result<Vec<String>> {
    let mut flaws = orphans(sources)?;
    let lines = table_text()?;
    let table = Table::read(&lines);
    let mut rows = Vec::new();
    for source in sources {
        let (ptx, name) = (source.ptx(), &source.path);
        let flaw = match state(source, &table)? {
            Some(Freshness::Fresh) => None,
            None => Some(format!("{name} has no {ptx}")),
            Some(Freshness::Edited) => Some(format!(
                "{ptx} or its lines of {} are not as they were generated from {name}",
                table::PATH
            )),
            Some(Freshness::Old) => {
                Some(format!("{ptx} is older than {name}, its headers or the toolkit"))
            }
        };
        flaws.extend(flaw.map(|flaw| format!("{flaw}: {REMEDY}")));
        flaws.extend(table::spill_flaws(source, &table));
        rows.extend(table.of(&source.path).cloned());
    }
    if Table::new(rows).to_string() != lines {
        flaws.push(format!("{} lacks lines or has others: {REMEDY}", table::PATH));
    }
    flaws.extend(agreement::flaws(root(), sources)?);
    Ok(flaws)
}

/// PTX whose source is gone.
fn orphans(sources: &[Source]) -> Result<Vec<String>> {
    let expected: BTreeSet<String> = sources.iter().map(Source::ptx).collect();
    let found = files(root(), "ptx")?;
    let orphans = found.iter().filter(|path| !expected.contains(*path));
    Ok(orphans.map(|path| format!("{path} has no .cu beside it: remove it")).collect())
}

/// What compiling says otherwise than the files.
fn differences(toolkit: &Toolkit, sources: &[Source]) -> Result<Vec<String>> {
    let all: Vec<&Source> = sources.iter().collect();
    let compiled = compile::all(toolkit, &all, &scratch()?)?;
    let (mut differences, mut rows) = (Vec::new(), Vec::new());
    for (source, compiled) in sources.iter().zip(compiled) {
        let ptx = source.ptx();
        if read(&root().join(&ptx))? != compiled.ptx {
            differences.push(format!("{ptx} is not what {} compiles to: {REMEDY}", source.path));
        }
        rows.extend(compiled.rows);
    }
    if table_text()? != Table::new(rows).to_string() {
        differences.push(format!("{} is not what ptxas says: {REMEDY}", table::PATH));
    }
    crate::say(&format!("ptx: {} files compiled again and compared", sources.len()));
    Ok(differences)
}

/// What the `.ptx` of a source is to it; none if there is no `.ptx`.
fn state(source: &Source, table: &Table) -> Result<Option<Freshness>> {
    let path = root().join(source.ptx());
    if !path.is_file() {
        return Ok(None);
    }
    let resources = table.lines_of(&source.path);
    Ok(Some(text::freshness(&read(&path)?, source.hash, &resources)))
}

/// The table as it lies there; empty where there is none.
fn table_text() -> Result<String> {
    let path = root().join(table::PATH);
    if path.is_file() { read(&path) } else { Ok(String::new()) }
}

fn hold(flaws: &[String]) -> Result<()> {
    if !flaws.is_empty() {
        bail!("flaws of the CUDA kernels: {}\n  {}", flaws.len(), flaws.join("\n  "));
    }
    Ok(())
}

/// Writes beside and renames.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(&beside, path)?)
}

/// The project; xtask runs there.
fn root() -> &'static Path {
    Path::new("")
}

fn folder() -> PathBuf {
    crate::target().join("cuda-toolkit")
}

/// Where the compiler's own files go, empty at first.
fn scratch() -> Result<PathBuf> {
    let folder = crate::target().join("ptx");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
