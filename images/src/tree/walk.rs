//! Whole host directories into a [`Tree`].

use super::{GUEST_OWN, Tree, place};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// How much of a directory is taken before it counts as huge.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files, links and directories.
    pub entries: u64,
    /// Bytes in files.
    pub bytes: u64,
}

impl Limits {
    /// Everything.
    pub const NONE: Limits = Limits { entries: u64::MAX, bytes: u64::MAX };
}

/// What to do with links that lead out of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideLinks {
    /// What they lead to comes along at its own path.
    Follow,
    /// They stay as they are and may lead nowhere.
    Keep,
}

/// Why a directory was not added.
#[derive(Debug)]
pub enum Oversize {
    /// It is larger than the limits; nothing was added.
    Huge,
    /// It cannot be read.
    Io(PathBuf, io::Error),
}

impl Tree {
    /// The host directory `host` with all that is in it at the guest's `guest`, except what `skip` wants left out.
    /// Files that may not be read and what is neither file, link nor directory are left out too.
    pub fn add_directory(
        &mut self,
        host: &Path,
        guest: &Path,
        limits: Limits,
        outside: OutsideLinks,
        skip: impl Fn(&DirEntry) -> bool,
    ) -> Result<(), Oversize> {
        let mut added = Tree::new();
        let (mut entries, mut bytes) = (0u64, 0u64);
        let mut leaving = Vec::new();
        let walk =
            WalkDir::new(host).sort_by_file_name().into_iter().filter_entry(|entry| entry.depth() == 0 || !skip(entry));
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.depth() > 0 => continue,
                Err(error) => return Err(Oversize::Io(host.to_path_buf(), error.into())),
            };
            let from = entry.path();
            let Ok(inside) = from.strip_prefix(host) else {
                continue;
            };
            let to = if inside.as_os_str().is_empty() { guest.to_path_buf() } else { guest.join(inside) };
            let Ok(meta) = entry.metadata() else { continue };
            entries += 1;
            bytes += if meta.is_file() { meta.len() } else { 0 };
            if entries > limits.entries || bytes > limits.bytes {
                return Err(Oversize::Huge);
            }
            added.inputs.insert(from.to_path_buf());
            if meta.is_symlink() && leads_out(from, host) {
                leaving.push(from.to_path_buf());
            }
            match added.put_found(&to, from, &meta) {
                Ok(()) => {}
                Err(_) if entry.depth() > 0 => continue,
                Err(error) => return Err(Oversize::Io(from.to_path_buf(), error)),
            }
        }
        self.merge(added);
        self.bind_directory(guest);
        if outside == OutsideLinks::Follow {
            for link in leaving {
                // A link that leads nowhere on the host leads nowhere in the guest.
                let _ = self.add_host(&link);
            }
        }
        Ok(())
    }

    /// The directory at `guest` must be seen at its place: itself, or its entries if the guest mounts something there.
    fn bind_directory(&mut self, guest: &Path) {
        if place(guest) != guest {
            self.relocated.insert(guest.to_path_buf());
        } else if GUEST_OWN.iter().any(|own| guest == Path::new(own)) {
            let inside = Path::new(super::RELOCATED).join(guest.strip_prefix("/").unwrap_or(guest));
            let entries: Vec<PathBuf> = self
                .nodes
                .keys()
                .filter_map(|path| path.strip_prefix(&inside).ok())
                .filter(|rest| rest.components().count() == 1)
                .map(|rest| guest.join(rest))
                .collect();
            self.relocated.extend(entries);
        }
    }
}

fn leads_out(link: &Path, root: &Path) -> bool {
    let Ok(target) = fs::read_link(link) else {
        return false;
    };
    let from = link.parent().unwrap_or(Path::new("/"));
    let mut at = PathBuf::new();
    for part in from.join(target).components() {
        match part {
            std::path::Component::ParentDir => {
                at.pop();
            }
            part => at.push(part),
        }
    }
    !at.starts_with(root)
}
