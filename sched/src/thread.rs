//! What a thread is. How it comes and goes is in `spawn`, how it waits in `park`.

use crate::cpu_clock::CpuClock;
use crate::machine::{self, Machine};
use crate::park::ParkState;
use crate::policy::Fair;
use crate::timer::Sleep;
use crate::{CpuSet, registry};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::{Any, TypeId};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hal::context::WorkFlags;
use hal::sync::SpinLock;
use intrusive_collections::RBTreeAtomicLink;

/// Longest name in bytes (TASK_COMM_LEN without its NUL, prctl(2)).
const NAME_MAX: usize = 15;

/// What a new thread runs.
pub(crate) type Start = Box<dyn FnOnce() + Send>;

/// A thread of the kernel or of the application.
pub struct Thread {
    id: u32,
    name: SpinLock<Name>,
    ext: Option<Box<dyn Any + Send + Sync>>,
    /// The type in `ext`.
    ext_type: TypeId,
    work: WorkFlags,
    affinity: AtomicU64,
    /// What it runs when it is first dispatched.
    pub(crate) start: SpinLock<Option<Start>>,
    pub(crate) park: ParkState,
    pub(crate) fair: Fair,
    pub(crate) clock: CpuClock,
    /// vCPU on whose queue it is, or that runs it, or that ran it last: the one that its virtual run time refers to.
    pub(crate) cpu: AtomicUsize,
    pub(crate) voluntary: AtomicU64,
    pub(crate) involuntary: AtomicU64,
    /// Sections that it is in; see `preemption`.
    pub(crate) no_preemption: AtomicU32,
    pub(crate) registry_link: RBTreeAtomicLink,
    /// Next in the list of ended threads.
    pub(crate) dead_next: AtomicPtr<Thread>,
    /// For its waits with a deadline.
    pub(crate) sleep: Sleep,
    pub(crate) machine: Machine,
}

/// Shared ownership of a [`Thread`].
pub type ThreadRef = Arc<Thread>;

#[derive(Clone, Copy)]
struct Name {
    bytes: [u8; NAME_MAX],
    len: u8,
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let len = name.len().min(NAME_MAX);
        let mut bytes = [0; NAME_MAX];
        bytes[..len].copy_from_slice(&name[..len]);
        Self { bytes, len: len as u8 }
    }
}

impl Thread {
    /// A thread that nobody started yet. `id` 0 is for idle threads.
    pub(crate) fn new(
        id: u32,
        name: &str,
        ext: Option<Box<dyn Any + Send + Sync>>,
        affinity: CpuSet,
        start: Option<Start>,
        machine: Machine,
    ) -> Self {
        Self {
            id,
            name: SpinLock::new(Name::new(name.as_bytes())),
            ext_type: ext.as_deref().map_or(TypeId::of::<()>(), |ext| ext.type_id()),
            ext,
            work: WorkFlags::new(),
            affinity: AtomicU64::new(affinity.bits()),
            start: SpinLock::new(start),
            park: ParkState::suspended(),
            fair: Fair::new(),
            clock: CpuClock::new(),
            cpu: AtomicUsize::new(0),
            voluntary: AtomicU64::new(0),
            involuntary: AtomicU64::new(0),
            no_preemption: AtomicU32::new(0),
            registry_link: RBTreeAtomicLink::new(),
            dead_next: AtomicPtr::new(core::ptr::null_mut()),
            sleep: Sleep::new(),
            machine,
        }
    }

    /// Unique among living threads; 1 and up, 0 for idle threads. Comes again only after some four million others.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The name, at most 15 bytes as Linux keeps it. A character that was cut in two shows as U+FFFD.
    pub fn name(&self) -> String {
        let name = *self.name.lock();
        String::from_utf8_lossy(&name.bytes[..name.len as usize]).into_owned()
    }

    /// Renames the thread; cut after 15 bytes.
    pub fn set_name(&self, name: &str) {
        self.set_name_bytes(name.as_bytes());
    }

    /// As [`Self::set_name`], for names that are no UTF-8 (prctl(2) takes any bytes).
    pub fn set_name_bytes(&self, name: &[u8]) {
        *self.name.lock() = Name::new(name);
    }

    /// The name's bytes, padded with zeros.
    pub fn name_bytes(&self) -> [u8; NAME_MAX + 1] {
        let name = *self.name.lock();
        let mut bytes = [0; NAME_MAX + 1];
        bytes[..NAME_MAX].copy_from_slice(&name.bytes);
        bytes
    }

    /// What was given to it, if it is a `T`.
    #[inline(always)]
    pub fn ext_as<T: Any>(&self) -> Option<&T> {
        let ext = self.ext.as_deref()?;
        // As `downcast_ref`, without its call through the table: every system call comes by here.
        // SAFETY: the type was remembered when the box was made one of `dyn Any`, and it is `T`.
        (self.ext_type == TypeId::of::<T>()).then(|| unsafe { &*core::ptr::from_ref(ext).cast::<T>() })
    }

    /// Whether this is a thread of the application.
    pub fn is_application(&self) -> bool {
        self.ext.is_some()
    }

    /// The flags that the return to the application looks at.
    pub fn work_flags(&self) -> &WorkFlags {
        &self.work
    }

    /// Time on a vCPU so far, in nanoseconds, exact to now also while it runs.
    pub fn cpu_time_ns(&self) -> u64 {
        self.clock.total_ns(hal::clock::now_ns())
    }

    /// Where the thread may run.
    pub fn affinity(&self) -> CpuSet {
        CpuSet::from_bits(self.affinity.load(Ordering::Relaxed))
    }

    /// Binds the thread to `set`; false, and nothing changed, when no running vCPU is in it. A thread that binds
    /// itself has moved when this returns; another moves at its next interrupt or dispatch.
    pub fn set_affinity(&self, set: CpuSet) -> bool {
        if set.intersection(CpuSet::first(hal::cpu::count())).is_empty() {
            return false;
        }
        self.affinity.store(set.bits(), Ordering::SeqCst);
        if !self.may_run_on(self.last_cpu()) {
            self.work.set(WorkFlags::RESCHED);
            machine::interrupt(self);
            crate::preempt_point();
        }
        true
    }

    /// Whether the affinity allows `cpu`.
    pub(crate) fn may_run_on(&self, cpu: usize) -> bool {
        self.affinity.load(Ordering::Relaxed) >> cpu & 1 != 0
    }

    /// -20 (most) to 19 (least).
    pub fn nice(&self) -> i32 {
        self.fair.nice()
    }

    /// Clamped to -20..=19.
    pub fn set_nice(&self, nice: i32) {
        self.fair.set_nice(nice);
    }

    /// Where its weight comes from: niceness, or a policy above or below it.
    pub fn set_class(&self, class: crate::Class) {
        self.fair.set_class(class);
    }

    /// State letter of proc(5): R runs or could, S sleeps, D sleeps through signals, X has ended.
    pub fn state(&self) -> char {
        self.park.letter()
    }

    /// Whether the thread has ended.
    pub fn is_dead(&self) -> bool {
        self.park.is_dead()
    }

    /// Lets a suspended thread run. Later calls do nothing.
    pub fn start(self: &Arc<Self>) {
        if self.park.start() {
            machine::launch(self);
        }
    }

    /// Makes the thread look at its work flags soon: the caller has set SIGNAL or STOP there before. A thread that
    /// runs elsewhere is interrupted, one in an interruptible wait is woken. Safe from interrupt handlers.
    pub fn kick(&self) {
        match self.park.interrupt() {
            Some(true) => machine::make_runnable(self),
            Some(false) => machine::interrupt(self),
            None => {}
        }
    }

    /// vCPU that runs the thread or ran it last.
    pub fn last_cpu(&self) -> usize {
        self.cpu.load(Ordering::Relaxed)
    }

    /// Context switches so far: (voluntary, involuntary).
    pub fn switches(&self) -> (u64, u64) {
        (self.voluntary.load(Ordering::Relaxed), self.involuntary.load(Ordering::Relaxed))
    }

    /// A counted reference; `None` for a thread that has left the registry (ended) or was never in it (idle).
    pub fn to_ref(&self) -> Option<ThreadRef> {
        registry::get(self.id)
    }
}

impl core::fmt::Debug for Thread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "thread {} ({}, {})", self.id, self.name(), self.state())
    }
}
