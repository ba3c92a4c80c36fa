//! Notices a device that stops answering: a timer that runs only while there is work, and gives up at the second look
//! without any progress (a machine that was paused meanwhile gets the time in between to catch up).

use super::{BlockDevice, lane::Lane};
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use hal::sync::Once;
use sched::timer::{Timer, TimerOwner};

const LOOK_EVERY_NS: u64 = 30_000_000_000;

/// Progress of one device.
pub(super) struct Watchdog {
    timer: Once<Timer>,
    is_armed: AtomicBool,
    ended: AtomicU64,
    /// `ended` at the last look, plus one; 0 if that look saw progress.
    stuck_at: AtomicU64,
}

impl Watchdog {
    pub(super) const fn new() -> Self {
        Self {
            timer: Once::new(),
            is_armed: AtomicBool::new(false),
            ended: AtomicU64::new(0),
            stuck_at: AtomicU64::new(0),
        }
    }

    /// Sets the device to look at. It then lives for ever.
    pub(super) fn watch(&self, device: Arc<BlockDevice>) {
        self.timer.call_once(|| Timer::new(TimerOwner::Kernel, Box::new(move || device.watchdog.look(&device))));
    }

    /// A request was queued.
    pub(super) fn started(&self) {
        if !self.is_armed.load(Ordering::Relaxed) && !self.is_armed.swap(true, Ordering::AcqRel) {
            self.stuck_at.store(0, Ordering::Relaxed);
            self.arm();
        }
    }

    /// A request ended.
    pub(super) fn progressed(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn arm(&self) {
        if let Some(timer) = self.timer.get() {
            timer.arm(hal::clock::now_ns().saturating_add(LOOK_EVERY_NS));
        }
    }

    fn look(&self, device: &BlockDevice) {
        device.collect(0..device.lanes.len());
        // Before the look: who queues behind it on some lane arms again.
        self.is_armed.store(false, Ordering::Release);
        if device.lanes.iter().all(Lane::is_idle) || self.is_armed.swap(true, Ordering::AcqRel) {
            return;
        }
        let now = self.ended.load(Ordering::Relaxed).wrapping_add(1);
        if self.stuck_at.swap(now, Ordering::Relaxed) == now {
            device.give_up("stopped answering");
        } else {
            self.arm();
        }
    }
}
