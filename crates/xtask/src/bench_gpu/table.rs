//! The table of the day, from lines of measures.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Measures by table, line and column, in the order in which they came.
#[derive(Default)]
struct Measures {
    /// What the programs say of themselves and the machine.
    origins: Vec<String>,
    /// Table and line, as they came.
    lines: Vec<[String; 2]>,
    /// Seconds and work.
    cells: BTreeMap<[String; 3], [f64; 2]>,
}

/// Writes the table, and the measures beside it.
pub(super) fn write(results: &Path) -> Result<()> {
    let mut measures = Measures::default();
    let mut all = String::new();
    for name in ["ours.jsonl", "pytorch.jsonl"] {
        let path = results.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                measures.read(&text).with_context(|| path.display().to_string())?;
                all += &text;
            }
            Err(error) => crate::say(&format!("{}: {error}", path.display())),
        }
    }
    if measures.lines.is_empty() {
        bail!("{} has no measures: see benches/rivals/gpu/run.sh", results.display());
    }
    let machine = fs::read_to_string(results.join("machine.txt")).unwrap_or_default();
    let date = crate::today()?;
    let path = format!("docs/benchmarks/{date}-gpu");
    fs::write(format!("{path}.jsonl"), all)?;
    fs::write(format!("{path}.md"), measures.text(&date, machine.trim())?)?;
    crate::say(&format!("written to {path}.md"));
    Ok(())
}

impl Measures {
    fn read(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            // A line that was cut off with the run that wrote it: the next run has measured it again.
            let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
            let of = |key: &str| row[key].as_str().map(str::to_owned);
            if row["quick"] == true {
                bail!("measures of --quick mean nothing");
            }
            let (Some(table), Some(line), Some(column)) = (of("table"), of("line"), of("column"))
            else {
                let origin = [of("program"), of("machine")].into_iter().flatten();
                let origin = origin.collect::<Vec<_>>().join(" on ");
                if !self.origins.contains(&origin) {
                    self.origins.push(origin);
                }
                continue;
            };
            let number =
                |key: &str| row[key].as_f64().with_context(|| format!("{row} has no {key}"));
            if !self.lines.contains(&[table.clone(), line.clone()]) {
                self.lines.push([table.clone(), line.clone()]);
            }
            self.cells.insert([table, line, column], [number("seconds")?, number("work")?]);
        }
        Ok(())
    }

    fn cell(&self, table: &str, line: &str, column: &str) -> Option<[f64; 2]> {
        self.cells.get(&[table, line, column].map(str::to_owned)).copied()
    }

    fn lines_of(&self, table: &str) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(move |line| line[0] == table).map(|line| line[1].as_str())
    }

    fn text(&self, date: &str, machine: &str) -> Result<String, std::fmt::Error> {
        let mut text = format!(
            "# gradus and PyTorch on a GPU, {date}\n\nWritten by `cargo xtask bench-gpu`. \
             {machine}. {}.\n",
            self.origins.join("; ")
        );
        for (table, title) in [("forward", "Convolutions, forward"), ("dx", "dx"), ("dW", "dW")] {
            self.convolutions(&mut text, table, title)?;
        }
        self.hopper(&mut text)?;
        self.winograd(&mut text)?;
        self.ladder(&mut text)?;
        self.memory(&mut text)?;
        self.steps(&mut text)?;
        Ok(text)
    }

    /// Microseconds, and percent of cuDNN's speed in the same precision; where ours stays in f32 in any
    /// case, no percent: that is another sum.
    fn convolutions(&self, text: &mut String, table: &str, title: &str) -> std::fmt::Result {
        writeln!(
            text,
            "\n## {title}\n\nµs; in brackets, percent of cuDNN's speed at the same precision, or what \
             is computed in instead.\n"
        )?;
        writeln!(
            text,
            "| x, kernel | f32 | tf32 | bf16 | TFLOP/s, bf16 |\n| --- | ---: | ---: | ---: | ---: |"
        )?;
        for line in self.lines_of(table) {
            write!(text, "| {line} ")?;
            for precision in ["f32", "tf32", "bf16"] {
                let ours = self.cell(table, line, precision);
                let theirs = self.cell(table, line, &format!("cuDNN {precision}"));
                let exact = self.cell(table, line, &format!("{precision}, in f32"));
                match (ours.or(exact), theirs) {
                    (Some([exact, _]), _) if ours.is_none() => {
                        write!(text, "| {:.1} (in f32) ", exact * 1e6)?;
                    }
                    (Some([ours, _]), Some([theirs, _])) => {
                        write!(text, "| {:.1} ({:.0} %) ", ours * 1e6, 100.0 * theirs / ours)?;
                    }
                    (Some([ours, _]), None) => write!(text, "| {:.1} ", ours * 1e6)?,
                    _ => write!(text, "| ")?,
                }
            }
            match self.cell(table, line, "bf16") {
                Some([seconds, work]) => writeln!(text, "| {:.1} |", work / seconds / 1e12)?,
                None => writeln!(text, "| |")?,
            }
        }
        Ok(())
    }

    /// Where it was measured on a Hopper: its own kernels beside those of every device.
    fn hopper(&self, text: &mut String) -> std::fmt::Result {
        let title = "Hopper's own convolution, bf16";
        let about = "TMA and wgmma beside mma, rounding included. Small ones are measured too, \
                     where mma is chosen.";
        self.two_ways(text, "hopper", [title, about], ["wgmma", "mma"])
    }

    /// The quarter of the products beside all of them.
    fn winograd(&self, text: &mut String) -> std::fmt::Result {
        let title = "Winograd's convolution, f32";
        let about = "Its transforms included, beside all products in tiles. TFLOP/s count all \
                     products. Measured too where the other is chosen.";
        self.two_ways(text, "winograd", [title, about], ["winograd", "tiles"])
    }

    /// Lines that were measured in two ways: the first one's time and speed, the other one's time.
    fn two_ways(
        &self,
        text: &mut String,
        table: &str,
        [title, about]: [&str; 2],
        [own, other]: [&str; 2],
    ) -> std::fmt::Result {
        if self.lines_of(table).next().is_none() {
            return Ok(());
        }
        writeln!(text, "\n## {title}\n\n{about}\n")?;
        writeln!(
            text,
            "| pass, x, kernel | {own}, µs | TFLOP/s | {other}, µs | times as fast |\n\
             | --- | ---: | ---: | ---: | ---: |"
        )?;
        for line in self.lines_of(table) {
            let cell = |column| self.cell(table, line, column);
            let (Some([own, work]), Some([other, _])) = (cell(own), cell(other)) else {
                continue;
            };
            let (speed, times) = (work / own / 1e12, other / own);
            let [own, other] = [own, other].map(|seconds| seconds * 1e6);
            writeln!(text, "| {line} | {own:.1} | {speed:.1} | {other:.1} | {times:.2} |")?;
        }
        Ok(())
    }

    fn ladder(&self, text: &mut String) -> std::fmt::Result {
        for line in self.lines_of("ladder") {
            writeln!(
                text,
                "\n## The ladder, {line}\n\n| rung | µs | TFLOP/s |\n| --- | ---: | ---: |"
            )?;
            let of_line =
                self.cells.iter().filter(|([table, of, _], _)| table == "ladder" && of == line);
            let mut rungs: Vec<_> = of_line.collect();
            rungs.sort_by(|(_, a), (_, b)| b[0].total_cmp(&a[0]));
            for ([_, _, rung], [seconds, work]) in rungs {
                writeln!(text, "| {rung} | {:.1} | {:.2} |", seconds * 1e6, work / seconds / 1e12)?;
            }
        }
        Ok(())
    }

    fn memory(&self, text: &mut String) -> std::fmt::Result {
        let rate =
            |line: &str| self.cell("memory", line, "bytes").map(|[seconds, bytes]| bytes / seconds);
        let Some(copy) = rate("copy") else { return Ok(()) };
        writeln!(text, "\n## Bound by memory\n\nBytes that have to be moved at least.\n")?;
        writeln!(text, "| pass | GB/s | of a copy |\n| --- | ---: | ---: |")?;
        for line in self.lines_of("memory") {
            let of = rate(line).unwrap_or(f64::NAN);
            writeln!(text, "| {line} | {:.0} | {:.0} % |", of / 1e9, 100.0 * of / copy)?;
        }
        Ok(())
    }

    /// Images a second, and how many times PyTorch's.
    fn steps(&self, text: &mut String) -> std::fmt::Result {
        const OTHERS: [&str; 3] = ["PyTorch, eager", "PyTorch, graph", "PyTorch, compiled"];
        writeln!(
            text,
            "\n## The tutorial's training step\n\nImages a second; in brackets, how many times as fast gradus is.\n"
        )?;
        writeln!(
            text,
            "| batch, precision | gradus | no graph | PyTorch, eager | graph | compiled |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        )?;
        for line in self.lines_of("step") {
            let rate = |column: &str| {
                self.cell("step", line, column).map(|[seconds, images]| images / seconds)
            };
            let number =
                |rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{rate:.0}"));
            let ours = rate("gradus");
            write!(text, "| {line} | {} | {} ", number(ours), number(rate("gradus, no graph")))?;
            for other in OTHERS {
                match (ours, rate(other)) {
                    (Some(ours), Some(theirs)) => {
                        write!(text, "| {theirs:.0} ({:.2}×) ", ours / theirs)?
                    }
                    (_, theirs) => write!(text, "| {} ", number(theirs))?,
                }
            }
            writeln!(text, "|")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_become_ratios() {
        let row = |table: &str, line: &str, column: &str, seconds: f64, work: f64| {
            serde_json::json!({
                "table": table, "line": line, "column": column, "seconds": seconds, "work": work
            })
            .to_string()
        };
        let lines = [
            r#"{"machine": "a GPU", "program": "gradus 0"}"#.to_owned(),
            row("dW", "conv", "bf16", 2e-6, 4e6),
            row("dW", "conv", "cuDNN bf16", 1e-6, 4e6),
            row("dx", "image", "f32", 2e-6, 4e6),
            row("dx", "image", "cuDNN f32", 1e-6, 4e6),
            row("dx", "image", "bf16, in f32", 2e-6, 4e6),
            row("dx", "image", "cuDNN bf16", 1e-6, 4e6),
            row("hopper", "dx, conv", "wgmma", 2e-6, 4e6),
            row("hopper", "dx, conv", "mma", 5e-6, 4e6),
            row("winograd", "dW, conv", "winograd", 4e-6, 4e6),
            row("winograd", "dW, conv", "tiles", 6e-6, 4e6),
            row("memory", "copy", "bytes", 1.0, 2e9),
            row("memory", "relu", "bytes", 2.0, 3e9),
            row("step", "batch 15, f32", "gradus", 1e-3, 15.0),
            row("step", "batch 15, f32", "PyTorch, eager", 5e-3, 15.0),
            r#"{"table": "step", "li"#.to_owned(),
        ];
        let mut measures = Measures::default();
        measures.read(&lines.join("\n")).expect("measures");
        let text = measures.text("today", "a GPU, driver 1").expect("a table");
        for part in [
            "gradus 0 on a GPU",
            "| conv | | | 2.0 (50 %) | 2.0 |",
            "| image | 2.0 (50 %) | | 2.0 (in f32) | |",
            "| dx, conv | 2.0 | 2.0 | 5.0 | 2.50 |",
            "| dW, conv | 4.0 | 1.0 | 6.0 | 1.50 |",
            "| relu | 2 | 75 % |",
            "| batch 15, f32 | 15000 |  | 3000 (5.00×) | |  |",
        ] {
            assert!(text.replace("  ", " ").contains(&part.replace("  ", " ")), "{part}\n{text}");
        }
        assert!(Measures::default().read(r#"{"quick": true}"#).is_err());
    }
}
