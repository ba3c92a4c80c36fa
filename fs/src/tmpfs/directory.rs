//! The names in a directory.

use super::Node;
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use hashbrown::HashMap;

type Name = Arc<[u8]>;

/// Names by hash for look-ups, and by a growing cookie for listing: a listing that is interrupted goes on where it was,
/// whatever is added or removed meanwhile.
#[derive(Default)]
pub(super) struct Entries {
    by_name: HashMap<Name, u64>,
    by_cookie: BTreeMap<u64, (Name, Arc<Node>)>,
    last_cookie: u64,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn get(&self, name: &[u8]) -> Option<&Arc<Node>> {
        self.by_cookie.get(self.by_name.get(name)?).map(|(_, node)| node)
    }

    /// Adds a name, or gives an existing one another node; the old node comes back.
    pub fn insert(&mut self, name: &[u8], node: Arc<Node>) -> Option<Arc<Node>> {
        if let Some((_, known)) = self.by_name.get(name).and_then(|cookie| self.by_cookie.get_mut(cookie)) {
            return Some(core::mem::replace(known, node));
        }
        let name: Name = Arc::from(name);
        self.last_cookie += 1;
        self.by_name.insert(name.clone(), self.last_cookie);
        self.by_cookie.insert(self.last_cookie, (name, node));
        None
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let cookie = self.by_name.remove(name)?;
        self.by_cookie.remove(&cookie).map(|(_, node)| node)
    }

    /// Up to `max` entries behind `cursor`, each with the cursor behind it.
    pub fn list(&self, cursor: u64, max: usize) -> Vec<(u64, Name, Arc<Node>)> {
        self.by_cookie
            .range(cursor + 1..)
            .take(max)
            .map(|(cookie, (name, node))| (*cookie, name.clone(), node.clone()))
            .collect()
    }

    pub fn take_nodes(&mut self) -> impl Iterator<Item = Arc<Node>> + use<> {
        self.by_name.clear();
        core::mem::take(&mut self.by_cookie).into_values().map(|(_, node)| node)
    }
}
