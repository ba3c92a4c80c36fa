//! `epoll`: a set of watched objects and a list of those that may be ready.
//!
//! An event puts its item on the ready list; a wait takes items off it and asks each object once. Level-triggered items
//! go back on the list, edge-triggered ones do not, one-shot ones go mute until they are modified. Nothing looks at
//! items that are not on the list. An object whose reader has left nothing may say so ([`PollSource::drained`]): it is not
//! asked before its next event.
//!
//! Lock order: `items` (sleeping) -> a source's list -> `Core::ready`'s -> another epoll's source. A nested epoll is
//! notified under the inner one's source lock; cycles and depths over 5 are refused when an epoll is added.

use super::{PollSource, PollWatcher, Readiness};
use crate::file::File;
use crate::metadata::Metadata;
use crate::open_file::OpenFile;
use crate::{FsError, FsResult};
use alloc::{collections::VecDeque, string::String, sync::Arc, sync::Weak, vec::Vec};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hal::sync::SpinLock;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use sched::{Interruptible, Mutex, WaitQueue, WakeReason};

/// How events of one item are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EpollMode {
    /// Report each change once instead of each wait (EPOLLET).
    pub edge: bool,
    /// Report once, then stay mute until modified (EPOLLONESHOT).
    pub one_shot: bool,
    /// Wake one of several epolls that watch the same object (EPOLLEXCLUSIVE).
    pub exclusive: bool,
}

/// What is wanted of one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EpollInterest {
    /// What to report; errors and hang-ups always are.
    pub events: Readiness,
    /// Delivery.
    pub mode: EpollMode,
    /// The application's word, given back with each event.
    pub data: u64,
}

/// One report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpollEvent {
    /// What the object is ready for.
    pub ready: Readiness,
    /// The application's word.
    pub data: u64,
}

/// Epolls inside epolls, at most.
const MAX_DEPTH: usize = 5;

/// Descriptor number and identity of the open description.
type Key = (u32, usize);

/// An epoll instance.
pub struct Epoll {
    core: Arc<Core>,
    items: Mutex<HashMap<Key, Arc<Item>>>,
    ino: u64,
    /// Itself, for the descriptions that it watches.
    me: Weak<Self>,
}

/// What items need of their epoll; shared, so that a late event meets living memory.
struct Core {
    ready: ReadyList,
    waiters: WaitQueue,
    source: PollSource,
}

/// Items that may be ready, in the order of their events.
struct ReadyList {
    items: SpinLock<VecDeque<Arc<Item>>>,
    /// Their number, for those who only want to know whether there are any. Stored before waiters are woken, and looked at
    /// after a waiter has entered the queue.
    len: AtomicUsize,
}

impl ReadyList {
    const fn new() -> Self {
        Self { items: SpinLock::new(VecDeque::new()), len: AtomicUsize::new(0) }
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<Arc<Item>>) -> R) -> R {
        let mut items = self.items.lock();
        let result = change(&mut items);
        self.len.store(items.len(), Ordering::Relaxed);
        result
    }

    /// The first item, off the list: an event from here on puts it there again.
    fn take(&self) -> Option<Arc<Item>> {
        let item = self.change(VecDeque::pop_front)?;
        // With the swap of who finds it queued: that one's news are seen after this.
        item.queued.swap(false, Ordering::AcqRel);
        Some(item)
    }
}

struct Item {
    core: Arc<Core>,
    file: Weak<OpenFile>,
    /// Itself, for the list.
    me: Weak<Item>,
    /// [`Readiness`] bits, [`EDGE`] and [`ONE_SHOT`]; 0 when a one-shot item has fired.
    wanted: AtomicU32,
    data: AtomicU64,
    exclusive: bool,
    queued: AtomicBool,
    /// A reader has left nothing since the last event.
    drained: AtomicBool,
    /// The item was deleted: it must not be reported any more.
    dead: AtomicBool,
}

/// Beside the [`Readiness`] bits of [`Item::wanted`].
const EDGE: u32 = 1 << 30;
const ONE_SHOT: u32 = 1 << 31;
/// Who wants these has to ask an object that is drained, too.
const ASKED: u32 = Readiness::WRITE.union(Readiness::PRIORITY).bits();

/// What [`Item::wanted`] says of `interest`.
fn wanted(interest: &EpollInterest) -> u32 {
    let mut word = (interest.events | Readiness::ERROR).bits();
    if interest.mode.edge {
        word |= EDGE;
    }
    if interest.mode.one_shot {
        word |= ONE_SHOT;
    }
    word
}

impl Item {
    /// Which events are of interest; none when a one-shot item has fired.
    fn events(wanted: u32) -> Readiness {
        if wanted == 0 { Readiness::empty() } else { Readiness::from_bits_truncate(wanted) | Readiness::ALWAYS }
    }

    /// Puts the item on the ready list unless it is on it.
    fn enqueue(&self) {
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.core.ready.change(|items| items.push_back(me));
        }
    }

    /// What the object is ready for, of what is `wanted`; None when that is nothing.
    fn ready(&self, wanted: u32) -> Option<Readiness> {
        // Most items are on the list because they were reported, and what they were reported for has been read since.
        let is_drained = wanted & ASKED == 0 && self.drained.load(Ordering::Acquire);
        if wanted == 0 || is_drained || self.dead.load(Ordering::Acquire) {
            return None;
        }
        let ready = self.file.upgrade()?.file().poll() & Self::events(wanted);
        (!ready.is_empty()).then_some(ready)
    }
}

/// Hangs on the object's source.
impl PollWatcher for Item {
    fn notify(&self, what: Readiness) -> bool {
        self.drained.store(false, Ordering::Relaxed);
        if !what.intersects(Self::events(self.wanted.load(Ordering::Acquire))) {
            return false;
        }
        self.enqueue();
        let woke = self.core.waiters.wake_one();
        self.core.source.notify(Readiness::READ);
        woke
    }
    fn drained(&self) {
        self.drained.store(true, Ordering::Relaxed);
    }
    fn exclusive(&self) -> bool {
        self.exclusive
    }
}

impl Epoll {
    /// An empty set.
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            core: Arc::new(Core { ready: ReadyList::new(), waiters: WaitQueue::new(), source: PollSource::new() }),
            items: Mutex::new(HashMap::new()),
            ino: crate::anonymous::next_ino(),
            me: me.clone(),
        })
    }

    /// Watches `file` under descriptor number `fd`.
    /// Errors: `Exists`, `Permission` (always ready, like a regular file), `Invalid` (itself), `Loop` (a cycle, or too deep).
    pub fn add(&self, fd: u32, file: &Arc<OpenFile>, interest: EpollInterest) -> FsResult<()> {
        let source = file.file().wait_source().ok_or(FsError::Permission)?;
        let inner = file.file().as_any().downcast_ref::<Epoll>();
        if let Some(inner) = inner {
            if core::ptr::eq(inner, self) || interest.mode.exclusive {
                return Err(FsError::Invalid);
            }
            // One lock over all nesting, so that two adds cannot close a cycle together.
            let _nesting = NESTING.lock();
            if inner.reaches(self, MAX_DEPTH)? >= MAX_DEPTH {
                return Err(FsError::Loop);
            }
            return self.insert(fd, file, source, interest);
        }
        self.insert(fd, file, source, interest)
    }

    fn insert(&self, fd: u32, file: &Arc<OpenFile>, source: &PollSource, interest: EpollInterest) -> FsResult<()> {
        let mut items = self.items.lock();
        items.try_reserve(1).map_err(|_| FsError::NoMemory)?;
        let Entry::Vacant(place) = items.entry((fd, Arc::as_ptr(file).addr())) else { return Err(FsError::Exists) };
        let item = Arc::new_cyclic(|me| Item {
            core: self.core.clone(),
            file: Arc::downgrade(file),
            me: me.clone(),
            wanted: AtomicU32::new(wanted(&interest)),
            data: AtomicU64::new(interest.data),
            exclusive: interest.mode.exclusive,
            queued: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        });
        let watcher: Arc<dyn PollWatcher> = item.clone();
        file.remember_epoll(Watched { epoll: self.me.clone(), fd, watcher: watcher.clone() })?;
        if let Err(error) = source.attach(watcher) {
            let _forgotten = file.forget_epoll(self, fd);
            return Err(error);
        }
        place.insert(item.clone());
        drop(items);
        self.announce(&item, file);
        Ok(())
    }

    /// Changes what is wanted; arms a one-shot item again. Errors: `NotFound`, `Invalid` (an exclusive item).
    pub fn modify(&self, fd: u32, file: &Arc<OpenFile>, interest: EpollInterest) -> FsResult<()> {
        let items = self.items.lock();
        let item = items.get(&(fd, Arc::as_ptr(file).addr())).ok_or(FsError::NotFound)?.clone();
        if item.exclusive || interest.mode.exclusive {
            return Err(FsError::Invalid);
        }
        item.data.store(interest.data, Ordering::Release);
        item.wanted.store(wanted(&interest), Ordering::Release);
        drop(items);
        self.announce(&item, file);
        Ok(())
    }

    /// Watches no more. Errors: `NotFound`.
    pub fn remove(&self, fd: u32, file: &Arc<OpenFile>) -> FsResult<()> {
        let item = self.items.lock().remove(&(fd, Arc::as_ptr(file).addr())).ok_or(FsError::NotFound)?;
        item.dead.store(true, Ordering::Release);
        if let (Some(watched), Some(source)) = (file.forget_epoll(self, fd), file.file().wait_source()) {
            source.detach(&watched.watcher);
        }
        Ok(())
    }

    /// Puts an item that is ready already on the list.
    fn announce(&self, item: &Arc<Item>, file: &OpenFile) {
        if file.file().poll().intersects(Item::events(item.wanted.load(Ordering::Acquire))) {
            item.enqueue();
            self.core.waiters.wake_one();
            self.core.source.notify(Readiness::READ);
        }
    }

    /// Reports at most `max` events by `emit`; waits for the first one until `deadline_ns` (0: not at all; None: for
    /// ever). How many. Errors: `Interrupted`.
    pub fn wait(&self, max: usize, deadline_ns: Option<u64>, emit: &mut dyn FnMut(EpollEvent)) -> FsResult<usize> {
        loop {
            let count = if self.core.ready.len() > 0 { self.collect(max, emit) } else { 0 };
            if count > 0 || deadline_ns == Some(0) {
                return Ok(count);
            }
            let Core { ready, waiters, .. } = &*self.core;
            match waiters.wait_until(deadline_ns, Interruptible::Yes, || (ready.len() > 0).then_some(())) {
                Ok(()) => {}
                Err(WakeReason::Interrupted) => {
                    // A wake-up may have been meant for this thread.
                    if ready.len() > 0 {
                        waiters.wake_one();
                    }
                    return Err(FsError::Interrupted);
                }
                Err(_) => return Ok(self.collect(max, emit)),
            }
        }
    }

    fn collect(&self, max: usize, emit: &mut dyn FnMut(EpollEvent)) -> usize {
        let mut left = self.core.ready.len();
        let mut count = 0;
        while left > 0 && count < max {
            left -= 1;
            let Some(item) = self.core.ready.take() else { break };
            let wanted = item.wanted.load(Ordering::Acquire);
            let Some(ready) = item.ready(wanted) else { continue };
            if wanted & ONE_SHOT != 0 {
                // Of two threads that collect at once, one gets it; who modifies it meanwhile announces it anew.
                if item.wanted.compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                    continue;
                }
            }
            emit(EpollEvent { ready, data: item.data.load(Ordering::Acquire) });
            count += 1;
            if wanted & (EDGE | ONE_SHOT) == 0 && !item.queued.swap(true, Ordering::AcqRel) {
                self.core.ready.change(|items| items.push_back(item));
            }
        }
        if count == max && max > 0 && self.core.ready.len() > 0 {
            // Others may serve what is left.
            self.core.waiters.wake_one();
        }
        count
    }

    /// Called when the last descriptor of a watched description is closed.
    pub(crate) fn forget(&self, fd: u32, file_address: usize) {
        if let Some(item) = self.items.lock().remove(&(fd, file_address)) {
            item.dead.store(true, Ordering::Release);
        }
    }

    /// The depth below this epoll; `Loop` when it leads to `target`.
    fn reaches(&self, target: &Epoll, budget: usize) -> FsResult<usize> {
        if budget == 0 {
            return Ok(MAX_DEPTH);
        }
        let inner: Vec<Arc<OpenFile>> = self.items.lock().values().filter_map(|item| item.file.upgrade()).collect();
        let mut depth = 1;
        for file in inner {
            if let Some(epoll) = file.file().as_any().downcast_ref::<Epoll>() {
                if core::ptr::eq(epoll, target) {
                    return Err(FsError::Loop);
                }
                depth = depth.max(1 + epoll.reaches(target, budget - 1)?);
            }
        }
        Ok(depth)
    }
}

static NESTING: Mutex<()> = Mutex::new(());

/// What a watched description keeps, to take itself out when it is closed.
pub(crate) struct Watched {
    pub epoll: Weak<Epoll>,
    pub fd: u32,
    pub watcher: Arc<dyn PollWatcher>,
}

impl File for Epoll {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        crate::anonymous::metadata(self.ino)
    }
    fn poll(&self) -> Readiness {
        let mut left = self.core.ready.len();
        while left > 0 {
            left -= 1;
            let Some(item) = self.core.ready.take() else { break };
            if item.ready(item.wanted.load(Ordering::Acquire)).is_some() {
                if !item.queued.swap(true, Ordering::AcqRel) {
                    self.core.ready.change(|items| items.push_front(item));
                }
                return Readiness::READ;
            }
        }
        Readiness::empty()
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.core.source)
    }
    fn label(&self) -> String {
        String::from("anon_inode:[eventpoll]")
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let this: *const Self = self;
        for ((fd, _), item) in self.items.get_mut().drain() {
            item.dead.store(true, Ordering::Release);
            if let Some(file) = item.file.upgrade()
                && let Some(watched) = file.forget_epoll(this, fd)
                && let Some(source) = file.file().wait_source()
            {
                source.detach(&watched.watcher);
            }
        }
        // Items hold the core and the core's list holds items: this breaks the cycle.
        let _rest = self.core.ready.change(core::mem::take);
    }
}

impl Watched {
    fn belongs_to(&self, epoll: *const Epoll) -> bool {
        core::ptr::eq(self.epoll.as_ptr(), epoll)
    }
    pub(crate) fn is(&self, epoll: *const Epoll, fd: u32) -> bool {
        self.fd == fd && self.belongs_to(epoll)
    }
}
