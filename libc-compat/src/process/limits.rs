//! Resource limits (getrlimit(2)). Those that something here enforces are passed on where they are set.

use hal::sync::SpinLock;
use linux_raw_sys::general as linux;

/// Soft and hard limit; [`UNLIMITED`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// How far the soft one may be raised.
    pub hard: u64,
}

/// No limit (RLIM_INFINITY).
pub const UNLIMITED: u64 = u64::MAX;
/// How many resources there are (RLIM_NLIMITS).
pub const COUNT: usize = linux::RLIM_NLIMITS as usize;

/// One limit a resource, in the order of Linux's numbers.
pub struct Limits {
    table: SpinLock<[Limit; COUNT]>,
}

impl Default for Limits {
    /// What a Debian 12 system gives a login shell, but for threads: as many as the machine can hold.
    fn default() -> Self {
        const NONE: Limit = Limit { soft: UNLIMITED, hard: UNLIMITED };
        let mut table = [NONE; COUNT];
        let mut set = |resource: u32, soft, hard| table[resource as usize] = Limit { soft, hard };
        set(linux::RLIMIT_STACK, 8 << 20, UNLIMITED);
        set(linux::RLIMIT_CORE, 0, UNLIMITED);
        set(linux::RLIMIT_NOFILE, 1024, 1 << 20);
        set(linux::RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
        set(linux::RLIMIT_SIGPENDING, 95_000, 95_000);
        set(linux::RLIMIT_MSGQUEUE, 819_200, 819_200);
        set(linux::RLIMIT_NICE, 0, 0);
        set(linux::RLIMIT_RTPRIO, 0, 0);
        Self { table: SpinLock::new(table) }
    }
}

impl Limits {
    /// How many descriptors the process may have open (RLIMIT_NOFILE).
    pub fn descriptors(&self) -> u32 {
        self.soft(linux::RLIMIT_NOFILE).min(u64::from(u32::MAX)) as u32
    }

    /// The limit of `resource` (a Linux RLIMIT_ number); none for a number that does not exist.
    pub fn get(&self, resource: u32) -> Option<Limit> {
        self.table.lock().get(resource as usize).copied()
    }

    /// The soft limit of `resource`.
    pub fn soft(&self, resource: u32) -> u64 {
        self.get(resource).map_or(UNLIMITED, |limit| limit.soft)
    }

    /// Replaces the limit of `resource`; returns the old one, `None` for a number that does not exist.
    pub fn replace(&self, resource: u32, limit: Limit) -> Option<Limit> {
        let mut table = self.table.lock();
        let place = table.get_mut(resource as usize)?;
        Some(core::mem::replace(place, limit))
    }
}
