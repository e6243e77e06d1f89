//! The bugs to plant: one text that says where, what and how.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;

const LIST: &str = "crates/cuda-emu/mutants/kernels.txt";

/// One planted bug.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mutant {
    /// From the project's root.
    pub(super) file: String,
    /// What goes wrong.
    pub(super) bug: String,
    /// Stands in the file once.
    pub(super) old: String,
    pub(super) new: String,
}

/// Those of the list that have one of the texts in their file or their bug; all for no texts.
pub(super) fn all(only: &[String]) -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(LIST).with_context(|| LIST.to_owned())?;
    let mut mutants = parse(&text)?;
    let wanted = |mutant: &Mutant, text: &String| {
        mutant.file.contains(text.as_str()) || mutant.bug.contains(text.as_str())
    };
    mutants.retain(|mutant| only.is_empty() || only.iter().any(|text| wanted(mutant, text)));
    if mutants.is_empty() {
        bail!("{LIST} has no such mutant");
    }
    Ok(mutants)
}

/// Blocks between blank lines: `== file` where it changes, the bug, `- old`, `+ new`; both may go on
/// over more lines. Lines that begin with `# ` before a block's are comments.
fn parse(text: &str) -> Result<Vec<Mutant>> {
    let (mut mutants, mut file) = (Vec::new(), "");
    for block in text.split("\n\n") {
        let mut lines = block.lines().skip_while(|line| line.is_empty() || line.starts_with('#'));
        let Some(mut bug) = lines.next() else { continue };
        if let Some(name) = bug.strip_prefix("== ") {
            file = name;
            bug = lines.next().with_context(|| format!("{LIST}: {name} has no bug"))?;
        }
        let change = lines.collect::<Vec<_>>().join("\n");
        let pieces = change.strip_prefix("- ").and_then(|rest| rest.split_once("\n+"));
        let Some((old, new)) = pieces.filter(|_| !file.is_empty()) else {
            bail!("{LIST}: {bug:?} is not followed by `- old` and `+ new`");
        };
        let new = new.strip_prefix(' ').unwrap_or(new);
        let [file, bug, old, new] = [file, bug, old, new].map(|piece| piece.trim_end().to_owned());
        mutants.push(Mutant { file, bug, old, new });
    }
    Ok(mutants)
}

impl Mutant {
    /// Plants it in a copy of the project.
    pub(super) fn plant(&self, tree: &Path) -> Result<()> {
        let path = tree.join(&self.file);
        let text = fs::read_to_string(&path).with_context(|| self.file.clone())?;
        match text.matches(&self.old).count() {
            1 => Ok(fs::write(path, text.replacen(&self.old, &self.new, 1))?),
            found => bail!("{}: {:?} is there {found} times, not once", self.file, self.old),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_block_by_block() {
        let text = "# what it is\n\n== a.cu\nfirst\n- x\n  y\n+ z\n\nsecond\n- u\n+\n";
        let mutants = parse(text).expect("as it should be");
        let made = |bug: &str, old: &str, new: &str| Mutant {
            file: "a.cu".into(),
            bug: bug.into(),
            old: old.into(),
            new: new.into(),
        };
        assert_eq!(mutants, [made("first", "x\n  y", "z"), made("second", "u", "")]);
        assert!(parse("nothing\n- x\n+ y").is_err(), "of no file");
        assert!(parse("== a.cu\nfirst\n- x").is_err(), "of nothing");
    }

    #[test]
    fn every_mutant_of_the_list_can_be_planted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let list = fs::read_to_string(root.join(LIST)).expect("is part of the project");
        let mutants = parse(&list).expect("as it should be");
        assert!(mutants.len() >= 60, "{}", mutants.len());
        for Mutant { file, bug, old, .. } in mutants {
            let text =
                fs::read_to_string(root.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert_eq!(text.matches(&old).count(), 1, "{file}: {bug}");
        }
    }
}
