//! A lock that sleeps.
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

/// Mutual exclusion; waiting sleeps.
pub struct Mutex<T: ?Sized> { value: UnsafeCell<T> }
// SAFETY: the lock gives one thread at a time access.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
/// Access to a [`Mutex`]'s value.
pub struct MutexGuard<'a, T: ?Sized> { lock: &'a Mutex<T> }

impl<T> Mutex<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self { Self { value: UnsafeCell::new(value) } }
    /// The value.
    pub fn into_inner(self) -> T { self.value.into_inner() }
}
impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> { unimplemented!() }
    /// The lock, if it is open now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> { unimplemented!() }
    /// The value, by exclusive borrow.
    pub fn get_mut(&mut self) -> &mut T { self.value.get_mut() }
}
impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}
impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}
impl<T: Default> Default for Mutex<T> {
    fn default() -> Self { Self::new(T::default()) }
}
