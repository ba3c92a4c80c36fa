//! Sums over all areas, kept up to date so that asking is cheap.

use super::area::Area;
use super::request::{Protection, Sharing};

/// Bytes in areas, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Totals {
    pub virtual_bytes: u64,
    pub virtual_peak: u64,
    pub committed: u64,
    pub data: u64,
    pub stack: u64,
    pub exec: u64,
}

impl Totals {
    pub(super) const ZERO: Totals =
        Totals { virtual_bytes: 0, virtual_peak: 0, committed: 0, data: 0, stack: 0, exec: 0 };

    /// An area has come.
    pub(super) fn add(&mut self, start: u64, area: &Area) {
        self.change(area, area.end - start, u64::wrapping_add);
        self.virtual_peak = self.virtual_peak.max(self.virtual_bytes);
    }

    /// An area has gone.
    pub(super) fn subtract(&mut self, start: u64, area: &Area) {
        self.change(area, area.end - start, u64::wrapping_sub);
    }

    fn change(&mut self, area: &Area, len: u64, change: fn(u64, u64) -> u64) {
        self.virtual_bytes = change(self.virtual_bytes, len);
        if area.accounted {
            self.committed = change(self.committed, len);
        }
        if area.name == Some("[stack]") {
            self.stack = change(self.stack, len);
        } else if area.sharing == Sharing::Private && area.prot.contains(Protection::WRITE) {
            self.data = change(self.data, len);
        } else if area.object.is_some() && area.prot.contains(Protection::EXEC) {
            self.exec = change(self.exec, len);
        }
    }
}
