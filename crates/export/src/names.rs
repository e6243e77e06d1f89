//! Names that no two things share.

use std::collections::HashSet;

/// The names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// `wanted` itself, or with a number behind it where that is taken.
    pub(crate) fn take(&mut self, wanted: &str) -> String {
        let numbered = (1..).map(|n| format!("{wanted}_{n}"));
        let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).expect("numbers do not end");
        self.0.insert(name.clone());
        name
    }
}

/// The path of a layer, as other programs write it: `residual/body/conv2d`.
pub(crate) fn scope(path: &str) -> String {
    path.replace('.', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        let taken = ["conv", "conv", "conv_1", "conv"].map(|wanted| names.take(wanted));
        assert_eq!(taken, ["conv", "conv_1", "conv_1_1", "conv_2"]);
    }

    #[test]
    fn a_path_is_written_with_slashes() {
        assert_eq!(scope("residual.body.conv2d"), "residual/body/conv2d");
    }
}
