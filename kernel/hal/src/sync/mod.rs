//! Locks that never sleep, and the atomics of what is checked by models: with the feature `loom` both are loom's, so that it
//! tries every order in which the code of several vCPUs can meet ([`crate::model`]).

#[cfg(feature = "loom")]
pub(crate) mod modelled;
#[cfg(not(feature = "loom"))]
mod spin_lock;
/// As `core::sync::atomic`.
pub mod atomic {
    #[cfg(feature = "loom")]
    pub use super::modelled::atomic::*;
    #[cfg(not(feature = "loom"))]
    pub use core::sync::atomic::*;
}
#[cfg(feature = "loom")]
pub use modelled::{SpinLock, SpinLockGuard};
pub use spin::Once;
#[cfg(not(feature = "loom"))]
pub use spin_lock::{SpinLock, SpinLockGuard};
