//! Bytes of a stream on their way: a list of pieces, so that nothing is moved when it grows and nothing is kept when it
//! is empty.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use fs::{FsError, FsResult, Source};
use hal::sync::SpinLock;

/// A new piece that bytes are appended to has at least this capacity.
const PIECE_MIN: usize = 2048;
/// Most bytes of one piece.
pub const PIECE_MAX: usize = 32 << 10;

/// One run of bytes.
#[derive(Default)]
pub struct Piece {
    bytes: Vec<u8>,
    taken: usize,
}

/// Blocks that pieces were in: the next one takes the memory without a way through the allocator.
struct Spare {
    blocks: [Vec<u8>; SPARE_MAX],
    count: usize,
}

const SPARE_MAX: usize = 32;
static SPARE: SpinLock<Spare> = SpinLock::new(Spare { blocks: [const { Vec::new() }; SPARE_MAX], count: 0 });

/// An empty block of [`PIECE_MIN`] bytes; `None` if memory is short.
fn block() -> Option<Vec<u8>> {
    {
        let mut spare = SPARE.lock();
        if spare.count > 0 {
            spare.count -= 1;
            let at = spare.count;
            return Some(core::mem::take(&mut spare.blocks[at]));
        }
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(PIECE_MIN).ok()?;
    Some(bytes)
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.bytes.capacity() == PIECE_MIN {
            let mut spare = SPARE.lock();
            if spare.count < SPARE_MAX {
                let at = spare.count;
                self.bytes.clear();
                spare.blocks[at] = core::mem::take(&mut self.bytes);
                spare.count += 1;
            }
        }
    }
}

impl Piece {
    /// Takes up to `count` bytes (fewer if the source faults; the error if there was none).
    pub fn fill(source: &mut dyn Source, count: usize) -> FsResult<Self> {
        let mut bytes = Vec::new();
        if count <= PIECE_MIN {
            bytes = block().ok_or(FsError::NoBuffers)?;
        } else {
            bytes.try_reserve_exact(count).map_err(|_| FsError::NoBuffers)?;
        }
        bytes.resize(count, 0);
        let mut done = 0;
        while done < count {
            match source.take(&mut bytes[done..]) {
                Ok(0) => break,
                Ok(taken) => done += taken,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        bytes.truncate(done);
        Ok(Self { bytes, taken: 0 })
    }
    /// What is left.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
    /// The front is done with.
    pub fn advance(&mut self, count: usize) {
        self.taken += count;
    }
}

/// The pieces.
#[derive(Default)]
pub struct ByteQueue {
    pieces: VecDeque<Piece>,
    len: usize,
    held: usize,
}

impl ByteQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { pieces: VecDeque::new(), len: 0, held: 0 }
    }
    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Bytes of memory that its pieces hold: a single byte is in a block of [`PIECE_MIN`].
    pub fn held(&self) -> usize {
        self.held
    }
    /// Adds a piece; a small one joins the last, if that has room.
    pub fn push(&mut self, piece: Piece) {
        let count = piece.rest().len();
        self.len += count;
        if let Some(last) = self.pieces.back_mut()
            && last.bytes.capacity() - last.bytes.len() >= count
        {
            last.bytes.extend_from_slice(piece.rest());
        } else if count > 0 {
            self.held += piece.bytes.capacity();
            self.pieces.push_back(piece);
        }
    }
    /// Copies bytes to the end; how many (fewer only if memory is short).
    pub fn append(&mut self, mut bytes: &[u8]) -> usize {
        let before = self.len;
        while !bytes.is_empty() {
            let room = self.pieces.back().map_or(0, |last| last.bytes.capacity() - last.bytes.len());
            if room == 0 {
                let size = (bytes.len().max(self.len / 2)).clamp(PIECE_MIN, PIECE_MAX).next_power_of_two();
                let mut fresh = Vec::new();
                if size == PIECE_MIN {
                    let Some(block) = block() else { break };
                    fresh = block;
                } else if fresh.try_reserve_exact(size).is_err() {
                    break;
                }
                self.held += fresh.capacity();
                self.pieces.push_back(Piece { bytes: fresh, taken: 0 });
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(last) = self.pieces.back_mut() {
                last.bytes.extend_from_slice(now);
            }
            self.len += now.len();
            bytes = later;
        }
        self.len - before
    }
    /// As [`Self::append`] for few bytes: all of them or, if memory is short, none.
    pub fn append_few(&mut self, bytes: &[u8]) -> bool {
        let has_room = self.pieces.back().is_some_and(|last| last.bytes.capacity() - last.bytes.len() >= bytes.len());
        if !has_room {
            let Some(block) = block().filter(|_| bytes.len() <= PIECE_MIN) else { return false };
            self.held += block.capacity();
            self.pieces.push_back(Piece { bytes: block, taken: 0 });
        }
        if let Some(last) = self.pieces.back_mut() {
            last.bytes.extend_from_slice(bytes);
        }
        self.len += bytes.len();
        true
    }
    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.rest().len();
        self.held -= piece.bytes.capacity();
        Some(piece)
    }
    /// Puts back what [`Self::pop`] gave and was not used.
    pub fn unpop(&mut self, piece: Piece) {
        if !piece.rest().is_empty() {
            self.len += piece.rest().len();
            self.held += piece.bytes.capacity();
            self.pieces.push_front(piece);
        }
    }
    /// Drops bytes at the front.
    pub fn discard(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.pieces.front_mut() else { break };
            let here = first.rest().len().min(count);
            first.advance(here);
            self.len -= here;
            count -= here;
            if first.rest().is_empty() {
                self.held -= first.bytes.capacity();
                self.pieces.pop_front();
            }
        }
    }
    /// Copies bytes from `offset` on into `to`; how many.
    pub fn peek(&self, mut offset: usize, to: &mut [u8]) -> usize {
        // Most segments lie in the first piece.
        if let Some(all) = self.pieces.front().and_then(|first| first.rest().get(offset..offset + to.len())) {
            to.copy_from_slice(all);
            return to.len();
        }
        let mut done = 0;
        for piece in &self.pieces {
            let rest = piece.rest();
            if offset >= rest.len() {
                offset -= rest.len();
                continue;
            }
            let count = (rest.len() - offset).min(to.len() - done);
            to[done..done + count].copy_from_slice(&rest[offset..offset + count]);
            done += count;
            offset = 0;
            if done == to.len() {
                break;
            }
        }
        done
    }
    /// Drops everything.
    pub fn clear(&mut self) -> ByteQueue {
        core::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_held_is_the_room_of_the_pieces(ops in prop::collection::vec((0..5u8, 1..70_000usize), 1..60)) {
            let mut queue = ByteQueue::new();
            let bytes = std::vec![7; PIECE_MAX];
            for (op, count) in ops {
                match op {
                    0 => {
                        let count = count.min(PIECE_MAX);
                        let piece = Piece::fill(&mut fs::SliceSource::new(&bytes[..count]), count);
                        queue.push(piece.expect("memory"));
                    }
                    1 => {
                        queue.append(&bytes[..count.min(PIECE_MAX)]);
                    }
                    2 => queue.discard(count),
                    3 => drop(queue.pop()),
                    _ => {
                        if let Some(mut piece) = queue.pop() {
                            let part = count.min(piece.rest().len());
                            piece.advance(part);
                            queue.unpop(piece);
                        }
                    }
                }
                let room: usize = queue.pieces.iter().map(|piece| piece.bytes.capacity()).sum();
                prop_assert_eq!(queue.held(), room);
                prop_assert!(queue.len() <= room);
            }
        }
    }
}
