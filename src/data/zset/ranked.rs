//! A large sorted set: a skiplist for the order, and a hash table that finds the skiplist's node of a member.
//!
//! The member is stored once, in the node; the table holds a pointer to it.
#![allow(unsafe_code)]

use std::ops::Range;

use crate::data::dict::{Dict, Keyed, Slot, Stats, prefetch};
use crate::data::skiplist::{Iter, Node, Skiplist};
use crate::data::{Item, reserve_some, scan_some};

/// Members with scores, every member once.
///
/// The table's pointers are always those of exactly the nodes in the list: every change below keeps that, and all
/// the unsafe code relies on it.
pub struct Ranked {
    // Dropped before the list, whose nodes it points to.
    index: Dict<Handle>,
    list: Skiplist,
}

struct Handle(Node);

// SAFETY: the node belongs to the skiplist beside the table, and moves and is shared together with it.
unsafe impl Send for Handle {}
// SAFETY: through a shared reference nodes are only read.
unsafe impl Sync for Handle {}

impl Handle {
    fn score(&self) -> f64 {
        // SAFETY: what the table points to is in the list, so alive.
        unsafe { self.0.score() }
    }
}

impl Keyed for Handle {
    fn key(&self) -> &[u8] {
        // SAFETY: what the table points to is in the list, so alive, and members are never changed.
        unsafe { self.0.member() }
    }

    fn prefetch(&self) {
        prefetch(self.0.address());
    }
}

impl Ranked {
    pub(super) fn new(seed: u64) -> Ranked {
        Ranked { index: Dict::with_seed(seed), list: Skiplist::new() }
    }

    pub(super) fn reserve(&mut self, count: usize) {
        reserve_some(&mut self.index, count);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn table_stats(&self) -> Stats {
        self.index.stats()
    }

    pub(super) fn mem_bytes(&self) -> usize {
        size_of::<Ranked>() + self.index.mem_bytes() + self.list.mem_bytes()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.index.get(member).map(Handle::score)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let handle = self.index.get(member)?;
        // SAFETY: what the table points to is in the list.
        Some((unsafe { self.list.rank(handle.0) }, handle.score()))
    }

    /// Adds the member or changes its score; returns the score it had.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        match self.index.slot(self.index.hash(member), member) {
            Slot::Occupied(handle) => {
                let old = handle.score();
                if old != score {
                    // SAFETY: what the table points to is in the list.
                    unsafe { self.list.set_score(handle.0, score) };
                }
                Some(old)
            }
            Slot::Vacant(place) => {
                place.insert(Handle(self.list.insert(score, member)));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let handle = self.index.remove(member)?;
        let score = handle.score();
        // SAFETY: the table pointed to it, so it is in the list; the table does so no more.
        unsafe { self.list.remove(handle.0) };
        Some(score)
    }

    /// Removes the elements of these ranks.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let index = &mut self.index;
        self.list.remove_ranks(ranks, |_, member| {
            index.remove(member);
        });
    }

    /// Number of elements at the front for which `before` holds; it must hold for a prefix.
    pub(super) fn count_while(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.list.count_while(before)
    }

    pub(super) fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        self.list.range(ranks)
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, f64)) -> u64 {
        scan_some(&self.index, cursor, count, |handle| visit(Item::Bytes(handle.key()), handle.score()))
    }
}
