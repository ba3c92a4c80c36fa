//! A device for tests: the transport's registers as fields, the queues as the other side sees them.

use super::{ANY_ENTRY, Doorbell, DoorbellWidth, QueuePlacement, Transport, VirtioError, status};
use crate::interrupts::Service;
use crate::registers::Registers;
use crate::virtio::feature;
use crate::virtio::queue::EventIndex;
use crate::virtio::queue::fake_device::FakeDevice;
use alloc::sync::Arc;
use core::ptr::NonNull;
use hal::addr::PhysAddr;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec::Vec;

/// The device's queues by number.
pub type Queues = BTreeMap<u16, FakeDevice>;

#[derive(Default)]
struct State {
    accepted: u64,
    status: u8,
    queues: Queues,
    service: Option<Arc<dyn Service>>,
    resets: usize,
}

/// Registers of a made-up device.
pub struct FakeTransport {
    features: u64,
    config: Vec<u8>,
    queue_max_size: u16,
    state: Mutex<State>,
    doorbell: Registers,
}

impl FakeTransport {
    pub fn new(features: u64, config: Vec<u8>, queue_max_size: u16) -> Arc<Self> {
        let memory = std::vec![0u32; 1].leak().as_mut_ptr().cast();
        // SAFETY: leaked memory that stands in for a register.
        let doorbell = unsafe { Registers::new(NonNull::new(memory).expect("not null"), 4) };
        let features = features | feature::VERSION_1;
        Arc::new(Self { features, config, queue_max_size, state: Mutex::default(), doorbell })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the device was reset.
    pub fn resets(&self) -> usize {
        self.state().resets
    }

    /// Lets the device do something now.
    pub fn act<R>(&self, act: impl FnOnce(&mut Queues) -> R) -> R {
        act(&mut self.state().queues)
    }

    /// Interrupts the driver.
    pub fn interrupt(&self, entry: u16) {
        let service = self.state().service.clone();
        if let Some(service) = service {
            service.interrupt(entry);
        }
    }

    /// Runs the device on its own thread until the guard drops: `behave` sees the queues again and again, while the
    /// driver lets the device run, and says whether to interrupt.
    pub fn run(self: &Arc<Self>, mut behave: impl FnMut(&mut Queues) -> bool + Send + 'static) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let (device, stopped) = (self.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let service = {
                    let mut state = device.state();
                    let runs = state.status & status::DRIVER_OK != 0;
                    if runs && behave(&mut state.queues) { state.service.clone() } else { None }
                };
                match service {
                    Some(service) => service.interrupt(ANY_ENTRY),
                    None => std::thread::sleep(Duration::from_micros(50)),
                }
            }
        });
        Running { stop, thread: Some(thread) }
    }
}

/// Stops the device's thread when it drops.
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the device's thread panicked");
        }
    }
}

impl Transport for FakeTransport {
    fn device_type(&self) -> u32 {
        0
    }
    fn offered_features(&self) -> u64 {
        self.features
    }
    fn accept_features(&self, features: u64) {
        self.state().accepted = features;
    }
    fn status(&self) -> u8 {
        self.state().status
    }
    fn set_status(&self, status: u8) {
        let mut state = self.state();
        state.status = status;
        if status == 0 {
            state.queues.clear();
            state.resets += 1;
        }
    }
    fn queue_max_size(&self, _queue: u16) -> u16 {
        self.queue_max_size
    }
    fn activate_queue(&self, placement: &QueuePlacement) -> Result<Doorbell, VirtioError> {
        let mut state = self.state();
        let negotiated = state.accepted & feature::EVENT_INDEX != 0;
        let event_index = if negotiated { EventIndex::Negotiated } else { EventIndex::Absent };
        let (table, available, used) = placement.addresses;
        let translate = |at| hal::phys_to_virt(PhysAddr(at));
        let device = FakeDevice::new(placement.size, (table.0, available.0, used.0), event_index, translate);
        state.queues.insert(placement.queue, device);
        Ok(Doorbell { register: self.doorbell, queue: placement.queue, width: DoorbellWidth::Bits32 })
    }
    fn entries(&self, _wanted: u16) -> u16 {
        1
    }
    fn connect(&self, _name: &'static str, service: Arc<dyn Service>, _count: u16) -> Result<(), VirtioError> {
        self.state().service = Some(service);
        Ok(())
    }
    fn config_u16(&self, offset: usize) -> u16 {
        let field = self.config.get(offset..).and_then(|rest| rest.first_chunk());
        field.map_or(u16::MAX, |bytes| u16::from_le_bytes(*bytes))
    }
    fn config_u32(&self, offset: usize) -> u32 {
        let field = self.config.get(offset..).and_then(|rest| rest.first_chunk());
        field.map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
    }
    fn config_generation(&self) -> u32 {
        0
    }
}
