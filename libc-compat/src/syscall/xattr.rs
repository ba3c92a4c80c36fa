//! Extended attributes (xattr(7)): set, get, list, remove, each by path, by path without following a link, by descriptor.

use super::{Call, Row, Support::*, SysResult, row};
use crate::Errno;
use crate::uaccess::UserSlice;
use alloc::{sync::Arc, vec::Vec};
use fs::event::notify::{self, Change};
use fs::{Dentry, FollowLast, XattrMode};
use hal::user::StringError;
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_setxattr, "setxattr", "ssxdx", setxattr, Full, "setxattr(2)"),
    row(linux::__NR_lsetxattr, "lsetxattr", "ssxdx", lsetxattr, Full, "setxattr(2)"),
    row(linux::__NR_fsetxattr, "fsetxattr", "dsxdx", fsetxattr, Full, "setxattr(2)"),
    row(linux::__NR_getxattr, "getxattr", "ssxd", getxattr, Full, "getxattr(2)"),
    row(linux::__NR_lgetxattr, "lgetxattr", "ssxd", lgetxattr, Full, "getxattr(2)"),
    row(linux::__NR_fgetxattr, "fgetxattr", "dsxd", fgetxattr, Full, "getxattr(2)"),
    row(linux::__NR_listxattr, "listxattr", "sxd", listxattr, Full, "listxattr(2)"),
    row(linux::__NR_llistxattr, "llistxattr", "sxd", llistxattr, Full, "listxattr(2)"),
    row(linux::__NR_flistxattr, "flistxattr", "dxd", flistxattr, Full, "listxattr(2)"),
    row(linux::__NR_removexattr, "removexattr", "ss", removexattr, Full, "removexattr(2)"),
    row(linux::__NR_lremovexattr, "lremovexattr", "ss", lremovexattr, Full, "removexattr(2)"),
    row(linux::__NR_fremovexattr, "fremovexattr", "ds", fremovexattr, Full, "removexattr(2)"),
];

/// Longest name (XATTR_NAME_MAX) and value (XATTR_SIZE_MAX), bytes.
const NAME_MAX: usize = 255;
const VALUE_MAX: usize = 64 << 10;

fn by_path(call: &Call<'_>, follow: FollowLast) -> Result<Arc<Dentry>, Errno> {
    call.process().files.resolve(linux::AT_FDCWD, &call.path(0)?, follow)
}

/// A nameless object has no attributes (EOPNOTSUPP).
fn by_descriptor(call: &Call<'_>) -> Result<Arc<Dentry>, Errno> {
    let file = call.process().files.get(call.int(0))?;
    file.place().cloned().ok_or(Errno::EOPNOTSUPP)
}

/// The name in argument 1 (ERANGE when empty or too long, as Linux says it).
fn name(call: &Call<'_>) -> Result<Vec<u8>, Errno> {
    match hal::user::copy_string(call.arg(1), NAME_MAX) {
        Ok(name) if !name.is_empty() => Ok(name),
        Err(StringError::Fault(_)) => Err(Errno::EFAULT),
        _ => Err(Errno::ERANGE),
    }
}

fn set(call: &Call<'_>, place: &Arc<Dentry>) -> SysResult {
    let mode = match call.uint(4) {
        0 => XattrMode::Any,
        linux::XATTR_CREATE => XattrMode::Create,
        linux::XATTR_REPLACE => XattrMode::Replace,
        _ => return Err(Errno::EINVAL),
    };
    let name = name(call)?;
    let len = call.arg(3) as usize;
    if len > VALUE_MAX {
        return Err(Errno::E2BIG);
    }
    let mut value = alloc::vec![0; len];
    hal::user::copy_from(&mut value, call.arg(2))?;
    place.writable()?;
    place.inode().set_xattr(&name, &value, mode)?;
    notify::object(place, Change::ATTRIBUTES);
    Ok(0)
}

/// Copies a result out; size 0 asks for the length only.
fn give(bytes: &[u8], to: u64, size: u64) -> SysResult {
    if size != 0 {
        if (size as usize) < bytes.len() {
            return Err(Errno::ERANGE);
        }
        UserSlice::new(to, bytes.len()).write(bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn get(call: &Call<'_>, place: &Arc<Dentry>) -> SysResult {
    let value = place.inode().xattr(&name(call)?)?;
    give(&value, call.arg(2), call.arg(3))
}

fn list(call: &Call<'_>, place: &Arc<Dentry>) -> SysResult {
    let names = match place.inode().xattrs() {
        Ok(names) => names,
        // A file system without attributes has an empty list.
        Err(fs::FsError::NotSupported) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    for name in &names {
        bytes.extend_from_slice(name);
        bytes.push(0);
    }
    give(&bytes, call.arg(1), call.arg(2))
}

fn remove(call: &Call<'_>, place: &Arc<Dentry>) -> SysResult {
    let name = name(call)?;
    place.writable()?;
    place.inode().remove_xattr(&name)?;
    notify::object(place, Change::ATTRIBUTES);
    Ok(0)
}

fn setxattr(call: &mut Call<'_>) -> SysResult {
    set(call, &by_path(call, FollowLast::Yes)?)
}
fn lsetxattr(call: &mut Call<'_>) -> SysResult {
    set(call, &by_path(call, FollowLast::No)?)
}
fn fsetxattr(call: &mut Call<'_>) -> SysResult {
    set(call, &by_descriptor(call)?)
}
fn getxattr(call: &mut Call<'_>) -> SysResult {
    get(call, &by_path(call, FollowLast::Yes)?)
}
fn lgetxattr(call: &mut Call<'_>) -> SysResult {
    get(call, &by_path(call, FollowLast::No)?)
}
fn fgetxattr(call: &mut Call<'_>) -> SysResult {
    get(call, &by_descriptor(call)?)
}
fn listxattr(call: &mut Call<'_>) -> SysResult {
    list(call, &by_path(call, FollowLast::Yes)?)
}
fn llistxattr(call: &mut Call<'_>) -> SysResult {
    list(call, &by_path(call, FollowLast::No)?)
}
fn flistxattr(call: &mut Call<'_>) -> SysResult {
    list(call, &by_descriptor(call)?)
}
fn removexattr(call: &mut Call<'_>) -> SysResult {
    remove(call, &by_path(call, FollowLast::Yes)?)
}
fn lremovexattr(call: &mut Call<'_>) -> SysResult {
    remove(call, &by_path(call, FollowLast::No)?)
}
fn fremovexattr(call: &mut Call<'_>) -> SysResult {
    remove(call, &by_descriptor(call)?)
}
