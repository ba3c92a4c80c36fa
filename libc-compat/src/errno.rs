//! Error numbers, and how the errors of the crates below become them (errno(3)).

use linux_raw_sys::errno as raw;

/// An error number, or one of Linux's internal restart codes, which [`crate::signal`] turns into a restart or EINTR
/// before the application could see it. As wide as a value: a [`SysResult`] then is returned in two registers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Errno(u64);

/// What a system call gives: a value, or an error.
pub type SysResult = Result<u64, Errno>;

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "the names are those of errno(3)")]
        impl Errno {
            $(pub const $name: Self = Self(raw::$name as u64);)*
        }
        impl core::fmt::Debug for Errno {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    other => write!(f, "errno {}", other.0),
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ENODATA EPROTO EBADMSG EOVERFLOW EILSEQ ENOTSOCK
    EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT
    EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN
    ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EOWNERDEAD
    ENOTRECOVERABLE
}

impl Errno {
    /// Linux's ERESTARTSYS: EINTR if a handler without SA_RESTART ran, else the call is made again.
    pub const ERESTARTSYS: Self = Self(512);
    /// Linux's ERESTARTNOINTR: the call is always made again.
    pub const ERESTARTNOINTR: Self = Self(513);
    /// Linux's ERESTARTNOHAND: EINTR if any handler ran, else the call is made again.
    pub const ERESTARTNOHAND: Self = Self(514);
    /// Linux's ERESTART_RESTARTBLOCK: EINTR if any handler ran, else restart_syscall(2) runs what
    /// [`crate::task::Task::set_restart`] was given (a relative timeout goes on with what is left of it).
    pub const ERESTART_RESTARTBLOCK: Self = Self(516);

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// What the call leaves in RAX.
    pub const fn to_rax(self) -> u64 {
        (-(self.0 as i64)) as u64
    }

    /// The error in RAX, if it is one.
    pub const fn from_rax(rax: u64) -> Option<Self> {
        let value = rax as i64;
        if value < 0 && value >= -4095 { Some(Self((-value) as u64)) } else { None }
    }

    /// Whether the signal step has to translate it first.
    pub const fn is_restart(self) -> bool {
        self.0 >= 512
    }
}

impl From<hal::user::UserFault> for Errno {
    fn from(_: hal::user::UserFault) -> Self {
        Self::EFAULT
    }
}

impl From<hal::user::StringError> for Errno {
    fn from(error: hal::user::StringError) -> Self {
        match error {
            hal::user::StringError::Fault(_) => Self::EFAULT,
            hal::user::StringError::TooLong => Self::ENAMETOOLONG,
        }
    }
}

impl From<mm::MapError> for Errno {
    fn from(error: mm::MapError) -> Self {
        use mm::MapError::*;
        match error {
            Invalid => Self::EINVAL,
            Exists => Self::EEXIST,
            NoMemory | NotMapped => Self::ENOMEM,
            Access => Self::EACCES,
            Permission => Self::EPERM,
            Overflow => Self::EOVERFLOW,
            Io => Self::EIO,
            NotSupported => Self::EOPNOTSUPP,
        }
    }
}

impl From<sched::SpawnError> for Errno {
    /// clone(2): EAGAIN for the limit of threads; ENOMEM otherwise, which glibc's pthread_create passes on as EAGAIN.
    fn from(error: sched::SpawnError) -> Self {
        match error {
            sched::SpawnError::OutOfMemory => Self::ENOMEM,
            sched::SpawnError::TooMany => Self::EAGAIN,
        }
    }
}
