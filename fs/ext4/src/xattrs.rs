//! Extended attributes: behind the fields of the inode while they fit there, the rest in one block.

use crate::allocator::Purpose;
use crate::attributes::Time;
use crate::buffers::Seal;
use crate::bytes::{put_u16, put_u32, u16_at, u32_at};
use crate::layout::Inode;
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

const MAGIC: u32 = 0xea02_0000;
/// Bytes before the entries in an inode, and in a block.
const INODE_HEADER: usize = 4;
const BLOCK_HEADER: usize = 32;
/// Bytes of an entry before its name.
const ENTRY: usize = 16;

/// What is in front of a name, by its number on disk.
const PREFIXES: [(u8, &[u8]); 4] = [(1, b"user."), (4, b"trusted."), (6, b"security."), (7, b"system.")];

/// Whether an attribute must be new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XattrMode {
    /// Either.
    Any,
    /// It must not exist.
    Create,
    /// It must exist.
    Replace,
}

/// An attribute in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Attribute {
    prefix: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attribute {
    fn size(&self) -> usize {
        (ENTRY + self.name.len()).next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    fn full_name(&self) -> Vec<u8> {
        let prefix = PREFIXES.iter().find(|(number, _)| *number == self.prefix).map_or(&b""[..], |(_, text)| text);
        [prefix, &self.name[..]].concat()
    }

    /// `e_hash`.
    fn hash(&self) -> u32 {
        let over_name = self.name.iter().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(4).fold(over_name, |hash, chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

fn split_name(name: &[u8]) -> Result<(u8, &[u8])> {
    PREFIXES
        .iter()
        .find_map(|(number, text)| Some((*number, name.strip_prefix(*text)?)))
        .filter(|(_, rest)| !rest.is_empty())
        .ok_or(Error::Invalid)
}

/// The attributes of an area. `values` is what their offsets count from.
fn parse(area: &[u8], first: usize, values: usize) -> Result<Vec<Attribute>> {
    let damaged = Error::Corrupt("extended attributes");
    let (mut found, mut at) = (Vec::new(), first);
    while at + 4 <= area.len() && u32_at(area, at) != 0 {
        let name_length = usize::from(area[at]);
        let name = area.get(at + ENTRY..at + ENTRY + name_length).ok_or(damaged)?;
        let (offset, length) = (usize::from(u16_at(area, at + 2)), u32_at(area, at + 8) as usize);
        if u32_at(area, at + 4) != 0 {
            return Err(Error::Corrupt("an extended attribute in an inode of its own"));
        }
        let start = values + offset;
        let value = area.get(start..start.saturating_add(length)).ok_or(damaged)?;
        found.push(Attribute { prefix: area[at + 1], name: name.to_vec(), value: value.to_vec() });
        at += (ENTRY + name_length).next_multiple_of(4);
    }
    Ok(found)
}

/// Writes attributes into a zeroed area: entries from `first` on, values from the end.
fn store(area: &mut [u8], first: usize, values: usize, attributes: &[&Attribute]) {
    let (mut at, mut end) = (first, area.len() & !3);
    for attribute in attributes {
        let length = attribute.value.len();
        end -= length.next_multiple_of(4);
        area[end..end + length].copy_from_slice(&attribute.value);
        area[at] = attribute.name.len() as u8;
        area[at + 1] = attribute.prefix;
        put_u16(area, at + 2, if length == 0 { 0 } else { (end - values) as u16 });
        put_u32(area, at + 8, length as u32);
        put_u32(area, at + 12, attribute.hash());
        area[at + ENTRY..at + ENTRY + attribute.name.len()].copy_from_slice(&attribute.name);
        at += (ENTRY + attribute.name.len()).next_multiple_of(4);
    }
}

impl Volume {
    fn xattr_seal(&self) -> Seal {
        if self.geometry.checksums { Seal::Xattrs(self.geometry.seed) } else { Seal::None }
    }

    fn read_xattrs(&mut self, inode: &Inode) -> Result<Vec<Attribute>> {
        let tail = inode.tail();
        let mut found = Vec::new();
        if tail.len() >= INODE_HEADER && u32_at(tail, 0) == MAGIC {
            found = parse(tail, INODE_HEADER, INODE_HEADER)?;
        }
        if inode.xattr_block() != 0 {
            let seal = self.xattr_seal();
            let block = self.buffers.get(inode.xattr_block(), seal)?;
            if u32_at(block, 0) != MAGIC || u32_at(block, 8) != 1 {
                return Err(Error::Corrupt("a block of extended attributes"));
            }
            found.extend(parse(block, BLOCK_HEADER, 0)?);
        }
        Ok(found)
    }

    /// Full names of an inode's attributes.
    pub fn xattrs(&mut self, number: u32) -> Result<Vec<Vec<u8>>> {
        let inode = self.read_inode(number)?;
        Ok(self.read_xattrs(&inode)?.iter().map(Attribute::full_name).collect())
    }

    /// An attribute's value. Errors: `NoData`, `Invalid` for a name without a known prefix.
    pub fn xattr(&mut self, number: u32, name: &[u8]) -> Result<Vec<u8>> {
        let (prefix, rest) = split_name(name)?;
        let inode = self.read_inode(number)?;
        let found = self.read_xattrs(&inode)?;
        let found = found.into_iter().find(|one| one.prefix == prefix && one.name == rest);
        found.map(|one| one.value).ok_or(Error::NoData)
    }

    /// Sets an attribute. Errors: `Exists` and `NoData` by the mode, `NoSpace` when inode and block are full.
    pub fn set_xattr(&mut self, number: u32, name: &[u8], value: &[u8], mode: XattrMode, now: Time) -> Result<()> {
        self.check_writable()?;
        let (prefix, rest) = split_name(name)?;
        let mut inode = self.read_inode(number)?;
        let mut all = self.read_xattrs(&inode)?;
        let at = all.iter().position(|one| one.prefix == prefix && one.name == rest);
        match (at, mode) {
            (Some(_), XattrMode::Create) => return Err(Error::Exists),
            (None, XattrMode::Replace) => return Err(Error::NoData),
            (Some(at), _) => all[at].value = value.to_vec(),
            (None, _) => all.push(Attribute { prefix, name: rest.to_vec(), value: value.to_vec() }),
        }
        self.write_xattrs(&mut inode, &mut all)?;
        inode.set_changed(now);
        self.write_inode(&mut inode)
    }

    /// Removes an attribute. Errors: `NoData`.
    pub fn remove_xattr(&mut self, number: u32, name: &[u8], now: Time) -> Result<()> {
        self.check_writable()?;
        let (prefix, rest) = split_name(name)?;
        let mut inode = self.read_inode(number)?;
        let mut all = self.read_xattrs(&inode)?;
        let at = all.iter().position(|one| one.prefix == prefix && one.name == rest).ok_or(Error::NoData)?;
        all.remove(at);
        self.write_xattrs(&mut inode, &mut all)?;
        inode.set_changed(now);
        self.write_inode(&mut inode)
    }

    fn write_xattrs(&mut self, inode: &mut Inode, all: &mut [Attribute]) -> Result<()> {
        // The order that a block must have.
        all.sort_by(|a, b| (a.prefix, a.name.len(), &a.name).cmp(&(b.prefix, b.name.len(), &b.name)));
        let mut room = (inode.tail().len() & !3).saturating_sub(INODE_HEADER + 4);
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for one in all.iter() {
            if one.size() <= room {
                room -= one.size();
                inside.push(one);
            } else {
                outside.push(one);
            }
        }
        let needed = BLOCK_HEADER + 4 + outside.iter().map(|one| one.size()).sum::<usize>();
        if !outside.is_empty() && needed > self.geometry.block_size() {
            return Err(Error::NoSpace);
        }
        if outside.is_empty() {
            self.release_xattrs(inode)?;
        } else {
            self.put_xattr_block(inode, &outside)?;
        }
        let tail = inode.tail_mut();
        tail.fill(0);
        if !inside.is_empty() {
            put_u32(tail, 0, MAGIC);
            store(tail, INODE_HEADER, INODE_HEADER, &inside);
        }
        Ok(())
    }

    fn put_xattr_block(&mut self, inode: &mut Inode, attributes: &[&Attribute]) -> Result<()> {
        let seal = self.xattr_seal();
        // One that several inodes share stays as it is for the others.
        if inode.xattr_block() != 0 && u32_at(self.buffers.get(inode.xattr_block(), seal)?, 4) > 1 {
            self.release_xattrs(inode)?;
        }
        let block = match inode.xattr_block() {
            0 => {
                let goal = self.inode_goal(inode.number);
                let (block, _) = self.allocate_blocks(goal, 1, Purpose::Metadata)?;
                inode.set_xattr_block(block);
                self.charge(inode, 1);
                self.buffers.create(block, seal);
                block
            }
            block => block,
        };
        let bytes = self.buffers.edit(block, seal)?;
        bytes.fill(0);
        put_u32(bytes, 0, MAGIC);
        put_u32(bytes, 4, 1);
        put_u32(bytes, 8, 1);
        store(bytes, BLOCK_HEADER, 0, attributes);
        let hash = attributes.iter().fold(0_u32, |hash, one| hash.rotate_left(16) ^ one.hash());
        put_u32(bytes, 0xc, hash);
        Ok(())
    }

    /// Frees an inode's block of attributes. The inode must be written afterwards.
    pub(crate) fn release_xattrs(&mut self, inode: &mut Inode) -> Result<()> {
        let block = inode.xattr_block();
        if block == 0 {
            return Ok(());
        }
        let seal = self.xattr_seal();
        let references = u32_at(self.buffers.get(block, seal)?, 4);
        inode.set_xattr_block(0);
        self.charge(inode, -1);
        if references > 1 {
            put_u32(self.buffers.edit(block, seal)?, 4, references - 1);
            return Ok(());
        }
        self.buffers.forget(block);
        self.free_blocks(block, 1)
    }
}
