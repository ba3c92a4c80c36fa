//! A spin lock that masks interrupts on its holder's vCPU, so that interrupt handlers may take it too and its holder
//! is never preempted.

use crate::irq::IrqGuard;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// Mutual exclusion for short sections: no sleep, no user memory and no waiting for another vCPU while it is held.
pub struct SpinLock<T: ?Sized>(spin::Mutex<T>);

/// Access to a [`SpinLock`]'s value. Dropping it unlocks first and unmasks interrupts then.
pub struct SpinLockGuard<'a, T: ?Sized> {
    // Field order is drop order: the lock opens before interrupts come back.
    guard: spin::MutexGuard<'a, T>,
    _irq: IrqGuard,
}

impl<T> SpinLock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(spin::Mutex::new(value))
    }

    /// The value, when nobody can share the lock any more.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Masks interrupts and waits for the lock.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        let irq = IrqGuard::mask();
        SpinLockGuard { guard: self.0.lock(), _irq: irq }
    }

    /// The lock, if it is open now.
    pub fn try_lock(&self) -> Option<SpinLockGuard<'_, T>> {
        let irq = IrqGuard::mask();
        Some(SpinLockGuard { guard: self.0.try_lock()?, _irq: irq })
    }

    /// The value, when the caller's exclusive borrow makes locking needless.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// Opens the lock by force, for the panic path of a machine that will not run on.
    ///
    /// # Safety
    /// Every other vCPU is stopped, or the value may be torn.
    pub unsafe fn force_unlock(&self) {
        // SAFETY: the caller's duty.
        unsafe { self.0.force_unlock() }
    }
}

impl<T: ?Sized> Deref for SpinLockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for SpinLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Default> Default for SpinLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
