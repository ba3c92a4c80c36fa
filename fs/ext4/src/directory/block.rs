//! One block of a directory: entries behind each other, each with the length to the next.

use crate::attributes::Kind;
use crate::bytes::{put_u16, put_u32, u16_at, u32_at};
use crate::{Error, Result};

/// Bytes of an entry before its name.
const FIXED: usize = 8;
/// Size of the entry at the end that holds the checksum.
pub const TAIL: usize = 12;
/// Longest name.
pub const NAME_MAX: usize = 255;

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Where it lies in the block.
    pub at: usize,
    /// 0: unused.
    pub inode: u32,
    /// Bytes to the next one.
    pub length: usize,
    /// None where the entry does not say.
    pub kind: Option<Kind>,
    /// Its name.
    pub name: &'a [u8],
}

/// Bytes that an entry needs for a name.
pub fn size_for(name: &[u8]) -> usize {
    (FIXED + name.len()).next_multiple_of(4)
}

/// A length as 16 bits.
fn length_at(block: &[u8], at: usize) -> usize {
    usize::from(u16_at(block, at + 4))
}

/// The entries of a block's first `end` bytes, and an error in place of the first that makes no sense.
pub fn entries(block: &[u8], end: usize) -> impl Iterator<Item = Result<Entry<'_>>> {
    let mut at = 0;
    let mut failed = false;
    core::iter::from_fn(move || {
        if at >= end || failed {
            return None;
        }
        let found = entry(block, at, end);
        match found {
            Ok(entry) => at += entry.length,
            Err(_) => failed = true,
        }
        Some(found)
    })
}

/// The entry at a place.
pub fn entry(block: &[u8], at: usize, end: usize) -> Result<Entry<'_>> {
    let damaged = Err(Error::Corrupt("an entry of a directory"));
    if at + FIXED > end {
        return damaged;
    }
    let (length, name_length) = (length_at(block, at), usize::from(block[at + 6]));
    if length < FIXED || !length.is_multiple_of(4) || at + length > end || FIXED + name_length > length {
        return damaged;
    }
    let name = &block[at + FIXED..at + FIXED + name_length];
    let inode = u32_at(block, at);
    if inode != 0 && (name.is_empty() || name.contains(&b'/') || name.contains(&0)) {
        return damaged;
    }
    Ok(Entry { at, inode, length, kind: Kind::from_entry(block[at + 7]), name })
}

/// Writes an entry that reaches `length` bytes far.
pub fn put(block: &mut [u8], at: usize, length: usize, inode: u32, kind: Kind, name: &[u8]) {
    put_u32(block, at, inode);
    put_u16(block, at + 4, length as u16);
    block[at + 6] = name.len() as u8;
    block[at + 7] = kind.entry_number();
    block[at + FIXED..at + FIXED + name.len()].copy_from_slice(name);
}

/// Makes a block one unused entry and, where there are checksums, the tail.
pub fn clear(block: &mut [u8], with_tail: bool) {
    block.fill(0);
    let end = block.len() - if with_tail { TAIL } else { 0 };
    put_u16(block, 4, end as u16);
    if with_tail {
        put_u16(block, end + 4, TAIL as u16);
        block[end + 7] = 0xde;
    }
}

/// Enters a name if the block has room for it.
pub fn insert(block: &mut [u8], end: usize, inode: u32, kind: Kind, name: &[u8]) -> Result<bool> {
    let needed = size_for(name);
    let mut place = None;
    for entry in entries(block, end) {
        let entry = entry?;
        let own = if entry.inode == 0 { 0 } else { size_for(entry.name) };
        if entry.length >= own + needed {
            place = Some((entry.at, own, entry.length));
            break;
        }
    }
    let Some((at, own, length)) = place else { return Ok(false) };
    if own > 0 {
        put_u16(block, at + 4, own as u16);
    }
    put(block, at + own, length - own, inode, kind, name);
    Ok(true)
}

/// Takes the entry at `at` out: the one before it reaches over it, or it becomes unused.
pub fn remove(block: &mut [u8], at: usize, end: usize) -> Result<()> {
    let mut before = None;
    let mut length = None;
    for entry in entries(block, end) {
        let entry = entry?;
        if entry.at == at {
            length = Some(entry.length);
            break;
        }
        before = Some((entry.at, entry.length));
    }
    let length = length.ok_or(Error::Corrupt("an entry that has moved"))?;
    match before {
        Some((before, its)) => {
            put_u16(block, before + 4, (its + length) as u16);
            block[at..at + length.min(FIXED + NAME_MAX)].fill(0);
        }
        None => put_u32(block, at, 0),
    }
    Ok(())
}

/// Makes the entry at `at` lead to another inode.
pub fn redirect(block: &mut [u8], at: usize, inode: u32, kind: Kind) {
    put_u32(block, at, inode);
    block[at + 7] = kind.entry_number();
}

/// Fills a cleared block with entries from its start; the last one reaches to `end`.
pub fn fill<'a>(block: &mut [u8], end: usize, names: impl Iterator<Item = (u32, Kind, &'a [u8])>) {
    let (mut at, mut last) = (0, None);
    for (inode, kind, name) in names {
        let size = size_for(name);
        put(block, at, size, inode, kind, name);
        last = Some(at);
        at += size;
    }
    if let Some(last) = last {
        put_u16(block, last + 4, (end - last) as u16);
    }
}

/// Kind of an entry, for one that does not say: a regular file, as Linux writes it back.
pub fn kind_or_regular(kind: Option<Kind>) -> Kind {
    kind.unwrap_or(Kind::Regular)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_block_holds_what_was_put_in(names in prop::collection::btree_set("[a-z]{1,40}", 1..30), gone in any::<u32>()) {
            let mut block = vec![0; 4096];
            clear(&mut block, true);
            for (i, name) in names.iter().enumerate() {
                prop_assert!(insert(&mut block, 4084, i as u32 + 1, Kind::Regular, name.as_bytes()).unwrap());
            }
            for (i, name) in names.iter().enumerate().filter(|(i, _)| gone >> i & 1 == 1) {
                let at = entries(&block, 4084).map(Result::unwrap).find(|e| e.name == name.as_bytes() && e.inode == i as u32 + 1).unwrap().at;
                remove(&mut block, at, 4084).unwrap();
            }
            let left: Vec<Vec<u8>> = entries(&block, 4084).map(Result::unwrap).filter(|e| e.inode != 0).map(|e| e.name.to_vec()).collect();
            let mut expected: Vec<Vec<u8>> = names.iter().enumerate().filter(|(i, _)| gone >> i & 1 == 0).map(|(_, n)| n.as_bytes().to_vec()).collect();
            let mut left = left;
            left.sort();
            expected.sort();
            prop_assert_eq!(left, expected);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 1024)) {
            for entry in entries(&bytes, 1024) {
                let _ = entry.map(|entry| entry.name.len());
            }
            let mut copy = bytes.clone();
            let _ = insert(&mut copy, 1012, 5, Kind::Regular, b"name");
            let _ = remove(&mut copy, 16, 1012);
        }
    }
}
