//! A file tree for the guest, as a plan: which host file, link or text appears at which path.
//!
//! Host files keep their host paths, links included: if `/lib` is a link on the host it is one in the guest, and what it
//! leads to comes along. Every host path that was looked at is an input: when none of them changes, the plan does not.
//!
//! /tmp, /run, /dev, /proc and /sys are the guest's own. What the host has there goes below [`RELOCATED`], and the
//! manifest binds it to its place.

use crate::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

mod walk;
pub use walk::{Limits, OutsideLinks, Oversize};

/// Where the image keeps host files whose place is a memory file system in the guest.
pub const RELOCATED: &str = "/demitasse/host";
/// Directories that the guest mounts something on.
const GUEST_OWN: [&str; 5] = ["/tmp", "/run", "/dev", "/proc", "/sys"];
/// Links followed in one path, as in Linux.
const MAX_LINKS: usize = 40;

/// What is at a path.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory, with mode and times of the host's if it is one of the host's.
    Directory(Option<PathBuf>),
    /// A host file.
    File(PathBuf),
    /// A symbolic link with this text.
    Link(PathBuf),
    /// A file that only the guest has.
    Text(Vec<u8>),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    inputs: BTreeSet<PathBuf>,
    relocated: BTreeSet<PathBuf>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Paths in the image and what is there, parents first.
    pub fn nodes(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    /// Whether something is at the guest path `path`.
    pub fn contains(&self, path: &Path) -> bool {
        self.nodes.contains_key(&place(path))
    }

    /// Host paths on which this tree depends.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().map(PathBuf::as_path)
    }

    /// Says that this tree depends on `path`, which need not exist.
    pub fn depends_on(&mut self, path: &Path) {
        self.inputs.insert(path.to_path_buf());
    }

    /// Image and guest paths of what is not where the guest will look for it.
    pub fn binds(&self) -> Vec<wire::Bind> {
        let mut binds = Vec::new();
        let mut last: Option<&Path> = None;
        for to in &self.relocated {
            if last.is_some_and(|above| to.starts_with(above)) {
                continue;
            }
            last = Some(to);
            binds.push(wire::Bind { from: bytes(&place(to)), to: bytes(to) });
        }
        binds
    }

    /// An empty directory of the guest's own.
    pub fn directory(&mut self, guest: &Path) {
        self.put(guest, Node::Directory(None));
    }

    /// A file of the guest's own.
    pub fn text(&mut self, guest: &Path, content: impl Into<Vec<u8>>) {
        self.put(guest, Node::Text(content.into()));
    }

    /// A link of the guest's own.
    pub fn link(&mut self, guest: &Path, target: &Path) {
        self.put(guest, Node::Link(target.to_path_buf()));
    }

    /// The host's `path` at the same path, links on the way and at its end followed. A directory comes without its
    /// content. Returns the path without links. Relative paths are an error of the caller.
    pub fn add_host(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut done = PathBuf::from("/");
        let mut left = steps(path);
        let mut links = 0;
        while let Some(step) = left.pop() {
            if step == ".." {
                done.pop();
                continue;
            }
            let here = done.join(&step);
            let meta = fs::symlink_metadata(&here);
            // Of a directory on the way only its being one matters, not its times.
            if !meta.as_ref().is_ok_and(Metadata::is_dir) {
                self.inputs.insert(here.clone());
            }
            let meta = meta?;
            if meta.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::from(rustix::io::Errno::LOOP));
                }
                let target = fs::read_link(&here)?;
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                left.extend(steps(&target));
                self.put_found(&here, &here, &meta)?;
            } else {
                if !left.is_empty() && !meta.is_dir() {
                    return Err(io::Error::from(rustix::io::Errno::NOTDIR));
                }
                if !is_guest_own(&here) {
                    self.put_found(&here, &here, &meta)?;
                }
                done = here;
            }
        }
        if place(&done) != done && fs::symlink_metadata(&done)?.is_file() {
            self.relocated.insert(done.clone());
        }
        Ok(done)
    }

    /// What `meta` describes, the host's `host`, at the guest's `guest`. Devices and sockets are left out; a file that may
    /// not be read is an error.
    fn put_found(&mut self, guest: &Path, host: &Path, meta: &Metadata) -> io::Result<()> {
        let kind = meta.file_type();
        let node = if kind.is_symlink() {
            Node::Link(fs::read_link(host)?)
        } else if kind.is_dir() {
            Node::Directory(Some(host.to_path_buf()))
        } else if kind.is_file() {
            rustix::fs::access(host, rustix::fs::Access::READ_OK)?;
            Node::File(host.to_path_buf())
        } else {
            return Ok(());
        };
        if matches!(node, Node::Link(_)) && place(guest) != guest {
            self.relocated.insert(guest.to_path_buf());
        }
        self.put(guest, node);
        Ok(())
    }

    fn put(&mut self, guest: &Path, node: Node) {
        let path = place(guest);
        for above in path.ancestors().skip(1) {
            if above != Path::new("/") && !self.nodes.contains_key(above) {
                self.nodes.insert(above.to_path_buf(), Node::Directory(None));
            }
        }
        // A directory of the host's adds its times to one that was made on the way; nothing replaces a file.
        let is_new = matches!(
            (self.nodes.get(&path), &node),
            (None, _) | (Some(Node::Directory(None)), Node::Directory(_)) | (Some(Node::Text(_)), Node::Text(_))
        );
        if is_new && path != Path::new("/") {
            self.nodes.insert(path, node);
        }
    }

    /// Takes over what `other` has and this tree has not.
    pub fn merge(&mut self, other: Tree) {
        for (path, node) in other.nodes {
            self.nodes.entry(path).or_insert(node);
        }
        self.inputs.extend(other.inputs);
        self.relocated.extend(other.relocated);
    }
}

/// Where the image keeps what the guest sees at `guest`.
fn place(guest: &Path) -> PathBuf {
    match GUEST_OWN.iter().any(|own| guest.starts_with(own)) && !is_guest_own(guest) {
        true => Path::new(RELOCATED).join(guest.strip_prefix("/").unwrap_or(guest)),
        false => guest.to_path_buf(),
    }
}

/// Whether `path` is a directory on which the guest mounts something.
fn is_guest_own(path: &Path) -> bool {
    GUEST_OWN.iter().any(|own| path == Path::new(own))
}

/// The names in `path`, last first.
fn steps(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    let mut names: Vec<OsString> = path.components().filter_map(named).collect();
    names.reverse();
    names
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// `path` from the current directory, without `.` parts, links kept.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::file("use", path, &error))
}

/// What must be equal for a host path to count as unchanged.
pub fn stamp(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(m) if m.is_dir() => format!("d{:o}.{}.{:09}", m.mode(), m.mtime(), m.mtime_nsec()),
        Ok(m) => format!("{:o}.{}.{}.{:09}.{}", m.mode(), m.size(), m.mtime(), m.mtime_nsec(), m.ino()),
        Err(_) => "absent".to_string(),
    }
}

/// The last part of `path`, for messages and comparisons.
pub fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests;
