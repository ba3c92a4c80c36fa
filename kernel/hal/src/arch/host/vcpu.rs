//! vCPUs and interrupts: one vCPU that any number of std threads share, or those of a model.

#[cfg(not(feature = "loom"))]
mod on_std {
    use crate::addr::VirtAddr;
    use crate::irq::Ipi;
    use std::cell::Cell;

    std::thread_local! {
        static IRQ_ENABLED: Cell<bool> = const { Cell::new(true) };
    }

    pub fn cpu_id() -> usize {
        0
    }
    pub fn cpu_count() -> usize {
        1
    }
    pub fn irq_save() -> bool {
        IRQ_ENABLED.replace(false)
    }
    pub fn irq_enabled() -> bool {
        IRQ_ENABLED.get()
    }
    /// # Safety
    /// As `irq::enable`.
    pub unsafe fn irq_enable() {
        IRQ_ENABLED.set(true);
    }
    pub fn wait_for_interrupt() {
        std::thread::yield_now();
    }
    pub fn send_ipi(_cpu: usize, _kind: Ipi) {}
    pub fn flush_page(_addr: VirtAddr) {}
    pub fn flush_all() {}
}

#[cfg(feature = "loom")]
mod on_loom {
    use crate::addr::VirtAddr;
    use crate::model;

    pub(crate) use model::{cpu_count, cpu_id, irq_enabled, irq_save, send_ipi, wait_for_interrupt};

    /// # Safety
    /// As `irq::enable`.
    pub unsafe fn irq_enable() {
        model::irq_enable();
    }
    pub fn flush_page(addr: VirtAddr) {
        model::flush(Some(addr));
    }
    pub fn flush_all() {
        model::flush(None);
    }
}

#[cfg(feature = "loom")]
pub use on_loom::*;
#[cfg(not(feature = "loom"))]
pub use on_std::*;
