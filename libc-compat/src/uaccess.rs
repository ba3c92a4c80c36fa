//! The application's memory, typed. Every access is range-checked and survives a bad pointer (EFAULT).

use crate::Errno;
use core::marker::PhantomData;
use core::mem::{MaybeUninit, size_of};

/// A type that any bytes are a value of, without padding that would leak kernel memory.
///
/// # Safety
/// Every bit pattern is valid, and the type has no padding bytes.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: integers and C structures of integers that Linux's ABI lays out without padding.
            unsafe impl $crate::uaccess::Plain for $type {}
        )*
    };
}
pub(crate) use plain;

plain!(u8, u16, u32, u64, i32, i64);
// SAFETY: an array has no padding beyond its elements'.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A pointer to a `T` (or the first of several) in the application's memory, as a call was given it.
pub struct UserPtr<T> {
    addr: u64,
    target: PhantomData<*const T>,
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T> UserPtr<T> {
    /// The pointer with address `addr`.
    pub const fn new(addr: u64) -> Self {
        Self { addr, target: PhantomData }
    }
    /// The address.
    pub const fn addr(self) -> u64 {
        self.addr
    }
    /// Whether the application passed NULL.
    pub const fn is_null(self) -> bool {
        self.addr == 0
    }
    /// The pointer, or `None` for NULL.
    pub const fn non_null(self) -> Option<Self> {
        if self.addr == 0 { None } else { Some(self) }
    }
    /// The `count`th element behind it.
    pub const fn add(self, count: u64) -> Self {
        Self::new(self.addr.wrapping_add(count.wrapping_mul(size_of::<T>() as u64)))
    }
    /// The same address with another type.
    pub const fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.addr)
    }
}

impl<T: Plain> UserPtr<T> {
    /// Reads the value.
    pub fn read(self) -> Result<T, Errno> {
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: `value` is zeroed, hence initialised bytes of that length.
        let bytes = unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
        hal::user::copy_from(bytes, self.addr)?;
        // SAFETY: `Plain`: any bytes are a value.
        Ok(unsafe { value.assume_init() })
    }

    /// Writes the value.
    pub fn write(self, value: T) -> Result<(), Errno> {
        // SAFETY: `Plain`: no padding, so every byte is initialised.
        let bytes = unsafe { core::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
        Ok(hal::user::copy_to(self.addr, bytes)?)
    }

    /// Writes the value unless the pointer is NULL (optional results).
    pub fn write_if_given(self, value: T) -> Result<(), Errno> {
        if self.is_null() { Ok(()) } else { self.write(value) }
    }
}

/// A path or name: NUL-terminated, at most `PATH_MAX` (4096) bytes with its NUL.
pub fn path(addr: u64) -> Result<alloc::vec::Vec<u8>, Errno> {
    Ok(hal::user::copy_string(addr, 4095)?)
}

/// A buffer in the application's memory.
#[derive(Clone, Copy, Debug)]
pub struct UserSlice {
    addr: u64,
    len: usize,
}

impl UserSlice {
    /// `len` bytes at `addr`.
    pub const fn new(addr: u64, len: usize) -> Self {
        Self { addr, len }
    }
    /// Start.
    pub const fn addr(&self) -> u64 {
        self.addr
    }
    /// Bytes left.
    pub const fn len(&self) -> usize {
        self.len
    }
    /// Nothing left.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Copies the next `bytes.len()` bytes (at most [`Self::len`]) to the application and advances.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let count = bytes.len().min(self.len);
        hal::user::copy_to(self.addr, &bytes[..count])?;
        self.advance(count);
        Ok(count)
    }
    /// Copies the next `bytes.len()` bytes (at most [`Self::len`]) from the application and advances.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let count = bytes.len().min(self.len);
        hal::user::copy_from(&mut bytes[..count], self.addr)?;
        self.advance(count);
        Ok(count)
    }
    /// Clears the next `count` bytes (at most [`Self::len`]) and advances.
    #[inline(always)]
    pub fn clear(&mut self, count: usize) -> Result<(), Errno> {
        let count = count.min(self.len);
        hal::user::zero(self.addr, count)?;
        self.advance(count);
        Ok(())
    }
    fn advance(&mut self, count: usize) {
        self.addr += count as u64;
        self.len -= count;
    }
}
