//! What the verbs and the fault path can answer.

/// Why a verb of the address space refuses. libc-compat turns each into an errno.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// An argument makes no sense: not aligned, empty, wrapping (EINVAL).
    Invalid,
    /// The place of a `FixedNoReplace` request is taken (EEXIST).
    Exists,
    /// No room, too many areas, a limit, or commit refused (ENOMEM).
    NoMemory,
    /// The range holds a page that is not mapped (ENOMEM; EFAULT for mremap).
    NotMapped,
    /// The object does not allow this protection (EACCES).
    Access,
    /// The address is below the lowest that may be mapped (EPERM).
    Permission,
    /// The offset plus the length overflows (EOVERFLOW).
    Overflow,
    /// Reading or writing the object failed (EIO; EFAULT for populate).
    Io,
    /// The kind of mapping does not support it (EOPNOTSUPP, or EINVAL).
    NotSupported,
}

/// Why a fault cannot be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultError {
    /// No area there (SIGSEGV, MAPERR).
    NotMapped,
    /// The area does not allow it (SIGSEGV, ACCERR).
    Denied,
    /// Behind the end of the object (SIGBUS, ADRERR).
    BeyondEnd,
    /// The device failed (SIGBUS, ADRERR).
    Io,
    /// Memory is out, after reclaim. The process has to end.
    NoMemory,
}
