//! What a kernel is compiled for: the line `// target compute_80` of its source.
//!
//! PTX of a virtual architecture runs on every later GPU, but for the `a` of 90a, which only runs
//! on 9.0. The least that a kernel needs is the widest that it runs.

use anyhow::{Result, bail};

/// A virtual architecture of the project's kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Turing and later, where the source names none.
    Compute75,
    /// Ampere and later: tensor cores with bf16 and TF32, `cp.async`.
    Compute80,
    /// Hopper only: TMA and wgmma.
    Compute90a,
}

use Target::{Compute75, Compute80, Compute90a};

const ALL: [Target; 3] = [Compute75, Compute80, Compute90a];

impl Target {
    /// Reads the line `// target NAME`.
    pub(super) fn of(text: &str) -> Result<Self> {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("// target "));
        let named: Vec<&str> = lines.map(str::trim).collect();
        let [name] = named[..] else {
            if named.is_empty() {
                return Ok(Compute75);
            }
            bail!("it names {} targets ({}): keep one line", named.len(), named.join(", "));
        };
        let known = ALL.into_iter().find(|target| target.name() == name);
        let Some(target) = known else {
            let names = ALL.map(Target::name).join(", ");
            bail!("the line \"// target {name}\" names none of {names}");
        };
        Ok(target)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Compute75 => "compute_75",
            Compute80 => "compute_80",
            Compute90a => "compute_90a",
        }
    }

    /// The real architectures for which its PTX is assembled, to prove that it can be.
    pub(super) fn machines(self) -> &'static [&'static str] {
        match self {
            Compute75 => &["sm_75", "sm_80", "sm_90"],
            Compute80 => &["sm_80", "sm_90"],
            Compute90a => &["sm_90a"],
        }
    }

    /// Versions of the PTX language, oldest first. The oldest that a kernel's instructions accept
    /// is written into its file, for drivers older than the toolkit: 7.0 loads from CUDA 11.0 on,
    /// 8.0 from 12.0 on, which is the oldest driver that `gradus-gpu` works with. So there is none
    /// above.
    pub(super) fn versions(self) -> &'static [&'static str] {
        match self {
            Compute75 | Compute80 => &["7.0", "7.4", "7.8", "8.0"],
            Compute90a => &["8.0"],
        }
    }

    /// May its kernels use tensor cores and copies that run beside the arithmetic?
    pub(super) fn has_matrix_instructions(self) -> bool {
        self != Compute75
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_the_line_says_and_turing_where_there_is_none() {
        assert_eq!(Target::of("int x;\n").unwrap(), Compute75);
        assert_eq!(Target::of("// A tile.\n  // target compute_90a\n").unwrap(), Compute90a);
    }

    #[test]
    fn a_target_that_is_unknown_or_named_twice_is_refused() {
        let error = Target::of("// target sm_80\n").unwrap_err().to_string();
        assert!(error.contains("\"// target sm_80\"") && error.contains("compute_80"), "{error}");
        let twice = Target::of("// target compute_75\n// target compute_80\n");
        assert!(twice.unwrap_err().to_string().contains("2 targets"));
    }
}
