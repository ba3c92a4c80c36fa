//! The one place that chooses what threads run on: vCPUs, or std threads, or those of a model. All sides export the same names:
//!
//! - `Machine`: what a thread needs there; `launch`, `exit`;
//! - `current`, `block` (the thread is in a PARKED state; returns whether the deadline ended it), `make_runnable` (who
//!   moved a thread out of a PARKED state calls it, once), `interrupt` (a thread that may be running looks at its flags);
//! - `yield_now`, `preempt`, `timer_interrupt`, `reschedule_interrupt`, `program_timer`, `init_cpu`, `run_idle`;
//! - `executor`: who runs this code, as far as callbacks go; `passes`: counts what the scheduler did;
//! - statistics.

#[cfg(any(feature = "bare", feature = "vcpus"))]
mod bare;
#[cfg(not(any(feature = "bare", feature = "loom")))]
mod host;
#[cfg(all(feature = "loom", not(feature = "vcpus")))]
mod model;

#[cfg(any(feature = "bare", feature = "vcpus"))]
pub(crate) use bare::*;
#[cfg(not(any(feature = "bare", feature = "loom")))]
pub(crate) use host::*;
#[cfg(all(feature = "loom", not(feature = "vcpus")))]
pub(crate) use model::*;
