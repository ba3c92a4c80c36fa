//! Physically contiguous memory for devices.
use crate::machine::PhysAddr;

/// Zeroed, physically contiguous, page-aligned; freed on drop.
pub struct DmaBuffer {
    _private: (),
}

impl DmaBuffer {
    /// At least `len` bytes; None when there is no such run.
    pub fn new(len: usize) -> Option<Self> {
        let _ = len;
        unimplemented!()
    }
    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        unimplemented!()
    }
    /// Bytes usable.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        unimplemented!()
    }
    /// The bytes. The device must not write them meanwhile.
    pub fn as_slice(&self) -> &[u8] {
        unimplemented!()
    }
    /// The bytes, to be written. The device must not use them meanwhile.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        unimplemented!()
    }
}
