use super::*;
use crate::virtio::queue::fake_device::{Chain, FakeDevice};
use crate::virtio::transport::fake::FakeTransport;
use hal::hil::Segment;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::vec::Vec;

const SECTORS: usize = 256;
const ALL: u64 = SIZE_MAX
    | SEG_MAX
    | BLOCK_SIZE
    | FLUSH
    | MULTIQUEUE
    | DISCARD
    | feature::EVENT_INDEX
    | feature::INDIRECT_DESCRIPTORS;

fn config(size_max: u32, seg_max: u32) -> Vec<u8> {
    let mut config = (SECTORS as u64).to_le_bytes().to_vec();
    config.extend(size_max.to_le_bytes());
    config.extend(seg_max.to_le_bytes());
    config.extend([0; 4]);
    config.extend(4096u32.to_le_bytes());
    config
}

/// The configuration of a disk with queues, which takes discards of up to so many sectors.
fn config_with(queues: u16, max_discard: u32) -> Vec<u8> {
    let mut config = config(1 << 20, 64);
    config.resize(CONFIG_QUEUES, 0);
    config.extend(queues.to_le_bytes());
    config.extend(max_discard.to_le_bytes());
    config
}

/// Carries a request out on `disk` as an honest device does; returns how many bytes it wrote.
fn serve(device: &mut FakeDevice, chain: &Chain, disk: &mut [u8]) -> u32 {
    let (header, rest) = chain.buffers.split_first().expect("requests have a header");
    let (status, data) = rest.split_last().expect("requests have a status");
    assert_eq!((header.1, header.2, status.1, status.2), (16, false, 1, true));
    // SAFETY: buffers that the driver gave; it does not touch them while the request is in flight.
    let header = unsafe { device.bytes(header.0, 16) }.to_vec();
    let kind = u32::from_le_bytes(header[..4].try_into().expect("4 bytes"));
    let mut at = u64::from_le_bytes(header[8..].try_into().expect("8 bytes")) as usize * 512;
    let mut written = 1;
    let mut answer = 0;
    for &(address, len, writes) in data {
        // SAFETY: as above.
        let bytes = unsafe { device.bytes(address, len) };
        match kind {
            TYPE_READ => bytes.copy_from_slice(&disk[at..at + len as usize]),
            TYPE_WRITE => disk[at..at + len as usize].copy_from_slice(bytes),
            TYPE_GET_ID => bytes[..6].copy_from_slice(b"root0\0"),
            TYPE_DISCARD => {
                let first = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
                let count = u32::from_le_bytes(bytes[8..12].try_into().expect("4 bytes")) as usize;
                assert_eq!((len, at, &bytes[12..]), (16, 0, &[0; 4][..]));
                disk[first * 512..(first + count) * 512].fill(0);
            }
            _ => answer = STATUS_UNSUPPORTED_BYTE,
        }
        assert_eq!(writes, !matches!(kind, TYPE_WRITE | TYPE_DISCARD));
        written += if writes { len } else { 0 };
        at += len as usize;
    }
    // SAFETY: as above.
    unsafe { device.bytes(status.0, 1) }.fill(answer);
    written
}

const STATUS_UNSUPPORTED_BYTE: u8 = 2;

fn honest(mut disk: Vec<u8>) -> impl FnMut(&mut crate::virtio::transport::fake::Queues) -> bool {
    move |queues| {
        let mut interrupt = false;
        for device in queues.values_mut() {
            while let Some(chain) = device.take() {
                let written = serve(device, &chain, &mut disk);
                interrupt |= device.give_back(chain.head.into(), written);
            }
        }
        interrupt
    }
}

fn numbered_disk() -> Vec<u8> {
    (0..SECTORS).flat_map(|sector| [sector as u8; 512]).collect()
}

fn started(name: &str) -> Arc<dyn Block> {
    let known = hil::blocks().into_iter().find(|block| block.name == name);
    known.expect("started devices are registered").device
}

#[test]
fn an_honest_disk_reads_and_writes_with_and_without_indirect_tables() {
    for (name, features, seg_max) in [("t0", ALL, 64), ("t1", ALL & !feature::INDIRECT_DESCRIPTORS, 64), ("t2", 0, 1)] {
        let transport = FakeTransport::new(features, config(1024, seg_max), 128);
        let _running = transport.run(honest(numbered_disk()));
        let line = start(name, transport.clone()).expect("starts");
        assert!(line.contains("root0"), "{line}");
        let disk = started(name);
        assert_eq!((disk.identity(), disk.sector_count()), ("root0", SECTORS as u64));
        let memory: Vec<_> = (0..8).map(|_| DmaBuffer::new(4096).expect("memory")).collect();
        let frames: Vec<_> = memory.iter().map(DmaBuffer::phys).collect();
        // SAFETY: the frames are ours and nobody else's.
        unsafe { disk.read_pages(&frames, 10) }.expect("reads");
        for (page, buffer) in memory.iter().enumerate() {
            for (sector, bytes) in buffer.as_slice().chunks(512).enumerate() {
                assert!(bytes.iter().all(|byte| usize::from(*byte) == 10 + page * 8 + sector));
            }
        }
        // SAFETY: as above.
        unsafe { disk.write_pages(&frames[..2], 100) }.expect("writes");
        // SAFETY: as above.
        unsafe { disk.read_pages(&frames[4..5], 108) }.expect("reads");
        assert_eq!(memory[4].as_slice(), memory[1].as_slice());
        disk.flush().expect("flushes, or has nothing to flush");
    }
}

struct Counter(AtomicUsize, mpsc::Sender<Result<(), BlockError>>);
impl Completion for Counter {
    fn complete(&self, result: Result<(), BlockError>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1.send(result).expect("the test listens");
    }
}

#[test]
fn more_requests_than_slots_wait_for_room() {
    let transport = FakeTransport::new(ALL, config(1 << 20, 64), 128);
    let _running = transport.run(honest(numbered_disk()));
    start("t3", transport.clone()).expect("starts");
    let disk = started("t3");
    let (sender, receiver) = mpsc::channel();
    let done = Arc::new(Counter(AtomicUsize::new(0), sender));
    let memory = DmaBuffer::new(100 * 512).expect("memory");
    for sector in 0..100 {
        let segments = [Segment { start: memory.phys().offset(sector * 512), len_bytes: 512 }];
        let request = BlockRequest { operation: Operation::Read, sector, segments: &segments };
        // SAFETY: the memory is ours until all have ended, below.
        unsafe { disk.submit(&request, done.clone()) }.expect("accepted");
    }
    for _ in 0..100 {
        assert_eq!(receiver.recv(), Ok(Ok(())));
    }
    assert_eq!(done.0.load(Ordering::Relaxed), 100);
    for (sector, bytes) in memory.as_slice()[..100 * 512].chunks(512).enumerate() {
        assert!(bytes.iter().all(|byte| usize::from(*byte) == sector));
    }
}

#[test]
fn a_queue_that_is_full_leaves_its_requests_to_the_next() {
    let transport = FakeTransport::new(ALL, config_with(3, 0), 128);
    let line = start_while_served("t10", &transport);
    assert!(line.contains("3 queues"), "{line}");
    let disk = started("t10");
    assert!(!disk.can_discard());
    let (sender, receiver) = mpsc::channel();
    let done = Arc::new(Counter(AtomicUsize::new(0), sender));
    let memory = DmaBuffer::new(3 * SLOTS * 512).expect("memory");
    // Nobody serves: all of them are in flight.
    for sector in 0..3 * SLOTS as u64 {
        let segments = [Segment { start: memory.phys().offset(sector * 512), len_bytes: 512 }];
        let request = BlockRequest { operation: Operation::Read, sector, segments: &segments };
        // SAFETY: the memory is ours until all have ended, below.
        unsafe { disk.submit(&request, done.clone()) }.expect("accepted");
    }
    let _running = transport.run(honest(numbered_disk()));
    for _ in 0..3 * SLOTS {
        assert_eq!(receiver.recv(), Ok(Ok(())));
    }
    for (sector, bytes) in memory.as_slice()[..3 * SLOTS * 512].chunks(512).enumerate() {
        assert!(bytes.iter().all(|byte| usize::from(*byte) == sector));
    }
}

/// Starts a device for four vCPUs, served until it is up.
fn start_while_served(name: &str, transport: &Arc<FakeTransport>) -> String {
    let _running = transport.run(honest(numbered_disk()));
    start_for(name, transport.clone(), 4).expect("starts")
}

#[test]
fn a_discard_goes_in_pieces_and_a_read_only_disk_has_none_and_one_queue() {
    // 61 sectors are 7 blocks of 4 KiB and a bit.
    let transport = FakeTransport::new(ALL, config_with(1, 61), 128);
    let _running = transport.run(honest(numbered_disk()));
    start("t11", transport.clone()).expect("starts");
    let disk = started("t11");
    assert!(disk.can_discard());
    assert_eq!(disk.discard(16, 120), Ok(()));
    assert_eq!(disk.discard(200, 57), Err(BlockError::OutOfRange));
    assert_eq!(disk.discard(u64::MAX, 2), Err(BlockError::OutOfRange));
    let memory = DmaBuffer::new(4096).expect("memory");
    let mut first_byte = |sector| {
        let segments = [Segment { start: memory.phys(), len_bytes: 512 }];
        let request = BlockRequest { operation: Operation::Read, sector, segments: &segments };
        // SAFETY: the memory is ours.
        unsafe { disk.transfer(&request) }.expect("reads");
        memory.as_slice()[0]
    };
    assert_eq!([15, 16, 71, 72, 135, 136].map(&mut first_byte), [15, 0, 0, 0, 0, 136]);

    let transport = FakeTransport::new(ALL | READ_ONLY, config_with(3, 61), 128);
    let line = start_while_served("t12", &transport);
    assert!(!line.contains("queues"), "{line}");
    assert!(!started("t12").can_discard());
    assert_eq!(started("t12").discard(0, 8), Err(BlockError::NotSupported));
}

#[test]
fn threads_share_a_disk() {
    let transport = FakeTransport::new(ALL, config(1 << 20, 64), 128);
    let _running = transport.run(honest(numbered_disk()));
    start("t4", transport.clone()).expect("starts");
    std::thread::scope(|scope| {
        for thread in 0..20u64 {
            scope.spawn(move || {
                let disk = started("t4");
                let memory = DmaBuffer::new(4096).expect("memory");
                for round in 0..50 {
                    let sector = (thread * 7 + round * 3) % 248;
                    // SAFETY: the memory is this thread's.
                    unsafe { disk.read_pages(&[memory.phys()], sector) }.expect("reads");
                    assert_eq!(u64::from(memory.as_slice()[512]), sector + 1);
                }
            });
        }
    });
}

#[test]
fn status_bytes_become_errors() {
    let transport = FakeTransport::new(ALL, config(1 << 20, 64), 128);
    let mut answers = [0, 1, 2, 77, 0xff].into_iter();
    let _running = transport.run(move |queues| {
        let Some(device) = queues.get_mut(&0) else { return false };
        let Some(chain) = device.take() else { return false };
        let status = chain.buffers.last().expect("requests have a status").0;
        // SAFETY: the driver waits for the request.
        unsafe { device.bytes(status, 1) }.fill(answers.next().unwrap_or(0));
        device.give_back(chain.head.into(), 1)
    });
    start("t5", transport.clone()).expect("starts");
    let disk = started("t5");
    let memory = DmaBuffer::new(4096).expect("memory");
    // SAFETY: the memory is ours.
    let read = || unsafe { disk.read_pages(&[memory.phys()], 0) };
    assert_eq!(read(), Err(BlockError::Device));
    assert_eq!(read(), Err(BlockError::NotSupported));
    assert_eq!(read(), Err(BlockError::Device));
    assert_eq!(read(), Err(BlockError::Device));
    assert_eq!(read(), Ok(()));
}

#[test]
fn a_lie_ends_everything_that_waits() {
    let transport = FakeTransport::new(ALL, config(1 << 20, 64), 128);
    let mut disk = numbered_disk();
    let mut held = 0;
    let _running = transport.run(move |queues| {
        let Some(device) = queues.get_mut(&0) else { return false };
        while let Some(chain) = device.take() {
            held += 1;
            if held == 1 {
                let written = serve(device, &chain, &mut disk);
                return device.give_back(chain.head.into(), written);
            }
        }
        if held < 6 {
            return false;
        }
        device.give_back(9999, 0);
        true
    });
    start("t6", transport.clone()).expect("starts");
    let resets = transport.resets();
    std::thread::scope(|scope| {
        for sector in 0..5 {
            scope.spawn(move || {
                let memory = DmaBuffer::new(4096).expect("memory");
                // SAFETY: the memory is this thread's.
                assert_eq!(unsafe { started("t6").read_pages(&[memory.phys()], sector) }, Err(BlockError::Broken));
            });
        }
    });
    assert_eq!(transport.resets(), resets + 1);
    let memory = DmaBuffer::new(4096).expect("memory");
    // SAFETY: the memory is ours.
    assert_eq!(unsafe { started("t6").read_pages(&[memory.phys()], 0) }, Err(BlockError::Broken));
}

#[test]
fn a_silent_device_does_not_hold_the_boot() {
    let transport = FakeTransport::new(ALL, config(1 << 20, 64), 128);
    assert_eq!(start("t7", transport), Err(VirtioError::NoAnswer));
}

#[test]
fn senseless_configurations_are_refused() {
    let refused = |features, config: Vec<u8>, size| start("t8", FakeTransport::new(features, config, size)).is_err();
    assert!(refused(ALL, config(511, 64), 128), "segments below a sector");
    assert!(refused(0, config(0, 0), 2), "no room for header, data and status");
    assert!(refused(ALL, config(1 << 20, 64), 0), "no queue");
    assert!(refused(ALL, [0xff; 24].to_vec(), 128), "more sectors than bytes can count");
    assert!(refused(ALL, Vec::new(), 128), "no configuration at all");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_hostile_device_gives_errors_only(
        acts in prop::collection::vec((0u8..5, any::<u32>(), any::<u32>()), 1..12),
        features in prop_oneof![Just(ALL), Just(ALL & !feature::EVENT_INDEX), Just(SEG_MAX)],
    ) {
        let transport = FakeTransport::new(features, config(1 << 20, 64), 128);
        let mut acts = acts.into_iter();
        let mut identified = false;
        let mut disk = numbered_disk();
        let _running = transport.run(move |queues| {
            let Some(device) = queues.get_mut(&0) else { return false };
            let Some(chain) = device.take() else { return false };
            if !identified {
                identified = true;
                let written = serve(device, &chain, &mut disk);
                return device.give_back(chain.head.into(), written);
            }
            match acts.next() {
                Some((0, id, len)) => { device.give_back(id, len); }
                Some((1, _, len)) => { device.give_back(chain.head.into(), len); }
                Some((2, step, _)) => device.set_used_index(device.used_index.wrapping_add(1 + step as u16 % 1000)),
                Some((3, ..)) => {
                    device.give_back(chain.head.into(), 1);
                    device.give_back(chain.head.into(), 1);
                }
                // In the end it breaks for sure, so that nobody waits for ever.
                Some(_) => { device.give_back(chain.head.into(), 1); }
                None => device.set_used_index(device.used_index.wrapping_add(1000)),
            }
            true
        });
        start("t9", transport.clone()).expect("honest so far");
        let disk = started("t9");
        let memory = DmaBuffer::new(4096).expect("memory");
        for sector in 0..64 {
            // SAFETY: the memory is ours; the fake device writes no data.
            if unsafe { disk.read_pages(&[memory.phys()], sector) } == Err(BlockError::Broken) {
                break;
            }
        }
        // SAFETY: as above.
        let last = unsafe { disk.read_pages(&[memory.phys()], 0) };
        prop_assert_eq!(last, Err(BlockError::Broken));
    }
}
