//! The heap against a model; timers that fire, are cancelled and re-armed.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn node() -> Box<TimerNode> {
    Box::new(TimerNode::new(Action::Call(core::ptr::null())))
}

proptest! {
    #[test]
    fn heap_behaves_like_a_sorted_list(ops in prop::collection::vec((0..3u8, 0..50u64), 1..200)) {
        let nodes: Vec<_> = ops.iter().map(|_| node()).collect();
        let mut heap = TimerHeap::new();
        let mut model: Vec<(u64, usize)> = Vec::new();
        for (index, (op, value)) in ops.into_iter().enumerate() {
            match op {
                0 => {
                    nodes[index].deadline_ns.store(value, Ordering::Relaxed);
                    // SAFETY: `nodes` outlives the heap.
                    let earliest = unsafe { heap.insert(&nodes[index]) };
                    let at = model.partition_point(|&(deadline, _)| deadline <= value);
                    model.insert(at, (value, index));
                    prop_assert_eq!(earliest, at == 0);
                }
                1 if !model.is_empty() => {
                    let (_, removed) = model.remove(value as usize % model.len());
                    // SAFETY: it is in the heap, as the model says.
                    unsafe { heap.remove(&nodes[removed]) };
                }
                _ => {
                    let expected = model.first().copied().filter(|&(deadline, _)| deadline <= value);
                    if expected.is_some() {
                        model.remove(0);
                    }
                    let taken = heap.take_expired(value).map(UnsafeRefExt::address);
                    prop_assert_eq!(taken, expected.map(|(_, index)| &raw const *nodes[index]));
                }
            }
            prop_assert_eq!(heap.next_ns(), model.first().map(|&(deadline, _)| deadline));
        }
        while heap.take_expired(u64::MAX).is_some() {}
    }
}

trait UnsafeRefExt {
    fn address(self) -> *const TimerNode;
}
impl UnsafeRefExt for intrusive_collections::UnsafeRef<TimerNode> {
    fn address(self) -> *const TimerNode {
        &raw const *self
    }
}

fn counter() -> (Arc<AtomicUsize>, Box<dyn Fn() + Send + Sync>) {
    let count = Arc::new(AtomicUsize::new(0));
    let in_callback = count.clone();
    (
        count,
        Box::new(move || {
            in_callback.fetch_add(1, Ordering::SeqCst);
        }),
    )
}

fn after(ms: u64) -> u64 {
    hal::clock::now_ns() + ms * 1_000_000
}

fn eventually(test: impl Fn() -> bool) {
    for _ in 0..2000 {
        if test() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("did not happen within two seconds");
}

#[test]
fn fires_once_at_its_time() {
    let (count, callback) = counter();
    let timer = Timer::new(TimerOwner::Kernel, callback);
    let deadline = after(5);
    timer.arm(deadline);
    assert_eq!(timer.deadline_ns(), Some(deadline));
    eventually(|| count.load(Ordering::SeqCst) == 1);
    assert!(hal::clock::now_ns() >= deadline);
    assert_eq!(timer.deadline_ns(), None);
    assert!(!timer.cancel());
}

#[test]
fn cancelled_and_replaced_deadlines_do_not_fire() {
    let (count, callback) = counter();
    let timer = Timer::new(TimerOwner::Kernel, callback);
    timer.arm(after(20));
    assert!(timer.cancel());
    timer.arm(after(20));
    timer.arm(after(100_000));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(timer);
}

#[test]
fn a_callback_may_rearm_its_timer() {
    let slot: Arc<spin_slot::Slot> = Arc::default();
    let count = Arc::new(AtomicUsize::new(0));
    let (slot_in, count_in) = (slot.clone(), count.clone());
    let timer = Timer::new(
        TimerOwner::Kernel,
        Box::new(move || {
            if count_in.fetch_add(1, Ordering::SeqCst) < 9 {
                slot_in.timer().arm(after(0));
            }
        }),
    );
    slot.set(timer);
    slot.timer().arm(after(1));
    eventually(|| count.load(Ordering::SeqCst) == 10);
}

/// A place for a timer that its own callback looks into.
mod spin_slot {
    use super::Timer;
    #[derive(Default)]
    pub struct Slot(std::sync::OnceLock<Timer>);
    impl Slot {
        pub fn set(&self, timer: Timer) {
            assert!(self.0.set(timer).is_ok(), "set once");
        }
        pub fn timer(&self) -> &Timer {
            self.0.get().expect("set before the timer is armed")
        }
    }
}

#[test]
fn concurrent_arm_and_cancel_keep_the_heap_whole() {
    let (count, callback) = counter();
    let timer = Arc::new(Timer::new(TimerOwner::Kernel, callback));
    let threads: Vec<_> = (0..4u64)
        .map(|seed| {
            let timer = timer.clone();
            std::thread::spawn(move || {
                for turn in 0..2000 {
                    if (turn + seed) % 3 == 0 {
                        timer.cancel();
                    } else {
                        timer.arm(after(0));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    timer.cancel();
    let fired = count.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(count.load(Ordering::SeqCst), fired);
}

#[test]
fn a_wait_that_was_woken_early_does_not_end_the_next_ones() {
    use crate::{Interruptible, WaitQueue, WakeReason};
    static QUEUE: WaitQueue = WaitQueue::new();
    static NOW: AtomicBool = AtomicBool::new(false);
    const MS: u64 = 1_000_000;
    let wait = |deadline_ns: Option<u64>| {
        QUEUE.wait_until(deadline_ns, Interruptible::No, || NOW.swap(false, Ordering::SeqCst).then_some(()))
    };
    let wake_soon = || {
        std::thread::spawn(|| {
            while QUEUE.is_empty() {
                std::thread::yield_now();
            }
            // It is about to stop, or has.
            std::thread::sleep(Duration::from_millis(1));
            NOW.store(true, Ordering::SeqCst);
            QUEUE.wake_one();
        })
    };
    let after = |ns: u64| hal::clock::now_ns() + ns;
    for (early, later) in [(20 * MS, 100 * MS), (60_000 * MS, 20 * MS), (5 * MS, 5 * MS)] {
        let waker = wake_soon();
        // Its timer stays where it is, unless the thread was so late that it fired.
        let _ = wait(Some(after(early)));
        waker.join().expect("it wakes");
        NOW.store(false, Ordering::SeqCst);
        let deadline_ns = after(later);
        assert_eq!(wait(Some(deadline_ns)), Err(WakeReason::TimedOut));
        assert!(hal::clock::now_ns() >= deadline_ns, "{early} ns and {later} ns: ended before its time");
        let waker = wake_soon();
        assert_eq!(wait(None), Ok(()), "a wait without a deadline has none");
        waker.join().expect("it wakes");
    }
}
