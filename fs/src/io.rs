//! Where bytes go to and come from: user buffers (by `libc-compat`) and kernel slices.
//!
//! Both are called with no spin lock held, because a user buffer may fault and sleep.

use crate::{FsError, FsResult};
use alloc::vec::Vec;

/// A destination of bytes.
pub trait Sink {
    /// Takes the front of `bytes`, at most [`Sink::remaining`], and says how many. An error only if no byte was taken.
    fn put(&mut self, bytes: &[u8]) -> FsResult<usize>;
    /// Bytes that still fit.
    fn remaining(&self) -> usize;

    /// `len` zero bytes; as `put`.
    fn put_zeros(&mut self, len: usize) -> FsResult<usize> {
        static ZEROS: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < len && self.remaining() > 0 {
            match self.put(&ZEROS[..(len - done).min(ZEROS.len())]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

/// A supply of bytes.
pub trait Source {
    /// Fills the front of `buffer`, at most [`Source::remaining`], and says how much. An error only if no byte was given.
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize>;
    /// Bytes that are left.
    fn remaining(&self) -> usize;
}

/// Whether an operation may sleep until it can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocking {
    /// Sleep; a signal ends it with `Interrupted`.
    Wait,
    /// Answer `WouldBlock` instead.
    Never,
}

/// A kernel slice as destination.
pub struct SliceSink<'a> {
    rest: &'a mut [u8],
    filled: usize,
}

impl<'a> SliceSink<'a> {
    /// Fills `buffer` from its front.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { rest: buffer, filled: 0 }
    }
    /// Bytes taken so far.
    pub fn filled(&self) -> usize {
        self.filled
    }
}

impl Sink for SliceSink<'_> {
    fn put(&mut self, bytes: &[u8]) -> FsResult<usize> {
        let count = bytes.len().min(self.rest.len());
        let (now, later) = core::mem::take(&mut self.rest).split_at_mut(count);
        now.copy_from_slice(&bytes[..count]);
        self.rest = later;
        self.filled += count;
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// A growing vector with a limit as destination.
pub struct VecSink {
    /// What has arrived.
    pub bytes: Vec<u8>,
    limit: usize,
}

impl VecSink {
    /// Takes at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }
}

impl Sink for VecSink {
    fn put(&mut self, bytes: &[u8]) -> FsResult<usize> {
        let count = bytes.len().min(self.remaining());
        self.bytes.try_reserve(count).map_err(|_| FsError::NoMemory)?;
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.limit - self.bytes.len()
    }
}

/// A kernel slice as supply.
pub struct SliceSource<'a> {
    rest: &'a [u8],
}

impl<'a> SliceSource<'a> {
    /// Gives `bytes` from their front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl Source for SliceSource<'_> {
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize> {
        let count = buffer.len().min(self.rest.len());
        let (now, later) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// The first bytes of another supply.
pub struct LimitedSource<'a> {
    inner: &'a mut dyn Source,
    left: usize,
}

impl<'a> LimitedSource<'a> {
    /// At most `limit` bytes of `inner`.
    pub fn new(inner: &'a mut dyn Source, limit: usize) -> Self {
        let left = inner.remaining().min(limit);
        Self { inner, left }
    }
}

impl Source for LimitedSource<'_> {
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize> {
        let most = buffer.len().min(self.left);
        let count = self.inner.take(&mut buffer[..most])?;
        self.left -= count;
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.left
    }
}
