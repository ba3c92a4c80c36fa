//! What can go wrong behind a descriptor. `libc-compat` turns each variant into one errno; `net` uses them too.

/// The result of every operation here.
pub type FsResult<T> = Result<T, FsError>;

/// Why an operation was refused. The doc comment is the message; in brackets the errno that it becomes.
///
/// As wide as a count: a `FsResult<usize>` then is returned in two registers, not through memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u64)]
pub enum FsError {
    /// No such file or directory (ENOENT).
    NotFound,
    /// File exists (EEXIST).
    Exists,
    /// Not a directory (ENOTDIR).
    NotDirectory,
    /// Is a directory (EISDIR).
    IsDirectory,
    /// Directory not empty (ENOTEMPTY).
    NotEmpty,
    /// Permission denied (EACCES).
    Access,
    /// Operation not permitted (EPERM).
    Permission,
    /// Read-only file system (EROFS).
    ReadOnly,
    /// No space left (ENOSPC).
    NoSpace,
    /// Invalid argument (EINVAL).
    Invalid,
    /// Bad descriptor, or not open for this (EBADF).
    BadHandle,
    /// Too many open files in this process (EMFILE).
    TooManyOpen,
    /// Would have to wait (EAGAIN).
    WouldBlock,
    /// A signal ended the wait (EINTR).
    Interrupted,
    /// Nobody reads (EPIPE; the caller raises SIGPIPE).
    BrokenPipe,
    /// Name or path too long (ENAMETOOLONG).
    NameTooLong,
    /// Too many symbolic links (ELOOP).
    Loop,
    /// Operation not supported (EOPNOTSUPP).
    NotSupported,
    /// The object is of a kind that cannot do this (ENODEV).
    NoDevice,
    /// No such device or address (ENXIO).
    NoSuchAddress,
    /// Not a terminal; no such control request (ENOTTY).
    NotTty,
    /// Illegal seek (ESPIPE).
    SeekPipe,
    /// File too large (EFBIG).
    TooBig,
    /// Resource busy (EBUSY).
    Busy,
    /// Crosses file systems (EXDEV).
    CrossDevice,
    /// Input/output error (EIO).
    Io,
    /// Out of memory (ENOMEM).
    NoMemory,
    /// Bad address (EFAULT).
    Fault,
    /// Result does not fit the buffer (ERANGE).
    Range,
    /// Value too large (EOVERFLOW).
    Overflow,
    /// Too many links (EMLINK).
    TooManyLinks,
    /// No such attribute (ENODATA).
    NoData,
    /// Waiting would deadlock (EDEADLK).
    WouldDeadlock,
    /// Argument list or attribute too big (E2BIG).
    ArgumentTooBig,
    /// No such process (ESRCH).
    NoProcess,
    /// No lock available (ENOLCK).
    NoLocks,
    /// Timed out (ETIMEDOUT).
    TimedOut,
    /// Cancelled (ECANCELED).
    Canceled,
    /// Connection refused (ECONNREFUSED).
    ConnectionRefused,
    /// Connection reset by peer (ECONNRESET).
    ConnectionReset,
    /// Connection aborted (ECONNABORTED).
    ConnectionAborted,
    /// Not connected (ENOTCONN).
    NotConnected,
    /// Already connected (EISCONN).
    AlreadyConnected,
    /// Operation now in progress (EINPROGRESS).
    InProgress,
    /// Operation already in progress (EALREADY).
    AlreadyInProgress,
    /// Address in use (EADDRINUSE).
    AddressInUse,
    /// Address not available (EADDRNOTAVAIL).
    AddressNotAvailable,
    /// Address family not supported (EAFNOSUPPORT).
    AddressFamilyNotSupported,
    /// No route to host (EHOSTUNREACH).
    HostUnreachable,
    /// Network unreachable (ENETUNREACH).
    NetworkUnreachable,
    /// Network is down (ENETDOWN).
    NetworkDown,
    /// Message too long (EMSGSIZE).
    MessageTooLong,
    /// Destination address required (EDESTADDRREQ).
    DestinationRequired,
    /// Protocol not supported (EPROTONOSUPPORT).
    ProtocolNotSupported,
    /// Protocol wrong type for socket (EPROTOTYPE).
    ProtocolWrongType,
    /// Socket type not supported (ESOCKTNOSUPPORT).
    SocketTypeNotSupported,
    /// Protocol option not available (ENOPROTOOPT).
    NoProtocolOption,
    /// Not a socket (ENOTSOCK).
    NotSocket,
    /// No buffer space (ENOBUFS).
    NoBuffers,
    /// Shut down (ESHUTDOWN).
    ShutDown,
}

impl From<mm::BackingError> for FsError {
    fn from(error: mm::BackingError) -> Self {
        match error {
            mm::BackingError::BeyondEnd | mm::BackingError::Io => Self::Io,
            mm::BackingError::NoMemory => Self::NoMemory,
        }
    }
}

impl From<hal::hil::BlockError> for FsError {
    fn from(_: hal::hil::BlockError) -> Self {
        Self::Io
    }
}

impl From<sched::WakeReason> for FsError {
    fn from(reason: sched::WakeReason) -> Self {
        match reason {
            sched::WakeReason::Interrupted => Self::Interrupted,
            sched::WakeReason::TimedOut | sched::WakeReason::Woken => Self::TimedOut,
        }
    }
}
