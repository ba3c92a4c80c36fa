//! Fairness: who runs next on a vCPU. Pure data, no machine.

mod fair;
mod run_queue;
#[cfg(test)]
mod tests;

pub use fair::Class;
pub(crate) use fair::Fair;
pub(crate) use run_queue::{Arrival, Effect, RunQueue, Runnable, SLICE_NS};
