//! The running thread.

use crate::{Thread, ThreadRef, machine, registry};
use core::marker::PhantomData;
use core::ops::Deref;

/// The running thread, borrowed from itself: no count is touched.
pub struct Current {
    thread: *const Thread,
    /// Not `Send`: it would be somebody else's current thread.
    _not_send: PhantomData<*mut ()>,
}

impl Current {
    /// A counted reference, to hand to others.
    pub fn to_ref(&self) -> ThreadRef {
        // SAFETY: threads live in an `Arc`, and a running one is counted by the registry (an idle one for ever).
        unsafe { registry::count_reference(self.thread) }
    }

    /// Its address, for wait records.
    pub(crate) fn as_ptr(&self) -> *const Thread {
        self.thread
    }
}

impl Deref for Current {
    type Target = Thread;
    fn deref(&self) -> &Thread {
        // SAFETY: the running thread outlives every value on its stack, and `Current` cannot leave it.
        unsafe { &*self.thread }
    }
}

/// The running thread.
///
/// # Panics
/// Before [`crate::init_boot_cpu`].
pub fn current() -> Current {
    try_current().expect("threads exist once the boot vCPU is initialised")
}

/// The running thread; `None` before [`crate::init_boot_cpu`].
pub fn try_current() -> Option<Current> {
    let thread = machine::current();
    (!thread.is_null()).then_some(Current { thread, _not_send: PhantomData })
}
