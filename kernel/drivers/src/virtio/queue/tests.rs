use super::fake_device::FakeDevice;
use super::*;
use core::ptr::NonNull;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// A queue in leaked test memory, whose bus addresses are its virtual ones.
fn pair(size: u16, options: QueueOptions) -> (VirtQueue, FakeDevice) {
    let len = VirtQueue::memory_bytes(size, options);
    let memory = std::vec![0u128; len.div_ceil(16)].leak().as_mut_ptr().cast::<u8>();
    // SAFETY: leaked, aligned by 16, and used by this queue and its device only.
    let memory = unsafe { SharedMemory::new(NonNull::new(memory).expect("not null"), PhysAddr(memory as u64), len) };
    let queue = VirtQueue::new(memory, size, options).expect("memory is long enough");
    let (table, available, used) = queue.addresses();
    let device = FakeDevice::new(size, (table.0, available.0, used.0), options.event_index, |at| at as *mut u8);
    (queue, device)
}

fn options(event_index: EventIndex, indirect_descriptors: usize) -> QueueOptions {
    QueueOptions { event_index, indirect_descriptors }
}

fn buffers(to_device: usize, from_device: usize) -> Vec<Buffer> {
    let buffer = |index: usize, direction| Buffer {
        start: PhysAddr(0x1000 * (1 + index as u64)),
        len_bytes: 100 + index as u32,
        direction,
    };
    (0..to_device)
        .map(|index| buffer(index, Direction::ToDevice))
        .chain((to_device..to_device + from_device).map(|index| buffer(index, Direction::FromDevice)))
        .collect()
}

fn shape(buffers: &[Buffer]) -> Vec<(u64, u32, bool)> {
    buffers.iter().map(|b| (b.start.0, b.len_bytes, b.direction == Direction::FromDevice)).collect()
}

#[test]
fn chains_arrive_as_given_direct_and_indirect() {
    for indirect in [0, 4] {
        let (mut queue, mut device) = pair(8, options(EventIndex::Absent, indirect));
        for (token, request) in [buffers(1, 0), buffers(1, 3), buffers(0, 1), buffers(2, 0)].iter().enumerate() {
            queue.add(request, token as u16).expect("room");
            let chain = device.take().expect("made available");
            assert_eq!(chain.buffers, shape(request));
            device.give_back(chain.head.into(), 0);
            assert_eq!(queue.pop(), Ok(Some(Used { token: token as u16, written_bytes: 0 })));
            assert_eq!(queue.pop(), Ok(None));
        }
    }
}

#[test]
fn a_full_queue_says_so_and_recovers() {
    let (mut queue, mut device) = pair(4, options(EventIndex::Absent, 0));
    queue.add(&buffers(1, 2), 7).expect("room");
    assert_eq!(queue.add(&buffers(1, 1), 8), Err(QueueError::Full));
    assert_eq!(queue.add(&buffers(1, 5), 8), Err(QueueError::BadRequest));
    assert_eq!(queue.add(&[], 8), Err(QueueError::BadRequest));
    let chain = device.take().expect("made available");
    device.give_back(chain.head.into(), 203);
    assert_eq!(queue.pop(), Ok(Some(Used { token: 7, written_bytes: 203 })));
    queue.add(&buffers(1, 3), 9).expect("everything is free again");
}

#[test]
fn notifications_follow_the_devices_wish() {
    let (mut queue, mut device) = pair(8, options(EventIndex::Absent, 0));
    assert!(!queue.needs_notify(), "nothing was added");
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(queue.needs_notify());
    device.set_used_flags(1);
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(!queue.needs_notify());

    let (mut queue, mut device) = pair(8, options(EventIndex::Negotiated, 0));
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(queue.needs_notify(), "the event index starts at 0");
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(!queue.needs_notify(), "the device has not looked since");
    device.write_avail_event(3);
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(!queue.needs_notify());
    queue.add(&buffers(1, 0), 0).expect("room");
    assert!(queue.needs_notify(), "entry 3 is the one");
}

#[test]
fn interrupts_are_asked_for_and_not() {
    for event_index in [EventIndex::Absent, EventIndex::Negotiated] {
        let (mut queue, mut device) = pair(8, options(event_index, 0));
        let mut round = |queue: &mut VirtQueue| {
            queue.add(&buffers(1, 0), 0).expect("room");
            let head = device.take().expect("made available").head;
            device.give_back(head.into(), 0)
        };
        assert!(queue.enable_interrupts());
        assert!(round(&mut queue));
        assert!(!queue.enable_interrupts(), "one is waiting");
        assert!(queue.pop().expect("honest").is_some());
        queue.disable_interrupts();
        assert!(!round(&mut queue));
        assert!(queue.pop().expect("honest").is_some());
        assert!(queue.enable_interrupts());
        assert!(round(&mut queue));
    }
}

#[test]
fn indices_wrap() {
    let (mut queue, mut device) = pair(2, options(EventIndex::Negotiated, 2));
    for round in 0..70_000u32 {
        queue.add(&buffers(1, 1), round as u16).expect("room");
        assert!(queue.needs_notify());
        let chain = device.take().expect("made available");
        device.give_back(chain.head.into(), 0);
        assert_eq!(queue.pop().map(|used| used.map(|used| used.token)), Ok(Some(round as u16)));
    }
}

#[test]
fn lies_break_the_queue_for_ever() {
    let lies: [fn(&mut FakeDevice, u16); 5] = [
        |device, _| device.set_used_index(2),      // more than was in flight
        |device, _| device.set_used_index(0xffff), // backwards
        |device, _| {
            device.give_back(8, 0);
        }, // no such descriptor
        |device, head| {
            device.give_back(u32::from(head ^ 1), 0);
        }, // not a head in flight
        |device, head| {
            device.give_back(u32::from(head), 102);
        }, // longer than the buffer
    ];
    for lie in lies {
        let (mut queue, mut device) = pair(8, options(EventIndex::Absent, 0));
        queue.add(&buffers(1, 1), 0).expect("room");
        let head = device.take().expect("made available").head;
        lie(&mut device, head);
        assert_eq!(queue.pop(), Err(QueueError::Broken));
        assert_eq!(queue.pop(), Err(QueueError::Broken));
        assert_eq!(queue.add(&buffers(1, 0), 0), Err(QueueError::Broken));
        assert!(queue.is_broken());
    }
}

#[test]
fn a_chain_given_back_twice_breaks_the_queue() {
    let (mut queue, mut device) = pair(8, options(EventIndex::Absent, 0));
    queue.add(&buffers(1, 1), 0).expect("room");
    queue.add(&buffers(1, 1), 1).expect("room");
    let head = device.take().expect("made available").head;
    device.give_back(head.into(), 0);
    device.give_back(head.into(), 0);
    assert!(queue.pop().expect("the first is fine").is_some());
    assert_eq!(queue.pop(), Err(QueueError::Broken));
}

#[test]
fn bad_sizes_are_refused() {
    let memory = std::vec![0u128; 64].leak().as_mut_ptr().cast::<u8>();
    // SAFETY: leaked and aligned.
    let memory = unsafe { SharedMemory::new(NonNull::new(memory).expect("not null"), PhysAddr(0), 1024) };
    for size in [0, 3, 64, 32768] {
        assert!(VirtQueue::new(memory, size, QueueOptions::default()).is_none());
    }
    assert!(VirtQueue::new(memory, 8, QueueOptions::default()).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize, usize),
    Take,
    /// Give back the n-th of what the device holds.
    GiveBack(usize),
    Pop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..4, 0usize..4).prop_map(|(to, from)| Step::Add(to, from)),
        Just(Step::Take),
        (0usize..8).prop_map(Step::GiveBack),
        Just(Step::Pop),
    ]
}

proptest! {
    #[test]
    fn any_order_keeps_every_request(
        steps in prop::collection::vec(step(), 0..300),
        indirect in prop_oneof![Just(0usize), Just(3)],
        negotiated in any::<bool>(),
    ) {
        let event_index = if negotiated { EventIndex::Negotiated } else { EventIndex::Absent };
        let (mut queue, mut device) = pair(8, options(event_index, indirect));
        let mut waiting = BTreeSet::new();
        let mut held = Vec::new();
        let mut returned = std::collections::VecDeque::new();
        let mut shapes = BTreeMap::new();
        let mut next_token = 0u16;
        let mut order = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::Add(to, from) => match queue.add(&buffers(to, from), next_token) {
                    Ok(()) => {
                        waiting.insert(next_token);
                        order.push_back(next_token);
                        shapes.insert(next_token, shape(&buffers(to, from)));
                        next_token += 1;
                    }
                    Err(QueueError::Full) => prop_assert!(!waiting.is_empty()),
                    Err(QueueError::BadRequest) => prop_assert_eq!(to + from, 0),
                    Err(QueueError::Broken) => prop_assert!(false, "an honest device breaks nothing"),
                },
                Step::Take => if let Some(chain) = device.take() {
                    let token = order.pop_front().expect("the device took what was added");
                    prop_assert_eq!(&chain.buffers, &shapes[&token]);
                    held.push((token, chain));
                },
                Step::GiveBack(index) => if !held.is_empty() {
                    let (token, chain) = held.remove(index % held.len());
                    device.give_back(chain.head.into(), 0);
                    returned.push_back(token);
                },
                Step::Pop => {
                    let token = queue.pop().expect("honest").map(|used| used.token);
                    prop_assert_eq!(token, returned.pop_front());
                    if let Some(token) = token {
                        prop_assert!(waiting.remove(&token));
                    }
                },
            }
            prop_assert_eq!(usize::from(queue.in_flight()), waiting.len());
        }
    }

    #[test]
    fn a_hostile_device_causes_errors_only(
        rounds in prop::collection::vec(
            (0usize..3, 0usize..3, prop::collection::vec((any::<usize>(), any::<u8>()), 0..6), 0usize..4), 1..60),
        indirect in prop_oneof![Just(0usize), Just(4)],
        negotiated in any::<bool>(),
    ) {
        let event_index = if negotiated { EventIndex::Negotiated } else { EventIndex::Absent };
        let (mut queue, mut device) = pair(8, options(event_index, indirect));
        let mut in_flight = BTreeSet::new();
        let mut token = 0;
        for (to, from, scribbles, pops) in rounds {
            if queue.add(&buffers(to, from), token).is_ok() {
                in_flight.insert(token);
                token += 1;
            }
            queue.needs_notify();
            for (offset, value) in scribbles {
                device.scribble(offset, value);
            }
            for _ in 0..pops {
                if let Ok(Some(used)) = queue.pop() {
                    prop_assert!(in_flight.remove(&used.token), "a token comes back once");
                    prop_assert!(used.written_bytes <= 3 * 106);
                }
            }
            queue.enable_interrupts();
            prop_assert_eq!(usize::from(queue.in_flight()), in_flight.len());
        }
    }
}
