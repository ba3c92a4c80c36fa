//! Names: working directory, mkdir, unlink, rename, links, and reading directories.

use super::{Call, Row, Support::*, SysResult, row};
use crate::uaccess::UserSlice;
use crate::{Errno, unsupported};
use alloc::vec::Vec;
use fs::{DirEntry, FileKind, FollowLast, NewNode, RenameMode, SeekFrom};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_getcwd, "getcwd", "xd", getcwd, Full, "getcwd(2)"),
    row(linux::__NR_chdir, "chdir", "s", chdir, Full, "chdir(2)"),
    row(linux::__NR_fchdir, "fchdir", "d", fchdir, Full, "chdir(2)"),
    row(linux::__NR_mkdir, "mkdir", "so", mkdir, Full, "mkdir(2)"),
    row(linux::__NR_mkdirat, "mkdirat", "dso", mkdirat, Full, "mkdir(2)"),
    row(linux::__NR_mknod, "mknod", "sox", mknod, Full, "mknod(2)"),
    row(linux::__NR_mknodat, "mknodat", "dsox", mknodat, Full, "mknod(2)"),
    row(linux::__NR_rmdir, "rmdir", "s", rmdir, Full, "rmdir(2)"),
    row(linux::__NR_unlink, "unlink", "s", unlink, Full, "unlink(2)"),
    row(linux::__NR_unlinkat, "unlinkat", "dsx", unlinkat, Full, "unlink(2)"),
    row(linux::__NR_rename, "rename", "ss", rename, Full, "rename(2)"),
    row(linux::__NR_renameat, "renameat", "dsds", renameat, Full, "rename(2)"),
    row(linux::__NR_renameat2, "renameat2", "dsdsx", renameat2, Partial, "rename(2)"),
    row(linux::__NR_link, "link", "ss", link, Full, "link(2)"),
    row(linux::__NR_linkat, "linkat", "dsdsx", linkat, Full, "link(2)"),
    row(linux::__NR_symlink, "symlink", "ss", symlink, Full, "symlink(2)"),
    row(linux::__NR_symlinkat, "symlinkat", "sds", symlinkat, Full, "symlink(2)"),
    row(linux::__NR_readlink, "readlink", "sxd", readlink, Full, "readlink(2)"),
    row(linux::__NR_readlinkat, "readlinkat", "dsxd", readlinkat, Full, "readlink(2)"),
    row(linux::__NR_getdents64, "getdents64", "dxd", getdents64, Full, "getdents(2)"),
];

/// Permission bits that mkdir keeps: Linux ignores the set-ID bits there.
const MKDIR_BITS: u32 = 0o1777;

fn getcwd(call: &mut Call<'_>) -> SysResult {
    let mut path = call.process().files.cwd().path()?;
    path.push(0);
    let mut to = call.buffer(0);
    if path.len() > to.len() {
        return Err(Errno::ERANGE);
    }
    to.write(&path)?;
    Ok(path.len() as u64)
}

fn chdir(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    files.set_cwd(files.resolve(linux::AT_FDCWD, &call.path(0)?, FollowLast::Yes)?)?;
    Ok(0)
}

fn fchdir(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    files.set_cwd(files.get_any(call.int(0))?.place().ok_or(Errno::ENOTDIR)?.clone())?;
    Ok(0)
}

/// Makes a node at a path; the umask comes off the mode.
fn create(call: &Call<'_>, dirfd: i32, path: &[u8], node: NewNode, mode: u32) -> SysResult {
    let files = &call.process().files;
    files.namespace().create(&files.base(dirfd, path)?, path, node, mode & !files.umask())?;
    Ok(0)
}

fn mkdir(call: &mut Call<'_>) -> SysResult {
    create(call, linux::AT_FDCWD, &call.path(0)?, NewNode::Directory, call.uint(1) & MKDIR_BITS)
}

fn mkdirat(call: &mut Call<'_>) -> SysResult {
    create(call, call.int(0), &call.path(1)?, NewNode::Directory, call.uint(2) & MKDIR_BITS)
}

fn mknod(call: &mut Call<'_>) -> SysResult {
    make_node(call, linux::AT_FDCWD, 0)
}

fn mknodat(call: &mut Call<'_>) -> SysResult {
    make_node(call, call.int(0), 1)
}

fn make_node(call: &Call<'_>, dirfd: i32, path_arg: usize) -> SysResult {
    let path = call.path(path_arg)?;
    let mode = call.uint(path_arg + 1);
    let device = u64::from(call.uint(path_arg + 2));
    let node = match mode & linux::S_IFMT {
        0 | linux::S_IFREG => NewNode::Regular,
        linux::S_IFIFO => NewNode::Fifo,
        linux::S_IFSOCK => NewNode::Socket,
        linux::S_IFCHR => NewNode::CharDevice(device),
        linux::S_IFBLK => NewNode::BlockDevice(device),
        linux::S_IFDIR => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    create(call, dirfd, &path, node, mode & 0o7777)
}

fn rmdir(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let path = call.path(0)?;
    files.namespace().rmdir(&files.base(linux::AT_FDCWD, &path)?, &path)?;
    Ok(0)
}

fn unlink(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let path = call.path(0)?;
    files.namespace().unlink(&files.base(linux::AT_FDCWD, &path)?, &path)?;
    Ok(0)
}

fn unlinkat(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(2);
    if flags & !linux::AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    let path = call.path(1)?;
    let base = files.base(call.int(0), &path)?;
    if flags & linux::AT_REMOVEDIR != 0 {
        files.namespace().rmdir(&base, &path)?;
    } else {
        files.namespace().unlink(&base, &path)?;
    }
    Ok(0)
}

fn rename(call: &mut Call<'_>) -> SysResult {
    let (old, new) = (call.path(0)?, call.path(1)?);
    move_name(call, (linux::AT_FDCWD, &old), (linux::AT_FDCWD, &new), RenameMode::Replace)
}

fn renameat(call: &mut Call<'_>) -> SysResult {
    let (old, new) = (call.path(1)?, call.path(3)?);
    move_name(call, (call.int(0), &old), (call.int(2), &new), RenameMode::Replace)
}

fn renameat2(call: &mut Call<'_>) -> SysResult {
    let mode = match call.uint(4) {
        0 => RenameMode::Replace,
        linux::RENAME_NOREPLACE => RenameMode::NoReplace,
        linux::RENAME_EXCHANGE => RenameMode::Exchange,
        flags => {
            unsupported!("renameat2 flags", flags);
            return Err(Errno::EINVAL);
        }
    };
    let (old, new) = (call.path(1)?, call.path(3)?);
    move_name(call, (call.int(0), &old), (call.int(2), &new), mode)
}

fn move_name(call: &Call<'_>, old: (i32, &[u8]), new: (i32, &[u8]), mode: RenameMode) -> SysResult {
    let files = &call.process().files;
    let (old_base, new_base) = (files.base(old.0, old.1)?, files.base(new.0, new.1)?);
    files.namespace().rename(&old_base, old.1, &new_base, new.1, mode)?;
    Ok(0)
}

fn link(call: &mut Call<'_>) -> SysResult {
    let (old, new) = (call.path(0)?, call.path(1)?);
    make_link(call, (linux::AT_FDCWD, &old), (linux::AT_FDCWD, &new), 0)
}

fn linkat(call: &mut Call<'_>) -> SysResult {
    let (old, new) = (call.path(1)?, call.path(3)?);
    make_link(call, (call.int(0), &old), (call.int(2), &new), call.uint(4))
}

fn make_link(call: &Call<'_>, old: (i32, &[u8]), new: (i32, &[u8]), flags: u32) -> SysResult {
    if flags & !(linux::AT_SYMLINK_FOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    let new_base = files.base(new.0, new.1)?;
    if old.1.is_empty() && flags & linux::AT_EMPTY_PATH != 0 {
        let target = match old.0 {
            linux::AT_FDCWD => files.cwd(),
            fd => files.get_any(fd)?.place().ok_or(Errno::EXDEV)?.clone(),
        };
        files.namespace().link_place(&target, &new_base, new.1)?;
        return Ok(0);
    }
    let follow = if flags & linux::AT_SYMLINK_FOLLOW != 0 { FollowLast::Yes } else { FollowLast::No };
    files.namespace().link(&files.base(old.0, old.1)?, old.1, follow, &new_base, new.1)?;
    Ok(0)
}

fn symlink(call: &mut Call<'_>) -> SysResult {
    make_symlink(call, call.path(0)?, linux::AT_FDCWD, 1)
}

fn symlinkat(call: &mut Call<'_>) -> SysResult {
    make_symlink(call, call.path(0)?, call.int(1), 2)
}

fn make_symlink(call: &Call<'_>, target: Vec<u8>, dirfd: i32, path_arg: usize) -> SysResult {
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    let files = &call.process().files;
    let path = call.path(path_arg)?;
    // A link's mode is 0777 whatever the umask is.
    files.namespace().create(&files.base(dirfd, &path)?, &path, NewNode::Symlink(target), 0o777)?;
    Ok(0)
}

fn readlink(call: &mut Call<'_>) -> SysResult {
    read_link(call, linux::AT_FDCWD, 0)
}

fn readlinkat(call: &mut Call<'_>) -> SysResult {
    read_link(call, call.int(0), 1)
}

/// The target is cut to the buffer, without a NUL. An empty path means the link that an O_PATH descriptor holds.
fn read_link(call: &Call<'_>, dirfd: i32, path_arg: usize) -> SysResult {
    let size = call.int(path_arg + 2);
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    let path = call.path(path_arg)?;
    let target = if path.is_empty() && dirfd != linux::AT_FDCWD {
        let file = files.get_any(dirfd)?;
        let place = file.place().ok_or(Errno::ENOENT)?;
        match place.kind() {
            FileKind::Symlink => place.inode().readlink()?.text().to_vec(),
            _ => return Err(Errno::ENOENT),
        }
    } else {
        files.namespace().readlink(&files.base(dirfd, &path)?, &path)?
    };
    let mut to = UserSlice::new(call.arg(path_arg + 1), size as usize);
    Ok(to.write(&target[..target.len().min(size as usize)])? as u64)
}

/// Largest piece that is packed before it is copied out.
const GETDENTS_MAX: usize = 64 << 10;

fn getdents64(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let mut to = UserSlice::new(call.arg(1), call.uint(2) as usize);
    let mut pack = Packer::new(to.len().min(GETDENTS_MAX));
    let before = file.position();
    file.readdir(&mut |entry| pack.put(entry))?;
    if pack.bytes.is_empty() && pack.overflowed {
        return Err(Errno::EINVAL);
    }
    match to.write(&pack.bytes) {
        Ok(count) => Ok(count as u64),
        Err(fault) => {
            // What did not arrive has not been read.
            file.seek(SeekFrom::Start(before))?;
            Err(fault)
        }
    }
}

/// Packs `struct linux_dirent64`s: inode, next position, record length, type, name; each a multiple of 8 bytes.
struct Packer {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Packer {
    const HEADER_LEN: usize = 19;

    fn new(limit: usize) -> Self {
        Self { bytes: Vec::with_capacity(limit.min(4096)), limit, overflowed: false }
    }

    /// False when the entry does not fit any more.
    fn put(&mut self, entry: &DirEntry<'_>) -> bool {
        let len = (Self::HEADER_LEN + entry.name.len() + 1).next_multiple_of(8);
        let end = self.bytes.len() + len;
        if end > self.limit {
            self.overflowed = true;
            return false;
        }
        self.bytes.extend_from_slice(&entry.ino.to_ne_bytes());
        self.bytes.extend_from_slice(&entry.next_cursor.to_ne_bytes());
        self.bytes.extend_from_slice(&(len as u16).to_ne_bytes());
        self.bytes.push(type_of(entry.kind));
        self.bytes.extend_from_slice(entry.name);
        self.bytes.resize(end, 0);
        true
    }
}

fn type_of(kind: FileKind) -> u8 {
    (match kind {
        FileKind::Regular => linux::DT_REG,
        FileKind::Directory => linux::DT_DIR,
        FileKind::Symlink => linux::DT_LNK,
        FileKind::CharDevice => linux::DT_CHR,
        FileKind::BlockDevice => linux::DT_BLK,
        FileKind::Fifo => linux::DT_FIFO,
        FileKind::Socket => linux::DT_SOCK,
        FileKind::Anonymous => linux::DT_UNKNOWN,
    }) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_entries_can_be_walked(
            names in prop::collection::vec(prop::collection::vec(1u8..=255, 1..60), 0..20),
            limit in 0usize..600,
        ) {
            let mut pack = Packer::new(limit);
            let mut taken = 0;
            for (n, name) in names.iter().enumerate() {
                let entry = DirEntry { name, ino: n as u64 + 1, kind: FileKind::Regular, next_cursor: n as u64 + 1 };
                if !pack.put(&entry) { break; }
                taken += 1;
            }
            prop_assert!(pack.bytes.len() <= limit);
            prop_assert_eq!(pack.overflowed, taken < names.len());
            let mut at = 0;
            for (n, name) in names.iter().take(taken).enumerate() {
                let record = &pack.bytes[at..];
                let word = |from: usize| u64::from_ne_bytes(record[from..from + 8].try_into().unwrap());
                prop_assert_eq!((word(0), word(8)), (n as u64 + 1, n as u64 + 1));
                let len = u16::from_ne_bytes([record[16], record[17]]) as usize;
                prop_assert_eq!(len % 8, 0);
                prop_assert_eq!(record[18], linux::DT_REG as u8);
                prop_assert_eq!(&record[19..19 + name.len()], &name[..]);
                prop_assert_eq!(record[19 + name.len()], 0);
                at += len;
            }
            prop_assert_eq!(at, pack.bytes.len());
        }
    }
}
