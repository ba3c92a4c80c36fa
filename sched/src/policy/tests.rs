//! The run queue against a model, and its fairness by simulation.

use super::run_queue::SLICE_NS;
use super::*;
use crate::machine::Machine;
use crate::{CpuSet, Thread};
use intrusive_collections::UnsafeRef;
use proptest::prelude::*;
use std::sync::Arc;

const NEVER_RAN: Arrival = Arrival::New;
/// A thread has run alone for so long.
const ALONE_NS: u64 = 10_000_000_000;

fn thread(id: u32) -> Arc<Thread> {
    Arc::new(Thread::new(id, "test", None, CpuSet::ALL, None, Machine::idle()))
}

fn runnable(thread: &Arc<Thread>) -> Runnable {
    // SAFETY: every test keeps its threads until its queue is gone.
    unsafe { UnsafeRef::from_raw(Arc::as_ptr(thread)) }
}

/// As a vCPU's is from its start on.
fn idle_queue() -> RunQueue {
    let mut queue = RunQueue::new();
    queue.run(None, 0);
    queue
}

fn drain(queue: &mut RunQueue) {
    while queue.take_next().is_some() {}
}

#[test]
fn an_idle_vcpu_is_preempted_and_a_busy_one_gets_a_slice() {
    let threads: Vec<_> = (1..4).map(thread).collect();
    let mut queue = idle_queue();
    assert_eq!(queue.arrive(runnable(&threads[0]), NEVER_RAN, 10), Effect::Preempt);
    let first = queue.take_next().unwrap();
    queue.run(Some(first), 10);
    assert_eq!(queue.slice_end_ns(), None);
    assert_eq!(queue.arrive(runnable(&threads[1]), NEVER_RAN, 20), Effect::ArmSlice(20 + SLICE_NS));
    assert_eq!(queue.arrive(runnable(&threads[2]), NEVER_RAN, 30), Effect::Quiet);
    assert!(!queue.is_slice_over(20));
    assert!(queue.is_slice_over(20 + SLICE_NS));
    drain(&mut queue);
}

#[test]
fn a_sleeper_preempts_a_hog_but_gains_no_more_than_its_credit() {
    let (hog, sleeper) = (thread(1), thread(2));
    let mut queue = idle_queue();
    queue.run(Some(runnable(&hog)), 0);
    queue.charge(1_000_000_000);
    let home_ns = queue.min_vruntime_ns();
    let effect = queue.arrive(runnable(&sleeper), Arrival::Woken { home_ns }, 1_000_000_000);
    assert_eq!(effect, Effect::Preempt);
    assert!(sleeper.fair.vruntime_ns() + 2_000_000 > hog.fair.vruntime_ns());
    drain(&mut queue);
}

#[test]
fn who_ran_alone_does_not_owe_that_time_to_newcomers() {
    for arrival in [NEVER_RAN, Arrival::Woken { home_ns: 0 }] {
        let (hog, newcomer) = (thread(1), thread(2));
        let mut queue = idle_queue();
        queue.run(Some(runnable(&hog)), 0);
        let _ = queue.arrive(runnable(&newcomer), arrival, ALONE_NS);
        queue.charge(ALONE_NS);
        let ahead_ns = hog.fair.vruntime_ns().saturating_sub(newcomer.fair.vruntime_ns());
        assert!(ahead_ns <= SLICE_NS, "{ahead_ns} ns before the hog runs again");
        drain(&mut queue);
    }
}

#[test]
fn time_far_beyond_a_slice_is_not_the_running_threads_doing() {
    // The woken one preempts at once, if it could.
    for (arrival, effect) in
        [(NEVER_RAN, Effect::ArmSlice(ALONE_NS + SLICE_NS)), (Arrival::Woken { home_ns: u64::MAX }, Effect::Preempt)]
    {
        let (running, waiting) = (thread(1), thread(2));
        let mut queue = idle_queue();
        queue.run(Some(runnable(&running)), 0);
        assert_eq!(queue.arrive(runnable(&waiting), arrival, ALONE_NS), effect);
        for later_ns in [1_000_000, 500_000_000, 1_000_000_000] {
            queue.charge(ALONE_NS + later_ns);
        }
        assert_eq!(running.fair.vruntime_ns(), ALONE_NS + 2 * SLICE_NS);
        drain(&mut queue);
    }
}

#[test]
fn who_yields_lets_the_next_one_run() {
    let (a, b) = (thread(1), thread(2));
    let mut queue = idle_queue();
    b.fair.set_vruntime_ns(500);
    queue.put_back(runnable(&b));
    queue.put_back_behind(runnable(&a));
    assert_eq!(queue.take_next().map(|t| t.id()), Some(2));
    drain(&mut queue);
}

#[test]
fn moving_keeps_the_distance_to_the_queue() {
    let (a, b) = (thread(1), thread(2));
    let mut queue = idle_queue();
    queue.run(Some(runnable(&a)), 0);
    queue.charge(50_000_000);
    b.fair.set_vruntime_ns(7_000_000);
    queue.adopt(&b, Arrival::Moved { home_ns: 5_000_000 });
    assert_eq!(b.fair.vruntime_ns(), 52_000_000);
    queue.adopt(&b, Arrival::Moved { home_ns: u64::MAX / 2 });
    assert_eq!(b.fair.vruntime_ns(), 0);
}

#[test]
fn shares_follow_the_weights() {
    let threads: Vec<_> = (1..4).map(thread).collect();
    threads[1].fair.set_nice(-5);
    threads[2].fair.set_nice(5);
    let mut queue = idle_queue();
    let mut now = 0;
    for t in &threads {
        let _ = queue.arrive(runnable(t), Arrival::Woken { home_ns: 0 }, now);
    }
    let mut ran = [0u64; 3];
    for _ in 0..20_000 {
        let next = queue.take_next().unwrap();
        let index = next.id() as usize - 1;
        queue.run(Some(next.clone()), now);
        now += SLICE_NS;
        ran[index] += SLICE_NS;
        queue.charge(now);
        queue.put_back(next);
    }
    // Nice 0, -5, 5: weights 1024, 3125, 336.
    let total: u64 = ran.iter().sum();
    for (ran, weight) in ran.iter().zip([1024, 3125, 336]) {
        let expected = total * weight / 4485;
        assert!(ran.abs_diff(expected) < total / 100, "{ran} of {total}, expected {expected}");
    }
    assert_eq!(queue.load_integral_ns(now), now * 3);
    drain(&mut queue);
}

#[derive(Clone, Debug)]
enum Op {
    Arrive { vruntime: u64, woken: bool },
    Next,
    Steal { modulus: u32 },
    Charge { ns: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..20_000_000u64, any::<bool>()).prop_map(|(vruntime, woken)| Op::Arrive { vruntime, woken }),
        Just(Op::Next),
        (2..4u32).prop_map(|modulus| Op::Steal { modulus }),
        (0..5_000_000u64).prop_map(|ns| Op::Charge { ns }),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_sorted_list(ops in prop::collection::vec(op(), 1..200)) {
        let threads: Vec<_> = (0..ops.len() as u32 + 1).map(thread).collect();
        let mut queue = idle_queue();
        let mut model: Vec<u32> = Vec::new();
        let mut now = 0;
        let key = |id: u32| threads[id as usize].fair.vruntime_ns();
        queue.run(Some(runnable(&threads[ops.len()])), now);
        for (id, op) in ops.into_iter().enumerate() {
            let id = id as u32;
            let min_before = queue.min_vruntime_ns();
            match op {
                Op::Arrive { vruntime, woken } => {
                    let t = &threads[id as usize];
                    t.fair.set_vruntime_ns(vruntime);
                    let arrival = if woken { Arrival::Woken { home_ns: 0 } } else { NEVER_RAN };
                    let _ = queue.arrive(runnable(t), arrival, now);
                    let at = model.partition_point(|&other| key(other) <= key(id));
                    model.insert(at, id);
                }
                Op::Next => {
                    let expected = if model.is_empty() { None } else { Some(model.remove(0)) };
                    prop_assert_eq!(queue.take_next().map(|t| t.id()), expected);
                }
                Op::Steal { modulus } => {
                    let at = model.iter().position(|id| id % modulus == 0);
                    let expected = at.map(|at| model.remove(at));
                    prop_assert_eq!(queue.take_for(|t| t.id() % modulus == 0).map(|t| t.id()), expected);
                }
                Op::Charge { ns } => {
                    now += ns;
                    queue.charge(now);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert!(queue.min_vruntime_ns() >= min_before);
        }
        drain(&mut queue);
    }
}
