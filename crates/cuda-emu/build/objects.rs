//! Compiles what has changed, as many files at a time as cargo says, and links it.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One compilation.
pub(crate) struct Object {
    pub(crate) source: PathBuf,
    pub(crate) object: PathBuf,
    pub(crate) flags: Vec<String>,
    /// Whether it stays as it is, once it is made.
    pub(crate) stays: bool,
}

pub(crate) struct Compiler {
    program: String,
    /// What it says of itself: another version compiles anew.
    version: String,
}

impl Compiler {
    /// `$CXX`, or the first of the usual names that answers.
    pub(crate) fn find() -> Result<Self, String> {
        let names = match env::var("CXX") {
            Ok(name) if !name.is_empty() => vec![name],
            _ => ["g++", "c++", "clang++"].map(String::from).to_vec(),
        };
        for program in &names {
            if let Ok(said) = Command::new(program).arg("--version").output()
                && said.status.success()
            {
                let version = String::from_utf8_lossy(&said.stdout).into_owned();
                return Ok(Self { program: program.clone(), version });
            }
        }
        Err(format!("there is no C++ compiler: none of {} answers", names.join(", ")))
    }

    fn run(&self, arguments: &[String], what: &Path) {
        let run = Command::new(&self.program).args(arguments).output();
        let run = run.unwrap_or_else(|e| panic!("{}: {e}", self.program));
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            eprintln!("{} does not compile for the emulated device:\n{said}", what.display());
            exit(1);
        }
    }
}

/// Brings every object up to date.
pub(crate) fn make(compiler: &Compiler, objects: &[Object]) {
    let next = AtomicUsize::new(0);
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(2);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(object) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    object.make(compiler);
                }
            });
        }
    });
}

impl Object {
    fn make(&self, compiler: &Compiler) {
        let stamp = self.object.with_extension("stamp");
        if self.stays && stamp.exists() {
            return;
        }
        let found = self.fingerprint(compiler);
        if found.is_some() && fs::read_to_string(&stamp).ok() == found {
            return;
        }
        let _ = fs::remove_file(&stamp);
        let mut arguments = self.flags.clone();
        arguments.extend(["-MMD".into(), "-c".into(), self.source.display().to_string()]);
        arguments.extend(["-o".into(), self.object.display().to_string()]);
        compiler.run(&arguments, &self.source);
        let made = self.fingerprint(compiler).expect("the compiler has written what it read");
        fs::write(&stamp, made).expect("OUT_DIR can be written");
    }

    /// Of the compiler, the flags and all files that the object was made of, as `-MMD` listed them.
    /// None if it has not been made, or one of them is gone.
    fn fingerprint(&self, compiler: &Compiler) -> Option<String> {
        let list = fs::read_to_string(self.object.with_extension("d")).ok()?;
        fs::metadata(&self.object).ok()?;
        let mut hasher = DefaultHasher::new();
        (&compiler.program, &compiler.version, &self.flags).hash(&mut hasher);
        for file in made_of(&list) {
            (&file, fs::read(&file).ok()?).hash(&mut hasher);
        }
        Some(format!("{:016x}", hasher.finish()))
    }
}

/// The files in a rule for make: what stands after the colon; a space within a name is escaped.
fn made_of(rule: &str) -> Vec<String> {
    let list = rule.split_once(": ").map_or("", |(_, list)| list);
    let list = list.replace("\\\n", " ").replace("\\ ", "\0");
    list.split_whitespace().map(|file| file.replace('\0', " ")).collect()
}

/// Links the objects, by an addition to the linker's script, into a library beside the old one and
/// renames it: a test that is still running keeps what it has opened.
pub(crate) fn link(
    compiler: &Compiler,
    objects: &[Object],
    script: &str,
    library: &Path,
) -> PathBuf {
    let script_file = library.with_extension("ld");
    write_if_new(&script_file, script);
    let mut stamps = script.to_owned();
    for object in objects {
        let stamp = fs::read_to_string(object.object.with_extension("stamp"));
        stamps += &format!("{} {}\n", object.object.display(), stamp.expect("just made"));
    }
    let linked = library.with_extension("stamp");
    if library.exists() && fs::read_to_string(&linked).is_ok_and(|old| old == stamps) {
        return library.to_owned();
    }
    let beside = library.with_extension("so.new");
    let mut arguments: Vec<String> =
        ["-shared", "-Wl,-soname,libcuda.so", "-Wl,-z,defs", "-o"].map(String::from).to_vec();
    arguments.push(beside.display().to_string());
    arguments.push(format!("-Wl,-T,{}", script_file.display()));
    arguments.extend(objects.iter().map(|o| o.object.display().to_string()));
    compiler.run(&arguments, library);
    fs::rename(&beside, library).expect("OUT_DIR can be written");
    fs::write(&linked, stamps).expect("OUT_DIR can be written");
    library.to_owned()
}

/// Leaves a file alone that has this text already.
pub(crate) fn write_if_new(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
