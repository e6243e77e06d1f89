//! What each kernel takes of a GPU: registers, shared memory, stack, and what had to be spilled.
//!
//! A line is a kernel on one architecture. A change that costs a register shows as a changed line
//! of a commit, and so does a path through the tensor cores that the compiler no longer takes.

use super::source::Source;
use anyhow::{Context, Result, bail};
use std::fmt;

/// Where it stands.
pub(super) const PATH: &str = "docs/cuda/resources.txt";
const HEAD: &str = "\
# Written by `cargo xtask ptx`: what ptxas says of each kernel, for each architecture.
# registers: per thread. shared: bytes of static shared memory per block. stack: bytes per thread.
# stores, loads: bytes of registers that were spilled to memory, per thread.
# From compute_80 on, how many instructions of a kind the machine code has. HMMA, HGMMA: products on
# tensor cores. LDSM: ldmatrix. LDGSTS: cp.async. UTMALDG: TMA.
";
const USED: [&str; 5] = ["registers", "shared", "stack", "stores", "loads"];
/// Instructions of the machine code that a kernel's speed stands on.
pub(super) const MATRIX: [&str; 5] = ["HMMA", "HGMMA", "LDSM", "LDGSTS", "UTMALDG"];

/// One kernel on one architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    /// The `.cu`.
    pub(super) file: String,
    pub(super) kernel: String,
    /// Such as sm_80.
    pub(super) machine: String,
    /// As [`USED`] names them.
    pub(super) used: [u32; 5],
    /// As [`MATRIX`] names them; none where the target has no such instructions.
    pub(super) matrix: Option<[u32; 5]>,
}

impl Row {
    /// Bytes that a thread writes to memory and reads again because it lacks registers.
    fn spilled(&self) -> u32 {
        self.used[3] + self.used[4]
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (names, numbers) = words.split_at_checked(3)?;
        let (used, matrix) = numbers.split_at_checked(USED.len())?;
        let matrix = if matrix.is_empty() { None } else { Some(read(matrix, MATRIX)?) };
        let [file, kernel, machine] = [names[0], names[1], names[2]].map(str::to_owned);
        Some(Self { file, kernel, machine, used: read(used, USED)?, matrix })
    }
}

/// Numbers with those names in that order.
fn read(words: &[&str], names: [&str; 5]) -> Option<[u32; 5]> {
    let mut numbers = [0; 5];
    if words.len() != names.len() {
        return None;
    }
    for ((number, word), name) in numbers.iter_mut().zip(words).zip(names) {
        *number = word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    Some(numbers)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.file, self.kernel, self.machine)?;
        let matrix = self.matrix.iter().flat_map(|counts| MATRIX.iter().zip(counts));
        for (name, number) in USED.iter().zip(&self.used).chain(matrix) {
            write!(f, " {name}={number}")?;
        }
        Ok(())
    }
}

/// All rows, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(mut rows: Vec<Row>) -> Self {
        rows.sort();
        Self { rows }
    }

    /// Reads what [`Display`](fmt::Display) wrote. Lines that are no row, as a merge leaves them,
    /// are passed over: every `.ptx` knows the hash of its rows.
    pub(super) fn read(text: &str) -> Self {
        Self::new(text.lines().filter_map(Row::read).collect())
    }

    /// The rows of one `.cu`.
    pub(super) fn of(&self, file: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.file == file)
    }

    /// The same as they are written.
    pub(super) fn lines_of(&self, file: &str) -> String {
        self.of(file).map(|row| format!("{row}\n")).collect()
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

/// What `ptxas -v` says of each kernel: its name and what it uses. What the functions that it
/// calls spill is its own.
pub(super) fn used(report: &str) -> Result<Vec<(&str, [u32; 5])>> {
    let mut kernels: Vec<(&str, [u32; 5])> = Vec::new();
    let of = |line: &str, what| number(line, what).with_context(|| format!("ptxas: {line:?}"));
    for line in report.lines() {
        if let Some((_, after)) = line.split_once("Compiling entry function '") {
            let name = after.split('\'').next().unwrap_or_default();
            kernels.push((name, [0; 5]));
        }
        let Some((_, used)) = kernels.last_mut() else { continue };
        if line.contains("bytes spill stores") {
            used[2] = used[2].max(of(line, " bytes stack frame")?);
            used[3] += of(line, " bytes spill stores")?;
            used[4] += of(line, " bytes spill loads")?;
        } else if line.contains(": Used ") {
            used[0] = of(line, " registers")?;
            used[1] = number(line, " bytes smem").unwrap_or(0);
            used[2] = used[2].max(number(line, " bytes cumulative stack size").unwrap_or(0));
        }
    }
    if let Some((name, _)) = kernels.iter().find(|(_, used)| used[0] == 0) {
        bail!("ptxas does not say how many registers {name} uses:\n{report}");
    }
    Ok(kernels)
}

/// The number in front of those words.
fn number(line: &str, what: &str) -> Option<u32> {
    let before = &line[..line.find(what)?];
    let start = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |i| i + 1);
    before[start..].parse().ok()
}

/// Kernels that spill and do not say why, and those that say why and do not spill.
pub(super) fn spill_flaws(source: &Source, table: &Table) -> Vec<String> {
    let mut flaws = Vec::new();
    let file = &source.path;
    let explained: Vec<&str> = explanations(&source.text).collect();
    for row in table.of(file).filter(|row| row.spilled() > 0) {
        if !explained.contains(&row.kernel.as_str()) {
            flaws.push(format!(
                "{file}: {} spills {} bytes on {}: use fewer registers, or say why that is right \
                 in a line `// spills: {} because …`",
                row.kernel,
                row.spilled(),
                row.machine,
                row.kernel
            ));
        }
    }
    for kernel in explained {
        if !table.of(file).any(|row| row.kernel == kernel && row.spilled() > 0) {
            flaws.push(format!("{file}: {kernel} does not spill: remove its line `// spills:`"));
        }
    }
    flaws
}

/// The kernels for which a line `// spills: NAME why` says why.
fn explanations(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("// spills: "));
    lines.filter_map(|line| line.trim().split_once(' ').map(|(kernel, _)| kernel))
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    const REPORT: &str = "\
ptxas info    : 52 bytes gmem, 16 bytes cmem[3]
ptxas info    : Compiling entry function 'k2' for 'sm_80'
ptxas info    : Function properties for k2
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 1 barriers, 12 bytes smem, 364 bytes cmem[0]
ptxas info    : Compile time = 8.161 ms
ptxas info    : Compiling entry function 'spiller' for 'sm_80'
ptxas info    : Function properties for spiller
    432 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 440 bytes cumulative stack size, 372 bytes cmem[0]
ptxas info    : Function properties for _Z5heavyPKfi
    0 bytes stack frame, 676 bytes spill stores, 672 bytes spill loads
";

    fn source(text: &str) -> Source {
        let (path, target) = ("a/k.cu".to_owned(), Target::Compute80);
        Source { path, text: text.to_owned(), target, code: String::new(), hash: 0 }
    }

    fn row(kernel: &str, machine: &str, stores: u32) -> Row {
        let [file, kernel, machine] = ["a/k.cu", kernel, machine].map(str::to_owned);
        Row { file, kernel, machine, used: [40, 0, 0, stores, 0], matrix: Some([4, 0, 2, 0, 0]) }
    }

    #[test]
    fn the_report_gives_each_kernel_with_what_its_functions_spill() {
        let expected = [("k2", [10, 12, 0, 0, 0]), ("spiller", [32, 0, 440, 680, 680])];
        assert_eq!(used(REPORT).unwrap(), expected);
        assert!(used("Compiling entry function 'k' for 'sm_80'").is_err());
    }

    #[test]
    fn the_table_reads_what_it_writes_and_passes_over_conflicts() {
        let plain = Row { matrix: None, ..row("k", "sm_75", 0) };
        let table = Table::new(vec![row("l", "sm_80", 3), plain]);
        let text = table.to_string();
        assert!(text.contains("\na/k.cu k sm_75 registers=40 shared=0 stack=0 stores=0 loads=0\n"));
        let conflict = text.replace("a/k.cu l", "=======\na/k.cu l");
        assert_eq!(Table::read(&conflict), table);
    }

    #[test]
    fn a_spill_needs_its_reason_and_a_reason_its_spill() {
        let table = Table::new(vec![row("k", "sm_80", 8), row("l", "sm_80", 0)]);
        let flaws = spill_flaws(&source("// spills: k\n"), &table);
        assert_eq!(flaws.len(), 1, "a reason is more than a name");
        assert!(flaws[0].contains("k spills 8 bytes on sm_80"), "{flaws:?}");
        assert!(spill_flaws(&source("// spills: k once per block\n"), &table).is_empty());
        let flaws = spill_flaws(&source("// spills: k x\n// spills: l y\n"), &table);
        assert!(flaws.len() == 1 && flaws[0].contains("l does not spill"), "{flaws:?}");
    }
}
