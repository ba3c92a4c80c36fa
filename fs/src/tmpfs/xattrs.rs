//! Extended attributes: `user.*` of files and directories, `trusted.*` of everything.

use crate::inode::XattrMode;
use crate::metadata::FileKind;
use crate::{FsError, FsResult};
use alloc::{collections::BTreeMap, vec::Vec};
use hal::sync::SpinLock;

/// Longest name and largest value, bytes, as on Linux.
const NAME_MAX: usize = 255;
const VALUE_MAX: usize = 65_536;
/// Names and values of one file, bytes.
const TOTAL_MAX: usize = 131_072;

#[derive(Default)]
pub(super) struct Xattrs(SpinLock<BTreeMap<Vec<u8>, Vec<u8>>>);

fn check(name: &[u8], kind: FileKind, denied: FsError) -> FsResult<()> {
    if name.len() > NAME_MAX {
        return Err(FsError::Range);
    }
    if name.starts_with(b"user.") && !matches!(kind, FileKind::Regular | FileKind::Directory) {
        return Err(denied);
    }
    match name {
        // A class without a name.
        b"user." | b"trusted." | b"security." => Err(FsError::Invalid),
        name if name.starts_with(b"user.") || name.starts_with(b"trusted.") => Ok(()),
        _ => Err(FsError::NotSupported),
    }
}

impl Xattrs {
    pub fn get(&self, name: &[u8], kind: FileKind) -> FsResult<Vec<u8>> {
        check(name, kind, FsError::NoData)?;
        self.0.lock().get(name).cloned().ok_or(FsError::NoData)
    }

    pub fn set(&self, name: &[u8], value: &[u8], mode: XattrMode, kind: FileKind) -> FsResult<()> {
        check(name, kind, FsError::Permission)?;
        if value.len() > VALUE_MAX {
            return Err(FsError::ArgumentTooBig);
        }
        let (name, value) = (name.to_vec(), value.to_vec());
        let mut attributes = self.0.lock();
        let known = attributes.contains_key(&name);
        match mode {
            XattrMode::Create if known => return Err(FsError::Exists),
            XattrMode::Replace if !known => return Err(FsError::NoData),
            _ => {}
        }
        let others: usize =
            attributes.iter().filter(|(other, _)| **other != name).map(|(name, value)| name.len() + value.len()).sum();
        if others + name.len() + value.len() > TOTAL_MAX {
            return Err(FsError::NoSpace);
        }
        let _old = attributes.insert(name, value);
        drop(attributes);
        Ok(())
    }

    pub fn remove(&self, name: &[u8], kind: FileKind) -> FsResult<()> {
        check(name, kind, FsError::Permission)?;
        let old = self.0.lock().remove(name);
        old.map(|_| ()).ok_or(FsError::NoData)
    }

    pub fn names(&self) -> Vec<Vec<u8>> {
        self.0.lock().keys().cloned().collect()
    }
}
