//! The quicklist: a long list as a row of nodes, each a listpack of a few kilobytes or one large element.
//!
//! Pushing and popping at the ends touches one small listpack; a place in the middle is found by summing the
//! counts of nodes. With a compress depth of `d`, all but the `d` outermost nodes at either end are kept as LZF.

mod node;

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use super::{Item, Limits, Listpack};
use node::Node;
pub use node::{Loaded, NodeRef, Stored};

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Front,
    Back,
}

/// How full a node may be, as `list-max-listpack-size` says, and what is too large for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    max_bytes: usize,
    max_count: usize,
    plain_min_bytes: usize,
}

impl Fill {
    #[must_use]
    pub fn new(limits: &Limits) -> Fill {
        let (max_bytes, max_count) = match limits.list_max_listpack_size {
            count @ 0.. => (8192, usize::try_from(count.max(1)).unwrap_or(usize::MAX)),
            class => (2048 << class.saturating_neg().min(5), usize::MAX),
        };
        Fill { max_bytes, max_count, plain_min_bytes: limits.list_plain_min_bytes }
    }

    #[must_use]
    pub fn allows(self, bytes: usize, count: usize) -> bool {
        bytes <= self.max_bytes && count <= self.max_count
    }

    /// Whether an element of this length gets a node of its own.
    #[must_use]
    pub fn is_large(self, len: usize) -> bool {
        len > self.max_bytes || len >= self.plain_min_bytes
    }

    #[must_use]
    pub fn halved(self) -> Fill {
        let max_count = if self.max_count == usize::MAX { usize::MAX } else { self.max_count / 2 };
        Fill { max_bytes: self.max_bytes / 2, max_count, ..self }
    }
}

/// A list of nodes, none of them empty.
#[derive(Debug, Default)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
    /// Heap bytes of the nodes.
    node_bytes: usize,
}

impl Quicklist {
    #[must_use]
    pub fn new() -> Quicklist {
        Quicklist::default()
    }

    /// Adds a node at the back; one without elements is left out.
    pub fn push_node(&mut self, node: Loaded) {
        let node = Node::of_loaded(node);
        if node.count() > 0 {
            self.put(self.nodes.len(), node);
        }
    }

    /// The only node's listpack, if there is a single node, packed and within `fill`.
    #[must_use]
    pub fn take_small(&mut self, fill: Fill) -> Option<Listpack> {
        let [node] = self.nodes.make_contiguous() else { return None };
        node.open();
        let small = node.pack().is_some_and(|pack| fill.allows(pack.bytes().len(), node.count()));
        if small { self.nodes.pop_front().and_then(Node::into_pack) } else { None }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.node_bytes + self.nodes.capacity() * size_of::<Node>()
    }

    /// The nodes as they are to be written.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(Node::as_ref)
    }

    pub fn push(&mut self, end: End, value: &[u8], limits: &Limits) {
        let fill = Fill::new(limits);
        let at = match end {
            End::Front => 0,
            End::Back => self.nodes.len().saturating_sub(1),
        };
        if self.nodes.get(at).is_some_and(|node| node.has_room(value.len(), fill)) {
            self.edit(at, |pack| match end {
                End::Front => pack.insert(pack.start(), [value.into()]),
                End::Back => pack.push(value),
            });
        } else {
            let at = if end == End::Front { 0 } else { self.nodes.len() };
            self.put(at, Node::of_one(value, fill));
        }
        self.settle(at..at + 1, limits);
    }

    /// Calls `f` with elements from the `skip`-th on, counted from the front, or from the back if `reverse`, until it
    /// breaks.
    pub fn walk<B>(&self, skip: usize, reverse: bool, mut f: impl FnMut(Item<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        let mut skip = skip;
        let count = self.nodes.len();
        for i in 0..count {
            let node = &self.nodes[if reverse { count - 1 - i } else { i }];
            if skip >= node.count() {
                skip -= node.count();
                continue;
            }
            node.look().walk(skip, reverse, &mut f)?;
            skip = 0;
        }
        ControlFlow::Continue(())
    }

    /// Replaces element `index`, which must be there.
    pub fn set(&mut self, index: usize, value: &[u8], limits: &Limits) {
        let fill = Fill::new(limits);
        let (at, offset) = self.locate(index);
        let old_len = self.element_len(at, offset);
        let node = &self.nodes[at];
        let fits = node.pack_bytes().is_some_and(|bytes| {
            !fill.is_large(value.len())
                && (value.len() <= old_len || fill.allows(bytes - old_len + value.len() + 8, node.count()))
        });
        if fits {
            self.edit(at, |pack| {
                let at = pack.seek(offset as i64).expect("located");
                pack.replace(at, value);
            });
            self.settle(at..at + 1, limits);
        } else if node.pack_bytes().is_none() {
            drop(self.cut(at));
            self.put(at, Node::of_one(value, fill));
            self.settle(at..at + 1, limits);
        } else {
            self.remove(index..index + 1, limits);
            self.insert(index, value, limits);
        }
    }

    /// Inserts before element `index`; at the back if there is none.
    pub fn insert(&mut self, index: usize, value: &[u8], limits: &Limits) {
        if index >= self.len {
            return self.push(End::Back, value, limits);
        }
        let fill = Fill::new(limits);
        let (at, offset) = self.locate(index);
        let len = value.len();
        if self.nodes[at].has_room(len, fill) {
            self.edit(at, |pack| {
                let at = pack.seek(offset as i64).expect("located");
                pack.insert(at, [value.into()]);
            });
            self.settle(at..at + 1, limits);
        } else if offset == 0 && at > 0 && self.nodes[at - 1].has_room(len, fill) {
            self.edit(at - 1, |pack| pack.push(value));
            self.settle(at - 1..at, limits);
        } else {
            let between = if offset > 0 { self.split(at, offset) } else { at };
            self.put(between, Node::of_one(value, fill));
            self.merge_around(between, limits);
        }
    }

    /// Removes the elements of these indexes, as far as there are any.
    pub fn remove(&mut self, range: Range<usize>, limits: &Limits) {
        let mut left = range.end.min(self.len).saturating_sub(range.start);
        if left == 0 {
            return;
        }
        let (mut at, mut offset) = self.locate(range.start);
        let first = at;
        while left > 0 {
            let count = self.nodes[at].count();
            let here = left.min(count - offset);
            left -= here;
            if here == count {
                drop(self.cut(at));
                continue;
            }
            self.edit(at, |pack| pack.remove_range(offset as i64, here));
            offset = 0;
            at += 1;
        }
        self.merge_around(first, limits);
    }

    /// Removes up to `most` elements equal to `value`, the first ones, or the last ones if `reverse`; says how many.
    pub fn remove_equal(&mut self, value: &[u8], most: usize, reverse: bool, limits: &Limits) -> usize {
        let mut removed = 0;
        let mut at = if reverse { self.nodes.len() } else { 0 };
        while removed < most {
            if reverse {
                let Some(before) = at.checked_sub(1) else { break };
                at = before;
            }
            let Some(node) = self.nodes.get(at) else { break };
            let mut hits = 0;
            let _ = node.look().walk(0, reverse, |item| {
                hits += usize::from(item.eq_bytes(value));
                if removed + hits < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            removed += hits;
            if hits == node.count() {
                drop(self.cut(at));
                continue;
            }
            if hits > 0 {
                self.edit(at, |pack| remove_from_pack(pack, value, hits, reverse));
            }
            self.settle(at..at + 1, limits);
            if !reverse {
                at += 1;
            }
        }
        if removed > 0 {
            self.merge_around(at, limits);
        }
        removed
    }

    /// The node of an element that is there, and the element's index within it.
    fn locate(&self, index: usize) -> (usize, usize) {
        assert!(index < self.len, "an element of the list");
        if index <= self.len / 2 {
            let mut offset = index;
            let mut at = 0;
            while offset >= self.nodes[at].count() {
                offset -= self.nodes[at].count();
                at += 1;
            }
            return (at, offset);
        }
        let mut from_back = self.len - index;
        let mut at = self.nodes.len() - 1;
        while from_back > self.nodes[at].count() {
            from_back -= self.nodes[at].count();
            at -= 1;
        }
        (at, self.nodes[at].count() - from_back)
    }

    fn element_len(&self, at: usize, offset: usize) -> usize {
        let found = self.nodes[at].look().walk(offset, false, |item| ControlFlow::Break(item.len_as_text()));
        found.break_value().expect("located")
    }

    /// Changes the elements of a packed node, of which some must stay.
    fn edit(&mut self, at: usize, change: impl FnOnce(&mut Listpack)) {
        let node = &mut self.nodes[at];
        self.len -= node.count();
        self.node_bytes -= node.mem_bytes();
        let pack = node.pack_mut().expect("only packed nodes have room or several elements");
        change(pack);
        let count = pack.len();
        node.set_count(count);
        self.len += count;
        self.node_bytes += node.mem_bytes();
    }

    fn put(&mut self, at: usize, node: Node) {
        self.len += node.count();
        self.node_bytes += node.mem_bytes();
        self.nodes.insert(at, node);
    }

    fn cut(&mut self, at: usize) -> Node {
        let node = self.nodes.remove(at).expect("a node that is there");
        self.len -= node.count();
        self.node_bytes -= node.mem_bytes();
        node
    }

    /// Splits a packed node before its element `offset`, which is not the first; returns the index of the right part.
    fn split(&mut self, at: usize, offset: usize) -> usize {
        let mut tail = None;
        self.edit(at, |pack| {
            let place = pack.seek(offset as i64).expect("located");
            tail = Some(pack.split_off(place));
        });
        self.put(at + 1, Node::of_pack(tail.expect("just split off")));
        at + 1
    }

    /// Joins the nodes around `at` where two fit into one, so that changes in the middle do not crumble the list.
    fn merge_around(&mut self, at: usize, limits: &Limits) {
        let fill = Fill::new(limits);
        let first = at.saturating_sub(2);
        let mut left = first;
        while left < at + 2 && left + 1 < self.nodes.len() {
            if !self.nodes[left].can_merge(&self.nodes[left + 1], fill) {
                left += 1;
                continue;
            }
            let mut right = self.cut(left + 1);
            right.open();
            let right = right.into_pack().expect("only packed nodes merge");
            self.edit(left, |pack| pack.append(&right));
        }
        self.settle(first..at + 3, limits);
    }

    /// Brings the ends and the nodes touched into the form that the compress depth asks for.
    fn settle(&mut self, touched: Range<usize>, limits: &Limits) {
        let (depth, count) = (limits.list_compress_depth, self.nodes.len());
        if depth == 0 || count == 0 {
            return;
        }
        for i in 0..depth.min(count) {
            self.reshape(i, Node::open);
            self.reshape(count - 1 - i, Node::open);
        }
        if count > depth * 2 {
            let inner = depth..count - depth;
            let edges = [depth, count - 1 - depth];
            for i in touched.filter(|i| inner.contains(i)).chain(edges) {
                self.reshape(i, Node::close);
            }
        }
    }

    fn reshape(&mut self, at: usize, change: impl FnOnce(&mut Node)) {
        let node = &mut self.nodes[at];
        self.node_bytes -= node.mem_bytes();
        change(node);
        self.node_bytes += node.mem_bytes();
    }
}

#[cfg(test)]
impl Quicklist {
    /// Recounts what is counted along the way, and looks whether the listpacks are valid.
    pub(super) fn check(&self) {
        assert_eq!(self.len, self.nodes.iter().map(Node::count).sum::<usize>());
        assert_eq!(self.node_bytes, self.nodes.iter().map(Node::mem_bytes).sum::<usize>());
        for node in &self.nodes {
            let mut count = 0;
            let _ = node.look().walk(0, false, |_| {
                count += 1;
                ControlFlow::<()>::Continue(())
            });
            assert_eq!(count, node.count());
            assert!(count > 0, "no node is empty");
            if let Some(pack) = node.pack() {
                assert!(Listpack::validate(pack.bytes()).is_ok());
            }
        }
    }
}

/// Removes the first (or last) `count` elements equal to `value`, of which there are at least as many.
pub(super) fn remove_from_pack(pack: &mut Listpack, value: &[u8], count: usize, reverse: bool) {
    let mut left = count;
    let mut at = if reverse { pack.end() } else { pack.start() };
    while left > 0 {
        if reverse {
            let Some(before) = pack.prev(at) else { return };
            at = before;
            if pack.item(at).eq_bytes(value) {
                pack.remove(at, 1);
                left -= 1;
            }
        } else {
            let Some(found) = pack.find(at, value, 1) else { return };
            pack.remove(found, 1);
            at = found;
            left -= 1;
        }
    }
}
