//! From an interrupt vector to the driver that serves it, without a pointer through hal.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use hal::irq::{self, Vector};
use hal::sync::Once;

/// Vectors that devices can have in all.
const MAX_SERVICES: usize = 64;

/// The part of a driver that answers interrupts.
pub trait Service: Send + Sync {
    /// Serves the interrupt `entry` (the number that was given to [`attach`]). Interrupts are off: no sleeping.
    fn interrupt(&self, entry: u16);

    /// The vCPU that entry `entry` interrupts, where the device can choose.
    fn cpu(&self, _entry: u16) -> usize {
        0
    }
}

struct Attached {
    service: Arc<dyn Service>,
    entry: u16,
}

static SERVICES: [Once<Attached>; MAX_SERVICES] = [const { Once::new() }; MAX_SERVICES];
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Takes a vector whose interrupts call `service.interrupt(entry)`, for ever. `None` when vectors are out.
pub fn attach(name: &'static str, service: Arc<dyn Service>, entry: u16) -> Option<Vector> {
    let index = TAKEN.fetch_add(1, Ordering::Relaxed);
    let slot = SERVICES.get(index)?;
    slot.call_once(|| Attached { service, entry });
    irq::allocate(name, dispatch, index)
}

fn dispatch(index: usize) {
    if let Some(attached) = SERVICES.get(index).and_then(Once::get) {
        attached.service.interrupt(attached.entry);
    }
}
