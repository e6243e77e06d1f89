//! From a source to the text of its `.ptx`, proved by assembling it.

use super::source::{Source, read};
use super::text::{lowered, portable, with_head};
use super::toolkit::Toolkit;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What became of a source.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The whole file, head and all.
    pub(super) ptx: String,
}

/// Compiles the sources, as many at a time as there are cores; the results stand in their order.
pub(super) fn all(toolkit: &Toolkit, sources: &[&Source], scratch: &Path) -> Result<Vec<Compiled>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            let compiled = one(toolkit, source, scratch).with_context(|| source.path.clone());
            done.push((source.path.as_str(), compiled?));
        }
        Ok(done)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let finished: Vec<Result<_>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut compiled = Vec::with_capacity(sources.len());
    for worker in finished {
        compiled.extend(worker?);
    }
    compiled.sort_by_key(|(path, _)| *path);
    Ok(compiled.into_iter().map(|(_, compiled)| compiled).collect())
}

fn one(toolkit: &Toolkit, source: &Source, scratch: &Path) -> Result<Compiled> {
    let folder = scratch.join(source.path.replace('/', "-"));
    std::fs::create_dir_all(&folder)?;
    let written = folder.join("nvcc.ptx");
    toolkit.compile(Path::new(&source.path), source.target, &written)?;
    let body = accepted(toolkit, source, &portable(&read(&written)?)?, &folder)?;
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    Ok(Compiled { ptx: with_head(name, source.hash, &body) })
}

/// The text in the oldest version of the language in which ptxas takes all that it says, assembled
/// for every machine of its target.
fn accepted(toolkit: &Toolkit, source: &Source, body: &str, folder: &Path) -> Result<String> {
    let file = folder.join("lowered.ptx");
    let machines = source.target.machines();
    let mut refused = None;
    for version in source.target.versions() {
        let body = lowered(body, version);
        std::fs::write(&file, &body)?;
        let assemble = |machine: &&str| {
            toolkit.assemble(&file, machine, &folder.join(format!("{machine}.cubin")))
        };
        match machines.iter().map(assemble).collect::<Result<Vec<_>>>() {
            Ok(_) => return Ok(body),
            Err(error) => refused = Some(error),
        }
    }
    let all = source.target.versions().join(", ");
    Err(refused.context("no version")?.context(format!("ptxas takes it in none of PTX {all}")))
}
