//! Event objects: counters and timers that can be polled.

mod counter;
mod timer;

pub use counter::{CounterMode, EventFd};
pub use timer::{Absolute, TimerClock, TimerFd, TimerSetting};
