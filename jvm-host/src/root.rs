//! The tree of files that programs see: the image's layers as one read-only root, and the file systems in memory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::block::BlockDevice;
use fs::erofs::Erofs;
use fs::tmpfs::{Limits, Tmpfs};
use fs::{FileSystem, FollowLast, FsStat, InodeRef, Namespace, OpenFlags, StatusFlags, UnionFs, VecSink};
use libc_compat::procfs::Processes;
use wire::{Bind, LAYER_SERIALS, MANIFEST_PATH, MANIFEST_SERIAL, Manifest};

/// Bytes of a manifest at most: arguments and environment of a program fit in 2 MiB (execve(2)).
const MANIFEST_MAX: u64 = 16 << 20;

/// Mounts everything but the manifest's binds. The error is a line for the user.
pub fn mount() -> Result<Arc<Namespace>, String> {
    let mut layers: Vec<Arc<dyn FileSystem>> = Vec::new();
    for serial in LAYER_SERIALS {
        let Some(device) = hal::hil::block_by_identity(serial) else { continue };
        let layer = Erofs::mount(BlockDevice::new(device))
            .map_err(|error| format!("disk {serial} is no usable EROFS image: {error}"))?;
        layers.push(layer);
    }
    let root: Arc<dyn FileSystem> = match layers.len() {
        0 => {
            return Err(format!(
                "no disk with the serial {} or {}: there is no root",
                LAYER_SERIALS[0], LAYER_SERIALS[1]
            ));
        }
        1 => layers.remove(0),
        _ => UnionFs::new(layers).ok_or("the layers cannot be united")?,
    };
    let namespace = Namespace::new(root, "/dev/root");
    let processes = Arc::new(Processes);
    mount_at(&namespace, "/dev", fs::dev::devfs(), "devtmpfs")?;
    mount_scratch(&namespace)?;
    mount_at(&namespace, "/proc", fs::proc::procfs(processes, &namespace), "proc")?;
    mount_at(&namespace, "/sys", fs::sysfs(), "sysfs")?;
    // An image without the file has no use for it.
    let _ = namespace.mount(b"/etc/resolv.conf", Arc::new(net::config::ResolvConf), "proc");
    Ok(namespace)
}

/// Where the file systems in memory are, with their modes: as on every Linux, in the first two anybody may make files, and only their owner
/// may take them away.
const SCRATCH: [(&str, u32); 3] = [("/dev/shm", 0o1777), ("/tmp", 0o1777), ("/run", 0o755)];

fn mount_scratch(namespace: &Namespace) -> Result<(), String> {
    for (path, mode) in SCRATCH {
        mount_at(namespace, path, Tmpfs::new(Limits::half_of_memory()), "tmpfs")?;
        set_mode(namespace, path, mode);
    }
    Ok(())
}

/// Between two programs: what the first one left in memory goes, and the second one finds everything as the first one did.
pub fn renew_scratch(namespace: &Namespace, binds: &[Bind]) -> Result<(), String> {
    let away = |path: &[u8]| {
        let name = String::from_utf8_lossy(path);
        namespace.unmount(path).map_err(|error| format!("{name} cannot be made anew: {error:?}"))
    };
    binds.iter().rev().try_for_each(|bind| away(&bind.to))?;
    SCRATCH.iter().try_for_each(|(path, _)| away(path.as_bytes()))?;
    mount_scratch(namespace)?;
    bind(namespace, binds)
}

pub(crate) fn mount_at(
    namespace: &Namespace,
    path: &str,
    what: Arc<dyn FileSystem>,
    source: &str,
) -> Result<(), String> {
    namespace
        .mount(path.as_bytes(), what, source)
        .map(drop)
        .map_err(|error| format!("the image has no directory {path} to mount {source} on: {error:?}"))
}

fn set_mode(namespace: &Namespace, path: &str, mode: u32) {
    let set = fs::SetAttributes { mode: Some(mode), ..Default::default() };
    if let Err(error) = namespace.set_attributes(namespace.root(), path.as_bytes(), FollowLast::Yes, &set) {
        log::warn!("{path} keeps its mode: {error:?}");
    }
}

/// Reads the manifest from its disk, or from the root where there is none.
pub fn manifest(namespace: &Namespace) -> Result<Manifest, String> {
    let bytes = match hal::hil::block_by_identity(MANIFEST_SERIAL) {
        Some(device) => {
            let device = BlockDevice::new(device);
            if device.len_bytes() > MANIFEST_MAX {
                return Err(format!("the manifest has {} bytes, more than {MANIFEST_MAX}", device.len_bytes()));
            }
            let mut sink = VecSink::new(device.len_bytes() as usize);
            device.pages().read_at(0, &mut sink).map_err(|error| format!("the manifest cannot be read: {error:?}"))?;
            sink.bytes
        }
        None => read_file(namespace, MANIFEST_PATH)?,
    };
    Manifest::parse(&bytes).map_err(|error| error.to_string())
}

fn read_file(namespace: &Namespace, path: &str) -> Result<Vec<u8>, String> {
    let failed = |error: fs::FsError| format!("{path} cannot be read: {error:?}");
    let file =
        namespace.open(namespace.root(), path.as_bytes(), OpenFlags::empty(), StatusFlags::READ, 0).map_err(failed)?;
    let mut sink = VecSink::new(file.metadata().size.min(MANIFEST_MAX) as usize);
    file.read_at(0, &mut sink).map_err(failed)?;
    Ok(sink.bytes)
}

/// Shows trees of the root at second places (host paths under /tmp and the like, which are memory here).
pub fn bind(namespace: &Namespace, binds: &[Bind]) -> Result<(), String> {
    for bind in binds {
        let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let failed =
            |error: fs::FsError| format!("{} cannot be shown at {}: {error:?}", name(&bind.from), name(&bind.to));
        let from = namespace.resolve(namespace.root(), &bind.from, FollowLast::Yes).map_err(failed)?;
        make_parents(namespace, &bind.to);
        if from.kind() == fs::FileKind::Directory {
            make_directory(namespace, &bind.to);
        } else {
            let create = OpenFlags::CREATE;
            namespace.open(namespace.root(), &bind.to, create, StatusFlags::WRITE, 0o644).map_err(failed)?;
        }
        let tree = Arc::new(Bound { root: from.inode().clone() });
        namespace.mount(&bind.to, tree, "/dev/root").map_err(failed)?;
    }
    Ok(())
}

fn make_parents(namespace: &Namespace, path: &[u8]) {
    for end in path.iter().enumerate().skip(1).filter(|&(_, &byte)| byte == b'/').map(|(index, _)| index) {
        make_directory(namespace, &path[..end]);
    }
}

fn make_directory(namespace: &Namespace, path: &[u8]) {
    match namespace.create(namespace.root(), path, fs::NewNode::Directory, 0o755) {
        Ok(_) | Err(fs::FsError::Exists) => {}
        Err(error) => log::warn!("{} is not made: {error:?}", String::from_utf8_lossy(path)),
    }
}

/// A part of the read-only root as a file system of its own.
struct Bound {
    root: InodeRef,
}

impl FileSystem for Bound {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        "erofs"
    }
    fn statistics(&self) -> FsStat {
        FsStat::default()
    }
    fn read_only(&self) -> bool {
        true
    }
}
