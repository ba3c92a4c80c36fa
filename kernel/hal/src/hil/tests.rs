use super::testing::{RamDisk, TestPort, Writable};
use super::*;
use crate::addr::PhysAddr;
use alloc::{sync::Arc, vec, vec::Vec};
use std::sync::Mutex;

/// Remembers the shape of each request; the addresses in it are made up.
struct Recorder(Mutex<Vec<(u64, Vec<Segment>)>>, usize);

impl Block for Recorder {
    fn sector_count(&self) -> u64 {
        1 << 20
    }
    fn block_size(&self) -> u32 {
        512
    }
    fn read_only(&self) -> bool {
        true
    }
    fn can_flush(&self) -> bool {
        false
    }
    fn identity(&self) -> &str {
        ""
    }
    fn max_segments(&self) -> usize {
        self.1
    }
    unsafe fn submit(&self, _: &BlockRequest<'_>, _: Arc<dyn Completion>) -> Result<(), BlockError> {
        Err(BlockError::NotSupported)
    }
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError> {
        request.check(self)?;
        self.0.lock().expect("no test panics with it held").push((request.sector, request.segments.to_vec()));
        Ok(())
    }
}

fn segment(start: u64, len_bytes: u32) -> Segment {
    Segment { start: PhysAddr(start), len_bytes }
}

#[test]
fn adjacent_frames_become_one_segment_and_long_lists_several_requests() {
    let device = Recorder(Mutex::default(), 2);
    let frames = [0x1000, 0x2000, 0x8000, 0x20000, 0x21000, 0x22000].map(PhysAddr);
    // SAFETY: the recorder touches no memory.
    unsafe { device.read_pages(&frames, 64) }.expect("in range");
    let seen = device.0.lock().expect("no test panics with it held").clone();
    assert_eq!(
        seen,
        [(64, vec![segment(0x1000, 0x2000), segment(0x8000, 0x1000)]), (64 + 24, vec![segment(0x20000, 0x3000)])]
    );
}

#[test]
fn bad_requests_are_refused() {
    let device = Recorder(Mutex::default(), 2);
    let check = |operation, sector, segments: &[Segment]| BlockRequest { operation, sector, segments }.check(&device);
    assert_eq!(check(Operation::Write, 0, &[segment(0, 512)]), Err(BlockError::ReadOnly));
    assert_eq!(check(Operation::Read, 0, &[segment(0, 511)]), Err(BlockError::Misaligned));
    assert_eq!(check(Operation::Read, 0, &[]), Err(BlockError::TooManySegments));
    assert_eq!(check(Operation::Read, 0, &[segment(0, 512); 3]), Err(BlockError::TooManySegments));
    assert_eq!(check(Operation::Read, (1 << 20) - 1, &[segment(0, 1024)]), Err(BlockError::OutOfRange));
    assert_eq!(check(Operation::Read, u64::MAX, &[segment(0, 512)]), Err(BlockError::OutOfRange));
    assert_eq!(check(Operation::Read, (1 << 20) - 1, &[segment(0, 512)]), Ok(()));
    assert_eq!(check(Operation::Flush, 0, &[]), Err(BlockError::NotSupported));
    assert_eq!(device.flush(), Ok(()));
}

#[test]
fn registries_find_by_name_and_identity() {
    register_block("vda", Arc::new(RamDisk::new("root0", vec![0; 512], Writable::No)));
    register_block("vdb", Arc::new(RamDisk::new("root1", vec![0; 1024], Writable::No)));
    assert_eq!(block_by_identity("root1").map(|device| device.sector_count()), Some(2));
    assert!(block_by_identity("root2").is_none());
    assert_eq!(blocks().len(), 2);

    register_port(Arc::new(TestPort::new("demitasse.stdout", 4)));
    let port = port("demitasse.stdout").expect("just registered");
    assert_eq!(port.try_write(b"abcdef"), Ok(4));
    assert_eq!(port.try_write(b"ef"), Err(PortError::WouldBlock));
    assert!(super::port("demitasse.stdin").is_none());
}

#[test]
fn a_closed_port_ends_reads_after_what_is_left() {
    let port = TestPort::new("x", 4);
    port.host_send(b"ab");
    port.host_close();
    let mut buffer = [0; 8];
    assert_eq!(port.read(&mut buffer), Ok(2));
    assert_eq!(port.read(&mut buffer), Ok(0));
    assert_eq!(port.write(b"x"), Err(PortError::Closed));
}

#[test]
fn a_fake_network_interface_lends_frames_and_takes_them_back() {
    use super::frame::ReceivedAs;
    use super::testing::nic::FakeNic;
    use std::sync::atomic::{AtomicUsize, Ordering};
    struct Counter(AtomicUsize, AtomicUsize);
    impl NicEvents for Counter {
        fn receive_ready(&self, _queue: usize) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn transmit_ready(&self, _queue: usize) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    static EVENTS: Counter = Counter(AtomicUsize::new(0), AtomicUsize::new(0));
    let offloads = nic::Offloads::default();
    let info = NicInfo { mac: [2, 0, 0, 0, 0, 1], mtu_bytes: 1500, queues: 2, offloads, max_transmit_bytes: 1514 };
    let device = FakeNic::new(info, 2);
    assert_eq!(device.start(1, &EVENTS).map(|info| info.queues), Ok(1));
    assert_eq!(device.start(1, &EVENTS), Err(NicError::Started));

    device.arrive(0, &[1; 60]);
    device.arrive_as(0, &[&[2; 20], &[3; 20], &[4; 20]], ReceivedAs { segment_bytes: 20, ..ReceivedAs::default() });
    assert_eq!(EVENTS.0.load(Ordering::Relaxed), 1, "the first interrupt turns itself off");
    assert!(!device.enable_receive_interrupt(0));
    let whole = device.receive(0).expect("arrived");
    assert_eq!(whole.contiguous(), Some(&[1; 60][..]));
    let joined = device.receive(0).expect("arrived");
    let mut copy = [0; 50];
    assert_eq!((joined.len(), joined.contiguous(), joined.copy_to(&mut copy)), (60, None, 50));
    assert_eq!((copy[19], copy[20], copy[49], joined.segment_bytes()), (2, 3, 4, 20));
    assert!(device.receive(0).is_none() && device.enable_receive_interrupt(0));
    assert_eq!(device.lent(), 2);
    drop((whole, joined));

    assert!(device.transmit_buffer(0, 1515).is_none() && device.transmit_buffer(0, 0).is_none());
    let mut first = device.transmit_buffer(0, 60).expect("room");
    first.fill(7);
    let second = device.transmit_buffer(0, 60).expect("room");
    assert!(device.transmit_buffer(0, 60).is_none());
    drop(second);
    device.transmit(first, nic::TransmitOffload::default());
    assert!(device.take_sent().is_empty(), "not kicked");
    device.kick(0);
    let sent = device.take_sent();
    assert_eq!((sent.len(), &sent[0].bytes[..], sent[0].queue), (1, &[7; 60][..], 0));
    assert_eq!((device.lent(), EVENTS.1.load(Ordering::Relaxed)), (0, 1));
}
