//! A record as tables: a page of its own under `docs/benchmarks`, and the README's.

use super::record::{Rates, Record, Row, write};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- rivals -->\n";
const END: &str = "<!-- /rivals -->\n";

/// Writes both.
pub(super) fn write_all(record: &Record) -> Result<()> {
    write(&record.path("md"), &page(record))?;
    let readme = Path::new("README.md");
    let text = fs::read_to_string(readme).context("run it in the project's root")?;
    write(readme, &between(&text, &newest(record.clone().all()?))?)
}

/// The README's tables: what was measured last of each work beside each rival, day by day.
fn newest(records: Vec<Record>) -> String {
    let mut seen = Vec::new();
    let mut tables = Vec::new();
    for mut record in records {
        record.rows.retain(|row| !seen.contains(&(row.work.clone(), row.rival.clone())));
        seen.extend(record.rows.iter().map(|row| (row.work.clone(), row.rival.clone())));
        if !record.rows.is_empty() {
            tables.push(short(&record));
        }
    }
    tables.join("\n")
}

/// The page.
fn page(record: &Record) -> String {
    let Record { date, machine, rows } = record;
    let mut text = format!(
        "# gradus and others, {date}\n\n\
         Written by `cargo xtask rivals`; [how it measures](README.md). {machine}.\n\n\
         Medians over the rounds, least to most in brackets. A rival in several settings counts \
         with its best.\nThe load is that of the machine in the minute before.\n\n\
         | work | gradus | rival | its best setting | it reaches | ratio | wanted | rounds | UTC | load |\n\
         | --- | ---: | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |\n"
    );
    for row in rows {
        let (setting, theirs) = row.best();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {setting} | {} | {:.2} | {} | {} | {} | {:.1} |",
            row.work,
            rates(&Rates::of(&row.ours), &row.unit),
            row.rival,
            rates(&theirs, &row.unit),
            row.ratio(),
            row.goal,
            row.ours.len(),
            row.measured,
            row.load,
        );
    }
    text.push_str("\n## Versions\n\n");
    let mut versions: Vec<&str> =
        rows.iter().flat_map(|row| [&*row.our_version, &*row.version]).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.iter().for_each(|version| text.push_str(&format!("* {version}\n")));
    text.push_str("\n## Settings that were not the best\n\n");
    for row in rows {
        let best = row.best().0;
        for (setting, rounds) in row.theirs.iter().filter(|(setting, _)| setting != best) {
            let reached = rates(&Rates::of(rounds), &row.unit);
            let _ = writeln!(text, "* {}, {}, {setting}: {reached}", row.work, row.rival);
        }
    }
    text
}

/// A table for the README: one line a row, and one for all convolutions.
fn short(record: &Record) -> String {
    let mut text = format!(
        "Beside others, in turns, {}: [the whole table]({}). {}.\n\n\
         | work | gradus | rival | ratio |\n| --- | ---: | --- | ---: |\n",
        record.date,
        record.path("md").display(),
        record.machine,
    );
    for row in record.rows.iter().filter(|row| row.subject != "conv2d") {
        let (ours, (_, theirs)) = (Rates::of(&row.ours), row.best());
        let _ = writeln!(
            text,
            "| {} | {} {} | {}: {} | {:.1} |",
            row.work,
            number(ours.median),
            row.unit,
            row.rival,
            number(theirs.median),
            row.ratio(),
        );
    }
    let ratios: Vec<f64> =
        record.rows.iter().filter(|row| row.subject == "conv2d").map(Row::ratio).collect();
    if !ratios.is_empty() {
        let Rates { least, most, .. } = Rates::of(&ratios);
        let _ = writeln!(
            text,
            "| conv2d 3×3, {} passes and shapes | | oneDNN through PyTorch | {least:.1} to \
             {most:.1} |",
            ratios.len(),
        );
    }
    text
}

/// `318 (307 to 328) images/s`.
fn rates(rates: &Rates, unit: &str) -> String {
    let [least, median, most] = [rates.least, rates.median, rates.most].map(number);
    format!("{median} ({least} to {most}) {unit}")
}

/// Three digits or more.
fn number(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// The text with what stands between the two marks replaced.
fn between(text: &str, table: &str) -> Result<String> {
    let missing = || format!("README.md has no {BEGIN:?} with {END:?} behind it");
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok([before, BEGIN, "\n", table, "\n", END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::row;
    use super::*;

    fn record() -> Record {
        let mut convolution = row("conv2d dx", &[6.0]);
        convolution.subject = "conv2d".to_owned();
        let rows = vec![row("step", &[10.0, 5.0, 7.0]), convolution];
        Record { date: "2026-01-02".to_owned(), machine: "a machine".to_owned(), rows }
    }

    #[test]
    fn the_page_has_medians_spread_and_ratio() {
        let line = "| step | 7.0 (5.0 to 10.0) images/s | Other | fast | 2.5 (2.0 to 3.0) \
                    images/s | 2.80 | 4.5 | 3 | 12:00 | 0.0 |";
        let page = page(&record());
        assert!(page.contains(line), "{page}");
        assert!(page.contains("* step, Other, slow: 1.0 (1.0 to 2.0) images/s"), "{page}");
    }

    #[test]
    fn the_readme_keeps_what_stands_around_the_table() {
        let old = format!("before\n{BEGIN}old\n{END}after\n");
        let new = between(&old, &short(&record())).expect("it has the marks");
        assert!(new.starts_with("before\n") && new.ends_with("after\n"), "{new}");
        assert!(new.contains("| step | 7.0 images/s | Other: 2.5 | 2.8 |"), "{new}");
        assert!(new.contains("oneDNN through PyTorch | 2.4 to 2.4 |"), "{new}");
        assert!(!new.contains("old"), "{new}");
        assert_eq!(between(&new, "x").expect("again").matches(BEGIN).count(), 1);
    }

    #[test]
    fn what_was_not_measured_again_stays_with_its_own_day() {
        let older = Record { date: "2026-01-01".to_owned(), ..record() };
        let mut newer = record();
        newer.rows.truncate(1);
        let text = newest(vec![newer, older]);
        assert_eq!(text.matches("| step |").count(), 1, "{text}");
        let [step, convolutions] = ["| step |", "oneDNN"].map(|what| text.find(what).expect("it"));
        let day = text.find("2026-01-01").expect("the older day");
        assert!(step < day && day < convolutions, "{text}");
    }

    #[test]
    fn a_readme_without_marks_is_refused() {
        assert!(between("no marks", "table").is_err());
    }
}
