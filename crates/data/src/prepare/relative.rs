//! The way from the folder of the manifests to that of the images.

use crate::Error;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What to write in front of names in `folder` so that they are found from `out`, which is made if
/// need be: empty, or ending in `/`. Absolute where no way leads from one to the other, as between
/// the drives of Windows.
pub(super) fn prefix(out: &Path, folder: &Path) -> Result<String, Error> {
    fs::create_dir_all(out).map_err(Error::io(out))?;
    let whole = |path: &Path| fs::canonicalize(path).map_err(Error::io(path));
    let (from, to) = (whole(out)?, whole(folder)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut way: PathBuf = from.components().skip(shared).map(|_| Component::ParentDir).collect();
    way.extend(to.components().skip(shared));
    let way = if shared == 0 { to } else { way };
    let steps: Option<Vec<&str>> = way.iter().map(|step| step.to_str()).collect();
    let steps = steps.ok_or_else(|| Error::Argument {
        argument: "folder",
        found: format!("{} is not UTF-8", folder.display()),
        remedy: "rename it, or write the manifests beside the images",
    })?;
    Ok(steps.iter().map(|step| format!("{step}/")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_goes_up_to_what_both_share_and_down_again() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("images/all")).unwrap();
        for (out, way) in [
            ("images/all", ""),
            ("images", "all/"),
            ("lists/new", "../../images/all/"),
            ("images/all/lists", "../"),
        ] {
            assert_eq!(prefix(&at(out), &at("images/all")).unwrap(), way, "from {out}");
        }
    }
}
