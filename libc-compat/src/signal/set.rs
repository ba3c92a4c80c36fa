//! Signal numbers and sets of them (signal(7)).

use linux_raw_sys::general as linux;

/// Highest signal number.
pub const MAX: u8 = 64;
/// First real-time signal for the kernel; libc keeps 32 and 33 for itself.
pub const FIRST_REAL_TIME: u8 = 32;

macro_rules! numbers {
    ($($name:ident)*) => {
        $(#[doc = "See signal(7)."] pub const $name: u8 = linux::$name as u8;)*
        const NAMES: &[(u8, &str)] = &[$(($name, stringify!($name))),*];
    };
}
numbers! {
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
    SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO
    SIGPWR SIGSYS
}

/// The name of a standard signal.
pub fn name(signo: u8) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == signo).map_or("a real-time signal", |(_, name)| name)
}

/// A set of signals, as the kernel's `sigset_t`: bit `n - 1` is signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Those that cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: Self = Self::of(SIGKILL).union(Self::of(SIGSTOP));
    /// Those that a fault raises, delivered first.
    pub const SYNCHRONOUS: Self = Self::of(SIGSEGV)
        .union(Self::of(SIGBUS))
        .union(Self::of(SIGILL))
        .union(Self::of(SIGTRAP))
        .union(Self::of(SIGFPE))
        .union(Self::of(SIGSYS));

    /// The set of one signal, 1 to 64.
    pub const fn of(signo: u8) -> Self {
        Self(1 << (signo - 1))
    }
    /// Whether `signo` is in it.
    pub const fn contains(self, signo: u8) -> bool {
        self.0 >> (signo - 1) & 1 != 0
    }
    /// Members of either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Members of both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Members of this one only.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The one to deliver first: faults' signals, then the lowest number.
    pub const fn first(self) -> Option<u8> {
        let synchronous = self.0 & Self::SYNCHRONOUS.0;
        let from = if synchronous != 0 { synchronous } else { self.0 };
        if from == 0 { None } else { Some(from.trailing_zeros() as u8 + 1) }
    }
}
