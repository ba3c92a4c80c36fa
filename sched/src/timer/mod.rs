//! Timers: a heap for each vCPU, and a one-shot interrupt for the earliest.
//!
//! A [`TimerNode`] is in one heap or in none; the heap's lock guards its links, and the word `heap` says which. Each thread
//! has a node that unparks it ([`Sleep`]); a [`Timer`] calls a function. A timer fires on the vCPU that armed it, in interrupt
//! context.

mod heap;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use crate::{Thread, machine};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::AtomicPtr;
use hal::cpu::{self, MAX_CPUS, Padded, PerCpu};
use hal::irq::IrqGuard;
use hal::sync::SpinLock;
use hal::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use heap::TimerHeap;
use intrusive_collections::RBTreeAtomicLink;

/// [`TimerNode::heap`] of a node in no heap.
const NOWHERE: usize = usize::MAX;

static HEAPS: PerCpu<SpinLock<TimerHeap>> =
    PerCpu::new([const { Padded::new(SpinLock::new(TimerHeap::new())) }; MAX_CPUS]);

/// When a timer whose callback still runs elsewhere is looked at again.
const BUSY_RETRY_NS: u64 = 20_000;

/// Armed timers of the application.
static APPLICATION_TIMERS: AtomicUsize = AtomicUsize::new(0);

/// No deadline: see [`Sleeper`].
const NEVER: u64 = u64::MAX;

/// What a thread's node knows of its waits.
struct Sleeper {
    /// The thread itself, from its first wait with a deadline on.
    thread: AtomicPtr<Thread>,
    /// When the wait ends that goes on now; [`NEVER`] outside of one. The node's own deadline may be earlier: that of a wait
    /// that ended before its time.
    wanted_ns: AtomicU64,
}

/// What happens at the deadline.
enum Action {
    /// Unpark a thread.
    Unpark(Sleeper),
    /// Call this timer's function.
    Call(*const Inner),
}

/// An entry of a heap.
pub(crate) struct TimerNode {
    link: RBTreeAtomicLink,
    deadline_ns: AtomicU64,
    heap: AtomicUsize,
    fired: AtomicBool,
    action: Action,
}

// SAFETY: the pointers in `action` are to `Sync` values that outlive the node's stay in a heap.
unsafe impl Send for TimerNode {}
// SAFETY: as above; everything else is atomic or guarded by the heap's lock.
unsafe impl Sync for TimerNode {}

impl TimerNode {
    const fn new(action: Action) -> Self {
        Self {
            link: RBTreeAtomicLink::new(),
            deadline_ns: AtomicU64::new(0),
            heap: AtomicUsize::new(NOWHERE),
            fired: AtomicBool::new(false),
            action,
        }
    }

    fn deadline_ns(&self) -> u64 {
        self.deadline_ns.load(Ordering::Relaxed)
    }

    /// Puts the node into this vCPU's heap.
    ///
    /// # Safety
    /// The node is in no heap, nobody else arms it, and it stays where it is until [`Self::disarm`] or its firing.
    unsafe fn arm(&self, deadline_ns: u64) {
        let _irq = IrqGuard::mask();
        let cpu = cpu::id();
        let mut heap = HEAPS.of(cpu).lock();
        self.deadline_ns.store(deadline_ns, Ordering::Relaxed);
        self.fired.store(false, Ordering::Relaxed);
        self.heap.store(cpu, Ordering::Relaxed);
        // SAFETY: the caller's duty.
        let earliest = unsafe { heap.insert(self) };
        drop(heap);
        if earliest {
            machine::program_timer(deadline_ns);
        }
    }

    /// Takes the node out of its heap; false if it was in none. After it nobody refers to the node. The interrupt stays
    /// programmed: one that finds nothing to do is cheaper than setting the clock at each end of a wait.
    fn disarm(&self) -> bool {
        loop {
            let cpu = self.heap.load(Ordering::Acquire);
            if cpu == NOWHERE {
                return false;
            }
            let mut heap = HEAPS.of(cpu).lock();
            if self.heap.load(Ordering::Relaxed) == cpu {
                // SAFETY: `heap` says so, under that heap's lock.
                unsafe { heap.remove(self) };
                self.heap.store(NOWHERE, Ordering::Relaxed);
                return true;
            }
        }
    }
}

/// A thread's timer for its waits with a deadline. Most of these end before it, and the next one's deadline is later: so the
/// node stays in its heap, and the later deadline is only noted. At the earlier one it goes to its new place, or out.
pub(crate) struct Sleep(TimerNode);

impl Sleep {
    /// Of a thread that has not waited yet.
    pub fn new() -> Self {
        let sleeper = Sleeper { thread: AtomicPtr::new(core::ptr::null_mut()), wanted_ns: AtomicU64::new(NEVER) };
        Self(TimerNode::new(Action::Unpark(sleeper)))
    }

    fn sleeper(&self) -> &Sleeper {
        match &self.0.action {
            Action::Unpark(sleeper) => sleeper,
            Action::Call(_) => unreachable!("made by `new`"),
        }
    }

    /// Unparks `thread`, the running one, whose own this is, at `deadline_ns` unless [`Self::disarm`] comes before.
    pub fn arm(&self, thread: &Thread, deadline_ns: u64) {
        debug_assert!(core::ptr::eq(self, &thread.sleep), "another thread's timer");
        let sleeper = self.sleeper();
        sleeper.thread.store(core::ptr::from_ref(thread).cast_mut(), Ordering::Relaxed);
        let cpu = self.0.heap.load(Ordering::Acquire);
        if cpu != NOWHERE {
            let mut heap = HEAPS.of(cpu).lock();
            if self.0.heap.load(Ordering::Relaxed) == cpu {
                if self.0.deadline_ns() <= deadline_ns {
                    sleeper.wanted_ns.store(deadline_ns, Ordering::Relaxed);
                    self.0.fired.store(false, Ordering::Relaxed);
                    return;
                }
                // SAFETY: `heap` says so, under that heap's lock.
                unsafe { heap.remove(&self.0) };
                self.0.heap.store(NOWHERE, Ordering::Relaxed);
            }
        }
        sleeper.wanted_ns.store(deadline_ns, Ordering::Relaxed);
        // SAFETY: in no heap; only the thread itself arms it; a thread stays where it is, and `drop` takes the node out.
        unsafe { self.0.arm(deadline_ns) };
    }

    /// The wait is over; true if the deadline ended it.
    pub fn disarm(&self) -> bool {
        self.sleeper().wanted_ns.store(NEVER, Ordering::Relaxed);
        self.0.fired.load(Ordering::Relaxed)
    }

    /// Takes the node out of its heap. Outside of a wait.
    pub fn forget(&self) {
        self.0.disarm();
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Fires what is due on this vCPU; the next deadline. Interrupts are masked.
pub(crate) fn expire(now_ns: u64) -> Option<u64> {
    let lock = HEAPS.get();
    let mut heap = lock.lock();
    while let Some(node) = heap.take_expired(now_ns) {
        match &node.action {
            Action::Unpark(sleeper) => {
                let wanted_ns = sleeper.wanted_ns.load(Ordering::Relaxed);
                if wanted_ns > now_ns && wanted_ns != NEVER {
                    node.deadline_ns.store(wanted_ns, Ordering::Relaxed);
                    // SAFETY: just taken out of this heap; it stays where it is until `Sleep::drop` has had this lock.
                    unsafe { heap.insert(&node) };
                    continue;
                }
                if wanted_ns != NEVER {
                    node.fired.store(true, Ordering::Relaxed);
                    // SAFETY: the node is a part of the thread, which cannot go before `Sleep::drop` has had this lock or
                    // has seen NOWHERE.
                    let thread = unsafe { &*sleeper.thread.load(Ordering::Relaxed) };
                    if thread.park.notify() {
                        machine::make_runnable(thread);
                    }
                }
                // Last: from here on the node, and the thread, may be gone.
                node.heap.store(NOWHERE, Ordering::Release);
            }
            &Action::Call(inner) => {
                node.fired.store(true, Ordering::Relaxed);
                // A callback may drop its own `Timer`; this count keeps the function alive until it returns.
                // SAFETY: an armed timer is owned by its `Timer`, whose drop takes this lock before it lets go.
                unsafe { Arc::increment_strong_count(inner) };
                // SAFETY: the count just added.
                let inner = unsafe { Arc::from_raw(inner) };
                let free = inner.runner.compare_exchange(0, machine::executor(), Ordering::Acquire, Ordering::Relaxed);
                if free.is_err() {
                    // Armed anew while its callback still runs on another vCPU: one call at a time.
                    node.deadline_ns.store(now_ns + BUSY_RETRY_NS, Ordering::Relaxed);
                    // SAFETY: just taken out of this heap, and still armed.
                    unsafe { heap.insert(&node) };
                    continue;
                }
                inner.forget_armed();
                node.heap.store(NOWHERE, Ordering::Release);
                drop(heap);
                (inner.callback)();
                inner.runner.store(0, Ordering::Release);
                drop(inner);
                heap = lock.lock();
            }
        }
    }
    heap.next_ns()
}

/// Whether a timer of the application is armed.
pub(crate) fn application_armed() -> bool {
    APPLICATION_TIMERS.load(Ordering::SeqCst) != 0
}

/// Whom a timer serves: the deadlock rule counts those of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerOwner {
    /// Its end may wake an application thread (timerfd, timer_create, alarm).
    Application,
    /// A driver's or the kernel's own.
    Kernel,
}

/// Calls a function at a time. Dropping it cancels.
pub struct Timer(Arc<Inner>);

struct Inner {
    node: TimerNode,
    /// Held while arming and cancelling, so that one at a time moves the node.
    moving: SpinLock<()>,
    /// Who runs the callback ([`machine::executor`]); 0 for nobody.
    runner: AtomicUsize,
    owner: TimerOwner,
    callback: Box<dyn Fn() + Send + Sync>,
}

impl Inner {
    fn forget_armed(&self) {
        if self.owner == TimerOwner::Application {
            APPLICATION_TIMERS.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn disarm(&self) -> bool {
        let armed = self.node.disarm();
        if armed {
            self.forget_armed();
        }
        armed
    }
}

impl Timer {
    /// An idle timer. `callback` runs in interrupt context on the vCPU that armed it: no sleep, no user memory. It may
    /// wake threads and arm timers, this one too.
    pub fn new(owner: TimerOwner, callback: Box<dyn Fn() + Send + Sync>) -> Self {
        Self(Arc::new_cyclic(|inner| Inner {
            node: TimerNode::new(Action::Call(inner.as_ptr())),
            moving: SpinLock::new(()),
            runner: AtomicUsize::new(0),
            owner,
            callback,
        }))
    }

    /// Fires at `deadline_ns` ([`hal::clock::now_ns`] time), once; at once if that is past. Replaces an earlier deadline.
    pub fn arm(&self, deadline_ns: u64) {
        let inner = &*self.0;
        let _moving = inner.moving.lock();
        inner.disarm();
        if inner.owner == TimerOwner::Application {
            APPLICATION_TIMERS.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: in no heap, and `moving` keeps others away; `Drop` disarms before the memory can go.
        unsafe { inner.node.arm(deadline_ns) };
    }

    /// Once this returned the timer does not fire and its callback does not run (unless the callback is the caller).
    /// True if it was armed. The caller holds no lock that the callback takes.
    pub fn cancel(&self) -> bool {
        let inner = &*self.0;
        let armed = {
            let _moving = inner.moving.lock();
            inner.disarm()
        };
        loop {
            let _irq = IrqGuard::mask();
            let runner = inner.runner.load(Ordering::Acquire);
            if runner == 0 || runner == machine::executor() {
                return armed;
            }
            // The guard drops each turn: interrupts are served while another vCPU finishes.
            cpu::relax();
        }
    }

    /// The deadline, while armed.
    pub fn deadline_ns(&self) -> Option<u64> {
        let inner = &*self.0;
        let _moving = inner.moving.lock();
        (inner.node.heap.load(Ordering::Acquire) != NOWHERE).then(|| inner.node.deadline_ns())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}
