//! Event objects: counters, timers and queues of file events that can be polled.

mod counter;
pub mod notify;
mod timer;

pub use counter::{CounterMode, EventFd};
pub use notify::NotifyQueue;
pub use timer::{Absolute, TimerClock, TimerFd, TimerSetting};
