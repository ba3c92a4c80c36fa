//! What a process does about each signal (sigaction(2)).

use super::set::{self, SigSet};
use crate::uaccess::plain;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::SpinLock;
use linux_raw_sys::general as linux;

/// Linux's `struct kernel_sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// SIG_DFL (0), SIG_IGN (1) or an address.
    pub handler: u64,
    /// SA_ flags.
    pub flags: u64,
    /// Where the handler returns to: a call of rt_sigreturn(2).
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: u64,
}
plain!(Action);

/// SIG_DFL.
pub const DEFAULT: u64 = 0;
/// SIG_IGN.
pub const IGNORE: u64 = 1;

impl Action {
    /// Whether flag `flag` (a Linux SA_ number) is set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }
    /// Whether it names a function.
    pub const fn is_handler(&self) -> bool {
        self.handler > IGNORE
    }
}

/// What happens to a signal that has no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// The process ends; Linux would write a core file.
    Core,
    /// Nothing.
    Ignore,
    /// The process would stop until SIGCONT.
    Stop,
}

/// The default action (signal(7)).
pub const fn default_action(signo: u8) -> DefaultAction {
    match signo {
        set::SIGQUIT
        | set::SIGILL
        | set::SIGTRAP
        | set::SIGABRT
        | set::SIGBUS
        | set::SIGFPE
        | set::SIGSEGV
        | set::SIGXCPU
        | set::SIGXFSZ
        | set::SIGSYS => DefaultAction::Core,
        set::SIGCHLD | set::SIGCONT | set::SIGURG | set::SIGWINCH => DefaultAction::Ignore,
        set::SIGSTOP | set::SIGTSTP | set::SIGTTIN | set::SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// The actions of a process.
pub struct Actions {
    table: SpinLock<[Action; set::MAX as usize]>,
    /// Signals without effect: set to SIG_IGN, or by default.
    ignored: AtomicU64,
    /// Signals with a handler.
    caught: AtomicU64,
}

impl Default for Actions {
    fn default() -> Self {
        Self::new()
    }
}

impl Actions {
    /// Every action the default.
    pub const fn new() -> Self {
        let default = Action { handler: DEFAULT, flags: 0, restorer: 0, mask: 0 };
        let mut ignored = 0;
        let mut signo = 1;
        while signo <= set::MAX {
            if matches!(default_action(signo), DefaultAction::Ignore) {
                ignored |= SigSet::of(signo).0;
            }
            signo += 1;
        }
        Self {
            table: SpinLock::new([default; set::MAX as usize]),
            ignored: AtomicU64::new(ignored),
            caught: AtomicU64::new(0),
        }
    }

    /// The action for `signo`.
    pub fn get(&self, signo: u8) -> Action {
        self.table.lock()[signo as usize - 1]
    }

    /// Replaces the action for `signo`; returns the old one.
    pub fn replace(&self, signo: u8, action: Action) -> Action {
        let mut table = self.table.lock();
        let old = core::mem::replace(&mut table[signo as usize - 1], action);
        let bit = SigSet::of(signo).0;
        let has_no_effect = action.handler == IGNORE
            || action.handler == DEFAULT && matches!(default_action(signo), DefaultAction::Ignore);
        let put = |word: &AtomicU64, set: bool| {
            if set { word.fetch_or(bit, Ordering::Relaxed) } else { word.fetch_and(!bit, Ordering::Relaxed) }
        };
        put(&self.ignored, has_no_effect);
        put(&self.caught, action.is_handler());
        old
    }

    /// The action for a signal about to be delivered; SA_RESETHAND takes effect.
    pub fn take(&self, signo: u8) -> Action {
        let action = self.get(signo);
        if action.is_handler() && action.has(linux::SA_RESETHAND) {
            self.replace(signo, Action { handler: DEFAULT, ..action });
        }
        action
    }

    /// Signals without effect.
    pub fn ignored(&self) -> SigSet {
        SigSet(self.ignored.load(Ordering::Relaxed))
    }

    /// Signals with a handler.
    pub fn caught(&self) -> SigSet {
        SigSet(self.caught.load(Ordering::Relaxed))
    }
}
