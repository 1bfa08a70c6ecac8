//! The list value: one listpack while small, a quicklist then.
//!
//! Elements are handed to closures rather than returned by reference, because the inner nodes of a long list may be
//! compressed and are unpacked just for the look.

use std::ops::{ControlFlow, Range};

use super::packed::{Held, HeldMut, Packed};
pub use super::quicklist::{End, Loaded, NodeRef, Stored};
use super::quicklist::{Fill, Quicklist, remove_from_pack};
use super::value::Encoding;
use super::{Item, Limits, Listpack};

/// Elements in the order of their insertion at either end.
#[derive(Debug, Default)]
pub struct List {
    repr: Packed<Quicklist>,
}

/// On which side of the pivot to insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Before,
    After,
}

impl List {
    #[must_use]
    pub fn new() -> List {
        List::default()
    }

    /// Takes over the nodes from a file or payload. Nodes without elements are left out.
    #[must_use]
    pub fn from_nodes(nodes: impl IntoIterator<Item = Loaded>, limits: &Limits) -> List {
        let mut quick = Quicklist::new();
        for node in nodes {
            quick.push_node(node);
        }
        let repr = match quick.take_small(Fill::new(limits)) {
            Some(pack) => Packed::pack(pack),
            None if quick.is_empty() => Packed::default(),
            None => Packed::full(quick),
        };
        List { repr }
    }

    /// The nodes as they are to be written; a small list is one packed node.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        Nodes { pack: self.repr.as_pack(), quick: self.repr.as_full().map(Quicklist::nodes) }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.len(),
            Held::Full(quick) => quick.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match self.repr.get() {
            Held::Pack(_) => Encoding::Listpack,
            Held::Full(_) => Encoding::Quicklist,
        }
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.mem_bytes(),
            Held::Full(quick) => size_of::<Quicklist>() + quick.mem_bytes(),
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, value: &[u8], limits: &Limits) {
        self.push_all(end, [value], limits);
    }

    /// Adds elements at an end, one after the other (so at the front the last comes first). Whether they all still
    /// fit into a listpack is decided once for all of them.
    pub fn push_all<'v, I>(&mut self, end: End, values: I, limits: &Limits)
    where
        I: IntoIterator<Item = &'v [u8], IntoIter: Clone>,
    {
        let values = values.into_iter();
        let (bytes, count) = values.clone().fold((0, 0), |(bytes, count), value| (bytes + value.len(), count + 1));
        self.grow(bytes, count, limits);
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => match end {
                End::Front => values.for_each(|value| pack.insert(pack.start(), [value.into()])),
                End::Back => values.for_each(|value| pack.push(value)),
            },
            HeldMut::Full(quick) => values.for_each(|value| quick.push(end, value, limits)),
        }
    }

    /// Removes and returns the element at an end.
    pub fn pop(&mut self, end: End, limits: &Limits) -> Option<Vec<u8>> {
        let index = match end {
            End::Front => 0,
            End::Back => self.len().checked_sub(1)?,
        };
        let value = self.get(index as i64, |item| item.to_vec())?;
        self.remove_range(index..index + 1, limits);
        Some(value)
    }

    /// Calls `f` with element `index`, if there is one; negative indexes count from the back, -1 being the last.
    pub fn get<R>(&self, index: i64, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let (skip, reverse) = if index >= 0 { (index, false) } else { (-1 - index, true) };
        let skip = usize::try_from(skip).ok()?;
        // From the nearer end.
        let mirrored = self.len().checked_sub(skip + 1)?;
        let (skip, reverse) = if mirrored < skip { (mirrored, !reverse) } else { (skip, reverse) };
        let mut f = Some(f);
        self.walk(skip, reverse, |item| match f.take() {
            Some(f) => ControlFlow::Break(f(item)),
            None => ControlFlow::Continue(()),
        })
        .break_value()
    }

    /// Calls `f` with elements from the `skip`-th on, counted from the front, or from the back if `reverse`, until it
    /// breaks.
    pub fn walk<B>(&self, skip: usize, reverse: bool, mut f: impl FnMut(Item<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        match self.repr.get() {
            Held::Full(quick) => quick.walk(skip, reverse, f),
            Held::Pack(pack) if reverse => match pack.seek(-1 - skip as i64) {
                Some(at) => pack.iter_until(pack.next(at)).rev().try_for_each(f),
                None => ControlFlow::Continue(()),
            },
            Held::Pack(pack) => match pack.seek(skip as i64) {
                Some(at) => pack.iter_from(at).try_for_each(&mut f),
                None => ControlFlow::Continue(()),
            },
        }
    }

    /// Calls `f` with the elements of these indexes, as far as there are any, in order.
    pub fn for_each(&self, range: Range<usize>, mut f: impl FnMut(Item<'_>)) {
        let mut left = range.end.saturating_sub(range.start);
        if left == 0 {
            return;
        }
        let _ = self.walk(range.start, false, |item| {
            f(item);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Replaces element `index`, counted as [`List::get`] does; says whether it is there.
    pub fn set(&mut self, index: i64, value: &[u8], limits: &Limits) -> bool {
        let Some(index) = self.resolve(index) else { return false };
        self.grow(value.len(), 1, limits);
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => {
                if let Some(at) = pack.seek(index as i64) {
                    pack.replace(at, value);
                }
            }
            HeldMut::Full(quick) => quick.set(index, value, limits),
        }
        self.shrink(limits);
        true
    }

    /// Inserts beside the first element equal to `pivot`; says whether there is one.
    pub fn insert(&mut self, pivot: &[u8], side: Side, value: &[u8], limits: &Limits) -> bool {
        let mut index = 0;
        let found = self.walk(0, false, |item| {
            if item.eq_bytes(pivot) {
                return ControlFlow::Break(());
            }
            index += 1;
            ControlFlow::Continue(())
        });
        if found.is_continue() {
            return false;
        }
        if side == Side::After {
            index += 1;
        }
        self.grow(value.len(), 1, limits);
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => {
                let at = pack.seek(index as i64).unwrap_or(pack.end());
                pack.insert(at, [value.into()]);
            }
            HeldMut::Full(quick) => quick.insert(index, value, limits),
        }
        true
    }

    /// Removes elements equal to `value`: all for a `count` of 0, else that many from the front, or, if negative, from
    /// the back. Says how many it were.
    pub fn remove(&mut self, count: i64, value: &[u8], limits: &Limits) -> usize {
        let most = match count {
            0 => usize::MAX,
            _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
        };
        let removed = match self.repr.get_mut() {
            HeldMut::Pack(pack) => {
                let before = pack.len();
                remove_from_pack(pack, value, most, count < 0);
                before - pack.len()
            }
            HeldMut::Full(quick) => quick.remove_equal(value, most, count < 0, limits),
        };
        self.shrink(limits);
        removed
    }

    /// Removes the elements of these indexes, as far as there are any.
    pub fn remove_range(&mut self, range: Range<usize>, limits: &Limits) {
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => pack.remove_range(range.start as i64, range.len()),
            HeldMut::Full(quick) => quick.remove(range, limits),
        }
        self.shrink(limits);
    }

    /// Keeps only the elements of these indexes.
    pub fn trim(&mut self, keep: Range<usize>, limits: &Limits) {
        if keep.is_empty() {
            self.repr = Packed::default();
            return;
        }
        self.remove_range(keep.end..self.len(), limits);
        self.remove_range(0..keep.start, limits);
    }

    /// An index that may count from the back as one from the front, if there is such an element.
    #[must_use]
    pub fn resolve(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let index = if index < 0 {
            len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(index).ok()?
        };
        (index < len).then_some(index)
    }

    /// Becomes a quicklist if that much more is too much for a listpack.
    fn grow(&mut self, bytes: usize, count: usize, limits: &Limits) {
        if let HeldMut::Pack(pack) = self.repr.get_mut()
            && !Fill::new(limits).allows(pack.bytes().len() + bytes, pack.len() + count)
        {
            let mut quick = Quicklist::new();
            quick.push_node(Loaded::Packed(std::mem::take(pack)));
            self.repr = Packed::full(quick);
        }
    }

    /// Becomes a listpack again if little enough is left. Half of what a listpack may have, so that a list about
    /// that large does not go back and forth.
    fn shrink(&mut self, limits: &Limits) {
        let Some(quick) = self.repr.as_full_mut() else { return };
        if quick.is_empty() {
            self.repr = Packed::default();
        } else if let Some(pack) = quick.take_small(Fill::new(limits).halved()) {
            self.repr = Packed::pack(pack);
        }
    }
}

/// The nodes of either form.
struct Nodes<'a, Q> {
    pack: Option<&'a Listpack>,
    quick: Option<Q>,
}

impl<'a, Q: ExactSizeIterator<Item = NodeRef<'a>>> Iterator for Nodes<'a, Q> {
    type Item = NodeRef<'a>;

    fn next(&mut self) -> Option<NodeRef<'a>> {
        match &mut self.quick {
            Some(quick) => quick.next(),
            None => self.pack.take().map(|pack| NodeRef { plain: false, stored: Stored::Raw(pack.bytes()) }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.quick.as_ref().map_or(usize::from(self.pack.is_some()), ExactSizeIterator::len);
        (left, Some(left))
    }
}

impl<'a, Q: ExactSizeIterator<Item = NodeRef<'a>>> ExactSizeIterator for Nodes<'a, Q> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::lzf;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn limits(size: i64, depth: usize) -> Limits {
        Limits { list_max_listpack_size: size, list_compress_depth: depth, ..Limits::default() }
    }

    fn texts(list: &List) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        list.for_each(0..usize::MAX, |item| all.push(item.to_vec()));
        all
    }

    /// Reads the nodes as a saved file has them, and makes a list of them again.
    fn reload(list: &List, limits: &Limits) -> List {
        let nodes: Vec<_> = list
            .nodes()
            .map(|node| {
                let raw = match node.stored {
                    Stored::Raw(bytes) => bytes.to_vec(),
                    Stored::Lzf { packed, size } => lzf::decompress(packed, size).unwrap(),
                };
                if node.plain { Loaded::Plain(raw) } else { Loaded::Packed(Listpack::validate(&raw).unwrap()) }
            })
            .collect();
        List::from_nodes(nodes, limits)
    }

    #[test]
    fn encodings_follow_the_limits() {
        let limits = limits(4, 0);
        let mut list = List::new();
        list.push_all(End::Back, [&b"a"[..], b"b", b"c", b"d"], &limits);
        assert_eq!(list.encoding(), Encoding::Listpack);
        list.push(End::Front, b"e", &limits);
        assert_eq!(list.encoding(), Encoding::Quicklist);
        list.pop(End::Back, &limits);
        list.pop(End::Back, &limits);
        assert_eq!((list.encoding(), list.len()), (Encoding::Quicklist, 3));
        list.pop(End::Back, &limits);
        assert_eq!((list.encoding(), list.len()), (Encoding::Listpack, 2));

        let mut list = List::new();
        let limits = Limits::default();
        list.push(End::Back, &[b'x'; 8192 - 7], &limits);
        assert_eq!(list.encoding(), Encoding::Listpack);
        list.push(End::Back, b"", &limits);
        assert_eq!(list.encoding(), Encoding::Quicklist);
        let mut list = List::new();
        list.push_all(End::Back, [&[b'x'; 5000][..], &[b'y'; 5000]], &limits);
        assert_eq!(list.encoding(), Encoding::Quicklist);
        list.trim(0..0, &limits);
        assert_eq!((list.encoding(), list.len()), (Encoding::Listpack, 0));
    }

    #[test]
    fn a_large_element_has_a_node_of_its_own() {
        let limits = Limits::default();
        let mut list = List::new();
        for len in [10, 8192, 8193, 10] {
            list.push(End::Back, &vec![b'x'; len], &limits);
        }
        let plain: Vec<_> = list.nodes().map(|node| node.plain).collect();
        assert_eq!(plain, [false, false, true, false]);
    }

    #[test]
    fn large_begins_earlier_when_told_so() {
        let limits = Limits { list_plain_min_bytes: 100, ..limits(2, 0) };
        let mut list = List::new();
        for len in [10, 10, 10, 99, 100, 10] {
            list.push(End::Back, &vec![b'x'; len], &limits);
        }
        let plain: Vec<_> = list.nodes().map(|node| node.plain).collect();
        assert_eq!(plain, [false, false, true, false]);
    }

    #[test]
    fn inner_nodes_are_compressed_and_outer_ones_are_not() {
        let limits = limits(-1, 2);
        let mut list = List::new();
        for i in 0..2000 {
            list.push(
                if i % 2 == 0 { End::Front } else { End::Back },
                format!("element number {i}").as_bytes(),
                &limits,
            );
        }
        let compressed: Vec<_> = list.nodes().map(|node| matches!(node.stored, Stored::Lzf { .. })).collect();
        let count = compressed.len();
        assert!(count > 8);
        for (i, compressed) in compressed.into_iter().enumerate() {
            assert_eq!(compressed, (2..count - 2).contains(&i), "node {i} of {count}");
        }
        assert_eq!(texts(&reload(&list, &limits)), texts(&list));
    }

    #[derive(Clone, Debug)]
    enum Change {
        Push(bool, Vec<Vec<u8>>),
        Pop(bool),
        Set(i64, Vec<u8>),
        Insert(Vec<u8>, bool, Vec<u8>),
        Remove(i64, Vec<u8>),
        RemoveRange(usize, usize),
        Trim(usize, usize),
        Reload,
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => (0..6i64).prop_map(|n| n.to_string().into_bytes()),
            4 => proptest::collection::vec(97u8..99, 0..3),
            2 => (97u8..100, 40..300usize).prop_map(|(byte, len)| vec![byte; len]),
            1 => (97u8..100, 4000..9000usize).prop_map(|(byte, len)| vec![byte; len]),
        ]
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            12 => (any::<bool>(), proptest::collection::vec(value(), 1..6)).prop_map(|(f, v)| Change::Push(f, v)),
            3 => any::<bool>().prop_map(Change::Pop),
            4 => (-30..30i64, value()).prop_map(|(i, v)| Change::Set(i, v)),
            6 => (value(), any::<bool>(), value()).prop_map(|(p, s, v)| Change::Insert(p, s, v)),
            2 => (-3..3i64, value()).prop_map(|(n, v)| Change::Remove(n, v)),
            2 => (0..30usize, 0..8usize).prop_map(|(at, n)| Change::RemoveRange(at, n)),
            1 => (0..6usize, 10..60usize).prop_map(|(from, to)| Change::Trim(from, to)),
            1 => Just(Change::Reload),
        ]
    }

    /// What LREM does, on a deque.
    fn remove_from_model(model: &mut VecDeque<Vec<u8>>, count: i64, value: &[u8]) -> usize {
        let mut hits: Vec<usize> = (0..model.len()).filter(|i| model[*i] == value).collect();
        let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        if count < 0 {
            hits.drain(..hits.len().saturating_sub(most));
        } else {
            hits.truncate(most);
        }
        for i in hits.iter().rev() {
            model.remove(*i);
        }
        hits.len()
    }

    proptest! {
        #[test]
        fn behaves_like_a_deque(
            changes in proptest::collection::vec(change(), 1..60),
            size in prop_oneof![Just(-2i64), Just(-1), 0..6i64], depth in 0..3usize
        ) {
            let limits = limits(size, depth);
            let mut list = List::new();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for change in changes {
                match change {
                    Change::Push(front, values) => {
                        let end = if front { End::Front } else { End::Back };
                        list.push_all(end, values.iter().map(|v| &v[..]), &limits);
                        for value in values {
                            if front { model.push_front(value) } else { model.push_back(value) }
                        }
                    }
                    Change::Pop(true) => prop_assert_eq!(list.pop(End::Front, &limits), model.pop_front()),
                    Change::Pop(false) => prop_assert_eq!(list.pop(End::Back, &limits), model.pop_back()),
                    Change::Set(index, value) => {
                        let at = if index < 0 { index + model.len() as i64 } else { index };
                        let there = usize::try_from(at).ok().filter(|at| *at < model.len());
                        prop_assert_eq!(list.resolve(index), there);
                        prop_assert_eq!(list.set(index, &value, &limits), there.is_some());
                        if let Some(at) = there {
                            model[at] = value;
                        }
                    }
                    Change::Insert(pivot, after, value) => {
                        let there = model.iter().position(|v| *v == pivot);
                        let side = if after { Side::After } else { Side::Before };
                        prop_assert_eq!(list.insert(&pivot, side, &value, &limits), there.is_some());
                        if let Some(at) = there {
                            model.insert(at + usize::from(after), value);
                        }
                    }
                    Change::Remove(count, value) => {
                        let expected = remove_from_model(&mut model, count, &value);
                        prop_assert_eq!(list.remove(count, &value, &limits), expected);
                    }
                    Change::RemoveRange(at, count) => {
                        list.remove_range(at..at + count, &limits);
                        model.drain(at.min(model.len())..(at + count).min(model.len()));
                    }
                    Change::Trim(from, to) => {
                        list.trim(from..to, &limits);
                        model = model.into_iter().take(to).skip(from).collect();
                    }
                    Change::Reload => list = reload(&list, &limits),
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(texts(&list), model.iter().cloned().collect::<Vec<_>>());
                let mut backwards = Vec::new();
                let _ = list.walk(0, true, |item| {
                    backwards.push(item.to_vec());
                    ControlFlow::<()>::Continue(())
                });
                prop_assert!(backwards.iter().eq(model.iter().rev()));
                if let Some(quick) = list.repr.as_full() {
                    quick.check();
                }
            }
            let len = model.len() as i64;
            for index in -len - 1..=len {
                let at = if index < 0 { index + len } else { index };
                let expected = usize::try_from(at).ok().and_then(|at| model.get(at)).cloned();
                prop_assert_eq!(list.get(index, |item| item.to_vec()), expected);
            }
        }
    }
}
