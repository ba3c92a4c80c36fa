//! One vCPU's queue of runnable threads, in order of virtual run time.

use crate::Thread;
use intrusive_collections::{KeyAdapter, RBTree, RBTreeAtomicLink, UnsafeRef, intrusive_adapter};

/// A charge may be so old when somebody arrives.
const OLD_CHARGE_NS: u64 = 100_000;
/// No time: far from every other, and sums with it do not wrap.
const NEVER: u64 = u64::MAX / 2;
/// How long a thread runs while another waits for the vCPU.
pub(crate) const SLICE_NS: u64 = 3_000_000;
/// A woken thread takes the vCPU at once if it is behind the running one by more than this.
const WAKE_LEAD_NS: u64 = 1_000_000;
/// Who has just got the vCPU keeps it for so long, whoever wakes up: he may hold a lock that the woken thread needs, and
/// will soon have to wait himself.
const LEAST_RUN_NS: u64 = 50_000;
/// A sleeper may be ahead of the queue by at most this when it comes back.
const SLEEP_CREDIT_NS: u64 = 1_500_000;
/// Nobody waits longer than this behind the others, whatever he used elsewhere or however nice he is.
const MAX_DEBT_NS: u64 = 200_000_000;

/// A thread that a queue or a vCPU holds: alive because only a running thread can end, and only by itself.
pub(crate) type Runnable = UnsafeRef<Thread>;

intrusive_adapter!(ByVruntime = Runnable: Thread { fair.link => RBTreeAtomicLink });
impl<'a> KeyAdapter<'a> for ByVruntime {
    type Key = u64;
    fn get_key(&self, thread: &'a Thread) -> u64 {
        thread.fair.vruntime_ns()
    }
}

/// Why a thread comes to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It never ran.
    New,
    /// It was parked; `home_ns` is the least virtual run time of the queue that its own refers to.
    Woken { home_ns: u64 },
    /// It was runnable elsewhere; `home_ns` as above.
    Moved { home_ns: u64 },
}

/// What an arrival means to the vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Effect {
    /// It should choose again now.
    Preempt,
    /// It should look again at this time: the slice of the running thread ends, or it can be preempted.
    ArmSlice(u64),
    /// Nothing to do.
    Quiet,
}

/// Runnable threads of one vCPU, without the running one, which is only remembered for its charge.
pub(crate) struct RunQueue {
    /// The one that runs next. Outside the tree, so that the common queue of one costs no tree operation.
    first: Option<Runnable>,
    /// The others; empty if there is no first.
    rest: RBTree<ByVruntime>,
    len: usize,
    /// Never falls; new and woken threads are placed relative to it.
    min_vruntime_ns: u64,
    running: Option<Runnable>,
    /// The running thread was chosen at this time.
    chosen_ns: u64,
    /// The running thread is charged up to here.
    charged_ns: u64,
    /// [`NEVER`] while the running thread has the vCPU to itself.
    slice_end_ns: u64,
    /// Runnable threads integrated over time, for the load average.
    load_integral_ns: u64,
}

impl RunQueue {
    /// Empty, and not to be used before the first [`Self::run`]: all zeros, so that the vCPUs' table is no part of the kernel's file.
    pub const fn new() -> Self {
        Self {
            first: None,
            rest: RBTree::new(ByVruntime::NEW),
            len: 0,
            min_vruntime_ns: 0,
            running: None,
            chosen_ns: 0,
            charged_ns: 0,
            slice_end_ns: 0,
            load_integral_ns: 0,
        }
    }

    /// Threads that wait for the vCPU.
    pub fn len(&self) -> usize {
        self.len
    }

    /// See [`Arrival`].
    pub fn min_vruntime_ns(&self) -> u64 {
        self.min_vruntime_ns
    }

    /// Nanoseconds times runnable threads since boot, up to `now_ns`.
    pub fn load_integral_ns(&self, now_ns: u64) -> u64 {
        self.load_integral_ns + now_ns.saturating_sub(self.charged_ns) * self.runnable() as u64
    }

    /// Threads that wait and the one that runs.
    pub fn runnable(&self) -> usize {
        self.len + usize::from(self.running.is_some())
    }

    /// When the running thread has to share; `None` if nobody waits.
    pub fn slice_end_ns(&self) -> Option<u64> {
        (self.slice_end_ns != NEVER).then_some(self.slice_end_ns)
    }

    /// Charges the running thread up to `now_ns`.
    pub fn charge(&mut self, now_ns: u64) {
        let counted_ns = self.counted_ns(now_ns);
        self.load_integral_ns += now_ns.saturating_sub(self.charged_ns) * self.runnable() as u64;
        self.charged_ns = now_ns;
        if let Some(running) = &self.running {
            let vruntime_ns = running.fair.vruntime_ns() + running.fair.scale(counted_ns);
            running.fair.set_vruntime_ns(vruntime_ns);
            let least_ns = match &self.first {
                Some(first) => vruntime_ns.min(first.fair.vruntime_ns()),
                None => vruntime_ns,
            };
            self.min_vruntime_ns = self.min_vruntime_ns.max(least_ns);
        }
    }

    /// What of the time since the last charge counts as the running thread's. While others wait it could have been preempted
    /// when its slice was over: what goes far beyond is not its doing (the host ran something else, or a long wake-up could not
    /// be left), and it must not wait for as long as that behind each of the others.
    fn counted_ns(&self, now_ns: u64) -> u64 {
        now_ns.min(self.slice_end_ns + SLICE_NS).saturating_sub(self.charged_ns)
    }

    /// `running` has the vCPU from `now_ns` on (`None`: idle). The previous one was charged.
    pub fn run(&mut self, running: Option<Runnable>, now_ns: u64) {
        self.slice_end_ns = if running.is_some() && self.len > 0 { now_ns + SLICE_NS } else { NEVER };
        self.running = running;
        self.chosen_ns = now_ns;
        self.charged_ns = now_ns;
    }

    /// Puts a thread with a place in this queue's order back: it was running here.
    pub fn put_back(&mut self, thread: Runnable) {
        self.len += 1;
        match &mut self.first {
            None => self.first = Some(thread),
            Some(first) if thread.fair.vruntime_ns() < first.fair.vruntime_ns() => {
                let second = core::mem::replace(first, thread);
                self.rest.front_mut().insert_before(second);
            }
            Some(_) => {
                self.rest.insert(thread);
            }
        }
    }

    /// As [`Self::put_back`], but behind the first of those that wait: the thread gives its turn away.
    pub fn put_back_behind(&mut self, thread: Runnable) {
        if let Some(first) = &self.first {
            let vruntime_ns = first.fair.vruntime_ns().max(thread.fair.vruntime_ns());
            thread.fair.set_vruntime_ns(vruntime_ns);
        }
        self.put_back(thread);
    }

    /// Gives `thread` a place in this queue's order without queueing it: a thief runs it at once.
    pub fn adopt(&mut self, thread: &Thread, arrival: Arrival) {
        let min_ns = self.min_vruntime_ns;
        let (earliest_ns, home_ns) = match arrival {
            // At the end of a turn: a thread that keeps making threads gets no further by it.
            Arrival::New => return thread.fair.set_vruntime_ns(min_ns + thread.fair.scale(SLICE_NS).min(MAX_DEBT_NS)),
            Arrival::Woken { home_ns } => (min_ns.saturating_sub(SLEEP_CREDIT_NS), home_ns),
            Arrival::Moved { home_ns } => (0, home_ns),
        };
        // min + (v - home), without wrapping either way.
        let moved_ns = (thread.fair.vruntime_ns() + min_ns).saturating_sub(home_ns);
        thread.fair.set_vruntime_ns(moved_ns.clamp(earliest_ns, min_ns + MAX_DEBT_NS));
    }

    /// Queues `thread` at `now_ns`.
    pub fn arrive(&mut self, thread: Runnable, arrival: Arrival, now_ns: u64) -> Effect {
        // Who runs alone is charged by nobody, and the newcomer's place is relative to where he is now.
        if now_ns.saturating_sub(self.charged_ns) > OLD_CHARGE_NS {
            self.charge(now_ns);
        }
        self.adopt(&thread, arrival);
        let vruntime_ns = thread.fair.vruntime_ns();
        self.put_back(thread);
        if self.running.is_none() {
            return Effect::Preempt;
        }
        let preempts = self.preempts(vruntime_ns, now_ns);
        let is_first = self.slice_end_ns == NEVER;
        if is_first {
            self.slice_end_ns = now_ns + SLICE_NS;
        }
        let kept_ns = self.chosen_ns + LEAST_RUN_NS;
        match preempts {
            true if now_ns >= kept_ns => Effect::Preempt,
            true => Effect::ArmSlice(kept_ns),
            false if is_first => Effect::ArmSlice(self.slice_end_ns),
            false => Effect::Quiet,
        }
    }

    /// Whether the first thread that waits should run instead of the running one at `now_ns`.
    pub fn first_preempts(&self, now_ns: u64) -> bool {
        let first_ns = self.first.as_ref().map(|first| first.fair.vruntime_ns());
        first_ns.is_some_and(|first_ns| self.preempts(first_ns, now_ns))
    }

    fn preempts(&self, vruntime_ns: u64, now_ns: u64) -> bool {
        let Some(running) = &self.running else { return true };
        let running_ns = running.fair.vruntime_ns() + running.fair.scale(self.counted_ns(now_ns));
        vruntime_ns + WAKE_LEAD_NS < running_ns
    }

    /// Whether the running thread's slice is over at `now_ns`.
    pub fn is_slice_over(&self, now_ns: u64) -> bool {
        self.len > 0 && (self.slice_end_ns == NEVER || now_ns >= self.slice_end_ns)
    }

    /// Takes the thread that is to run next.
    pub fn take_next(&mut self) -> Option<Runnable> {
        let next = self.first.take()?;
        self.len -= 1;
        if self.len > 0 {
            self.first = self.rest.front_mut().remove();
        }
        Some(next)
    }

    /// Takes the first thread that `may_go` allows, for another vCPU.
    pub fn take_for(&mut self, may_go: impl Fn(&Thread) -> bool) -> Option<Runnable> {
        if may_go(self.first.as_ref()?) {
            return self.take_next();
        }
        let mut cursor = self.rest.front_mut();
        while !may_go(cursor.get()?) {
            cursor.move_next();
        }
        self.len -= 1;
        cursor.remove()
    }
}
