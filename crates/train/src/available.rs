//! How much memory there is to be had.
//!
//! ```text
//! Linux        the least of `MemAvailable` in /proc/meminfo and, for the control group that the
//!              process lives in and each group above it, limit − usage + file cache that the
//!              kernel would drop (cgroup v2 and v1): what a container may have is not what its
//!              host has
//! Elsewhere    unknown: nothing is refused
//! ```

use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Refuses what cannot be had, before any of it is made.
pub(crate) fn afford(needed: u64, batch_size: usize) -> Result<(), Error> {
    match available_under(Path::new("/")) {
        Some(available) if needed > available => {
            Err(Error::Memory { needed, available, batch_size })
        }
        _ => Ok(()),
    }
}

/// Bytes that can still be had, if that is known.
fn available_under(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
    });
    groups(root).into_iter().filter_map(|group| group.left()).chain(machine).min()
}

/// A control group, and what its files are called in its version.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    cache: &'static str,
}

impl Group {
    /// What it may still take; `None` without a limit.
    fn left(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let statistics = read("memory.stat").unwrap_or_default();
        let cache =
            statistics.lines().find_map(|line| line.strip_prefix(self.cache)?.trim().parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(cache.unwrap_or(0))))
    }
}

/// The group of this process and all above it.
fn groups(root: &Path) -> Vec<Group> {
    let list = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for line in list.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, limit, usage, cache) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
            c if c.split(',').any(|c| c == "memory") => (
                "sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            ),
            _ => continue,
        };
        let mount = root.join(mount);
        let own = mount.join(path.trim_start_matches('/'));
        let above = own.ancestors().take_while(|folder| folder.starts_with(&mount));
        groups.extend(above.map(|f| Group { folder: f.to_owned(), limit, usage, cache }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        available_under(root.path())
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");

    #[test]
    fn without_groups_it_is_what_the_machine_has() {
        assert_eq!(machine(&[]), None);
        assert_eq!(machine(&[MEMINFO]), Some(8000 * 1024));
        let unlimited = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.current", "5\n"),
        ];
        assert_eq!(machine(&unlimited), Some(8000 * 1024));
    }

    #[test]
    fn the_narrowest_group_counts_and_its_cache_can_be_dropped() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
            ("sys/fs/cgroup/pod/memory.current", "700000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 100000\n"),
            ("sys/fs/cgroup/pod/box/memory.max", "900000\n"),
            ("sys/fs/cgroup/pod/box/memory.current", "200000\n"),
        ];
        assert_eq!(machine(&files), Some(400_000));
        let old = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/x\n3:memory,hugetlb:/x\n"),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "500\n"),
            ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "600\n"),
        ];
        assert_eq!(machine(&old), Some(0));
    }
}
