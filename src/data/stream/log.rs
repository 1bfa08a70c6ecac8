//! The entries of a stream: nodes in the order of their keys, and what is known of all entries that ever were.
//!
//! A B-tree of the standard library holds the nodes. A stock server keeps them in a radix tree; with a hundred entries
//! a node either is a small part of the cost of an entry, and the B-tree finds the last node in three or four steps.

use std::collections::{BTreeMap, btree_map};

use super::id::StreamId;
use super::node::{Fields, Node, Pair, Walk, bytes_needed};
use crate::data::{Corrupt, Listpack, listpack};

/// When a node is full: the directives `stream-node-max-bytes` and `stream-node-max-entries`, 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    pub max_bytes: usize,
    pub max_entries: usize,
}

impl Default for NodeLimits {
    fn default() -> NodeLimits {
        NodeLimits { max_bytes: 4096, max_entries: 100 }
    }
}

/// Which entries a trim takes away, always from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Keep so many.
    Newest(u64),
    /// Keep those from this id on.
    From(StreamId),
}

/// The entries of a stream.
#[derive(Clone, Debug, Default)]
pub struct Log {
    nodes: BTreeMap<StreamId, Node>,
    /// Heap bytes of the nodes.
    node_bytes: usize,
    len: u64,
    first_id: StreamId,
    /// The id that the next entry's must be greater than.
    pub last_id: StreamId,
    /// The greatest id that was deleted by itself; `0-0` when none was.
    pub max_deleted_id: StreamId,
    /// Entries that were ever added.
    pub entries_added: u64,
}

/// An entry: its id, and its fields with their values.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: StreamId,
    pub fields: Fields<'a>,
}

impl Log {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; `0-0` when there is none.
    #[must_use]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last entry that is there.
    #[must_use]
    pub fn top_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The nodes in the form in which they are written.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter().map(|(key, node)| (*key, node.pack()))
    }

    /// The same from the node on that begins at `key`.
    pub fn nodes_from(&self, key: StreamId) -> impl Iterator<Item = (StreamId, &Listpack)> {
        self.nodes.range(key..).map(|(key, node)| (*key, node.pack()))
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        /// Leaves of a B-tree that grows at its end are a little more than half full.
        const PLACE_BYTES: usize = 2 * size_of::<(StreamId, Node)>();
        self.node_bytes + self.nodes.len() * PLACE_BYTES
    }

    /// Whether an entry of these fields and values can be kept at all.
    #[must_use]
    pub fn fits<'v>(pairs: impl Iterator<Item = Pair<'v>>) -> bool {
        bytes_needed(pairs) <= listpack::MAX_BYTES
    }

    /// Appends an entry that fits, with an id greater than `last_id`.
    pub fn append<'v>(
        &mut self,
        id: StreamId,
        pairs: impl ExactSizeIterator<Item = Pair<'v>> + Clone,
        limits: NodeLimits,
    ) {
        debug_assert!(id > self.last_id);
        let has_room = self.nodes.last_entry().filter(|last| has_room(last.get(), pairs.clone(), limits));
        match has_room {
            Some(mut last) => {
                let key = *last.key();
                let node = last.get_mut();
                let before = node.mem_bytes();
                node.append(key, id, pairs);
                self.node_bytes = self.node_bytes + node.mem_bytes() - before;
            }
            None => {
                let mut node = Node::new(pairs.clone());
                node.append(id, id, pairs);
                self.node_bytes += node.mem_bytes();
                self.nodes.insert(id, node);
            }
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
    }

    /// The entries with ids from `start` to `end`, both included, in order.
    #[must_use]
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        self.walk(start, end, false)
    }

    /// As [`Log::range`], from the last entry to the first.
    #[must_use]
    pub fn range_back(&self, start: StreamId, end: StreamId) -> Range<'_> {
        self.walk(start, end, true)
    }

    fn walk(&self, start: StreamId, end: StreamId, back: bool) -> Range<'_> {
        // The node that `start` falls into begins at or before it.
        let from = self.nodes.range(..=start).next_back().map_or(start, |(key, _)| *key);
        let nodes = if from > end { btree_map::Range::default() } else { self.nodes.range(from..=end) };
        Range { nodes, walk: None, start, end, back }
    }

    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    #[must_use]
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Deletes an entry; says whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((key, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let Some(at) = node.walk(*key).find(|place| place.live && place.id == id).map(|place| place.at) else {
            return false;
        };
        if node.live() == 1 {
            let key = *key;
            self.remove_node(key);
        } else {
            let before = node.mem_bytes();
            node.delete(at);
            self.node_bytes = self.node_bytes + node.mem_bytes() - before;
            self.len -= 1;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.first_id = self.find_first();
        }
        true
    }

    /// Takes entries away from the front. When `approximately`, only whole nodes, and no more than `limit` entries unless
    /// that is 0. Returns how many entries are gone.
    pub fn trim(&mut self, keep: Keep, approximately: bool, limit: u64) -> u64 {
        let before = self.len;
        let mut first = None;
        while let Some((key, node)) = self.nodes.first_key_value() {
            let (key, live) = (*key, node.live() as u64);
            let enough = matches!(keep, Keep::Newest(count) if self.len <= count);
            if enough || (limit > 0 && before - self.len + live > limit) {
                break;
            }
            let goes = match keep {
                Keep::Newest(count) => self.len - live >= count,
                Keep::From(id) => node.walk(key).next_back().is_none_or(|last| last.id < id),
            };
            if goes {
                self.remove_node(key);
            } else {
                if !approximately {
                    first = self.trim_node(key, keep);
                }
                break;
            }
        }
        if self.len != before {
            self.first_id = first.unwrap_or_else(|| self.find_first());
        }
        before - self.len
    }

    /// Deletes entries of one node from its front; gives the first one left.
    fn trim_node(&mut self, key: StreamId, keep: Keep) -> Option<StreamId> {
        let node = self.nodes.get_mut(&key)?;
        let before = node.mem_bytes();
        let mut left = self.len;
        let (gone, first) = node.trim(key, |id| {
            let enough = match keep {
                Keep::Newest(count) => left <= count,
                Keep::From(first) => id >= first,
            };
            left -= u64::from(!enough);
            enough
        });
        self.len -= gone as u64;
        self.node_bytes = self.node_bytes + node.mem_bytes() - before;
        first
    }

    fn remove_node(&mut self, key: StreamId) {
        if let Some(node) = self.nodes.remove(&key) {
            self.len -= node.live() as u64;
            self.node_bytes -= node.mem_bytes();
        }
    }

    /// The id of the first entry there is, or `0-0`.
    fn find_first(&self) -> StreamId {
        self.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Takes over the nodes of a file or payload, which must be in order and must hold `len` entries in all. The ids and
    /// counts beside them are the caller's to set, as far as they are public.
    pub fn from_nodes(nodes: Vec<(StreamId, Listpack)>, len: u64) -> Result<Log, Corrupt> {
        let mut log = Log::default();
        for (key, pack) in nodes {
            if pack.is_empty() {
                return Err(Corrupt("Empty listpack inside stream"));
            }
            let node = Node::validate(pack)?;
            log.len += node.live() as u64;
            log.node_bytes += node.mem_bytes();
            if log.nodes.insert(key, node).is_some() {
                return Err(Corrupt("Listpack re-added with existing key"));
            }
        }
        // A node whose entries are all deleted says nothing, and could stand in the way of one to come.
        log.nodes.retain(|_, node| node.live() > 0);
        log.node_bytes = log.nodes.values().map(Node::mem_bytes).sum();
        if log.len != len {
            return Err(Corrupt("Stream length inconsistent with rax elements"));
        }
        log.check_order()?;
        log.first_id = log.find_first();
        Ok(log)
    }

    /// Entries ascend, and every one belongs to its node.
    fn check_order(&self) -> Result<(), Corrupt> {
        let mut last = None;
        for (key, node) in &self.nodes {
            if last.is_some_and(|last| last >= *key) {
                return Err(Corrupt("stream nodes that overlap"));
            }
            for place in node.walk(*key).filter(|place| place.live) {
                if place.id < *key || last.is_some_and(|last| last >= place.id) {
                    return Err(Corrupt("stream entries out of order"));
                }
                last = Some(place.id);
            }
        }
        Ok(())
    }
}

/// Whether one more entry goes into a node.
fn has_room<'v>(node: &Node, pairs: impl ExactSizeIterator<Item = Pair<'v>> + Clone, limits: NodeLimits) -> bool {
    let max_bytes = match limits.max_bytes {
        0 => listpack::MAX_BYTES,
        bytes => bytes.min(listpack::MAX_BYTES),
    };
    let len = node.pack().bytes().len();
    let text: usize = pairs.clone().map(|(field, value)| field.len() + value.len()).sum();
    if len + text >= max_bytes || (limits.max_entries > 0 && node.total() >= limits.max_entries) {
        return false;
    }
    // Near the largest size of a listpack what stands around the text counts too.
    len + text < listpack::MAX_BYTES / 2 || len.saturating_add(bytes_needed(pairs)) <= listpack::MAX_BYTES
}

/// Walks entries in either direction.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Node>,
    walk: Option<Walk<'a>>,
    start: StreamId,
    end: StreamId,
    back: bool,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(walk) = &mut self.walk {
                while let Some(place) = if self.back { walk.next_back() } else { walk.next() } {
                    if !place.live {
                        continue;
                    }
                    let (before, behind) = (place.id < self.start, place.id > self.end);
                    if !before && !behind {
                        return Some(Entry { id: place.id, fields: place.fields });
                    }
                    if before == self.back {
                        self.nodes = btree_map::Range::default();
                        self.walk = None;
                        return None;
                    }
                }
            }
            let next = if self.back { self.nodes.next_back() } else { self.nodes.next() };
            let (key, node) = next?;
            self.walk = Some(node.walk(*key));
        }
    }
}
