//! A lock for many readers or one writer, that sleeps.
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

/// Many readers or one writer; writers first.
pub struct RwLock<T: ?Sized> { value: UnsafeCell<T> }
// SAFETY: the lock gives a writer exclusive access.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers share `&T` between threads, hence `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
/// Shared access.
pub struct RwLockReadGuard<'a, T: ?Sized> { lock: &'a RwLock<T> }
/// Exclusive access.
pub struct RwLockWriteGuard<'a, T: ?Sized> { lock: &'a RwLock<T> }

impl<T> RwLock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self { Self { value: UnsafeCell::new(value) } }
    /// The value.
    pub fn into_inner(self) -> T { self.value.into_inner() }
}
impl<T: ?Sized> RwLock<T> {
    /// Waits for shared access. Not to be nested: a writer between the two would stop both.
    pub fn read(&self) -> RwLockReadGuard<'_, T> { unimplemented!() }
    /// Waits for exclusive access.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> { unimplemented!() }
    /// Shared access, if free now.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> { unimplemented!() }
    /// Exclusive access, if free now.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> { unimplemented!() }
    /// The value, by exclusive borrow.
    pub fn get_mut(&mut self) -> &mut T { self.value.get_mut() }
}
impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Becomes a reader without letting a writer between.
    pub fn downgrade(_guard: Self) -> RwLockReadGuard<'a, T> { unimplemented!() }
}
impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds a share.
        unsafe { &*self.lock.value.get() }
    }
}
impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}
impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}
impl<T: Default> Default for RwLock<T> {
    fn default() -> Self { Self::new(T::default()) }
}
