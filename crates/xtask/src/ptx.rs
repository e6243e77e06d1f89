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
            fresh()?;
            hold(&differences(&Toolkit::install(&folder())?, &Source::all(root())?)?)
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
            crate::say(&format!("ptx: not compiled again, though the hashes are right: {error:#}"));
            Ok(())
        }
    }
}

/// Compiles what is not fresh.
fn renew(sources: &[Source]) -> Result<()> {
    let old = table()?;
    let (mut stale, mut rows) = (Vec::new(), Vec::new());
    for source in sources {
        match state(source, &old)? {
            State::Fresh => rows.extend(old.of(&source.path).cloned()),
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
    let new = Table::new(rows);
    if !sources.is_empty() && new != old {
        write(&root().join(table::PATH), &new.to_string())?;
    }
    crate::say(&format!("ptx: {} of {} files compiled", stale.len(), sources.len()));
    hold(&flaws(sources)?)
}

/// What is wrong that can be seen without a compiler.
fn flaws(sources: &[Source]) -> Result<Vec<String>> {
    let mut flaws = orphans(sources)?;
    let table = table()?;
    for source in sources {
        let (ptx, name) = (source.ptx(), &source.path);
        let flaw = match state(source, &table)? {
            State::Fresh => None,
            State::Absent => Some(format!("{name} has no {ptx}")),
            State::Edited => Some(format!("{ptx} is not as it was generated from {name}")),
            State::Old => Some(format!("{ptx} is older than {name}, its headers or the toolkit")),
            State::Unlisted => Some(format!("{} does not list the kernels of {name}", table::PATH)),
        };
        flaws.extend(flaw.map(|flaw| format!("{flaw}: {REMEDY}")));
        flaws.extend(table::spill_flaws(source, &table));
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
    if !rows.is_empty() && read(&root().join(table::PATH))? != Table::new(rows).to_string() {
        differences.push(format!("{} is not what ptxas says: {REMEDY}", table::PATH));
    }
    crate::say(&format!("ptx: {} files compiled again and compared", sources.len()));
    Ok(differences)
}

/// What lies there of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Absent,
    Edited,
    Old,
    /// The table lacks its kernels, or has others.
    Unlisted,
}

fn state(source: &Source, table: &Table) -> Result<State> {
    let path = root().join(source.ptx());
    if !path.is_file() {
        return Ok(State::Absent);
    }
    let ptx = read(&path)?;
    Ok(match text::freshness(&ptx, source.hash) {
        Freshness::Edited => State::Edited,
        Freshness::Old => State::Old,
        Freshness::Fresh if table.covers(source, &text::entries(&ptx)) => State::Fresh,
        Freshness::Fresh => State::Unlisted,
    })
}

/// The table as it lies there; empty where there is none.
fn table() -> Result<Table> {
    let path = root().join(table::PATH);
    Ok(if path.is_file() { Table::read(&read(&path)?) } else { Table::default() })
}

fn hold(flaws: &[String]) -> Result<()> {
    if !flaws.is_empty() {
        bail!("{} of the kernels' files:\n  {}", flaws.len(), flaws.join("\n  "));
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
