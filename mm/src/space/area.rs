//! One area: a range of addresses with the same protection and the same contents' source.

use alloc::sync::Arc;
use core::ops::Range;

use super::request::{HugePolicy, Protection, Sharing};
use crate::backing::Backing;
use hal::addr::PAGE_SIZE;

/// What shows in an area that is not plain anonymous memory.
#[derive(Clone)]
pub(super) struct Object {
    pub backing: Arc<dyn Backing>,
    /// Byte offset of the area's first byte.
    pub offset: u64,
}

impl Object {
    /// The same object, `bytes` further on.
    fn advanced(&self, bytes: u64) -> Self {
        Object { backing: self.backing.clone(), offset: self.offset + bytes }
    }
}

/// An area; its start is its key in the tree.
#[derive(Clone)]
pub(super) struct Area {
    /// First byte behind it.
    pub end: u64,
    pub prot: Protection,
    pub max_prot: Protection,
    pub sharing: Sharing,
    pub huge: HugePolicy,
    pub stack: bool,
    pub no_reserve: bool,
    /// Counts against the commit limit.
    pub accounted: bool,
    pub name: Option<&'static str>,
    pub object: Option<Object>,
}

impl Area {
    /// Whether the area that starts at this one's end with these attributes would be one with it.
    pub(super) fn joins(&self, start: u64, next: &Area) -> bool {
        self.prot == next.prot
            && self.accounted == next.accounted
            && self.sharing == next.sharing
            && self.max_prot == next.max_prot
            && self.huge == next.huge
            && self.stack == next.stack
            && self.no_reserve == next.no_reserve
            && self.name.map(str::as_ptr) == next.name.map(str::as_ptr)
            && match (&self.object, &next.object) {
                (None, None) => true,
                (Some(a), Some(b)) => b.offset == a.offset + (self.end - start) && a.backing.id() == b.backing.id(),
                _ => false,
            }
    }

    /// The part from `from` on, of an area that starts at `start`.
    pub(super) fn tail(&self, start: u64, from: u64) -> Area {
        Area { object: self.object.as_ref().map(|object| object.advanced(from - start)), ..self.clone() }
    }

    /// Moves the start of the area from `start` to `to`.
    pub(super) fn trim_head(&mut self, start: u64, to: u64) {
        if let Some(object) = &mut self.object {
            object.offset = object.offset.wrapping_add(to.wrapping_sub(start));
        }
    }

    /// Pages of the object that `range` (inside the area) shows.
    pub(super) fn object_pages(&self, start: u64, range: Range<u64>) -> Option<(&Arc<dyn Backing>, Range<u64>)> {
        let object = self.object.as_ref()?;
        let first = (object.offset + (range.start - start)) / PAGE_SIZE;
        Some((&object.backing, first..first + (range.end - range.start) / PAGE_SIZE))
    }

    /// Whether memory of this area belongs to nobody else and has no object behind it.
    pub(super) fn is_anonymous(&self) -> bool {
        self.object.is_none()
    }

    /// Whether the area counts against the commit limit once it has this protection.
    pub(super) fn wants_account(&self, prot: Protection) -> bool {
        self.sharing == Sharing::Private && prot.contains(Protection::WRITE) && !self.no_reserve
    }
}
