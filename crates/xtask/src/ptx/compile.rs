//! From a source to the text of its `.ptx`, proved by assembling it.

use super::sass;
use super::source::{Source, read};
use super::table::{self, Row, Table};
use super::text::{lowered, portable, with_head};
use super::toolkit::Toolkit;
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What ptxas says, as no warning, when it makes Hopper's products wait for each other.
const SERIALIZED: &str = "wgmma.mma_async instructions are serialized";

/// What became of a source.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The whole file, head and all.
    pub(super) ptx: String,
    /// What its kernels use.
    pub(super) rows: Vec<Row>,
    /// What ptxas warns of.
    pub(super) warnings: Vec<String>,
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
    let (body, assembled) = accepted(toolkit, source, &portable(&read(&written)?)?, &folder)?;
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    for (machine, report) in source.target.machines().iter().zip(&assembled) {
        let listing = match source.target.has_matrix_instructions() {
            true => Some(toolkit.disassemble(&cubin(&folder, machine))?),
            false => None,
        };
        rows.extend(measured(source, machine, report, listing.as_deref())?);
        if let Some(line) = report.lines().find(|line| line.contains(SERIALIZED)) {
            bail!("{line}: nothing but wgmma may touch the sums while products are under way");
        }
        let warns = report.lines().filter(|line| line.contains("warning"));
        warnings.extend(warns.map(|line| format!("{}, {machine}: {line}", source.path)));
    }
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    let rows = Table::new(rows);
    let ptx = with_head(name, source.hash, &body, &rows.lines_of(&source.path));
    Ok(Compiled { ptx, rows: rows.into_rows(), warnings })
}

/// The text in the oldest version of the language in which ptxas takes it for every machine of its
/// target and makes the same code of it as in nvcc's own version; and what ptxas said of each.
fn accepted(
    toolkit: &Toolkit,
    source: &Source,
    body: &str,
    folder: &Path,
) -> Result<(String, Vec<String>)> {
    let file = folder.join("portable.ptx");
    let machines = source.target.machines();
    let assemble = |body: &str| {
        std::fs::write(&file, body)?;
        let reports = machines.iter().map(|m| toolkit.assemble(&file, m, &cubin(folder, m)));
        let reports = reports.collect::<Result<Vec<_>>>()?;
        let code = machines.iter().map(|m| std::fs::read(cubin(folder, m)));
        anyhow::Ok((reports, code.collect::<Result<Vec<_>, _>>()?))
    };
    let (_, own) = assemble(body)?;
    let mut refused = anyhow!("the code is another than in nvcc's own version of PTX");
    for version in source.target.versions() {
        let body = lowered(body, version);
        match assemble(&body) {
            Ok((reports, code)) if code == own => return Ok((body, reports)),
            Ok(_) => {}
            Err(error) => refused = error,
        }
    }
    let all = source.target.versions().join(", ");
    Err(refused.context(format!("PTX {all}: no version says what the kernels say")))
}

fn cubin(folder: &Path, machine: &str) -> PathBuf {
    folder.join(format!("{machine}.cubin"))
}

/// A row for each kernel, from ptxas's report and the machine code.
fn measured(
    source: &Source,
    machine: &str,
    report: &str,
    listing: Option<&str>,
) -> Result<Vec<Row>> {
    let counted = listing.map(sass::counts);
    let mut rows = Vec::new();
    for (kernel, used) in table::used(report)? {
        let matrix = match &counted {
            Some(counted) => {
                let found = counted.iter().find(|(name, _)| *name == kernel);
                Some(found.with_context(|| format!("cuobjdump shows no code of {kernel}"))?.1)
            }
            None => None,
        };
        let [file, kernel, machine] = [&source.path, kernel, machine].map(str::to_owned);
        rows.push(Row { file, kernel, machine, used, matrix });
    }
    Ok(rows)
}
