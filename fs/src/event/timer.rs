//! `timerfd`.

use crate::anonymous::{metadata, next_ino};
use crate::file::File;
use crate::io::{Blocking, Sink};
use crate::metadata::{Metadata, StatusFlags};
use crate::poll::{PollSource, Readiness};
use crate::{FsError, FsResult, OpenFile};
use alloc::{boxed::Box, string::String, sync::Arc, sync::Weak};
use core::any::Any;
use hal::sync::SpinLock;
use sched::timer::{Timer, TimerOwner};
use sched::{Interruptible, WaitQueue};

/// The clock of a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimerClock {
    /// Since boot.
    Monotonic,
    /// Time of day.
    Realtime,
}

/// When a timer fires.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimerSetting {
    /// First time, nanoseconds: from now, or on the timer's clock with `absolute`; 0 disarms.
    pub value_ns: u64,
    /// Then each; 0 for once.
    pub interval_ns: u64,
}

#[derive(Default)]
struct State {
    /// Next expiration ([`hal::clock::now_ns`] time); None when disarmed.
    next_ns: Option<u64>,
    interval_ns: u64,
    /// Expirations not read yet, up to the last look.
    expirations: u64,
}

impl State {
    /// Counts what has expired until `now_ns`.
    fn advance(&mut self, now_ns: u64) {
        let Some(next_ns) = self.next_ns.filter(|&next_ns| next_ns <= now_ns) else { return };
        match (now_ns - next_ns).checked_div(self.interval_ns) {
            // No interval: once.
            None => {
                self.next_ns = None;
                self.expirations += 1;
            }
            Some(missed) => {
                self.expirations = self.expirations.saturating_add(missed + 1);
                self.next_ns = Some(next_ns + (missed + 1) * self.interval_ns);
            }
        }
    }
}

struct Shared {
    state: SpinLock<State>,
    readable: WaitQueue,
    source: PollSource,
}

/// A timer that can be waited for.
pub struct TimerFd {
    ino: u64,
    clock: TimerClock,
    shared: Arc<Shared>,
    timer: Timer,
}

impl TimerFd {
    /// A disarmed timer.
    pub fn open(clock: TimerClock, status: StatusFlags) -> Arc<OpenFile> {
        let shared = Arc::new(Shared {
            state: SpinLock::new(State::default()),
            readable: WaitQueue::new(),
            source: PollSource::new(),
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        let fire = move || {
            if let Some(shared) = weak.upgrade() {
                shared.readable.wake_all();
                shared.source.notify(Readiness::READ);
            }
        };
        let timer = Timer::new(TimerOwner::Application, Box::new(fire));
        let file = Arc::new(Self { ino: next_ino(), clock, shared, timer });
        OpenFile::anonymous(file, status | StatusFlags::READ | StatusFlags::WRITE)
    }

    /// Sets the timer and gives what was set: time left and interval. `absolute`: the value is a time on the clock.
    pub fn set(&self, setting: TimerSetting, absolute: Absolute) -> TimerSetting {
        let now_ns = hal::clock::now_ns();
        let old = self.get();
        let next_ns = (setting.value_ns > 0).then(|| match (absolute, self.clock) {
            (Absolute::No, _) => now_ns.saturating_add(setting.value_ns),
            (Absolute::Yes, TimerClock::Monotonic) => setting.value_ns,
            (Absolute::Yes, TimerClock::Realtime) => {
                now_ns.saturating_add(setting.value_ns.saturating_sub(hal::clock::realtime_ns()))
            }
        });
        {
            let mut state = self.shared.state.lock();
            *state = State { next_ns, interval_ns: setting.interval_ns, expirations: 0 };
        }
        match next_ns {
            Some(next_ns) => self.timer.arm(next_ns),
            None => {
                self.timer.cancel();
            }
        }
        old
    }

    /// Time left until the next expiration (0: disarmed) and the interval.
    pub fn get(&self) -> TimerSetting {
        let now_ns = hal::clock::now_ns();
        let mut state = self.shared.state.lock();
        state.advance(now_ns);
        let value_ns = state.next_ns.map_or(0, |next_ns| next_ns.saturating_sub(now_ns).max(1));
        TimerSetting { value_ns, interval_ns: state.interval_ns }
    }

    /// Takes the count of expirations and arms for the next one.
    fn take(&self) -> Option<u64> {
        let mut state = self.shared.state.lock();
        state.advance(hal::clock::now_ns());
        let count = core::mem::take(&mut state.expirations);
        let next_ns = state.next_ns;
        drop(state);
        if count == 0 {
            return None;
        }
        if let Some(next_ns) = next_ns {
            self.timer.arm(next_ns);
        }
        Some(count)
    }
}

/// Whether a time is one on the clock or a distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absolute {
    /// A time on the clock.
    Yes,
    /// A distance from now.
    No,
}

impl File for TimerFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        if sink.remaining() < 8 {
            return Err(FsError::Invalid);
        }
        let count = match self.take() {
            Some(count) => count,
            None if blocking == Blocking::Never => return Err(FsError::WouldBlock),
            None => loop {
                let ready = || {
                    let mut state = self.shared.state.lock();
                    state.advance(hal::clock::now_ns());
                    (state.expirations > 0).then_some(())
                };
                self.shared.readable.wait_until(None, Interruptible::Yes, ready)?;
                if let Some(count) = self.take() {
                    break count;
                }
            },
        };
        sink.put(&count.to_ne_bytes())
    }
    fn metadata(&self) -> Metadata {
        metadata(self.ino)
    }
    fn poll(&self) -> Readiness {
        let mut state = self.shared.state.lock();
        state.advance(hal::clock::now_ns());
        let mut ready = Readiness::empty();
        ready.set(Readiness::READ, state.expirations > 0);
        ready
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.shared.source)
    }
    fn label(&self) -> String {
        String::from("anon_inode:[timerfd]")
    }
}
