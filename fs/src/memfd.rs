//! `memfd_create`: tmpfs files without a name or a size limit.

use crate::metadata::StatusFlags;
use crate::{FsResult, OpenFile, tmpfs, vfs};
use alloc::{sync::Arc, vec::Vec};
use hal::sync::Once;

/// Longest name, bytes.
pub const NAME_MAX: usize = 249;

/// An empty memory file. `/proc/self/fd` shows it as `/memfd:NAME (deleted)`. Errors: `Invalid` (name too long).
pub fn create(name: &[u8]) -> FsResult<Arc<OpenFile>> {
    static FILES: Once<Arc<tmpfs::Tmpfs>> = Once::new();
    if name.len() > NAME_MAX {
        return Err(crate::FsError::Invalid);
    }
    let files = FILES.call_once(|| tmpfs::Tmpfs::new(tmpfs::Limits::UNLIMITED));
    let inode = files.unnamed_file(0o777);
    let mut path = Vec::from(&b"/memfd:"[..]);
    path.extend_from_slice(name);
    path.extend_from_slice(b" (deleted)");
    let status = StatusFlags::READ | StatusFlags::WRITE;
    let file = crate::Inode::open(inode.clone(), status)?;
    Ok(OpenFile::new(file, Some(vfs::unnamed_place(inode, files.clone(), path)), status))
}
