//! A list of fixed capacity, for use before there is a heap.

use core::{fmt, ops::Deref};

/// At most `N` values; more are counted but not kept.
#[derive(Clone)]
pub struct List<T, const N: usize> {
    items: [T; N],
    len: usize,
    dropped: usize,
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self { items: [T::default(); N], len: 0, dropped: 0 }
    }
}

impl<T: Copy, const N: usize> List<T, N> {
    /// Adds a value, if there is room.
    pub(super) fn push(&mut self, item: T) {
        match self.items.get_mut(self.len) {
            Some(slot) => {
                *slot = item;
                self.len += 1;
            }
            None => self.dropped += 1,
        }
    }

    /// How many values found no room.
    pub fn dropped(&self) -> usize {
        self.dropped
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items[..self.len]
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
