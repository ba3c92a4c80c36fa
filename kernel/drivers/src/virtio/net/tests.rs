use super::header::Header;
use super::*;
use crate::virtio::feature;
use crate::virtio::queue::fake_device::Chain;
use crate::virtio::transport::fake::FakeTransport;
use hal::hil::nic::{ChecksumPlace, Segmentation, SegmentationKind};
use proptest::prelude::*;
use std::sync::atomic::AtomicUsize;
use std::vec;

const RINGS: u64 = feature::EVENT_INDEX | feature::INDIRECT_DESCRIPTORS;
const EVERYTHING: u64 = ALWAYS | GUEST_TSO4 | GUEST_TSO6 | RINGS;
const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

#[derive(Default)]
struct Counter {
    receive: AtomicUsize,
    transmit: AtomicUsize,
    link: AtomicUsize,
}

impl NicEvents for Counter {
    fn receive_ready(&self, _queue: usize) {
        self.receive.fetch_add(1, Ordering::Relaxed);
    }
    fn transmit_ready(&self, _queue: usize) {
        self.transmit.fetch_add(1, Ordering::Relaxed);
    }
    fn link_changed(&self) {
        self.link.fetch_add(1, Ordering::Relaxed);
    }
}

struct Machine {
    device: &'static NetDevice,
    transport: Arc<FakeTransport>,
    events: &'static Counter,
    info: NicInfo,
}

/// MAC, link up, pairs, MTU.
fn config(pairs: u16, mtu: u16) -> Vec<u8> {
    [&ADDRESS[..], &1u16.to_le_bytes(), &pairs.to_le_bytes(), &mtu.to_le_bytes()].concat()
}

fn machine(features: u64, mtu: u16) -> Machine {
    let transport = FakeTransport::new(features, config(1, mtu), 256);
    let found = Found::Ready(transport.clone());
    let device = Box::leak(Box::new(NetDevice { found, is_taken: AtomicBool::new(false), running: Once::new() }));
    let events: &'static Counter = Box::leak(Box::default());
    let info = device.start(4, events).expect("starts");
    assert_eq!(device.start(4, events), Err(NicError::Started));
    Machine { device, transport, events, info }
}

impl Machine {
    /// The device writes a frame into as many buffers as it needs. Gives back whether it wants to interrupt.
    fn arrive(&self, header: impl Fn(u16) -> Header, frame: &[u8]) -> bool {
        self.transport.act(|queues| {
            let queue = queues.get_mut(&0).expect("a receive queue");
            let mut chains: Vec<(Chain, Vec<u8>)> = Vec::new();
            let mut rest = frame;
            let mut room = HEADER_BYTES;
            while chains.is_empty() || !rest.is_empty() {
                let chain = queue.take().expect("the driver offers buffers");
                assert!(chain.buffers.len() == 1 && chain.buffers[0].2);
                let count = rest.len().min(chain.buffers[0].1 as usize - room);
                chains.push((chain, [vec![0; room], rest[..count].to_vec()].concat()));
                rest = &rest[count..];
                room = 0;
            }
            let count = chains.len() as u16;
            let mut interrupt = false;
            for (index, (chain, bytes)) in chains.into_iter().enumerate() {
                // SAFETY: a buffer that the driver gave and does not touch.
                let buffer = unsafe { queue.bytes(chain.buffers[0].0, bytes.len() as u32) };
                buffer.copy_from_slice(&bytes);
                if index == 0 {
                    // SAFETY: as above; it is longer than a header.
                    unsafe { header(count).write(NonNull::new(buffer.as_mut_ptr()).expect("not null")) };
                }
                interrupt |= queue.give_back(chain.head.into(), bytes.len() as u32);
            }
            interrupt
        })
    }

    /// The frames that the driver has queued, with their headers' fields. They are given back.
    fn sent(&self) -> Vec<([u16; 7], Vec<u8>)> {
        self.transport.act(|queues| {
            let queue = queues.get_mut(&1).expect("a transmit queue");
            let mut frames = Vec::new();
            while let Some(chain) = queue.take() {
                let [(address, len, false)] = chain.buffers[..] else { panic!("{chain:?}") };
                // SAFETY: the driver leaves it alone until it comes back.
                let bytes = unsafe { queue.bytes(address, len) };
                // SAFETY: a header is in front.
                let header = unsafe { Header::read(NonNull::new(bytes.as_mut_ptr()).expect("not null")) };
                frames.push((header.fields(), bytes[HEADER_BYTES..].to_vec()));
                queue.give_back(chain.head.into(), 0);
            }
            frames
        })
    }
}

fn plain(buffers: u16) -> Header {
    Header::received(0, 0, 0, buffers)
}

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 7) as u8).collect()
}

#[test]
fn the_device_is_asked_for_what_it_offers() {
    let full = machine(EVERYTHING, 1400).info;
    let offloads = Offloads {
        transmit_checksum: true,
        segmentation_tcp4: true,
        segmentation_tcp6: true,
        receive_checksum: true,
        receive_large: true,
    };
    let max_transmit_bytes = transmit::LARGE_BYTES - HEADER_BYTES;
    assert_eq!(full, NicInfo { mac: ADDRESS, mtu_bytes: 1400, queues: 1, offloads, max_transmit_bytes });
    // Joined frames without mergeable buffers would need 64 KiB each.
    assert!(!machine(EVERYTHING & !MRG_RXBUF, 1400).info.offloads.receive_large);
    let bare = machine(0, 0).info;
    assert_eq!((bare.mtu_bytes, bare.offloads, bare.max_transmit_bytes), (1500, Offloads::default(), 1514));
    assert_eq!(bare.mac[0] & 3, 2, "a made-up address is locally administered");
}

#[test]
fn frames_arrive_for_ever_and_interrupts_come_when_asked_for() {
    for features in [EVERYTHING, EVERYTHING & !RINGS, 0] {
        let machine = machine(features, 1500);
        for round in 0..1000 {
            assert!(machine.arrive(plain, &numbered(60 + round % 1400)), "round {round}");
            machine.transport.interrupt(ANY_ENTRY);
            machine.transport.interrupt(ANY_ENTRY);
            assert_eq!(machine.events.receive.load(Ordering::Relaxed), round + 1);
            machine.arrive(plain, &[1; 60]);
            machine.transport.interrupt(ANY_ENTRY);
            assert_eq!(machine.events.receive.load(Ordering::Relaxed), round + 1, "interrupts are off");
            assert!(!machine.device.enable_receive_interrupt(0));
            let frame = machine.device.receive(0).expect("arrived");
            assert_eq!(frame.contiguous(), Some(&numbered(60 + round % 1400)[..]));
            assert_eq!((frame.checksum_is_valid(), frame.segment_bytes()), (false, 0));
            drop(frame);
            assert_eq!(machine.device.receive(0).expect("arrived").len(), 60);
            assert!(machine.device.receive(0).is_none() && machine.device.enable_receive_interrupt(0));
        }
        let statistics = machine.device.statistics();
        assert_eq!((statistics.receive_frames, statistics.receive_errors), (2000, 0));
    }
}

#[test]
fn joined_frames_lie_in_one_piece_unless_their_buffers_do_not() {
    let machine = machine(EVERYTHING, 1500);
    let large = numbered(60_000);
    let joined = |buffers| Header::received(1, 1, 1448, buffers);
    let mut pieces = 0;
    for _ in 0..50 {
        machine.arrive(joined, &large);
        let frame = machine.device.receive(0).expect("arrived");
        assert_eq!((frame.len(), frame.checksum_is_valid(), frame.segment_bytes()), (60_000, true, 1448));
        assert_eq!(frame.pieces().flatten().copied().collect::<Vec<_>>(), large);
        pieces += usize::from(frame.contiguous().is_none());
    }
    // Only those around the end of the pool.
    assert!((1..=4).contains(&pieces), "{pieces} frames in pieces");

    // Frames that are kept put the order out of joint.
    let mut kept = Vec::new();
    for _ in 0..100 {
        machine.arrive(plain, &[9; 100]);
        kept.push(machine.device.receive(0).expect("arrived"));
    }
    let mut index = 0;
    kept.retain(|_| {
        index += 1;
        index % 3 == 0
    });
    for _ in 0..20 {
        machine.arrive(joined, &large);
        let frame = machine.device.receive(0).expect("arrived");
        let mut copy = vec![0; 60_000];
        assert_eq!((frame.copy_to(&mut copy), &copy), (60_000, &large));
    }
    assert!(kept.iter().all(|frame| frame.contiguous() == Some(&[9; 100][..])));
}

#[test]
fn frames_are_sent_with_what_is_asked_of_the_device() {
    let machine = machine(EVERYTHING, 1500);
    let mut small = machine.device.transmit_buffer(0, 60).expect("room");
    small.copy_from_slice(&numbered(60));
    machine.device.transmit(small, TransmitOffload::default());
    let mut large = machine.device.transmit_buffer(0, 65_000).expect("room");
    large.copy_from_slice(&numbered(65_000));
    let segmentation = Segmentation { kind: SegmentationKind::Tcp6, header_bytes: 86, segment_bytes: 1428 };
    let checksum = ChecksumPlace { start: 54, offset: 16 };
    machine.device.transmit(large, TransmitOffload { checksum: Some(checksum), segmentation: Some(segmentation) });
    machine.device.kick(0);
    let sent = machine.sent();
    assert_eq!(sent[0], ([0; 7], numbered(60)));
    assert_eq!(sent[1], ([1, 4, 86, 1428, 54, 16, 0], numbered(65_000)));
    for impossible in [0, transmit::LARGE_BYTES - HEADER_BYTES + 1, usize::MAX] {
        assert!(machine.device.transmit_buffer(0, impossible).is_none());
    }
    let is_sent = machine.device.send(0, 70, &mut |frame| {
        frame.copy_from_slice(&numbered(70));
        TransmitOffload { checksum: Some(checksum), segmentation: None }
    });
    assert!(is_sent);
    assert_eq!(machine.sent(), [([1, 0, 0, 0, 54, 16, 0], numbered(70))]);
    let statistics = machine.device.statistics();
    assert_eq!((statistics.transmit_frames, statistics.transmit_bytes), (3, 65_130));
}

#[test]
fn a_full_queue_says_so_and_tells_when_there_is_room() {
    for features in [EVERYTHING, 0] {
        let machine = machine(features, 1500);
        for round in 0..20 {
            let mut count = 0;
            while let Some(buffer) = machine.device.transmit_buffer(0, 1514) {
                machine.device.transmit(buffer, TransmitOffload::default());
                count += 1;
            }
            assert!((100..=128).contains(&count));
            machine.device.kick(0);
            machine.transport.interrupt(ANY_ENTRY);
            assert_eq!(machine.events.transmit.load(Ordering::Relaxed), round + 1);
            machine.transport.interrupt(ANY_ENTRY);
            assert_eq!(machine.events.transmit.load(Ordering::Relaxed), round + 1);
            assert_eq!(machine.sent().len(), count);
            drop(machine.device.transmit_buffer(0, 1514).expect("room again"));
        }
    }
}

#[test]
fn several_pairs_are_agreed_on_over_the_control_queue() {
    let transport = FakeTransport::new(EVERYTHING | CTRL_VQ | MQ, config(8, 1500), 256);
    let seen = Arc::new(SpinLock::new(Vec::new()));
    let commands = seen.clone();
    let running = transport.run(move |queues| {
        let Some(control) = queues.get_mut(&16) else { return false };
        while let Some(chain) = control.take() {
            for &(address, len, writes) in &chain.buffers {
                // SAFETY: a buffer that the driver gave and waits for.
                let bytes = unsafe { control.bytes(address, len) };
                if writes {
                    bytes.fill(0);
                } else {
                    commands.lock().extend_from_slice(bytes);
                }
            }
            control.give_back(chain.head.into(), 1);
        }
        false
    });
    let found = Found::Ready(transport.clone());
    let device = Box::leak(Box::new(NetDevice { found, is_taken: AtomicBool::new(false), running: Once::new() }));
    let events: &'static Counter = Box::leak(Box::default());
    assert_eq!(device.start(3, events).map(|info| info.queues), Ok(3));
    drop(running);
    assert_eq!(*seen.lock(), [4, 0, 3, 0]);
    let numbers: Vec<u16> = transport.act(|queues| queues.keys().copied().collect());
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 16]);
    assert!(device.receive(2).is_none() && device.receive(3).is_none());
}

#[test]
fn frames_that_make_no_sense_are_counted_and_their_memory_comes_back() {
    let machine = machine(EVERYTHING, 1500);
    for _ in 0..1000 {
        // No buffers, more than there are, too short for an Ethernet header.
        machine.arrive(|_| plain(0), &numbered(60));
        machine.arrive(|_| plain(3), &numbered(60));
        assert!(machine.device.receive(0).is_none());
        machine.arrive(plain, &[1; 13]);
        machine.arrive(plain, &[]);
        machine.arrive(plain, &numbered(14));
        assert_eq!(machine.device.receive(0).map(|frame| frame.len()), Some(14));
    }
    assert!(machine.device.link_is_up());
    assert_eq!(machine.device.statistics().receive_errors, 1000 * 3 + 1000);
}

#[test]
fn a_device_that_breaks_the_protocol_is_not_used_any_more() {
    for queue in [0, 1] {
        let machine = machine(EVERYTHING, 1500);
        machine.arrive(plain, &numbered(60));
        let kept = machine.device.receive(0).expect("arrived");
        let buffer = machine.device.transmit_buffer(0, 100).expect("room");
        machine.transport.act(|queues| queues.get_mut(&queue).expect("there").set_used_index(5000));
        assert!(machine.device.receive(0).is_none());
        for _ in 0..300 {
            if let Some(buffer) = machine.device.transmit_buffer(0, 100) {
                machine.device.transmit(buffer, TransmitOffload::default());
            }
        }
        assert!(machine.device.transmit_buffer(0, 100).is_none() && !machine.device.link_is_up());
        assert_eq!(machine.events.link.load(Ordering::Relaxed), 1);
        assert_eq!(kept.contiguous(), Some(&numbered(60)[..]));
        drop((kept, buffer));
        machine.device.kick(0);
        assert!(machine.device.receive(0).is_none() && machine.device.enable_receive_interrupt(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_device_makes_the_driver_panic(deeds in proptest::collection::vec((0u8..8, any::<u16>(), any::<u8>()), 1..200)) {
        let machine = machine(EVERYTHING, 1500);
        let mut kept = Vec::new();
        for (deed, number, byte) in deeds {
            machine.transport.act(|queues| {
                let Some(queue) = queues.get_mut(&u16::from(byte & 1)) else { return };
                match deed {
                    0 => queue.scribble(number.into(), byte),
                    1 => drop(queue.give_back((number % 256).into(), u32::from(byte) * 20)),
                    2 => queue.set_used_index(queue.used_index.wrapping_add(u16::from(byte % 4))),
                    3 => queue.write_avail_event(number),
                    _ => {}
                }
            });
            match deed {
                4 => kept.extend(machine.device.receive(0)),
                5 => kept.truncate(usize::from(byte)),
                6 => if let Some(buffer) = machine.device.transmit_buffer(0, usize::from(number)) {
                    machine.device.transmit(buffer, TransmitOffload::default());
                    machine.device.kick(0);
                },
                7 => machine.transport.interrupt(number),
                _ => {}
            }
        }
        for frame in &kept {
            prop_assert_eq!(frame.pieces().map(<[u8]>::len).sum::<usize>(), frame.len());
        }
    }
}
