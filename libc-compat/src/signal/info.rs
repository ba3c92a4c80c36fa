//! `siginfo_t` (sigaction(2)): what comes with a signal.

use super::set::{SIGCHLD, SIGSEGV};
use crate::Errno;
use crate::uaccess::{UserPtr, plain};

/// si_code: by kill(2).
pub const SI_USER: i32 = 0;
/// si_code: by the kernel.
pub const SI_KERNEL: i32 = 0x80;
/// si_code: by sigqueue(3).
pub const SI_QUEUE: i32 = -1;
/// si_code: a timer of timer_create(2).
pub const SI_TIMER: i32 = -2;
/// si_code: by tkill(2) or tgkill(2).
pub const SI_TKILL: i32 = -6;

/// The first 48 bytes of `siginfo_t`; no signal of ours has more. The rest of its 128 bytes is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigInfo {
    /// si_signo.
    pub signo: i32,
    /// si_errno.
    pub errno: i32,
    /// si_code.
    pub code: i32,
    pad: u32,
    /// The union, from offset 16.
    pub fields: [u64; 4],
}
plain!(SigInfo);

/// Which timer sent a signal, and in which of its settings: what it sent before it was set anew counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    /// The timer's id.
    pub id: u32,
    /// How often it had been set.
    pub setting: u64,
}

/// Bytes of `siginfo_t`.
pub const SIGINFO_BYTES: usize = 128;

impl SigInfo {
    /// A signal with nothing but a code.
    pub const fn new(signo: u8, code: i32) -> Self {
        Self { signo: signo as i32, errno: 0, code, pad: 0, fields: [0; 4] }
    }
    /// From process `pid` (0: from outside), root.
    pub const fn sent(signo: u8, code: i32, pid: u32) -> Self {
        let mut info = Self::new(signo, code);
        info.fields[0] = pid as u64;
        info
    }
    /// A fault at `addr`.
    pub const fn fault(signo: u8, code: i32, addr: u64) -> Self {
        let mut info = Self::new(signo, code);
        info.fields[0] = addr;
        info
    }
    /// A timer's end: its id as the application knows it, `value` as it gave it, and `key` for the kernel.
    pub const fn timer(signo: u8, id: u32, value: u64, key: TimerKey) -> Self {
        let mut info = Self::new(signo, SI_TIMER);
        info.fields = [id as u64, value, 1 + id as u64, key.setting];
        info
    }
    /// The signal, 1 to 64.
    pub const fn signo(&self) -> u8 {
        self.signo as u8
    }
    /// The key of [`Self::timer`].
    pub const fn timer_key(&self) -> Option<TimerKey> {
        if self.code == SI_TIMER && self.fields[2] != 0 {
            Some(TimerKey { id: self.fields[2] as u32 - 1, setting: self.fields[3] })
        } else {
            None
        }
    }
    /// Puts a timer's overrun count in and takes the key out.
    pub const fn set_timer_overrun(&mut self, overrun: u32) {
        self.fields[0] = self.fields[0] as u32 as u64 | (overrun as u64) << 32;
        (self.fields[2], self.fields[3]) = (0, 0);
    }
    /// Whether it says "your own access at an address did this".
    pub const fn is_fault(&self) -> bool {
        self.code > SI_USER && self.code < SI_KERNEL && self.signo <= SIGSEGV as i32 && self.signo != SIGCHLD as i32
    }

    /// Writes all 128 bytes.
    pub fn write(&self, to: UserPtr<SigInfo>) -> Result<(), Errno> {
        to.write(*self)?;
        let written = size_of::<Self>();
        Ok(hal::user::zero(to.addr() + written as u64, SIGINFO_BYTES - written)?)
    }
}
