//! The walks over a file's pages that all kinds of paged contents share: read, write, punch, and the reclaim hand.

use super::frames::page_bytes;
use super::{PAGE, PageTree};
use crate::io::{Sink, Source};
use crate::{FsError, FsResult};
use core::ops::Range;
use mm::FrameRef;

/// Pages taken out of a tree under one hold of its lock: interrupts are masked meanwhile.
pub(crate) const PIECE: usize = 16;
/// Pages looked at under one hold.
const LOOKED_AT: usize = 256;

/// The number of the page that holds byte `offset`.
pub(crate) fn index_of(offset: u64) -> u64 {
    offset / PAGE as u64
}

/// Where in its page byte `offset` lies.
pub(crate) fn within(offset: u64) -> usize {
    (offset % PAGE as u64) as usize
}

/// Bytes from `offset` to the end of its page, at most `most`.
fn rest_of_page(offset: u64, most: usize) -> usize {
    (PAGE - within(offset)).min(most)
}

/// Repeats `step` at the offset that is reached, until it moves nothing. An error after the first bytes is left to the next call
/// (read(2), write(2)).
fn advance(offset: u64, step: &mut dyn FnMut(u64) -> FsResult<usize>) -> FsResult<usize> {
    let mut done = 0;
    loop {
        match step(offset + done as u64) {
            Ok(0) => return Ok(done),
            Ok(count) => done += count,
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
    }
}

/// Copies from `offset` on into `sink`. `look` gets an offset and how many bytes from there on are wanted; it answers with the size of the file
/// at that moment and, if the offset lies before it, the page there (none: a hole).
pub(crate) fn read(
    offset: u64,
    sink: &mut dyn Sink,
    look: &mut dyn FnMut(u64, usize) -> FsResult<(u64, Option<FrameRef>)>,
) -> FsResult<usize> {
    advance(offset, &mut |at| {
        let wanted = sink.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        let (size, frame) = look(at, wanted)?;
        let len = rest_of_page(at, wanted).min(size.saturating_sub(at).min(PAGE as u64) as usize);
        match frame {
            _ if len == 0 => Ok(0),
            Some(frame) => sink.put(&page_bytes(&frame)[within(at)..within(at) + len]),
            None => sink.put_zeros(len),
        }
    })
}

/// Gives `source` page by page to `write_in_page` (offset, bytes that fit there, source). Errors: `TooBig` at the largest offset.
pub(crate) fn write(
    offset: u64,
    source: &mut dyn Source,
    write_in_page: &mut dyn FnMut(u64, usize, &mut dyn Source) -> FsResult<usize>,
) -> FsResult<usize> {
    advance(offset, &mut |at| {
        let most = source.remaining();
        if most == 0 {
            return Ok(0);
        }
        let space = (i64::MAX as u64).saturating_sub(at);
        if space == 0 {
            return Err(FsError::TooBig);
        }
        write_in_page(at, rest_of_page(at, most).min(space.min(PAGE as u64) as usize), source)
    })
}

/// What a hole from one byte to another takes away.
pub(crate) struct Hole {
    /// Pages that go altogether.
    pub pages: Range<u64>,
    /// Parts of pages that become zeros: offset, bytes (perhaps none).
    edges: [(u64, usize); 2],
}

impl Hole {
    /// The hole `offset .. end`, in bytes.
    pub fn new(offset: u64, end: u64) -> Self {
        let edges = if index_of(offset) == index_of(end) {
            [(offset, (end - offset) as usize), (0, 0)]
        } else {
            [(offset, (PAGE - within(offset)) % PAGE), (end - within(end) as u64, within(end))]
        };
        Self { pages: offset.div_ceil(PAGE as u64)..index_of(end), edges }
    }

    /// The parts of pages that become zeros.
    pub fn edges(&self) -> impl Iterator<Item = (u64, usize)> {
        self.edges.into_iter().filter(|(_, len)| *len > 0)
    }
}

/// One stride of a reclaim hand.
pub(crate) struct Stride<T> {
    /// What was taken out; the rest is empty. To be dropped without the lock.
    pub victims: [Option<T>; PIECE],
    pub count: usize,
    /// Whether the hand has not come to the end of the file yet.
    pub is_unfinished: bool,
}

/// Tries `get` again as long as memory is short and some can be made: calls do not fail because another thread was faster. Not for
/// page faults, which try again themselves.
pub(crate) fn patiently<R>(mut get: impl FnMut() -> FsResult<R>) -> FsResult<R> {
    let mut patience = mm::frame::Patience::default();
    loop {
        match get() {
            Err(FsError::NoMemory) if patience.makes_room() => {}
            result => return result,
        }
    }
}

/// Moves `hand` on and takes out up to `most` pages of which `is_idle` holds.
pub(crate) fn stride<T>(
    tree: &mut PageTree<T>,
    hand: &mut u64,
    most: usize,
    is_idle: impl Fn(&T) -> bool,
) -> Stride<T> {
    let most = most.min(PIECE);
    let mut picked = [0; PIECE];
    let (mut count, mut looked, mut is_unfinished) = (0, 0, false);
    let mut at = *hand;
    tree.visit(at, &mut |index, page| {
        at = index + 1;
        looked += 1;
        if is_idle(page) {
            picked[count] = index;
            count += 1;
        }
        is_unfinished = looked == LOOKED_AT || count == most;
        !is_unfinished
    });
    *hand = if is_unfinished { at } else { 0 };
    let mut victims = [const { None }; PIECE];
    for (slot, index) in victims.iter_mut().zip(&picked[..count]) {
        *slot = tree.remove(*index);
    }
    Stride { victims, count, is_unfinished }
}

/// Repeats `stride` (pages wanted) until `goal` pages are free, or there are no more, or the lock is taken. How many.
pub(crate) fn shrink<T>(goal: usize, stride: &mut dyn FnMut(usize) -> Option<Stride<T>>) -> usize {
    let mut freed = 0;
    while freed < goal {
        let Some(done) = stride(goal - freed) else { break };
        freed += done.count;
        drop(done.victims);
        if !done.is_unfinished {
            break;
        }
    }
    freed
}
