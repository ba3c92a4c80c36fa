//! Run queues, wake-ups, stealing, the switch and the idle vCPU: the code of `machine::bare` on vCPUs that are loom's threads.
//!
//! A thread here has no stack but a list of steps, and the vCPU takes the next step of whichever thread is current.
//! Its registers are a loom cell: each step writes them, so loom fails when two vCPUs run one thread, or when one runs it before
//! it sees what the other has saved. A lost wake-up ends in vCPUs that all halt, which loom calls a deadlock.

use super::{check_on, must_fail};
use crate::machine::{self, Machine};
use crate::park::PARKED;
use crate::preemption::NoPreemption;
use crate::{CpuSet, Thread, ThreadRef, hooks};
use hal::context::WorkFlags;
use hal::irq::{self, Ipi, IrqGuard, send_ipi};
use hal::model::{self, Hardware};
use hal::sync::atomic::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

/// What a thread does next.
#[derive(Clone, Copy)]
enum Step {
    /// Parks until somebody wakes it.
    Park,
    /// Wakes the thread of this index.
    Wake(usize),
    /// The same, wrong on purpose: whoever it is queued for is not told.
    WakeSilently(usize),
    /// Lets others run.
    Yield,
    /// Binds itself to a vCPU.
    Bind(usize),
    /// Binds another thread, of this index, to a vCPU.
    BindOther(usize, usize),
    /// Lets its vCPU wait on its stack when it parks next, as one does whom a device wakes.
    Stay,
}

struct Task {
    thread: ThreadRef,
    steps: &'static [Step],
    /// What a context switch saves and another vCPU restores: how far the thread is, and whether it is in the middle of a park.
    registers: UnsafeCell<(usize, bool)>,
}

struct World {
    cpus: usize,
    tasks: Vec<Task>,
    ended: AtomicUsize,
}

// SAFETY: loom's cells find out whether it is.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

fn hardware(cpus: usize) -> Option<Hardware> {
    fn interrupt(kind: Ipi) {
        if kind != Ipi::Reschedule {
            return;
        }
        machine::reschedule_interrupt();
        // The way out of an interrupt.
        if machine::running().work_flags().any(WorkFlags::RESCHED) {
            hooks::preempt();
        }
    }
    Some(Hardware { cpus, interrupt, flush: |_| {} })
}

impl World {
    fn new(cpus: usize, programs: &[&'static [Step]]) -> Arc<Self> {
        let task = |steps: &&'static [Step]| {
            let thread = Arc::new(Thread::new(0, "model", None, CpuSet::ALL, None, Machine::idle()));
            thread.park.start();
            Task { thread, steps, registers: UnsafeCell::new((0, false)) }
        };
        let tasks = programs.iter().map(task).collect();
        Arc::new(Self { cpus, tasks, ended: AtomicUsize::new(0) })
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst) == self.tasks.len()
    }

    /// Takes one step of the current thread; `None` if that is the idle thread.
    fn step(&self) -> Option<()> {
        // Between its steps a thread runs on: no interrupt moves it while the step is looked up.
        let irq = IrqGuard::mask();
        let task = self.tasks.iter().find(|task| core::ptr::eq(&*task.thread, machine::running()))?;
        // SAFETY: the model's question.
        let step = task.registers.with_mut(|registers| unsafe {
            let (next, is_parked) = &mut *registers;
            if core::mem::take(is_parked) {
                task.thread.park.leave();
            }
            let step = task.steps.get(*next).copied();
            *next += 1;
            *is_parked = matches!(step, Some(Step::Park) | None);
            step
        });
        match step {
            Some(Step::Wake(other)) => {
                drop(irq);
                let other = &self.tasks[other].thread;
                if other.park.notify() {
                    machine::make_runnable(other);
                }
            }
            Some(Step::WakeSilently(other)) => {
                let other = &self.tasks[other].thread;
                if other.park.notify() {
                    machine::queue_silently(other);
                }
                drop(irq);
            }
            Some(Step::Yield) => {
                drop(irq);
                machine::yield_now();
            }
            Some(Step::Bind(cpu)) => {
                drop(irq);
                assert!(task.thread.set_affinity(CpuSet::only(cpu)));
            }
            Some(Step::BindOther(other, cpu)) => {
                drop(irq);
                assert!(self.tasks[other].thread.set_affinity(CpuSet::only(cpu)));
            }
            Some(Step::Stay) => {
                machine::set_waits_here(&task.thread, true);
                drop(irq);
            }
            // It parks for ever after its last step, but cannot be on the way to that on two vCPUs.
            Some(Step::Park) | None => {
                if step.is_none() && self.ended.fetch_add(1, Ordering::SeqCst) + 1 == self.tasks.len() {
                    (0..self.cpus).filter(|&cpu| cpu != hal::cpu::id()).for_each(|cpu| send_ipi(cpu, Ipi::Reschedule));
                }
                if step.is_none() {
                    // Only the idle thread of a model sees that all is over.
                    machine::set_waits_here(&task.thread, false);
                }
                if task.thread.park.enter(PARKED) {
                    machine::block(&task.thread, None);
                }
                drop(irq);
            }
        }
        Some(())
    }

    /// One vCPU, until all threads have ended.
    fn run(&self) {
        while !self.has_ended() {
            if self.step().is_some() {
                continue;
            }
            // SAFETY: unmasked below; no guard is alive.
            unsafe { irq::disable() };
            let may_halt = machine::look_for_work();
            let is_idle = !self.tasks.iter().any(|task| core::ptr::eq(&*task.thread, machine::running()));
            if may_halt && is_idle && !self.has_ended() {
                irq::wait_for_interrupt();
            }
            // SAFETY: masked above.
            unsafe { irq::enable() };
        }
    }
}

/// The calling thread of the model is vCPU `number`, in its idle thread.
fn become_cpu(number: usize) {
    model::become_cpu(number);
    machine::become_idle(number);
}

/// Runs `programs`, one thread each, on so many vCPUs; vCPU 0 starts them all.
fn run(cpus: usize, programs: &[&'static [Step]]) {
    let world = World::new(cpus, programs);
    for number in (0..cpus).rev() {
        model::become_cpu(number);
        machine::forget(number);
        machine::init_cpu();
    }
    let others: Vec<_> = (1..cpus)
        .map(|number| {
            let world = world.clone();
            thread::spawn(move || {
                become_cpu(number);
                world.run();
                model::retire();
            })
        })
        .collect();
    become_cpu(0);
    for task in &world.tasks {
        machine::launch(&task.thread);
    }
    world.run();
    model::retire();
    for other in others {
        other.join().expect("a model ends with its first panic");
    }
}

use Step::{Bind, BindOther, Park, Stay, Wake, WakeSilently, Yield};

#[test]
fn two_threads_wake_each_other() {
    check_on("a hand-over and its answer", hardware(2), || run(2, &[&[Wake(1), Park], &[Park, Wake(0)]]));
}

#[test]
fn a_thread_is_woken_while_it_is_left() {
    check_on("hand-overs to and fro", hardware(2), || run(2, &[&[Park, Wake(1), Park], &[Wake(0), Park, Wake(0)]]));
}

#[test]
fn a_thread_moves_while_it_is_woken() {
    check_on("a thread that binds itself", hardware(2), || run(2, &[&[Bind(1), Park, Bind(0)], &[Wake(0), Yield]]));
}

#[test]
fn a_vcpu_waits_on_the_stack_of_who_is_woken() {
    check_on("a waiter that stays, and its waker", hardware(2), || run(2, &[&[Stay, Park], &[Wake(0)]]));
}

#[test]
fn a_vcpu_that_waits_on_a_stack_gets_another_thread() {
    let programs: &[&[Step]] = &[&[Bind(1), Stay, Park], &[Yield, Bind(1), Wake(0)]];
    check_on("a waiter whose vCPU another thread comes to", hardware(2), move || run(2, programs));
}

#[test]
fn two_waiters_stay_and_wake_each_other() {
    check_on("two waiters that stay, each other's wakers", hardware(2), || {
        run(2, &[&[Stay, Park, Wake(1)], &[Wake(0), Stay, Park]]);
    });
}

#[test]
fn who_stays_and_is_bound_elsewhere_moves_when_it_is_woken() {
    check_on("a waiter that stays where it may not run any more", hardware(2), || {
        run(2, &[&[Bind(0), Stay, Park], &[BindOther(0, 1), Wake(0)]]);
    });
}

#[test]
fn who_is_not_done_is_not_preempted() {
    // One vCPU, which meets nobody: the scheduler's own code in one order.
    model::check(0, hardware(1), || {
        let world = World::new(1, &[&[Yield], &[Yield]]);
        model::become_cpu(0);
        machine::forget(0);
        machine::init_cpu();
        become_cpu(0);
        for task in &world.tasks {
            machine::launch(&task.thread);
        }
        // SAFETY: unmasked below; no guard is alive.
        unsafe { irq::disable() };
        machine::look_for_work();
        let first: *const Thread = machine::running();
        let section = NoPreemption::begin();
        hooks::preempt();
        assert!(core::ptr::eq(first, machine::running()));
        drop(section);
        hooks::preempt();
        assert!(!core::ptr::eq(first, machine::running()));
        // SAFETY: masked above.
        unsafe { irq::enable() };
        world.run();
        model::retire();
    });
}

/// The model can fail: a vCPU that halts and is not told of its thread sleeps on.
#[test]
fn a_silent_wakeup_is_lost() {
    must_fail("models::vcpus::a_silent_wakeup_is_lost", "deadlock", hardware(2), || {
        run(2, &[&[Bind(1), Wake(1), Park], &[Park, WakeSilently(0)]]);
    });
}
