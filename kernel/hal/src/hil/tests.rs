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
