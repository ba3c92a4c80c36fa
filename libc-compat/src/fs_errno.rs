//! How the errors of `fs` and `net` become error numbers.

use crate::Errno;
use fs::FsError;

impl From<FsError> for Errno {
    /// `Interrupted` becomes a restart, which is right for all slow calls of signal(7)'s first list; those of its second
    /// list (poll, epoll_wait, ...) translate it themselves.
    fn from(error: FsError) -> Self {
        match error {
            FsError::NotFound => Self::ENOENT,
            FsError::Exists => Self::EEXIST,
            FsError::NotDirectory => Self::ENOTDIR,
            FsError::IsDirectory => Self::EISDIR,
            FsError::NotEmpty => Self::ENOTEMPTY,
            FsError::Access => Self::EACCES,
            FsError::Permission => Self::EPERM,
            FsError::ReadOnly => Self::EROFS,
            FsError::NoSpace => Self::ENOSPC,
            FsError::Invalid => Self::EINVAL,
            FsError::BadHandle => Self::EBADF,
            FsError::TooManyOpen => Self::EMFILE,
            FsError::WouldBlock => Self::EAGAIN,
            FsError::Interrupted => Self::ERESTARTSYS,
            FsError::BrokenPipe => Self::EPIPE,
            FsError::NameTooLong => Self::ENAMETOOLONG,
            FsError::Loop => Self::ELOOP,
            FsError::NotSupported => Self::EOPNOTSUPP,
            FsError::NoDevice => Self::ENODEV,
            FsError::NoSuchAddress => Self::ENXIO,
            FsError::NotTty => Self::ENOTTY,
            FsError::SeekPipe => Self::ESPIPE,
            FsError::TooBig => Self::EFBIG,
            FsError::Busy => Self::EBUSY,
            FsError::CrossDevice => Self::EXDEV,
            FsError::Io => Self::EIO,
            FsError::NoMemory => Self::ENOMEM,
            FsError::Fault => Self::EFAULT,
            FsError::Range => Self::ERANGE,
            FsError::Overflow => Self::EOVERFLOW,
            FsError::TooManyLinks => Self::EMLINK,
            FsError::NoData => Self::ENODATA,
            FsError::WouldDeadlock => Self::EDEADLK,
            FsError::ArgumentTooBig => Self::E2BIG,
            FsError::NoProcess => Self::ESRCH,
            FsError::NoLocks => Self::ENOLCK,
            FsError::TimedOut => Self::ETIMEDOUT,
            FsError::Canceled => Self::ECANCELED,
            FsError::ConnectionRefused => Self::ECONNREFUSED,
            FsError::ConnectionReset => Self::ECONNRESET,
            FsError::ConnectionAborted => Self::ECONNABORTED,
            FsError::NotConnected => Self::ENOTCONN,
            FsError::AlreadyConnected => Self::EISCONN,
            FsError::InProgress => Self::EINPROGRESS,
            FsError::AlreadyInProgress => Self::EALREADY,
            FsError::AddressInUse => Self::EADDRINUSE,
            FsError::AddressNotAvailable => Self::EADDRNOTAVAIL,
            FsError::AddressFamilyNotSupported => Self::EAFNOSUPPORT,
            FsError::HostUnreachable => Self::EHOSTUNREACH,
            FsError::NetworkUnreachable => Self::ENETUNREACH,
            FsError::NetworkDown => Self::ENETDOWN,
            FsError::MessageTooLong => Self::EMSGSIZE,
            FsError::DestinationRequired => Self::EDESTADDRREQ,
            FsError::ProtocolNotSupported => Self::EPROTONOSUPPORT,
            FsError::ProtocolWrongType => Self::EPROTOTYPE,
            FsError::SocketTypeNotSupported => Self::ESOCKTNOSUPPORT,
            FsError::NoProtocolOption => Self::ENOPROTOOPT,
            FsError::NotSocket => Self::ENOTSOCK,
            FsError::NoBuffers => Self::ENOBUFS,
            FsError::ShutDown => Self::ESHUTDOWN,
        }
    }
}

impl Errno {
    /// The same error in a call that signal(7) says is never restarted.
    pub fn never_restarted(self) -> Self {
        if self == Self::ERESTARTSYS { Self::EINTR } else { self }
    }
}
