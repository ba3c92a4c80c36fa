//! The tree that a program sees: the image's layers at `/`, memory at `/tmp`, `/run` and `/dev/shm`, the generated trees.

use crate::block::BlockDevice;
use crate::erofs::{Erofs, MountError};
use crate::generated::{GenDir, GenFs};
use crate::inode::{FileSystem, InodeRef};
use crate::proc::{ProcessSource, procfs};
use crate::tmpfs::{Limits, Tmpfs};
use crate::{FsError, FsResult, Namespace, UnionFs, dev, sysfs};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt;
use hal::hil::Block;

/// Where memory file systems are mounted. Their contents go with each program.
const SCRATCH: [&str; 3] = ["/tmp", "/run", "/dev/shm"];

/// Why there is no root.
#[derive(Clone, Debug)]
pub enum RootError {
    /// No layer was given.
    NoLayer,
    /// A layer cannot be mounted: its device, and why.
    Layer(String, MountError),
    /// Something cannot be mounted at a path.
    Mount(&'static str, FsError),
}

impl fmt::Display for RootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLayer => f.write_str("no root disk"),
            Self::Layer(device, why) => write!(f, "root disk {device}: {why}"),
            Self::Mount(path, why) => write!(f, "cannot mount {path}: {why:?}"),
        }
    }
}

/// Builds the tree. `layers` are the block devices of the root, first one first in the union. Call it after all
/// processors are up; it reads the superblocks and root directories only.
pub fn assemble(layers: Vec<Arc<dyn Block>>, processes: Arc<dyn ProcessSource>) -> Result<Arc<Namespace>, RootError> {
    let mut trees: Vec<Arc<dyn FileSystem>> = Vec::new();
    let mut first = None;
    for layer in layers {
        let device = BlockDevice::new(layer);
        let name = device.identity();
        first.get_or_insert_with(|| name.clone());
        trees.push(Erofs::mount(device).map_err(|why| RootError::Layer(name, why))?);
    }
    let source = alloc::format!("/dev/disk/{}", first.ok_or(RootError::NoLayer)?);
    trees.push(mount_points());
    let root = UnionFs::new(trees).ok_or(RootError::NoLayer)?;
    let space = Namespace::new(root, &source);
    let mount = |path: &'static str, tree: Arc<dyn FileSystem>, source: &str| {
        space.mount(path.as_bytes(), tree, source).map(|_| ()).map_err(|why| RootError::Mount(path, why))
    };
    mount("/proc", procfs(processes, &space), "proc")?;
    mount("/sys", sysfs(), "sysfs")?;
    mount("/dev", dev::devfs(), "devtmpfs")?;
    for path in SCRATCH {
        mount(path, Tmpfs::new(Limits::half_of_memory()), "tmpfs")?;
    }
    Ok(space)
}

/// Empties the memory file systems between two programs: each is replaced by a new one. What is still open stays until
/// it is closed.
pub fn renew_scratch(space: &Namespace) -> FsResult<()> {
    for path in SCRATCH {
        space.unmount(path.as_bytes())?;
        space.mount(path.as_bytes(), Tmpfs::new(Limits::half_of_memory()), "tmpfs")?;
    }
    Ok(())
}

/// The last layer: directories to mount on, for images that lack them.
fn mount_points() -> Arc<dyn FileSystem> {
    let dir = |mode| GenDir::new(mode, Vec::new()) as InodeRef;
    let entries = ["dev", "proc", "run", "sys"].into_iter().map(|name| (name, dir(0o755)));
    let root = GenDir::new(0o755, entries.chain([("tmp", dir(0o1777))]).collect());
    GenFs::new("rootfs", 0x8584_58f6, root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::ProcessView;
    use crate::tests::support::{names, read_file, write_file};
    use hal::hil::testing::{RamDisk, Writable};
    use std::process::Command;

    struct Nobody;

    impl ProcessSource for Nobody {
        fn processes(&self) -> Vec<u32> {
            Vec::new()
        }
        fn process(&self, _pid: u32) -> Option<Arc<dyn ProcessView>> {
            None
        }
        fn current(&self) -> Option<(u32, u32)> {
            None
        }
    }

    fn image(name: &str, files: &[(&str, &str)]) -> Arc<dyn Block> {
        let dir = std::env::temp_dir().join(format!("demitasse-root-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("root/etc")).expect("a temporary directory");
        files.iter().for_each(|(path, text)| std::fs::write(dir.join("root").join(path), text).expect("room"));
        let made = Command::new("mkfs.erofs").arg(dir.join("image")).arg(dir.join("root")).output();
        assert!(made.expect("mkfs.erofs is installed").status.success());
        let bytes = std::fs::read(dir.join("image")).expect("just made");
        let _done = std::fs::remove_dir_all(&dir);
        Arc::new(RamDisk::new(name, bytes, Writable::No))
    }

    #[test]
    fn two_layers_and_everything_mounted() {
        let layers = vec![image("root0", &[("etc/app", "1"), ("etc/both", "app")]), image("root1", &[("etc/both", "base")])];
        let space = assemble(layers, Arc::new(Nobody)).expect("good images");
        assert_eq!(names(&space, "/"), ["dev", "etc", "proc", "run", "sys", "tmp"]);
        assert_eq!(read_file(&space, "/etc/both"), Ok(b"app".to_vec()));
        assert_eq!(space.mounts().len(), 7);
        write_file(&space, "/tmp/x", b"scratch");
        write_file(&space, "/dev/shm/y", b"scratch");
        renew_scratch(&space).expect("nothing is mounted below");
        assert_eq!((names(&space, "/tmp"), names(&space, "/dev/shm")), (vec![], vec![]));
        assert_eq!(space.mounts().len(), 7);
        let garbage: Arc<dyn Block> = Arc::new(RamDisk::new("root0", vec![0; 8192], Writable::No));
        let refused = assemble(vec![garbage], Arc::new(Nobody)).err().expect("no image");
        assert_eq!(refused.to_string(), "root disk root0: no EROFS image");
    }
}
