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
    /// Bytes that were written once; what of them counts is in the next two.
    bytes: Vec<u8>,
    taken: usize,
    end: usize,
}

/// Blocks that pieces were in: the next one takes the memory, with bytes in it, without a way through the allocator.
struct Spare {
    blocks: [Vec<u8>; SPARE_MAX],
    count: usize,
}

const SPARE_MAX: usize = 32;
static SPARE: SpinLock<Spare> = SpinLock::new(Spare { blocks: [const { Vec::new() }; SPARE_MAX], count: 0 });

/// A block with room for [`PIECE_MIN`] bytes; `None` if memory is short.
fn block() -> Option<Vec<u8>> {
    {
        let mut spare = SPARE.lock();
        if let Some(block) = spare.count.checked_sub(1).and_then(|at| spare.blocks.get_mut(at)) {
            let block = core::mem::take(block);
            spare.count -= 1;
            return Some(block);
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
            let at = spare.count;
            if let Some(place) = spare.blocks.get_mut(at) {
                *place = core::mem::take(&mut self.bytes);
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
        if bytes.len() < count {
            bytes.resize(count, 0);
        }
        let mut piece = Self { bytes, taken: 0, end: 0 };
        while piece.end < count {
            match source.take(&mut piece.bytes[piece.end..count]) {
                Ok(0) => break,
                Ok(taken) => piece.end += taken,
                Err(error) if piece.end == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(piece)
    }
    /// What is left.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        // Both are within it, and in order: it never fails.
        self.bytes.get(self.taken..self.end).unwrap_or_default()
    }
    /// The front is done with.
    pub fn advance(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.end);
    }
    /// Bytes that may be added without more memory.
    fn room(&self) -> usize {
        self.bytes.capacity() - self.end
    }
    /// Adds bytes, for which there is room.
    fn add(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.end..self.end + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => {
                self.bytes.truncate(self.end);
                self.bytes.extend_from_slice(bytes);
            }
        }
        self.end += bytes.len();
    }
}

/// The pieces.
#[derive(Default)]
pub struct ByteQueue {
    /// The first one, mostly the only one. Without memory: there is none.
    front: Piece,
    behind: VecDeque<Piece>,
    len: usize,
    held: usize,
}

impl ByteQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        let front = Piece { bytes: Vec::new(), taken: 0, end: 0 };
        Self { front, behind: VecDeque::new(), len: 0, held: 0 }
    }
    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Bytes of memory that its pieces hold: a single byte is in a block of [`PIECE_MIN`].
    pub fn held(&self) -> usize {
        self.held
    }
    /// The last piece that has room for `count` bytes.
    #[inline]
    fn last_with_room(&mut self, count: usize) -> Option<&mut Piece> {
        let last = if self.behind.is_empty() { Some(&mut self.front) } else { self.behind.back_mut() };
        last.filter(|last| last.room() >= count)
    }
    /// Puts a piece behind the others.
    #[inline]
    fn put_last(&mut self, piece: Piece) {
        self.held += piece.bytes.capacity();
        if self.front.bytes.capacity() == 0 {
            self.front = piece;
        } else {
            self.behind.push_back(piece);
        }
    }
    /// Adds a piece; a small one joins the last, if that has room.
    pub fn push(&mut self, piece: Piece) {
        let count = piece.rest().len();
        if count == 0 {
            return;
        }
        self.len += count;
        match self.last_with_room(count) {
            Some(last) => last.add(piece.rest()),
            None => self.put_last(piece),
        }
    }
    /// Copies bytes to the end; how many (fewer only if memory is short).
    pub fn append(&mut self, mut bytes: &[u8]) -> usize {
        let before = self.len;
        while !bytes.is_empty() {
            let Some(last) = self.last_with_room(1) else {
                let size = (bytes.len().max(self.len / 2)).clamp(PIECE_MIN, PIECE_MAX).next_power_of_two();
                let mut fresh = Vec::new();
                if size == PIECE_MIN {
                    let Some(block) = block() else { break };
                    fresh = block;
                } else if fresh.try_reserve_exact(size).is_err() {
                    break;
                }
                self.put_last(Piece { bytes: fresh, taken: 0, end: 0 });
                continue;
            };
            let (now, later) = bytes.split_at(last.room().min(bytes.len()));
            last.add(now);
            self.len += now.len();
            bytes = later;
        }
        self.len - before
    }
    /// As [`Self::append`] for up to [`PIECE_MIN`] bytes: all of them or, if there are more or memory is short, none.
    #[inline]
    pub fn append_few(&mut self, bytes: &[u8]) -> bool {
        if let Some(last) = self.last_with_room(bytes.len()) {
            last.add(bytes);
        } else {
            let Some(block) = block().filter(|_| bytes.len() <= PIECE_MIN) else { return false };
            let mut piece = Piece { bytes: block, taken: 0, end: 0 };
            piece.add(bytes);
            self.put_last(piece);
        }
        self.len += bytes.len();
        true
    }
    /// Takes the first piece out.
    fn take_first(&mut self) -> Piece {
        let next = self.behind.pop_front().unwrap_or_default();
        let piece = core::mem::replace(&mut self.front, next);
        self.held -= piece.bytes.capacity();
        piece
    }
    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Piece> {
        if self.front.bytes.capacity() == 0 {
            return None;
        }
        let piece = self.take_first();
        self.len -= piece.rest().len();
        Some(piece)
    }
    /// Takes all bytes, if they are some, not more than `max`, and in one piece.
    #[inline]
    pub fn pop_all(&mut self, max: usize) -> Option<Piece> {
        let is_one = self.len > 0 && self.len <= max && self.behind.is_empty();
        is_one.then(|| {
            (self.len, self.held) = (0, 0);
            core::mem::take(&mut self.front)
        })
    }
    /// Puts back what [`Self::pop`] gave and was not used.
    pub fn unpop(&mut self, piece: Piece) {
        if piece.rest().is_empty() {
            return;
        }
        self.len += piece.rest().len();
        self.held += piece.bytes.capacity();
        let next = core::mem::replace(&mut self.front, piece);
        if next.bytes.capacity() > 0 {
            self.behind.push_front(next);
        }
    }
    /// Drops bytes at the front.
    #[inline]
    pub fn discard(&mut self, count: usize) {
        if count >= self.len && self.behind.is_empty() {
            (self.len, self.held) = (0, 0);
            drop(core::mem::take(&mut self.front));
        } else {
            self.discard_some(count);
        }
    }

    fn discard_some(&mut self, mut count: usize) {
        while count > 0 && self.front.bytes.capacity() > 0 {
            let here = self.front.rest().len().min(count);
            self.front.advance(here);
            self.len -= here;
            count -= here;
            if self.front.rest().is_empty() {
                drop(self.take_first());
            }
        }
    }
    /// Copies bytes from `offset` on into `to`; how many.
    #[inline]
    pub fn peek(&self, offset: usize, to: &mut [u8]) -> usize {
        // Most segments lie in the first piece.
        if let Some(all) = self.front.rest().get(offset..offset + to.len()) {
            to.copy_from_slice(all);
            return to.len();
        }
        self.peek_over_pieces(offset, to)
    }

    fn peek_over_pieces(&self, mut offset: usize, to: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in core::iter::once(&self.front).chain(&self.behind) {
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
        fn bytes_leave_as_they_came_and_what_is_held_is_the_room_of_the_pieces(
            ops in prop::collection::vec((0..7u8, 1..70_000usize), 1..60)
        ) {
            let mut queue = ByteQueue::new();
            let mut model = VecDeque::new();
            let mut made = 0_u32;
            let mut bytes = |count: usize| -> Vec<u8> {
                made += 1;
                (0..count).map(|at| (at as u32 * 7 + made * 31) as u8).collect()
            };
            for (op, count) in ops {
                match op {
                    0 => {
                        // Larger ones are asked for than there are bytes.
                        let bytes = bytes(count.min(PIECE_MAX) / 2);
                        let piece = Piece::fill(&mut fs::SliceSource::new(&bytes), count.min(PIECE_MAX));
                        queue.push(piece.expect("memory"));
                        model.extend(bytes);
                    }
                    1 => {
                        let bytes = bytes(count.min(PIECE_MAX));
                        prop_assert_eq!(queue.append(&bytes), bytes.len());
                        model.extend(bytes);
                    }
                    2 | 3 => {
                        let bytes = bytes(count % 3000);
                        let is_few = queue.append_few(&bytes);
                        prop_assert!(is_few || bytes.len() > PIECE_MIN);
                        model.extend(bytes.iter().filter(|_| is_few));
                    }
                    4 => {
                        queue.discard(count);
                        model.drain(..count.min(model.len()));
                    }
                    5 if count.is_multiple_of(2) => {
                        if let Some(piece) = queue.pop_all(count) {
                            let expected: Vec<u8> = model.drain(..).collect();
                            prop_assert!(expected.len() <= count);
                            prop_assert_eq!(piece.rest(), expected);
                        }
                    }
                    5 => {
                        if let Some(piece) = queue.pop() {
                            let expected: Vec<u8> = model.drain(..piece.rest().len()).collect();
                            prop_assert_eq!(piece.rest(), expected);
                        }
                    }
                    _ => {
                        if let Some(mut piece) = queue.pop() {
                            let part = count.min(piece.rest().len());
                            piece.advance(part);
                            queue.unpop(piece);
                            model.drain(..part);
                        }
                    }
                }
                let pieces = std::iter::once(&queue.front).chain(&queue.behind);
                let room: usize = pieces.map(|piece| piece.bytes.capacity()).sum();
                prop_assert_eq!(queue.held(), room);
                prop_assert_eq!(queue.len(), model.len());
                let offset = count % (model.len() + 1);
                let mut seen = std::vec![0; (model.len() - offset).min(5000)];
                prop_assert_eq!(queue.peek(offset, &mut seen), seen.len());
                prop_assert!(seen.iter().eq(model.range(offset..offset + seen.len())));
            }
        }
    }
}
