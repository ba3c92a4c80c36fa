//! The network device, and the one thread that serves it: frames in, the timers of connections, the client that gets
//! the addresses. It starts with the first call that needs a network.
//!
//! Frames go out on whatever thread makes them. The thread sleeps until a frame, or the earliest deadline, has come.

use crate::config::{Client, Configuration, link_local, set_starter};
use crate::inet::{Ip, ip, tcp};
use crate::interface::{self, InterfaceAddress, Route};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use hal::hil::nic::TransmitOffload;
use hal::hil::{Nic, NicEvents, NicInfo, ReceivedFrame, TransmitBuffer};
use hal::sync::Once;
use sched::{Interruptible, WaitQueue};

/// Frames that are taken in before deadlines are looked at again.
const BATCH: usize = 64;
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
static FRAMES: AtomicBool = AtomicBool::new(false);
/// When the thread wakes by itself.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Waits for the interface to have its addresses, and how long at most.
static APPLIED: WaitQueue = WaitQueue::new();
const APPLY_NS: u64 = 1_000_000_000;

struct Events;

impl NicEvents for Events {
    fn receive_ready(&self, _queue: usize) {
        FRAMES.store(true, Ordering::Release);
        WAKE.wake_all();
    }
    fn transmit_ready(&self, _queue: usize) {
        tcp::timer::device_has_room();
        self.receive_ready(0);
    }
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
    match nic.start(1, &Events) {
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

/// The thread sleeps no longer than until `deadline_ns`.
pub(crate) fn wake_at(deadline_ns: u64) {
    if deadline_ns < DEADLINE.fetch_min(deadline_ns, Ordering::AcqRel) {
        WAKE.wake_all();
    }
}

fn serve(mut client: Client) {
    let Some(device) = device() else { return };
    let mut scratch = Vec::new();
    let mut client_ns = 0;
    loop {
        FRAMES.store(false, Ordering::Release);
        DEADLINE.store(u64::MAX, Ordering::Release);
        let mut more = false;
        for queue in 0..device.info.queues {
            let mut count = 0;
            while count < BATCH {
                let Some(frame) = device.nic.receive(queue) else { break };
                if take(device, &frame, &mut scratch, &mut client) {
                    client_ns = 0;
                }
                count += 1;
            }
            more |= count == BATCH || !device.nic.enable_receive_interrupt(queue);
        }
        let now = hal::clock::now_ns();
        let next = tcp::timer::run(now);
        if now >= client_ns {
            let poll = client.poll(now, &mut |frame| {
                send_whole(device, frame);
            });
            client_ns = poll.deadline_ns;
            if poll.has_changed {
                apply(device.index, &device.info, &client.configuration());
            }
        }
        device.nic.kick(0);
        if more {
            continue;
        }
        DEADLINE.fetch_min(next.min(client_ns), Ordering::AcqRel);
        let until = DEADLINE.load(Ordering::Acquire);
        let ready = || (FRAMES.load(Ordering::Acquire) || DEADLINE.load(Ordering::Acquire) < until).then_some(());
        let _ = WAKE.wait_until((until != u64::MAX).then_some(until), Interruptible::No, ready);
    }
}

/// Takes one frame in; true if the client that gets addresses shall be polled.
fn take(device: &Device, frame: &ReceivedFrame, scratch: &mut Vec<u8>, client: &mut Client) -> bool {
    let bytes = match frame.contiguous() {
        Some(bytes) => bytes,
        None => {
            if frame.len() > FRAME_MAX {
                return false;
            }
            // Grows once to the longest frame and stays.
            scratch.resize(FRAME_MAX, 0);
            let count = frame.copy_to(scratch);
            &scratch[..count]
        }
    };
    let valid = frame.checksum_is_valid();
    if Client::wants(bytes) {
        if client.receive(bytes, valid, hal::clock::now_ns()) {
            apply(device.index, &device.info, &client.configuration());
        }
        return true;
    }
    ip::input::frame(device, bytes, valid);
    false
}

/// Sends a frame that is made already; false if there is no room.
pub(crate) fn send_whole(device: &Device, frame: &[u8]) -> bool {
    let Some(mut buffer) = device.nic.transmit_buffer(0, frame.len()) else { return false };
    buffer.copy_from_slice(frame);
    send(device, buffer, TransmitOffload::default());
    true
}

/// Sends a buffer of the device.
pub(crate) fn send(device: &Device, buffer: TransmitBuffer, offload: TransmitOffload) {
    device.nic.transmit(buffer, offload);
    device.nic.kick(0);
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
    interface::set_addresses(index, &addresses);
    APPLIED.wake_all();
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
