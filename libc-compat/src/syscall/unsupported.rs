//! What the application asked for and did not get: a counter for each missing call and each missing flag, and one
//! log line the first time.

use super::table;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

static CALLS: [AtomicU32; table::SIZE] = [const { AtomicU32::new(0) }; table::SIZE];
/// Calls with numbers that no Linux has.
static WILD_CALLS: AtomicU32 = AtomicU32::new(0);

/// Counts a call that has no row.
#[cold]
pub fn note_call(number: u64) {
    let count = CALLS.get(number as usize).unwrap_or(&WILD_CALLS);
    let first = count.fetch_add(1, Ordering::Relaxed) == 0;
    if first {
        log::warn!("unsupported system call {number}: ENOSYS");
    }
}

/// One place in the code that refuses or leaves out something. Made by [`crate::unsupported!`].
pub struct Site {
    what: &'static str,
    count: AtomicU32,
    next: AtomicPtr<Site>,
}

static SITES: AtomicPtr<Site> = AtomicPtr::new(ptr::null_mut());

impl Site {
    /// A site that has not been hit.
    pub const fn new(what: &'static str) -> Self {
        Self { what, count: AtomicU32::new(0), next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Counts a use with `value` (a flag word, an operation).
    #[cold]
    pub fn note(&'static self, value: u64) {
        if self.count.fetch_add(1, Ordering::Relaxed) != 0 {
            return;
        }
        log::warn!("unsupported: {} {value:#x}", self.what);
        let this = ptr::from_ref(self).cast_mut();
        let mut head = SITES.load(Ordering::Acquire);
        loop {
            self.next.store(head, Ordering::Relaxed);
            match SITES.compare_exchange(head, this, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// Counts an unsupported flag or operation at this place, and logs the first: `unsupported!("mmap flags", flags)`.
#[macro_export]
macro_rules! unsupported {
    ($what:literal, $value:expr) => {{
        static SITE: $crate::syscall::unsupported::Site = $crate::syscall::unsupported::Site::new($what);
        SITE.note($value as u64)
    }};
}

/// Every missing call that was made: number and count.
pub fn calls() -> Vec<(u32, u32)> {
    let count = |(n, count): (usize, &AtomicU32)| match count.load(Ordering::Relaxed) {
        0 => None,
        count => Some((n as u32, count)),
    };
    CALLS.iter().enumerate().filter_map(count).collect()
}

/// Every site that was hit: text and count.
pub fn sites() -> Vec<(&'static str, u32)> {
    let mut all = Vec::new();
    let mut site = SITES.load(Ordering::Acquire);
    // SAFETY: the list holds only `'static` sites, pushed fully made.
    while let Some(hit) = unsafe { site.as_ref() } {
        all.push((hit.what, hit.count.load(Ordering::Relaxed)));
        site = hit.next.load(Ordering::Relaxed);
    }
    all
}
