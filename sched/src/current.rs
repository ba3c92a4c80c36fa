//! The running thread.
use crate::{Thread, ThreadRef};
use core::marker::PhantomData;
use core::ops::Deref;

/// The running thread, without a count.
pub struct Current { thread: *const Thread, _not_send: PhantomData<*mut ()> }

impl Current {
    /// A counted reference.
    pub fn to_ref(&self) -> ThreadRef { unimplemented!() }
}
impl Deref for Current {
    type Target = Thread;
    fn deref(&self) -> &Thread {
        // SAFETY: the running thread is alive.
        unsafe { &*self.thread }
    }
}
/// The running thread.
pub fn current() -> Current { unimplemented!() }
/// The running thread; `None` before [`crate::init_boot_cpu`].
pub fn try_current() -> Option<Current> { unimplemented!() }
