//! Programs whose device is `auto` say in one line why it is the CPU, and then do their work.

use gradus::tensor::Device;
use std::process::Command;

/// What a program says on stderr of a model that is not there.
fn complaints(program: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example"]).args(program);
    let output = cargo.output().expect("cargo starts");
    assert!(!output.status.success(), "there is no such model");
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn a_program_says_in_one_line_why_it_takes_the_cpu() {
    let reason = Device::auto().1.map(|reason| format!("No GPU: {reason}"));
    for program in [&["classify", "--", "no/model", "no.png"][..], &["evaluate", "--", "no/model"]]
    {
        let lines = complaints(program);
        let about: Vec<&String> = lines.iter().filter(|line| line.contains("No GPU")).collect();
        assert_eq!(about, Vec::from_iter(&reason), "{program:?}: {lines:?}");
        let on_cpu = complaints(&[program, &["--device", "cpu"]].concat());
        assert!(!on_cpu.iter().any(|line| line.contains("No GPU")), "{program:?}: {on_cpu:?}");
    }
}
