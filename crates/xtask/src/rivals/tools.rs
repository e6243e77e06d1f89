//! What has to be there before anything is measured: a Python with the rivals, and the programs.

use super::Args;
use super::comparison::Program;
use crate::python::environment;
use crate::target;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "benches/rivals";

/// Where the programs are, and what all comparisons have in common.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) threads: usize,
    pub(super) launcher: Vec<String>,
    seconds: f64,
    data: Option<PathBuf>,
    python: PathBuf,
}

impl Tools {
    /// Sets up Python if it is needed and none was given, and builds our programs.
    pub(super) fn new(args: &Args, rivals: &[&str]) -> Result<Self> {
        let python = match &args.python {
            Some(python) => python.clone(),
            None if rivals.contains(&"pytorch") || rivals.contains(&"keras") => set_up_python()?,
            None => PathBuf::new(),
        };
        crate::cargo(&["build", "--release", "--example", "rivals_ours"], &[])?;
        for rival in ["burn", "candle"].into_iter().filter(|rival| rivals.contains(rival)) {
            let manifest = format!("{FOLDER}/{rival}/Cargo.toml");
            // A build for this very processor is how both are meant to be fast.
            let native = [("RUSTFLAGS", "-C target-cpu=native")];
            let target = target().join("rivals").join(rival).display().to_string();
            let build = ["build", "--release", "--manifest-path", &manifest];
            crate::cargo(&[&build[..], &["--target-dir", &target]].concat(), &native)?;
        }
        Ok(Self {
            threads: args.threads,
            launcher: args.launcher.split_whitespace().map(str::to_owned).collect(),
            seconds: args.seconds,
            data: args.data.clone(),
            python,
        })
    }

    /// gradus.
    pub(super) fn ours(&self, what: &str, batch: usize, threads: usize) -> Program {
        let program = target().join("release/examples/rivals_ours");
        self.program(program, &[what], batch, threads, "")
    }

    /// PyTorch with its arrays in that order.
    pub(super) fn pytorch(
        &self,
        what: &str,
        batch: usize,
        threads: usize,
        layout: &str,
    ) -> Program {
        let args = [&script("pytorch.py"), what, "--layout", layout];
        self.program(self.python.clone(), &args, batch, threads, layout)
    }

    /// Keras 3 on TensorFlow, which runs operations beside each other or one by one.
    pub(super) fn keras3(&self, what: &str, batch: usize, threads: usize) -> Vec<Program> {
        let setting = |count: &str| {
            let args = [&script("keras3.py"), what, "--inter-op", count];
            let name = format!("inter-op {count}");
            self.program(self.python.clone(), &args, batch, threads, &name)
        };
        vec![setting("1"), setting("2")]
    }

    /// The tutorial's epoch in Keras 2.
    pub(super) fn keras2_epoch(&self) -> Program {
        let script = script("keras2_epoch.py");
        let program = self.program(self.python.clone(), &[&script], 15, self.threads, "");
        self.on_photos(counting_epochs(program))
    }

    /// A script that makes batches of files, on one thread.
    pub(super) fn pipeline(&self, name: &str, args: &[&str], setting: &str) -> Program {
        let script = script(name);
        let args = [&[&*script], args].concat();
        let program = self.program(self.python.clone(), &args, 15, 1, setting);
        self.on_drawings(counting_epochs(program))
    }

    /// The program with a folder of drawings, which the first script that finds it empty fills.
    pub(super) fn on_drawings(&self, mut program: Program) -> Program {
        let folder = target().join("rivals/drawings").display().to_string();
        program.args.extend(["--data".to_owned(), folder]);
        program
    }

    /// The program with the folder of photos.
    pub(super) fn on_photos(&self, mut program: Program) -> Program {
        let data = self.data.clone().unwrap_or_default().display().to_string();
        program.args.extend(["--data".to_owned(), data]);
        program
    }

    /// A rival that is a Cargo project of its own: burn or candle.
    pub(super) fn built(&self, rival: &str, what: &str, batch: usize, threads: usize) -> Program {
        let path = format!("rivals/{rival}/release/rivals_{rival}");
        let mut program = self.program(target().join(path), &[what], batch, threads, "");
        program.environment = vec![("RAYON_NUM_THREADS", threads.to_string())];
        program
    }

    fn program(
        &self,
        program: PathBuf,
        args: &[&str],
        batch: usize,
        threads: usize,
        setting: &str,
    ) -> Program {
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        for (name, value) in [("--batch", batch), ("--threads", threads)] {
            args.extend([name.to_owned(), value.to_string()]);
        }
        args.extend(["--seconds".to_owned(), self.seconds.to_string()]);
        Program { setting: setting.to_owned(), program, args, environment: Vec::new() }
    }
}

/// The program without the seconds that it would repeat its work for.
fn counting_epochs(mut program: Program) -> Program {
    let seconds = program.args.iter().position(|arg| arg == "--seconds").expect("given to all");
    program.args.drain(seconds..seconds + 2);
    program
}

fn script(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// A Python of our own with what `requirements.txt` lists.
fn set_up_python() -> Result<PathBuf> {
    let list = Path::new(FOLDER).join("requirements.txt");
    let (wanted, path) = (fs::read_to_string(&list)?, list.display().to_string());
    environment(&target().join("rivals/venv"), &wanted, &[&["--requirement", &path]])
}
