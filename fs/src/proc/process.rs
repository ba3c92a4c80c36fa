//! `/proc/PID`.

use super::{ProcessSource, ProcessView};
use crate::generated::{Dynamic, GenDir, GenFile, GenLink};
use crate::inode::InodeRef;
use crate::metadata::FileKind;
use crate::{FsError, Namespace};
use alloc::{borrow::Cow, string::String, sync::Arc, sync::Weak, vec::Vec};

/// The numbered directories of `/proc`.
pub(super) struct Processes {
    source: Arc<dyn ProcessSource>,
    namespace: Weak<Namespace>,
}

impl Processes {
    pub fn new(source: Arc<dyn ProcessSource>, namespace: Weak<Namespace>) -> Self {
        Self { source, namespace }
    }
}

fn number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    // `+1` and `01` are no names.
    if text.len() > 1 && !(b'1'..=b'9').contains(&name[0]) || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.parse().ok()
}

fn decimal(number: impl core::fmt::Display) -> Vec<u8> {
    alloc::format!("{number}").into_bytes()
}

impl Dynamic for Processes {
    fn lookup(&self, name: &[u8]) -> Option<InodeRef> {
        let process = self.source.process(number(name)?)?;
        Some(directory(process, self.namespace.clone()))
    }
    fn list(&self) -> Vec<(Vec<u8>, FileKind)> {
        self.source.processes().into_iter().map(|pid| (decimal(pid), FileKind::Directory)).collect()
    }
}

/// `/proc/PID`: everything in it is made up when it is looked up.
fn directory(process: Arc<dyn ProcessView>, namespace: Weak<Namespace>) -> InodeRef {
    GenDir::with_dynamic(0o555, Vec::new(), Process { process, namespace })
}

struct Process {
    process: Arc<dyn ProcessView>,
    namespace: Weak<Namespace>,
}

const DIRECTORIES: [&str; 3] = ["fd", "fdinfo", "task"];
const MOUNT_FILES: [&str; 2] = ["mounts", "mountinfo"];

impl Dynamic for Process {
    fn lookup(&self, name: &[u8]) -> Option<InodeRef> {
        let process = self.process.clone();
        match name {
            b"fd" => return Some(GenDir::with_dynamic(0o500, Vec::new(), Descriptors(process))),
            b"fdinfo" => return Some(GenDir::with_dynamic(0o555, Vec::new(), DescriptorInfos(process))),
            b"task" => {
                return Some(GenDir::with_dynamic(0o555, Vec::new(), Threads(process, self.namespace.clone())));
            }
            _ => {}
        }
        if let Some(&(name, mode)) = process.files().iter().find(|(known, _)| known.as_bytes() == name) {
            let writer = process.clone();
            let read = move || process.read(name);
            return Some(if mode & 0o222 != 0 {
                GenFile::writable(mode, read, move |bytes| writer.write(name, bytes))
            } else {
                GenFile::fallible(mode, 0, read)
            });
        }
        if let Some(&name) = process.links().iter().find(|known| known.as_bytes() == name) {
            return Some(GenLink::new(move || process.link(name)));
        }
        mount_file(name, &self.namespace)
    }
    fn list(&self) -> Vec<(Vec<u8>, FileKind)> {
        let directories = DIRECTORIES.iter().map(|name| (Vec::from(*name), FileKind::Directory));
        let files = self.process.files().iter().map(|(name, _)| (Vec::from(*name), FileKind::Regular));
        let links = self.process.links().iter().map(|name| (Vec::from(*name), FileKind::Symlink));
        let own: Vec<&str> = self.process.files().iter().map(|(name, _)| *name).collect();
        let mounts = MOUNT_FILES.iter().filter(|name| !own.contains(name));
        directories.chain(files).chain(links).chain(mounts.map(|name| (Vec::from(*name), FileKind::Regular))).collect()
    }
}

fn mount_file(name: &[u8], namespace: &Weak<Namespace>) -> Option<InodeRef> {
    let namespace = namespace.clone();
    match name {
        b"mounts" => Some(GenFile::new(move || namespace.upgrade().map(|space| mounts(&space)).unwrap_or_default())),
        b"mountinfo" => {
            Some(GenFile::new(move || namespace.upgrade().map(|space| mount_info(&space)).unwrap_or_default()))
        }
        _ => None,
    }
}

/// Spaces, tabs, line ends and backslashes as octal.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for piece in String::from_utf8_lossy(path).chars() {
        match piece {
            ' ' | '\t' | '\n' | '\\' => text.push_str(&alloc::format!("\\{:03o}", piece as u32)),
            _ => text.push(piece),
        }
    }
    text
}

fn mounts(namespace: &Namespace) -> Vec<u8> {
    let mut text = String::new();
    for mount in namespace.mounts() {
        let source = escaped(mount.source.as_bytes());
        text.push_str(&alloc::format!("{source} {} {} {} 0 0\n", escaped(&mount.path), mount.type_name, mount.options));
    }
    text.into_bytes()
}

fn mount_info(namespace: &Namespace) -> Vec<u8> {
    let mut text = String::new();
    for mount in namespace.mounts() {
        let (access, rest) = mount.options.split_once(',').unwrap_or((&mount.options, ""));
        let own: Vec<&str> = rest.split(',').filter(|option| !option.is_empty() && *option != "relatime").collect();
        let own = if own.is_empty() { String::new() } else { alloc::format!(",{}", own.join(",")) };
        text.push_str(&alloc::format!(
            "{} {} {}:{} / {} {access},relatime - {} {} {access}{own}\n",
            mount.id,
            mount.parent_id,
            mount.dev >> 8,
            mount.dev & 0xff,
            escaped(&mount.path),
            mount.type_name,
            escaped(mount.source.as_bytes()),
        ));
    }
    text.into_bytes()
}

struct Descriptors(Arc<dyn ProcessView>);

impl Dynamic for Descriptors {
    fn lookup(&self, name: &[u8]) -> Option<InodeRef> {
        let fd = number(name)? as i32;
        let process = self.0.clone();
        process.descriptor(fd)?;
        Some(GenLink::new(move || process.descriptor(fd).ok_or(FsError::NotFound)))
    }
    fn list(&self) -> Vec<(Vec<u8>, FileKind)> {
        self.0.descriptors().into_iter().map(|fd| (decimal(fd), FileKind::Symlink)).collect()
    }
}

struct DescriptorInfos(Arc<dyn ProcessView>);

impl Dynamic for DescriptorInfos {
    fn lookup(&self, name: &[u8]) -> Option<InodeRef> {
        let fd = number(name)? as i32;
        let process = self.0.clone();
        process.descriptor_info(fd)?;
        Some(GenFile::fallible(0o400, 0, move || process.descriptor_info(fd).ok_or(FsError::NotFound)))
    }
    fn list(&self) -> Vec<(Vec<u8>, FileKind)> {
        self.0.descriptors().into_iter().map(|fd| (decimal(fd), FileKind::Regular)).collect()
    }
}

struct Threads(Arc<dyn ProcessView>, Weak<Namespace>);

impl Dynamic for Threads {
    fn lookup(&self, name: &[u8]) -> Option<InodeRef> {
        let tid = number(name)?;
        let process = self.0.clone();
        process.threads().binary_search(&tid).ok()?;
        let mut entries: Vec<(Cow<'static, str>, InodeRef)> = Vec::new();
        for &(name, mode) in process.thread_files() {
            let (reader, writer) = (process.clone(), process.clone());
            let read = move || reader.thread_read(tid, name);
            entries.push((
                Cow::Borrowed(name),
                if mode & 0o222 != 0 {
                    GenFile::writable(mode, read, move |bytes| writer.thread_write(tid, name, bytes))
                } else {
                    GenFile::fallible(mode, 0, read)
                },
            ));
        }
        let (fd, fdinfo) = (Descriptors(process.clone()), DescriptorInfos(process.clone()));
        entries.push((Cow::Borrowed("fd"), GenDir::with_dynamic(0o500, Vec::new(), fd)));
        entries.push((Cow::Borrowed("fdinfo"), GenDir::with_dynamic(0o555, Vec::new(), fdinfo)));
        for &name in process.links() {
            let process = process.clone();
            entries.push((Cow::Borrowed(name), GenLink::new(move || process.link(name))));
        }
        for name in MOUNT_FILES {
            entries.extend(mount_file(name.as_bytes(), &self.1).map(|file| (Cow::Borrowed(name), file)));
        }
        Some(GenDir::named(0o555, entries))
    }
    fn list(&self) -> Vec<(Vec<u8>, FileKind)> {
        self.0.threads().into_iter().map(|tid| (decimal(tid), FileKind::Directory)).collect()
    }
}
