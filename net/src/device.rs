//! The network device: frames in, the timers of connections, the client that gets the addresses. It starts with the
//! first call that needs a network.
//!
//! Frames go out on whatever thread makes them. Those that arrive are taken in within the device's interrupt, a few at a
//! time: two switches less than by way of a thread. What is left then, the deadlines and the client are the thread's
//! `net`. Frames have one owner at a time: the queue's interrupt is off while somebody takes them, and on again when none
//! is left.

use crate::config::{Client, Configuration, link_local, set_starter};
use crate::inet::{Ip, ip, tcp};
use crate::interface::{self, InterfaceAddress, Route};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use hal::hil::nic::TransmitOffload;
use hal::hil::{Nic, NicEvents, NicInfo, ReceivedFrame};
use hal::sync::{Once, SpinLock};
use sched::timer::{Timer, TimerOwner};
use sched::{Interruptible, WaitQueue};

/// Frames that the thread takes in before deadlines are looked at again.
const BATCH: usize = 64;
/// Frames, and bytes of them, that one interrupt takes in.
const INTERRUPT_BATCH: usize = 16;
const INTERRUPT_BYTES: usize = 64 << 10;
/// Bytes of the interrupted thread's stack that this may need.
const STACK_BYTES: u64 = 6 << 10;
/// Frames for the client that wait for the thread.
const CLIENT_FRAMES: usize = 16;
/// Longest frame that is put together from pieces, bytes.
const FRAME_MAX: usize = 66 << 10;

/// A device that runs.
pub(crate) struct Device {
    pub nic: &'static dyn Nic,
    pub info: NicInfo,
    /// Its interface's number.
    pub index: u32,
}

static DEVICE: Once<Option<Device>> = Once::new();
static WAKE: WaitQueue = WaitQueue::new();
/// Queues, a bit each, whose frames the thread shall take in, and then turn their interrupts on.
static FRAMES: AtomicU64 = AtomicU64::new(0);
/// Pairs of queues at most: one bit in [`FRAMES`] each.
const QUEUES_MAX: usize = 64;
/// The thread shall look at everything else.
static LOOK: AtomicBool = AtomicBool::new(false);
/// Frames for the client that gets addresses, and whether the device has found their checksums right.
static FOR_CLIENT: SpinLock<Vec<(Vec<u8>, bool)>> = SpinLock::new(Vec::new());
/// Where frames in several pieces are put together; whoever takes frames in takes it, or makes one if it is gone.
static SCRATCH: SpinLock<Vec<u8>> = SpinLock::new(Vec::new());

/// Wakes the thread at a deadline. It is set for the earliest only and never put off: to be woken once for nothing costs
/// less than to set it at each sleep.
struct Alarm {
    timer: Option<Timer>,
    at_ns: u64,
}

static ALARM: SpinLock<Alarm> = SpinLock::new(Alarm { timer: None, at_ns: u64::MAX });
/// `Alarm::at_ns`, for a look without the lock.
static ALARM_AT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Waits for the interface to have its addresses, and how long at most.
static APPLIED: WaitQueue = WaitQueue::new();
const APPLY_NS: u64 = 1_000_000_000;

struct Events;

impl NicEvents for Events {
    fn receive_ready(&self, queue: usize) {
        if let Some(device) = device()
            && hal::stack::room_bytes() >= STACK_BYTES
            && drain(device, queue, INTERRUPT_BATCH, INTERRUPT_BYTES)
        {
            return;
        }
        FRAMES.fetch_or(1 << queue, Ordering::AcqRel);
        WAKE.wake_all();
    }
    fn transmit_ready(&self, _queue: usize) {
        look();
    }
}

/// The thread looks at deadlines, at connections that wait for room in the device, and at the client.
fn look() {
    LOOK.store(true, Ordering::Release);
    WAKE.wake_all();
}

/// Whether this kernel has a network beyond its loopback. Without it the compiler leaves out all that only a device needs.
pub(crate) const HAS_NETWORK: bool = cfg!(any(test, feature = "network"));

/// The device, if it runs.
#[inline(always)]
pub(crate) fn device() -> Option<&'static Device> {
    if HAS_NETWORK { DEVICE.get()?.as_ref() } else { None }
}

/// Lets the first call that needs a network start it, and fills `/proc/net`. Called once at boot.
pub fn register() {
    crate::inet::proc::register();
    set_starter(start);
}

/// Starts the device unless it runs, or there is none.
pub fn start() {
    static STARTING: AtomicBool = AtomicBool::new(false);
    if !HAS_NETWORK {
        return;
    }
    if DEVICE.get().is_some() || STARTING.swap(true, Ordering::AcqRel) {
        return;
    }
    let Some(nic) = hal::hil::nics().first().copied() else {
        DEVICE.call_once(|| None);
        return;
    };
    // A pair of queues a vCPU, as far as the device has them.
    match nic.start(hal::cpu::count().min(QUEUES_MAX), &Events) {
        Ok(info) => {
            let index = interface::add("eth0", info.mac, u32::from(info.mtu_bytes));
            let mut random = [0; 4];
            hal::random::fill(&mut random);
            let client = Client::new(info.mac, u32::from_ne_bytes(random), hal::clock::now_ns());
            apply(index, &info, &client.configuration());
            DEVICE.call_once(|| Some(Device { nic, info, index }));
            let spawn = sched::Spawn { name: "net", ext: None, affinity: None, start: Box::new(move || serve(client)) };
            if sched::spawn(spawn).is_err() {
                log::error!("net: no memory for the thread that serves {}", "eth0");
            }
        }
        Err(reason) => {
            log::error!("net: {reason}");
            DEVICE.call_once(|| None);
        }
    }
}

/// The thread looks at deadlines at `deadline_ns` or before. The deadline is where the thread finds it already.
pub(crate) fn wake_at(deadline_ns: u64) {
    if deadline_ns >= ALARM_AT.load(Ordering::Acquire) {
        return;
    }
    let mut alarm = ALARM.lock();
    if deadline_ns < alarm.at_ns {
        alarm.at_ns = deadline_ns;
        ALARM_AT.store(deadline_ns, Ordering::Release);
        alarm.timer.get_or_insert_with(|| Timer::new(TimerOwner::Kernel, Box::new(ring))).arm(deadline_ns);
    }
}

/// The alarm has come.
fn ring() {
    {
        // Before the thread looks: a deadline that comes too late for it sets the alarm anew.
        let mut alarm = ALARM.lock();
        alarm.at_ns = u64::MAX;
        ALARM_AT.store(u64::MAX, Ordering::Release);
    }
    look();
}

fn serve(mut client: Client) {
    let Some(device) = device() else { return };
    ip::membership::addressed(device);
    ip::duplicate::addressed(device);
    let mut client_ns = 0;
    loop {
        LOOK.store(false, Ordering::Release);
        let mut waiting = FRAMES.swap(0, Ordering::AcqRel);
        while waiting != 0 {
            let queue = waiting.trailing_zeros();
            waiting &= waiting - 1;
            if !drain(device, queue as usize, BATCH, usize::MAX) {
                FRAMES.fetch_or(1 << queue, Ordering::AcqRel);
            }
        }
        let now = hal::clock::now_ns();
        let next = tcp::timer::run(now).min(ip::membership::run(now));
        let frames = core::mem::take(&mut *FOR_CLIENT.lock());
        if now >= client_ns || !frames.is_empty() {
            for (frame, is_checked) in &frames {
                if client.receive(frame, *is_checked, now) {
                    apply(device.index, &device.info, &client.configuration());
                }
            }
            let poll = client.poll(now, &mut |frame| {
                send_whole(device, frame);
            });
            client_ns = poll.deadline_ns;
            if poll.has_changed {
                apply(device.index, &device.info, &client.configuration());
            }
        }
        wake_at(next.min(client_ns));
        let ready = || (FRAMES.load(Ordering::Acquire) != 0 || LOOK.load(Ordering::Acquire)).then_some(());
        let _ = WAKE.wait_until(None, Interruptible::No, ready);
    }
}

/// Takes frames in until there are none, and turns the queue's interrupt on; false if it was too much for one turn. The
/// interrupt is off.
fn drain(device: &Device, queue: usize, frames_max: usize, bytes_max: usize) -> bool {
    let (mut frames, mut bytes) = (0, 0);
    while frames < frames_max && bytes < bytes_max {
        let frame = device.nic.receive(queue);
        let none = frame.is_none();
        if let Some(frame) = frame {
            bytes += frame.len();
            take(device, &frame);
        }
        // Most interrupts come for one frame: whether there are more is asked by turning the interrupt on.
        if (none || frames == 0) && device.nic.enable_receive_interrupt(queue) {
            return true;
        }
        frames += 1;
    }
    false
}

/// Takes one frame in.
fn take(device: &Device, frame: &ReceivedFrame) {
    let is_checked = frame.checksum_is_valid();
    if let Some(bytes) = frame.contiguous() {
        return take_bytes(device, bytes, is_checked);
    }
    if frame.len() > FRAME_MAX {
        return;
    }
    let mut scratch = core::mem::take(&mut *SCRATCH.lock());
    // Grows once to the longest frame and stays.
    if scratch.len() == FRAME_MAX || scratch.try_reserve_exact(FRAME_MAX).is_ok() {
        scratch.resize(FRAME_MAX, 0);
        let count = frame.copy_to(&mut scratch);
        take_bytes(device, &scratch[..count], is_checked);
    }
    *SCRATCH.lock() = scratch;
}

fn take_bytes(device: &Device, bytes: &[u8], is_checked: bool) {
    if ip::input::is_tcp_v4(bytes) || !Client::wants(bytes) {
        return ip::input::frame(device, bytes, is_checked);
    }
    let mut copy = Vec::new();
    if copy.try_reserve_exact(bytes.len()).is_ok() {
        copy.extend_from_slice(bytes);
        let mut frames = FOR_CLIENT.lock();
        if frames.len() < CLIENT_FRAMES {
            frames.push((copy, is_checked));
        }
    }
    look();
}

/// Sends a frame that is made already; false if there is no room.
pub(crate) fn send_whole(device: &Device, frame: &[u8]) -> bool {
    send(device, frame.len(), &mut |place| {
        place.copy_from_slice(frame);
        TransmitOffload::default()
    })
}

/// Sends a frame of `len_bytes` that `fill` writes, in this vCPU's queue: a device sends a connection's frames to the queue that
/// its own came from (virtio 1.2, 5.1.6.5.5), so it stays with the vCPU that serves it. False if there is no room.
#[inline]
pub(crate) fn send(device: &Device, len_bytes: usize, fill: &mut dyn FnMut(&mut [u8]) -> TransmitOffload) -> bool {
    let queue = if device.info.queues > 1 { hal::cpu::id() % device.info.queues } else { 0 };
    device.nic.send(queue, len_bytes, fill)
}

/// Makes a configuration the interface's.
fn apply(index: u32, info: &NicInfo, configuration: &Configuration) {
    let v4 = |address: core::net::Ipv4Addr| Ip::from_v4(address.to_bits());
    let v6 = |address: core::net::Ipv6Addr| Ip(address.to_bits());
    let mut addresses = Vec::new();
    let mut routes = Vec::new();
    if let Some(ipv4) = &configuration.ipv4 {
        addresses.push(InterfaceAddress { ip: v4(ipv4.address), prefix: ipv4.prefix_bits });
        if let Some(gateway) = ipv4.gateway {
            routes.push(Route { interface: index, network: Ip::ANY_V4, prefix: 0, gateway: Some(v4(gateway)) });
        }
    }
    for ipv6 in &configuration.ipv6 {
        addresses.push(InterfaceAddress { ip: v6(ipv6.address), prefix: ipv6.prefix_bits });
    }
    addresses.push(InterfaceAddress { ip: v6(link_local(info.mac)), prefix: 64 });
    if let Some(gateway) = configuration.gateway6 {
        routes.push(Route { interface: index, network: Ip::ANY_V6, prefix: 0, gateway: Some(v6(gateway)) });
    }
    let mtu = configuration.mtu_bytes.map_or(info.mtu_bytes, |mtu| mtu.min(info.mtu_bytes));
    interface::set_state(index, true, u32::from(mtu));
    // Routes first: who finds an address finds the way too.
    interface::set_routes(index, &routes);
    addresses.retain(|address| !ip::duplicate::is_refused(address.ip));
    interface::set_addresses(index, &addresses);
    APPLIED.wake_all();
    if let Some(device) = device() {
        ip::membership::addressed(device);
        ip::duplicate::addressed(device);
    }
}

/// Before a packet goes to `destination`: brings the network up, and waits for an address if none is there yet.
pub fn ensure(destination: Ip) {
    let v4 = destination.is_v4();
    let is_enough = |configuration: &Configuration| {
        if v4 { configuration.ipv4.is_some() } else { !configuration.ipv6.is_empty() }
    };
    crate::config::wait(!v4, is_enough);
    let Some(device) = device() else { return };
    // The configuration is told before the interface has it: the thread is between the two for a moment.
    let has_address = || {
        let table = interface::table();
        let own = table.interface(device.index)?;
        let fits = |ip: Ip| ip.is_v4() == v4 && !ip.is_link_local();
        own.addresses.iter().any(|address| fits(address.ip)).then_some(())
    };
    if has_address().is_none() && is_enough(&crate::config::current()) {
        let deadline = hal::clock::now_ns() + APPLY_NS;
        let _ = APPLIED.wait_until(Some(deadline), Interruptible::Yes, has_address);
    }
}

/// A device for tests, which hand frames in themselves: no thread serves it.
#[cfg(test)]
pub(crate) fn attach(nic: &'static dyn Nic, info: NicInfo, addresses: &[InterfaceAddress], routes: &[Route]) {
    let index = interface::add("eth0", info.mac, u32::from(info.mtu_bytes));
    let routes: Vec<Route> = routes.iter().map(|route| Route { interface: index, ..*route }).collect();
    interface::set_routes(index, &routes);
    interface::set_addresses(index, addresses);
    DEVICE.call_once(|| Some(Device { nic, info, index }));
}
