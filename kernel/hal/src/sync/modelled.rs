//! The lock and the atomics on top of loom, with the names and the `const` constructors of the real ones.
//!
//! loom's values live in one execution of a model. The locks are made at their first use in an execution, so that statics and
//! constants need no other form; the atomics are taken from a store that the first thread makes before there are others,
//! since loom wants a value's making to come before every use. Where loom takes SeqCst for AcqRel, fences around the access make it what x86 does:
//! a store or exchange there waits for all earlier stores.

use crate::irq::IrqGuard;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};

/// Executions so far.
static EXECUTION: AtomicU64 = AtomicU64::new(1);

/// At the start of each execution: what the last one left is not looked at any more.
pub(crate) fn begin() {
    EXECUTION.fetch_add(1, Ordering::SeqCst);
    atomic::begin();
}

/// loom's part of a value, of the execution that runs.
struct OfExecution<A>(UnsafeCell<Option<(u64, A)>>);

// SAFETY: loom runs one thread of a model at a time, and changes them only within its own operations; models run one after
// the other (`model::check`).
unsafe impl<A> Sync for OfExecution<A> {}
// SAFETY: as above.
unsafe impl<A> Send for OfExecution<A> {}

impl<A> OfExecution<A> {
    const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    fn get(&self, make: impl FnOnce() -> A) -> &A {
        let now = EXECUTION.load(Ordering::SeqCst);
        // SAFETY: see `Sync`; a reference to a value of this execution is never made invalid by the exchange below.
        let place = unsafe { &mut *self.0.get() };
        if place.as_ref().is_none_or(|(execution, _)| *execution != now) {
            // Not dropped: loom has forgotten what it refers to.
            core::mem::forget(place.replace((now, make())));
        }
        match place {
            Some((_, value)) => value,
            None => unreachable!("just made"),
        }
    }
}

/// See [`crate::sync::atomic`].
pub mod atomic {
    use super::OfExecution;
    pub use core::sync::atomic::Ordering;
    pub use loom::sync::atomic::fence;
    use std::sync::{Mutex, PoisonError};

    /// Runs `access` as an access of this order.
    fn ordered<R>(order: Ordering, access: impl FnOnce() -> R) -> R {
        if order != Ordering::SeqCst {
            return access();
        }
        fence(Ordering::SeqCst);
        let result = access();
        fence(Ordering::SeqCst);
        result
    }

    /// Atomics of each type in one execution.
    const STORE: usize = 32;

    pub(super) fn begin() {
        AtomicBool::restock();
        AtomicU8::restock();
        AtomicU32::restock();
        AtomicU64::restock();
        AtomicUsize::restock();
    }

    /// loom's atomics start at zero; `$from` and `$to` turn its values to and from those of one that starts elsewhere.
    macro_rules! atomics {
        ($($name:ident $value:ty, $store:ident, $zero:expr, $from:expr, $to:expr;)*) => {$(
            static $store: Mutex<Vec<loom::sync::atomic::$name>> = Mutex::new(Vec::new());

            /// As core's.
            pub struct $name { initial: $value, inner: OfExecution<loom::sync::atomic::$name> }

            impl $name {
                fn restock() {
                    let mut store = $store.lock().unwrap_or_else(PoisonError::into_inner);
                    store.clear();
                    store.extend((0..STORE).map(|_| loom::sync::atomic::$name::new($zero)));
                }
                fn real(&self, value: $value) -> $value {
                    let from: fn($value, $value) -> $value = $from;
                    from(value, self.initial)
                }
                fn stored(&self, value: $value) -> $value {
                    let to: fn($value, $value) -> $value = $to;
                    to(value, self.initial)
                }
                fn inner(&self) -> &loom::sync::atomic::$name {
                    self.inner.get(|| {
                        let taken = $store.lock().unwrap_or_else(PoisonError::into_inner).pop();
                        taken.expect("a model has at most STORE atomics of a type")
                    })
                }
            }

            impl $name {
                /// A new one.
                pub const fn new(initial: $value) -> Self {
                    Self { initial, inner: OfExecution::new() }
                }
                /// As core's.
                pub fn load(&self, order: Ordering) -> $value {
                    self.real(ordered(order, || self.inner().load(order)))
                }
                /// As core's.
                pub fn store(&self, value: $value, order: Ordering) {
                    ordered(order, || self.inner().store(self.stored(value), order))
                }
                /// As core's.
                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.real(ordered(order, || self.inner().swap(self.stored(value), order)))
                }
                /// As core's.
                pub fn compare_exchange(
                    &self, old: $value, new: $value, order: Ordering, failure: Ordering,
                ) -> Result<$value, $value> {
                    let (old, new) = (self.stored(old), self.stored(new));
                    let result = ordered(order, || self.inner().compare_exchange(old, new, order, failure));
                    result.map(|old| self.real(old)).map_err(|found| self.real(found))
                }
                /// As core's; does not fail by itself, as on x86.
                pub fn compare_exchange_weak(
                    &self, old: $value, new: $value, order: Ordering, failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(old, new, order, failure)
                }
                /// As core's.
                pub fn fetch_update(
                    &self, order: Ordering, load: Ordering, mut change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let mut old = self.load(load);
                    while let Some(new) = change(old) {
                        match self.compare_exchange(old, new, order, load) {
                            Ok(old) => return Ok(old),
                            Err(found) => old = found,
                        }
                    }
                    Err(old)
                }
            }

            impl core::fmt::Debug for $name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str(stringify!($name))
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self::new(Default::default())
                }
            }
        )*};
    }
    atomics! {
        AtomicBool bool, BOOLS, false, |value, initial| value ^ initial, |value, initial| value ^ initial;
        AtomicU8 u8, U8S, 0, u8::wrapping_add, u8::wrapping_sub;
        AtomicU32 u32, U32S, 0, u32::wrapping_add, u32::wrapping_sub;
        AtomicU64 u64, U64S, 0, u64::wrapping_add, u64::wrapping_sub;
        AtomicUsize usize, USIZES, 0, usize::wrapping_add, usize::wrapping_sub;
    }

    macro_rules! arithmetic {
        ($($name:ident $value:ty,)*) => {$(
            impl $name {
                /// As core's.
                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.real(ordered(order, || self.inner().fetch_add(value, order)))
                }
                /// As core's.
                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.real(ordered(order, || self.inner().fetch_sub(value, order)))
                }
                /// As core's.
                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    assert_eq!(self.initial, 0, "not made for words that start otherwise");
                    ordered(order, || self.inner().fetch_or(value, order))
                }
                /// As core's.
                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    assert_eq!(self.initial, 0, "not made for words that start otherwise");
                    ordered(order, || self.inner().fetch_and(value, order))
                }
            }
        )*};
    }
    arithmetic!(AtomicU32 u32, AtomicU64 u64, AtomicUsize usize,);
}

/// As the real one.
pub struct SpinLock<T: ?Sized> {
    lock: OfExecution<loom::sync::Mutex<()>>,
    value: UnsafeCell<T>,
}

// SAFETY: loom's lock lets one thread at a time to the value.
unsafe impl<T: ?Sized + Send> Sync for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Send for SpinLock<T> {}

/// As the real one.
pub struct SpinLockGuard<'a, T: ?Sized> {
    value: &'a UnsafeCell<T>,
    // Field order is drop order: the lock opens before interrupts come back.
    _guard: loom::sync::MutexGuard<'a, ()>,
    _irq: IrqGuard,
}

impl<T> SpinLock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { lock: OfExecution::new(), value: UnsafeCell::new(value) }
    }

    /// The value, when nobody can share the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    fn inner(&self) -> &loom::sync::Mutex<()> {
        self.lock.get(|| loom::sync::Mutex::new(()))
    }

    /// Masks interrupts and waits for the lock.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        let irq = IrqGuard::mask();
        let guard = self.inner().lock().expect("a model ends with its first panic");
        SpinLockGuard { value: &self.value, _guard: guard, _irq: irq }
    }

    /// The lock, if it is open now.
    pub fn try_lock(&self) -> Option<SpinLockGuard<'_, T>> {
        let irq = IrqGuard::mask();
        let guard = self.inner().try_lock().ok()?;
        Some(SpinLockGuard { value: &self.value, _guard: guard, _irq: irq })
    }

    /// The value, when the caller's exclusive borrow makes locking needless.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Models do not open locks by force.
    ///
    /// # Safety
    /// None is needed: it panics.
    pub unsafe fn force_unlock(&self) {
        unreachable!("a model has no panic path")
    }
}

impl<T: ?Sized> Deref for SpinLockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.value.get() }
    }
}

impl<T: ?Sized> DerefMut for SpinLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and this borrow is exclusive.
        unsafe { &mut *self.value.get() }
    }
}

impl<T: ?Sized> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpinLock")
    }
}

impl<T: Default> Default for SpinLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
