//! Switches of the command line: `noaslr`, `huge=never|auto|always`, `faultaround=PAGES`.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::area::Area;
use super::request::HugePolicy;
use crate::frame;

/// When 2 MiB pages serve an area that does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum HugePages {
    /// Never, not even when asked for.
    Never = 0,
    /// While at least 1 GiB is free.
    Auto = 1,
    /// Whenever a free 2 MiB frame is at hand.
    Always = 2,
}

/// The switches.
pub(super) struct Policy {
    huge: AtomicU8,
    fixed_layout: AtomicU8,
    fault_around: AtomicU64,
}

/// Most pages that one file fault maps.
pub(super) const MAX_FAULT_AROUND: usize = 32;

impl Policy {
    pub(super) const fn new() -> Self {
        Policy {
            huge: AtomicU8::new(HugePages::Auto as u8),
            fixed_layout: AtomicU8::new(0),
            fault_around: AtomicU64::new(16),
        }
    }

    /// Reads the command line.
    pub(super) fn read_command_line(&self) {
        if hal::boot_info::option("noaslr").is_some() {
            self.fixed_layout.store(1, Relaxed);
        }
        match hal::boot_info::option("huge") {
            Some("never") => self.set_huge(HugePages::Never),
            Some("always") => self.set_huge(HugePages::Always),
            _ => {}
        }
        if let Some(pages) = hal::boot_info::option("faultaround").and_then(|value| value.parse::<u64>().ok()) {
            let pages = pages.clamp(1, MAX_FAULT_AROUND as u64).next_power_of_two();
            self.fault_around.store(pages, Relaxed);
        }
    }

    pub(super) fn set_huge(&self, huge: HugePages) {
        self.huge.store(huge as u8, Relaxed);
    }

    /// Whether a fault in this area should try a 2 MiB page.
    #[inline]
    pub(super) fn wants_huge(&self, area: &Area) -> bool {
        let huge = self.huge.load(Relaxed);
        if huge == HugePages::Never as u8 || area.huge == HugePolicy::Never {
            return false;
        }
        huge == HugePages::Always as u8 || area.huge == HugePolicy::Always || frame::is_plentiful()
    }

    /// Pages that a file fault maps, a power of two.
    pub(super) fn fault_around(&self) -> u64 {
        self.fault_around.load(Relaxed)
    }

    /// Whether addresses are random.
    pub(super) fn is_random(&self) -> bool {
        self.fixed_layout.load(Relaxed) == 0
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn fix_layout(&self) {
        self.fixed_layout.store(1, Relaxed);
    }

    /// A random number of pages from 0 to `max`; 0 with `noaslr`.
    pub(super) fn random_pages(&self, max: u64) -> u64 {
        if !self.is_random() || max == 0 {
            return 0;
        }
        let mut bytes = [0; 8];
        hal::random::fill(&mut bytes);
        u64::from_le_bytes(bytes) % (max + 1)
    }
}
