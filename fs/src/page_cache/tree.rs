//! A radix tree from page numbers to values: 64 slots a node, as high as the largest number needs.

use alloc::boxed::Box;
use core::ops::Range;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;

enum Node<T> {
    Inner(Box<[Option<Node<T>>; SLOTS]>),
    Leaf(Box<[Option<T>; SLOTS]>),
}

/// A sparse array.
pub struct PageTree<T> {
    root: Option<Node<T>>,
    /// Levels; a tree of height 1 is one leaf.
    height: u32,
    len: usize,
}

fn slot(index: u64, level: u32) -> usize {
    (index >> (BITS * level)) as usize & (SLOTS - 1)
}

impl<T> Node<T> {
    fn empty(level: u32) -> Self {
        if level == 0 {
            Self::Leaf(Box::new([const { None }; SLOTS]))
        } else {
            Self::Inner(Box::new([const { None }; SLOTS]))
        }
    }
}

impl<T> PageTree<T> {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self { root: None, height: 0, len: 0 }
    }

    /// Values in it.
    pub fn len(&self) -> usize {
        self.len
    }

    fn covers(&self, index: u64) -> bool {
        self.height > 0 && (self.height * BITS >= 64 || index >> (self.height * BITS) == 0)
    }

    /// The value at `index`.
    pub fn get(&self, index: u64) -> Option<&T> {
        if !self.covers(index) {
            return None;
        }
        let mut node = self.root.as_ref()?;
        let mut level = self.height - 1;
        loop {
            match node {
                Node::Leaf(slots) => return slots[slot(index, 0)].as_ref(),
                Node::Inner(slots) => node = slots[slot(index, level)].as_ref()?,
            }
            level = level.saturating_sub(1);
        }
    }

    /// The value at `index`, to be changed.
    #[cfg(feature = "volumes")]
    pub fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        if !self.covers(index) {
            return None;
        }
        let mut node = self.root.as_mut()?;
        let mut level = self.height - 1;
        loop {
            match node {
                Node::Leaf(slots) => return slots[slot(index, 0)].as_mut(),
                Node::Inner(slots) => node = slots[slot(index, level)].as_mut()?,
            }
            level = level.saturating_sub(1);
        }
    }

    /// The leaf that holds `index` and the slots from there on to its end: for runs.
    pub fn run(&self, index: u64) -> &[Option<T>] {
        if !self.covers(index) {
            return &[];
        }
        let mut node = self.root.as_ref();
        let mut level = self.height - 1;
        loop {
            match node {
                None => return &[],
                Some(Node::Leaf(slots)) => return &slots[slot(index, 0)..],
                Some(Node::Inner(slots)) => node = slots[slot(index, level)].as_ref(),
            }
            level = level.saturating_sub(1);
        }
    }

    /// Puts a value at `index`; the old one comes back.
    pub fn insert(&mut self, index: u64, value: T) -> Option<T> {
        if self.root.is_none() {
            let bits = u64::BITS - index.leading_zeros();
            self.height = bits.div_ceil(BITS).max(1);
            self.root = Some(Node::empty(self.height - 1));
        }
        while !self.covers(index) {
            let mut top = Node::empty(self.height);
            if let Node::Inner(slots) = &mut top {
                slots[0] = self.root.take();
            }
            self.root = Some(top);
            self.height += 1;
        }
        let mut level = self.height - 1;
        let mut node = self.root.get_or_insert_with(|| Node::empty(level));
        loop {
            match node {
                Node::Leaf(slots) => {
                    let old = slots[slot(index, 0)].replace(value);
                    self.len += usize::from(old.is_none());
                    return old;
                }
                Node::Inner(slots) => {
                    node = slots[slot(index, level)].get_or_insert_with(|| Node::empty(level - 1));
                }
            }
            level = level.saturating_sub(1);
        }
    }

    /// Takes the value at `index` out. Empty nodes stay until a range is removed.
    pub fn remove(&mut self, index: u64) -> Option<T> {
        if !self.covers(index) {
            return None;
        }
        let mut node = self.root.as_mut()?;
        let mut level = self.height - 1;
        loop {
            match node {
                Node::Leaf(slots) => {
                    let old = slots[slot(index, 0)].take();
                    self.len -= usize::from(old.is_some());
                    return old;
                }
                Node::Inner(slots) => node = slots[slot(index, level)].as_mut()?,
            }
            level = level.saturating_sub(1);
        }
    }

    /// The first `index` from `from` on that holds a value.
    pub fn next(&self, from: u64) -> Option<u64> {
        if !self.covers(from) {
            return None;
        }
        Self::next_in(self.root.as_ref()?, self.height - 1, from, 0)
    }

    fn next_in(node: &Node<T>, level: u32, from: u64, base: u64) -> Option<u64> {
        match node {
            Node::Leaf(slots) => {
                (slot(from, 0)..SLOTS).find(|&index| slots[index].is_some()).map(|index| base | index as u64)
            }
            Node::Inner(slots) => {
                let first = slot(from, level);
                for (index, child) in slots.iter().enumerate().skip(first) {
                    let Some(child) = child else { continue };
                    let below = base | (index as u64) << (BITS * level);
                    let from = if index == first { from } else { 0 };
                    let found = Self::next_in(child, level - 1, from, below);
                    if found.is_some() {
                        return found;
                    }
                }
                None
            }
        }
    }

    /// The part of `within` around `index` that holds no value, apart from `index` itself.
    pub fn free_around(&self, within: Range<u64>, index: u64) -> Range<u64> {
        let mut start = within.start;
        let mut at = start;
        while at < within.end {
            let run = self.run(at);
            let step = SLOTS as u64 - at % SLOTS as u64;
            for (here, value) in (at..within.end).zip(run) {
                if value.is_none() || here == index {
                    continue;
                }
                if here > index {
                    return start..here;
                }
                start = here + 1;
            }
            at += step;
        }
        start..within.end
    }

    /// Takes values of `from .. end` out one after the other, at most `max`, and hands them to `gone`; true when no more
    /// are left there. In pieces, so that a spin lock around it is never held for long.
    pub fn remove_range(&mut self, from: u64, end: u64, max: usize, gone: &mut dyn FnMut(u64, T)) -> bool {
        let mut at = from;
        for _ in 0..max {
            let Some(index) = self.next(at).filter(|&index| index < end) else {
                if self.len == 0 {
                    self.root = None;
                    self.height = 0;
                }
                return true;
            };
            if let Some(value) = self.remove(index) {
                gone(index, value);
            }
            at = index + 1;
        }
        false
    }

    /// Visits all values from `from` on until `visit` answers false.
    pub fn visit(&self, from: u64, visit: &mut dyn FnMut(u64, &T) -> bool) {
        let mut at = from;
        while let Some(index) = self.next(at) {
            let run = self.run(index);
            for (offset, value) in run.iter().enumerate() {
                if let Some(value) = value
                    && !visit(index + offset as u64, value)
                {
                    return;
                }
            }
            match index.checked_add(run.len() as u64) {
                Some(next) => at = next,
                None => return,
            }
        }
    }
}
