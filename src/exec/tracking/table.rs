//! Who may have cached what: keys that were read, and prefixes that are announced.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::exec::ClientId;

/// Changes under one prefix since the last announcement.
#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeSet<ClientId>,
    /// Each key with the client that changed it first.
    changed: BTreeMap<Box<[u8]>, Option<ClientId>>,
}

/// One announcement: the keys changed under a prefix, and who listens.
#[derive(Debug)]
pub struct Announcement {
    pub clients: Vec<ClientId>,
    pub keys: Vec<(Box<[u8]>, Option<ClientId>)>,
}

/// The tracking table.
#[derive(Debug, Default)]
pub struct TrackingTable {
    /// Clients may have gone or stopped tracking since.
    readers: BTreeMap<Box<[u8]>, Vec<ClientId>>,
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    /// Something is to be announced.
    has_changes: bool,
    /// The key that had to leave last.
    left_last: Box<[u8]>,
}

impl TrackingTable {
    /// Keys, readers of all keys together, prefixes.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.readers.len(), self.items, self.prefixes.len())
    }

    /// `client` has read `key`.
    pub fn remember(&mut self, key: &[u8], client: ClientId) {
        if let Some(readers) = self.readers.get_mut(key) {
            if readers.contains(&client) {
                return;
            }
            readers.push(client);
        } else {
            self.readers.insert(key.into(), vec![client]);
        }
        self.items += 1;
    }

    /// Takes the readers of `key` out.
    pub fn take_readers(&mut self, key: &[u8]) -> Vec<ClientId> {
        let readers = self.readers.remove(key).unwrap_or_default();
        self.items -= readers.len();
        readers
    }

    /// A key that has to leave because there are more than `max` (0: any number). All take their turn.
    pub fn surplus(&mut self, max: usize) -> Option<Box<[u8]>> {
        if max == 0 || self.readers.len() <= max {
            return None;
        }
        let behind = (Bound::Excluded(&*self.left_last), Bound::Unbounded);
        let next = self.readers.range::<[u8], _>(behind).next().or_else(|| self.readers.iter().next())?;
        self.left_last = next.0.clone();
        Some(self.left_last.clone())
    }

    /// Forgets who has read what.
    pub fn clear_readers(&mut self) {
        self.readers.clear();
        self.items = 0;
    }

    /// `client` wants to hear of all changes under `prefix`.
    pub fn listen(&mut self, prefix: &[u8], client: ClientId) {
        self.prefixes.entry(prefix.into()).or_default().clients.insert(client);
    }

    /// `client` listens to `prefix` no more.
    pub fn leave(&mut self, prefix: &[u8], client: ClientId) {
        if let Some(entry) = self.prefixes.get_mut(prefix) {
            entry.clients.remove(&client);
            if entry.clients.is_empty() {
                self.prefixes.remove(prefix);
            }
        }
    }

    /// `key` was changed by `client` (none: by its own end): to be announced.
    pub fn note_change(&mut self, key: &[u8], client: Option<ClientId>) {
        for (prefix, entry) in &mut self.prefixes {
            if key.starts_with(prefix) {
                entry.changed.entry(key.into()).or_insert(client);
                self.has_changes = true;
            }
        }
    }

    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.has_changes
    }

    /// What is to be announced, by prefix.
    pub fn take_announcements(&mut self) -> Vec<Announcement> {
        self.has_changes = false;
        let changed = self.prefixes.values_mut().filter(|prefix| !prefix.changed.is_empty());
        changed
            .map(|prefix| Announcement {
                clients: prefix.clients.iter().copied().collect(),
                keys: std::mem::take(&mut prefix.changed).into_iter().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClientId = ClientId(1);
    const B: ClientId = ClientId(2);

    #[test]
    fn readers_are_told_once() {
        let mut table = TrackingTable::default();
        for client in [A, B, A] {
            table.remember(b"k", client);
        }
        assert_eq!(table.sizes(), (1, 2, 0));
        assert_eq!(table.take_readers(b"k"), [A, B]);
        assert!(table.take_readers(b"k").is_empty());
        assert_eq!(table.sizes(), (0, 0, 0));
    }

    #[test]
    fn surplus_keys_take_turns() {
        let mut table = TrackingTable::default();
        for key in [b"a", b"b", b"c", b"d"] {
            table.remember(key, A);
        }
        assert_eq!(table.surplus(0), None);
        assert_eq!(table.surplus(4), None);
        let mut left = Vec::new();
        while let Some(key) = table.surplus(2) {
            table.take_readers(&key);
            left.push(key);
        }
        table.remember(b"a", A);
        left.extend(table.surplus(2));
        assert_eq!(left, [Box::from(&b"a"[..]), Box::from(&b"b"[..]), Box::from(&b"c"[..])]);
    }

    #[test]
    fn changes_are_announced_by_prefix() {
        let mut table = TrackingTable::default();
        table.listen(b"", A);
        table.listen(b"user:", B);
        table.note_change(b"user:1", Some(A));
        table.note_change(b"user:1", Some(B));
        table.note_change(b"x", None);
        let told: Vec<_> = table.take_announcements().into_iter().map(|a| (a.clients, a.keys.len())).collect();
        assert_eq!(told, [(vec![A], 2), (vec![B], 1)]);
        assert!(!table.has_changes() && table.take_announcements().is_empty());
        table.leave(b"user:", B);
        table.leave(b"", A);
        assert_eq!(table.sizes().2, 0);
        table.note_change(b"x", None);
        assert!(!table.has_changes());
    }
}
