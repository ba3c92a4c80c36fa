//! The end of a process.

use hal::addr::USER_END;

use super::{AddressSpace, HALF_END};
use crate::frame;

impl AddressSpace {
    /// The end of a process: unmaps the whole lower half, frees every frame and table, picks new random bases and
    /// closes the reserve. No thread of the process may run any more.
    pub fn clear(&self) {
        {
            let state = &mut *self.state.write();
            let mut gather = self.gather();
            for (start, area) in state.tree.iter() {
                if let Some((backing, pages)) = area.object_pages(start, start..area.end) {
                    backing.note_unmapped(pages);
                }
            }
            self.tables.zap(0..USER_END, 0..HALF_END, &mut gather);
            gather.finish();
            // Objects of mm's own end here, after their pages have been unmapped.
            state.tree.clear();
            state.placer.choose_bases(&self.policy, &state.limits);
            self.resident_peak.store(0, core::sync::atomic::Ordering::Relaxed);
        }
        crate::kernel_stack::POOL.shrink();
        frame::close_reserve();
    }
}
