//! The skiplist: the order of a large sorted set, by score and then by member.
//!
//! A linked list with express lanes: a node of height `h` is on the lanes `0..h`, one node in four is on the next
//! lane up, and each link knows how many elements it passes. So finding a place, and telling the rank of a place,
//! both take O(log n) steps, and neighbours are one step away in either direction.
//!
//! Every search is by a *predicate that holds for a prefix of the list*, which serves scores, members, ranks and
//! the bounds of all kinds of ranges alike.
#![allow(unsafe_code)]

mod node;

use std::cmp::Ordering;
use std::ops::Range;

use super::dict::prefetch;
pub(super) use node::Node;
use node::{Link, MAX_HEIGHT};

/// Elements ordered by (score, member). Owns its nodes; hands out pointers to them for an index kept beside it.
pub struct Skiplist {
    /// A node without element on every lane, before the first.
    head: Node,
    tail: Link,
    len: usize,
    /// Lanes in use.
    height: usize,
    /// State of the generator that draws heights.
    dice: u64,
    mem_bytes: usize,
}

// SAFETY: the nodes are owned by the list alone; nothing about them is tied to a thread.
unsafe impl Send for Skiplist {}
// SAFETY: through a shared reference nodes are only read.
unsafe impl Sync for Skiplist {}

/// For each lane the last node before some place, and how many elements come up to and with it.
struct Path {
    nodes: [Node; MAX_HEIGHT],
    ranks: [usize; MAX_HEIGHT],
}

impl Default for Skiplist {
    fn default() -> Skiplist {
        Skiplist::new()
    }
}

impl Skiplist {
    #[must_use]
    pub fn new() -> Skiplist {
        let head = Node::new(0.0, &[], MAX_HEIGHT);
        // SAFETY: just made.
        let mem_bytes = unsafe { head.mem_bytes() };
        Skiplist { head, tail: None, len: 0, height: 1, dice: 0x9e37_79b9_7f4a_7c15, mem_bytes }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes of all nodes.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.mem_bytes
    }

    /// Number of elements at the front for which `before` holds; it must hold for a prefix of the list.
    #[must_use]
    pub fn count_while(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        // SAFETY: a path asks only about nodes of this list.
        self.path(|node, _| unsafe { before(node.score(), node.member()) }).ranks[0]
    }

    /// Adds an element, which must not be there yet. The node lives until it is removed, or the list is dropped.
    pub(super) fn insert(&mut self, score: f64, member: &[u8]) -> Node {
        assert!(!score.is_nan(), "a score is a number");
        let node = Node::new(score, member, self.draw_height());
        let path = self.path_to(score, member);
        // SAFETY: the node was just made, and the path leads to where it belongs.
        unsafe {
            self.mem_bytes += node.mem_bytes();
            self.link(node, &path);
        }
        node
    }

    /// Removes an element.
    ///
    /// # Safety
    /// `node` is in this list. It is freed.
    pub(super) unsafe fn remove(&mut self, node: Node) {
        // SAFETY: in the list, so alive, and its own score and member lead to it.
        unsafe {
            let path = self.path_to(node.score(), node.member());
            self.unlink(node, &path);
            self.free(node);
        }
    }

    /// Gives an element another score. The node stays the same.
    ///
    /// # Safety
    /// `node` is in this list.
    pub(super) unsafe fn set_score(&mut self, node: Node, score: f64) {
        assert!(!score.is_nan(), "a score is a number");
        // SAFETY: in the list, so alive, and so are its neighbours.
        unsafe {
            let member = node.member();
            let after_prev = node.prev().is_none_or(|prev| order(prev, score, member).is_lt());
            let before_next = node.next(0).is_none_or(|next| order(next, score, member).is_gt());
            if after_prev && before_next {
                node.set_score(score);
                return;
            }
            let path = self.path_to(node.score(), member);
            self.unlink(node, &path);
            node.set_score(score);
            let path = self.path_to(score, member);
            self.link(node, &path);
        }
    }

    /// Number of elements before this one.
    ///
    /// # Safety
    /// `node` is in this list.
    #[must_use]
    pub(super) unsafe fn rank(&self, node: Node) -> usize {
        // SAFETY: in the list, so alive.
        let (score, member) = unsafe { (node.score(), node.member()) };
        self.count_while(|s, m| pair_order(s, m, score, member).is_lt())
    }

    /// Removes the elements of these ranks. `leaving` is told of each while it is still intact.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, mut leaving: impl FnMut(f64, &[u8])) {
        let path = self.path_to_rank(ranks.start);
        for _ in ranks {
            // SAFETY: the path ends before the node, both before and after it is gone: what precedes stays.
            unsafe {
                let Some(node) = path.nodes[0].next(0) else { return };
                leaving(node.score(), node.member());
                self.unlink(node, &path);
                self.free(node);
            }
        }
    }

    /// The elements of these ranks, ascending; also from the back. Ranks beyond the end are left out.
    #[must_use]
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        let end = ranks.end.min(self.len);
        let left = end.saturating_sub(ranks.start);
        let (front, back) = match left {
            0 => (None, None),
            _ => (self.at_rank(ranks.start), self.at_rank(end - 1)),
        };
        Iter { front, back, left, list: std::marker::PhantomData }
    }

    fn at_rank(&self, rank: usize) -> Link {
        if rank + 1 == self.len {
            return self.tail;
        }
        // SAFETY: nodes of a path are alive, and on the lowest lane like all.
        unsafe { self.path_to_rank(rank).nodes[0].next(0) }
    }

    fn path_to(&self, score: f64, member: &[u8]) -> Path {
        self.path(|node, _| {
            // SAFETY: a path asks only about nodes of this list.
            unsafe { order(node, score, member).is_lt() }
        })
    }

    fn path_to_rank(&self, rank: usize) -> Path {
        self.path(|_, reached| reached <= rank)
    }

    /// The way to the place after the last node that is `before` it. The predicate gets a node and how many
    /// elements come up to and with it.
    fn path(&self, before: impl Fn(Node, usize) -> bool) -> Path {
        let mut path = Path { nodes: [self.head; MAX_HEIGHT], ranks: [0; MAX_HEIGHT] };
        let mut at = self.head;
        let mut rank = 0;
        for level in (0..self.height).rev() {
            // SAFETY: nodes reached from the head are alive, and on the lane on which they are reached.
            unsafe {
                while let Some(next) = at.next(level) {
                    // If `next` is too far, the lane below goes on here: let both come from memory at once.
                    if level > 0
                        && let Some(nearer) = at.next(level - 1)
                    {
                        prefetch(nearer.address());
                    }
                    if !before(next, rank + at.span(level)) {
                        break;
                    }
                    rank += at.span(level);
                    at = next;
                }
            }
            path.nodes[level] = at;
            path.ranks[level] = rank;
        }
        path
    }

    /// Puts a node behind the place that the path leads to.
    ///
    /// # Safety
    /// `node` is alive and not in the list; the path was found in the list as it is.
    unsafe fn link(&mut self, node: Node, path: &Path) {
        assert!(self.len < u32::MAX as usize, "spans are 32 bits wide");
        // SAFETY: the nodes of the path are alive, each on its lane, the head being on all.
        unsafe {
            let height = node.height();
            for level in self.height..height {
                self.head.set_span(level, self.len);
            }
            self.height = self.height.max(height);
            for level in 0..height {
                let before = path.nodes[level];
                node.set_next(level, before.next(level));
                before.set_next(level, Some(node));
                if level > 0 {
                    let passed = path.ranks[0] - path.ranks[level];
                    node.set_span(level, before.span(level) - passed);
                    before.set_span(level, passed + 1);
                }
            }
            for level in height..self.height {
                let before = path.nodes[level];
                before.set_span(level, before.span(level) + 1);
            }
            node.set_prev((path.nodes[0] != self.head).then_some(path.nodes[0]));
            match node.next(0) {
                Some(next) => next.set_prev(Some(node)),
                None => self.tail = Some(node),
            }
        }
        self.len += 1;
    }

    /// Takes a node out of all lanes.
    ///
    /// # Safety
    /// `node` is in the list, and the path leads to the place before it.
    unsafe fn unlink(&mut self, node: Node, path: &Path) {
        // SAFETY: the nodes of the path are alive, each on its lane, and so are the neighbours of the node.
        unsafe {
            for level in 0..self.height {
                let before = path.nodes[level];
                if before.next(level) == Some(node) {
                    before.set_next(level, node.next(level));
                    if level > 0 {
                        before.set_span(level, before.span(level) + node.span(level) - 1);
                    }
                } else {
                    before.set_span(level, before.span(level) - 1);
                }
            }
            match node.next(0) {
                Some(next) => next.set_prev(node.prev()),
                None => self.tail = node.prev(),
            }
            while self.height > 1 && self.head.next(self.height - 1).is_none() {
                self.height -= 1;
            }
        }
        self.len -= 1;
    }

    /// # Safety
    /// `node` is alive and in the list no more.
    unsafe fn free(&mut self, node: Node) {
        // SAFETY: alive, and no node points to it any more.
        unsafe {
            self.mem_bytes -= node.mem_bytes();
            node.free();
        }
    }

    /// 1 three times in four, 2 three times in sixteen, and so on.
    fn draw_height(&mut self) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        // The high bits of a product are better dice than the state itself.
        let throw = self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (1 + throw.trailing_zeros() as usize / 2).min(MAX_HEIGHT)
    }
}

impl Drop for Skiplist {
    fn drop(&mut self) {
        let mut next = Some(self.head);
        while let Some(node) = next {
            // SAFETY: the list owns its nodes; each is read before it is freed, and freed once.
            unsafe {
                next = node.next(0);
                node.free();
            }
        }
    }
}

impl std::fmt::Debug for Skiplist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.range(0..self.len)).finish()
    }
}

/// The order of two elements.
pub(super) fn pair_order(score: f64, member: &[u8], other_score: f64, other_member: &[u8]) -> Ordering {
    score.partial_cmp(&other_score).unwrap_or(Ordering::Equal).then_with(|| member.cmp(other_member))
}

/// How a node compares to an element.
///
/// # Safety
/// `node` is alive.
unsafe fn order(node: Node, score: f64, member: &[u8]) -> Ordering {
    // SAFETY: alive.
    unsafe { pair_order(node.score(), node.member(), score, member) }
}

/// A run of elements, from both ends.
#[derive(Clone)]
pub struct Iter<'a> {
    front: Link,
    back: Link,
    left: usize,
    list: std::marker::PhantomData<&'a Skiplist>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.front?;
        // SAFETY: the list is borrowed, so its nodes stay.
        unsafe {
            self.front = node.next(0);
            if let Some(next) = self.front {
                prefetch(next.address());
            }
            Some((node.score(), node.member()))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.back?;
        // SAFETY: the list is borrowed, so its nodes stay.
        unsafe {
            self.back = node.prev();
            if let Some(prev) = self.back {
                prefetch(prev.address());
            }
            Some((node.score(), node.member()))
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recounts every span and back link.
    fn check(list: &Skiplist) {
        // SAFETY: only nodes of the list are visited.
        unsafe {
            let mut nodes = vec![list.head];
            while let Some(next) = nodes.last().unwrap().next(0) {
                let last = *nodes.last().unwrap();
                assert_eq!(next.prev(), (last != list.head).then_some(last));
                assert!(last == list.head || order(last, next.score(), next.member()).is_lt());
                nodes.push(next);
            }
            assert_eq!(list.len, nodes.len() - 1);
            assert_eq!(list.tail, nodes.get(1..).and_then(<[Node]>::last).copied());
            for level in 1..list.height {
                let mut at = 0;
                loop {
                    let next = nodes[at].next(level);
                    let to = next.map_or(list.len, |next| nodes.iter().position(|n| *n == next).unwrap());
                    assert_eq!(nodes[at].span(level), to - at, "lane {level}");
                    if next.is_none() {
                        break;
                    }
                    at = to;
                }
            }
            let bytes: usize = nodes.iter().map(|n| n.mem_bytes()).sum();
            assert_eq!(list.mem_bytes, bytes);
        }
    }

    #[test]
    fn heights_are_drawn_with_one_in_four() {
        let mut list = Skiplist::new();
        let mut counts = [0usize; MAX_HEIGHT + 1];
        for _ in 0..40_000 {
            counts[list.draw_height()] += 1;
        }
        assert!((29_500..30_500).contains(&counts[1]), "{counts:?}");
        assert!((7_200..7_800).contains(&counts[2]), "{counts:?}");
        assert!((1_750..2_000).contains(&counts[3]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_vector(
            changes in proptest::collection::vec((0u8..10, -4i8..4, proptest::collection::vec(97u8..101, 0..3)), 1..120)
        ) {
            let mut list = Skiplist::new();
            let mut model: Vec<(f64, Vec<u8>, Node)> = Vec::new();
            let sort = |model: &mut Vec<(f64, Vec<u8>, Node)>| model.sort_by(|a, b| pair_order(a.0, &a.1, b.0, &b.1));
            for (kind, score, member) in changes {
                let score = f64::from(score);
                let there = model.iter().position(|(_, m, _)| *m == member);
                match (kind, there) {
                    (0..6, None) => {
                        let node = list.insert(score, &member);
                        model.push((score, member, node));
                        sort(&mut model);
                    }
                    (0..6, Some(i)) => {
                        // SAFETY: the model keeps the nodes of the list.
                        unsafe { list.set_score(model[i].2, score) };
                        model[i].0 = score;
                        sort(&mut model);
                    }
                    (6..9, Some(i)) => {
                        // SAFETY: the model keeps the nodes of the list.
                        unsafe {
                            prop_assert_eq!(list.rank(model[i].2), i);
                            list.remove(model[i].2);
                        }
                        model.remove(i);
                    }
                    (9, _) => {
                        let ranks = member.len()..member.len() + 2;
                        let mut gone = Vec::new();
                        list.remove_ranks(ranks.clone(), |s, m| gone.push((s, m.to_vec())));
                        let ranks = ranks.start.min(model.len())..ranks.end.min(model.len());
                        let expected: Vec<_> = model.drain(ranks).map(|(s, m, _)| (s, m)).collect();
                        prop_assert_eq!(gone, expected);
                    }
                    _ => {}
                }
                check(&list);
                prop_assert!(list.range(0..list.len()).eq(model.iter().map(|(s, m, _)| (*s, &m[..]))));
                for start in 0..model.len() {
                    let ranks = start..(start + 3).min(model.len());
                    prop_assert!(
                        list.range(start..start + 3).rev().eq(model[ranks].iter().rev().map(|(s, m, _)| (*s, &m[..])))
                    );
                }
                prop_assert_eq!(list.count_while(|s, _| s < score), model.iter().filter(|e| e.0 < score).count());
            }
        }
    }
}
