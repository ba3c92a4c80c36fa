//! A symbolic link that a function aims.

use crate::anonymous::next_ino;
use crate::file::File;
use crate::inode::{Inode, Link};
use crate::metadata::{FileKind, Metadata, StatusFlags};
use crate::{FsError, FsResult};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::any::Any;

/// A generated link.
pub struct GenLink {
    ino: u64,
    target: Box<dyn Fn() -> FsResult<Link> + Send + Sync>,
}

impl GenLink {
    /// A link whose target is asked for each time.
    pub fn new(target: impl Fn() -> FsResult<Link> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ino: next_ino(), target: Box::new(target) })
    }

    /// A link to a fixed path.
    pub fn fixed(path: &'static str) -> Arc<Self> {
        Self::new(move || Ok(Link::Path(Vec::from(path))))
    }
}

impl Inode for GenLink {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        super::metadata(self.ino, FileKind::Symlink, 0o777, 1, 0)
    }
    fn kind(&self) -> FileKind {
        FileKind::Symlink
    }
    fn readlink(&self) -> FsResult<Link> {
        (self.target)()
    }
    fn open(self: Arc<Self>, _status: StatusFlags) -> FsResult<Arc<dyn File>> {
        Err(FsError::Loop)
    }
}
