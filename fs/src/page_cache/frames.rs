//! The contents of frames as bytes: the one place where this crate touches memory by address.
#![allow(unsafe_code, reason = "frames are reached by address; everything above sees slices and copies")]

use super::PAGE;
use crate::FsResult;
use crate::io::Source;
use mm::FrameRef;

/// The bytes of a page. A mapping of the page may change them meanwhile, as on every Unix: treat them as a snapshot that
/// may be torn, and never base a bounds decision on reading them twice.
pub(crate) fn page_bytes(frame: &FrameRef) -> &[u8; PAGE] {
    // SAFETY: a counted frame is one page of the direct map that stays allocated while `frame` lives, and the borrow ends
    // before. Concurrent stores by the application's mappings race with reads of these bytes; the compiler cannot see the
    // application, and every use here copies the bytes out once.
    unsafe { &*frame.as_ptr().cast::<[u8; PAGE]>() }
}

/// Moves up to `len` bytes from `source` to `offset` in the page.
pub(crate) fn copy_in(frame: &FrameRef, offset: usize, len: usize, source: &mut dyn Source) -> FsResult<usize> {
    assert!(offset + len <= PAGE, "callers split at page borders");
    // SAFETY: inside the page by the assertion. The file's content lock keeps other writers of this crate away; stores
    // through the application's mappings are as in `page_bytes`.
    let bytes = unsafe { core::slice::from_raw_parts_mut(frame.as_ptr().add(offset), len) };
    source.take(bytes)
}

/// Copies `bytes` to `offset` in the page.
pub(crate) fn write_bytes(frame: &FrameRef, offset: usize, bytes: &[u8]) {
    let _all = copy_in(frame, offset, bytes.len(), &mut crate::io::SliceSource::new(bytes));
}

/// Clears `offset .. offset + len` of the page.
pub(crate) fn zero_range(frame: &FrameRef, offset: usize, len: usize) {
    assert!(offset + len <= PAGE, "callers split at page borders");
    // SAFETY: inside the page by the assertion.
    let start = unsafe { frame.as_ptr().add(offset) };
    // SAFETY: as in `copy_in`.
    unsafe { start.write_bytes(0, len) };
}
