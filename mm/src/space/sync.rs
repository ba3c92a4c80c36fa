//! msync.

use alloc::vec::Vec;

use super::request::Sharing;
use super::unmap::checked_range;
use super::{AddressSpace, MapError};

impl AddressSpace {
    /// Writes dirty pages of shared file mappings back and waits (msync MS_SYNC). `MapError::NotMapped` when there was
    /// a hole; the rest is written all the same, as on Linux.
    pub fn sync(&self, start: u64, len: u64) -> Result<(), MapError> {
        if len == 0 && start.is_multiple_of(4096) {
            return Ok(());
        }
        let range = checked_range(start, len)?;
        let mut objects = Vec::new();
        let mut result = Ok(());
        {
            let state = self.state.read();
            let mut at = range.start;
            for (area_start, area) in state.tree.overlapping(range.clone()) {
                if area_start > at {
                    result = Err(MapError::NotMapped);
                }
                let part = area_start.max(range.start)..area.end.min(range.end);
                at = part.end;
                if area.sharing == Sharing::Shared
                    && let Some((backing, pages)) = area.object_pages(area_start, part)
                {
                    objects.push((backing.clone(), pages));
                }
            }
            if at < range.end {
                result = Err(MapError::NotMapped);
            }
        }
        for (backing, pages) in objects {
            backing.writeback(pages).map_err(|_| MapError::Io)?;
        }
        result
    }
}
