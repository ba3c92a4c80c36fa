//! What can go wrong on a volume.

use alloc::string::String;
use core::fmt;

/// The result of every operation.
pub type Result<T> = core::result::Result<T, Error>;

/// Why an operation failed; in brackets the errno that it becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// No such name, or no such inode (ENOENT).
    NotFound,
    /// The name exists (EEXIST).
    Exists,
    /// Not a directory (ENOTDIR).
    NotDirectory,
    /// Is a directory (EISDIR).
    IsDirectory,
    /// Directory not empty (ENOTEMPTY).
    NotEmpty,
    /// No free block or inode (ENOSPC).
    NoSpace,
    /// Over 255 bytes (ENAMETOOLONG).
    NameTooLong,
    /// Over 65,000 links (EMLINK).
    TooManyLinks,
    /// Past the largest file (EFBIG).
    TooBig,
    /// Mounted read-only, or made so by an earlier error (EROFS).
    ReadOnly,
    /// No such extended attribute (ENODATA).
    NoData,
    /// An argument that makes no sense here (EINVAL).
    Invalid,
    /// The device failed (EIO).
    Io,
    /// The volume contradicts itself, with what was found (EUCLEAN).
    Corrupt(&'static str),
}

impl From<crate::DeviceError> for Error {
    fn from(_: crate::DeviceError) -> Error {
        Error::Io
    }
}

/// Why a volume cannot be mounted: a sentence for the person who asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountError(pub String);

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
