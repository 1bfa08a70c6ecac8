//! The listpack: many small elements in one flat run of bytes, in exactly the form that RDB files and DUMP
//! payloads carry.
//!
//! A header of 6 bytes (total bytes as u32, number of elements as u16, both little endian), the entries, and
//! `0xff`. An entry is a first byte that tells encoding and often the value, more data if need be, and then its
//! own length written so that it can be read from the right. Everything is found by walking, so listpacks are
//! for collections small enough that a walk is cheaper than an index.
//!
//! A *position* is the byte offset of an entry; [`Listpack::end`] stands after the last one. A change makes
//! the positions behind it stale.

mod entry;

use super::alloc::{reserve_class, shrink_class, size_class};
use super::{Corrupt, Item};
use crate::base::num;
pub use entry::entry_bytes;
use entry::{Entry, back, check, decode, skip};

const HEADER: usize = 6;
const END: u8 = 0xff;
/// The count of a listpack with this many elements or more is not kept, and found by walking.
const UNCOUNTED: usize = 0xffff;
/// A listpack larger than this is never made.
pub const MAX_BYTES: usize = 1 << 30;

/// A valid listpack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listpack {
    bytes: Vec<u8>,
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl Listpack {
    /// An empty listpack: 7 bytes.
    #[must_use]
    pub fn new() -> Listpack {
        Listpack { bytes: vec![HEADER as u8 + 1, 0, 0, 0, 0, 0, END] }
    }

    /// Takes foreign bytes over after a complete check: header, every entry, every back length, the count.
    pub fn validate(bytes: Vec<u8>) -> Result<Listpack, Corrupt> {
        check(&bytes)?;
        Ok(Listpack { bytes })
    }

    /// Takes back bytes that were a listpack's before.
    pub(super) fn trust(bytes: Vec<u8>) -> Listpack {
        debug_assert!(check(&bytes).is_ok());
        Listpack { bytes }
    }

    /// The exact bytes of the format.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements. O(1) below 65535.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.counted() {
            UNCOUNTED => self.iter().count(),
            count => count,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER + 1
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// Whether `more` bytes of new elements still keep the listpack below its largest size.
    #[must_use]
    pub fn has_room(&self, more: usize) -> bool {
        self.bytes.len().saturating_add(more) <= MAX_BYTES
    }

    /// The position of the first element, or [`Listpack::end`].
    #[must_use]
    pub fn start(&self) -> usize {
        HEADER
    }

    /// The position behind the last element.
    #[must_use]
    pub fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The position after the one of an element.
    #[must_use]
    pub fn next(&self, at: usize) -> usize {
        skip(&self.bytes, at)
    }

    /// The position of the element before `at`, if there is one.
    #[must_use]
    pub fn prev(&self, at: usize) -> Option<usize> {
        (at > HEADER).then(|| back(&self.bytes, at))
    }

    /// The element at a position that is not the end.
    #[must_use]
    pub fn item(&self, at: usize) -> Item<'_> {
        decode(&self.bytes, at).0
    }

    /// The element at a position that is not the end, and the position after it.
    #[must_use]
    pub fn read(&self, at: usize) -> (Item<'_>, usize) {
        decode(&self.bytes, at)
    }

    /// The position of element `index`; negative indexes count from the back, -1 being the last.
    #[must_use]
    pub fn seek(&self, index: i64) -> Option<usize> {
        let mut index = index;
        let count = self.counted();
        if count < UNCOUNTED {
            let count = count as i64;
            if index >= count || index < -count {
                return None;
            }
            if index >= 0 && index > count / 2 {
                index -= count;
            } else if index < -(count / 2) - 1 {
                index += count;
            }
        }
        if index >= 0 {
            let mut at = self.start();
            for _ in 0..index {
                if at == self.end() {
                    return None;
                }
                at = self.next(at);
            }
            (at != self.end()).then_some(at)
        } else {
            let mut at = self.end();
            for _ in index..0 {
                at = self.prev(at)?;
            }
            Some(at)
        }
    }

    /// Element `index`, counted as [`Listpack::seek`] does.
    #[must_use]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        self.seek(index).map(|at| self.item(at))
    }

    /// The position of the first element from `at` on that equals `needle`, looking at every `stride`-th
    /// element only: 1 for all, 2 for the fields of field-value pairs.
    #[must_use]
    pub fn find(&self, at: usize, needle: &[u8], stride: usize) -> Option<usize> {
        let number = num::parse_i64(needle);
        let last = needle.last().copied();
        let bytes = &self.bytes[..];
        let mut at = at;
        loop {
            let first = bytes[at];
            let next = match first {
                // The common case, a short string, without the general decoder. Names that are alike tend to differ
                // at the end.
                0x81..=0xbf => {
                    let len = usize::from(first & 0x3f);
                    if len == needle.len() && last == Some(bytes[at + len]) && bytes[at + 1..=at + len] == *needle {
                        return Some(at);
                    }
                    at + len + 2
                }
                END => return None,
                _ => {
                    let (item, next) = decode(bytes, at);
                    let hit = match item {
                        Item::Int(n) => number == Some(n),
                        Item::Bytes(text) => text == needle,
                    };
                    if hit {
                        return Some(at);
                    }
                    next
                }
            };
            at = next;
            for _ in 1..stride {
                if bytes[at] == END {
                    return None;
                }
                at = skip(bytes, at);
            }
        }
    }

    /// Appends an element; text that is a canonical 64-bit integer is kept as an integer.
    pub fn push<'v>(&mut self, item: impl Into<Item<'v>>) {
        self.splice(self.end(), 0, [item.into()]);
    }

    /// Appends elements, as pushing them one by one does, but counts once.
    pub fn push_all<'v>(&mut self, items: impl Iterator<Item = Item<'v>>) {
        self.bytes.pop();
        let mut added = 0;
        for item in items {
            let entry = Entry::new(item);
            let new_len = self.bytes.len() + entry.len() + 1;
            assert!(new_len <= MAX_BYTES, "a listpack is kept below its largest size by its owner");
            reserve_class(&mut self.bytes, new_len);
            entry.push_to(&mut self.bytes);
            added += 1;
        }
        self.bytes.push(END);
        let count = match self.counted() {
            UNCOUNTED => UNCOUNTED,
            count => count + added,
        };
        self.write_header(count);
    }

    /// Inserts elements before the one at `at` (or at the end).
    pub fn insert<const N: usize>(&mut self, at: usize, items: [Item<'_>; N]) {
        self.splice(at, 0, items);
    }

    /// Replaces the element at `at`.
    pub fn replace<'v>(&mut self, at: usize, item: impl Into<Item<'v>>) {
        self.splice(at, 1, [item.into()]);
    }

    /// Removes up to `count` elements from `at` on.
    pub fn remove(&mut self, at: usize, count: usize) {
        self.splice(at, count, []);
    }

    /// Removes up to `count` elements from element `index` on (negative: from the back).
    pub fn remove_range(&mut self, index: i64, count: usize) {
        if let Some(at) = self.seek(index) {
            self.remove(at, count);
        }
    }

    /// Appends all elements of `other`.
    pub fn append(&mut self, other: &Listpack) {
        let count = self.len() + other.len();
        let end = self.end();
        reserve_class(&mut self.bytes, end + other.bytes.len() - HEADER);
        self.bytes.truncate(end);
        self.bytes.extend_from_slice(&other.bytes[HEADER..]);
        self.write_header(count);
    }

    /// Keeps the elements before `at` and returns the others.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Listpack {
        let mut tail = Listpack::new();
        let moved = self.bytes.len() - at;
        tail.bytes.truncate(HEADER);
        reserve_class(&mut tail.bytes, HEADER + moved);
        tail.bytes.extend_from_slice(&self.bytes[at..]);
        let count = self.len();
        self.bytes.truncate(at);
        self.bytes.push(END);
        let moved_count = tail.iter().count();
        tail.write_header(moved_count);
        self.write_header(count - moved_count);
        shrink_class(&mut self.bytes);
        tail
    }

    /// The elements in order; also from the back.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        self.iter_between(self.start(), self.end())
    }

    /// The elements from position `at` on.
    #[must_use]
    pub fn iter_from(&self, at: usize) -> Iter<'_> {
        self.iter_between(at, self.end())
    }

    /// The elements from one position up to another.
    #[must_use]
    pub fn iter_between(&self, from: usize, until: usize) -> Iter<'_> {
        Iter { bytes: &self.bytes, front: from, back: until }
    }

    /// The elements before position `at`, for walking back from it.
    #[must_use]
    pub fn iter_until(&self, at: usize) -> Iter<'_> {
        self.iter_between(self.start(), at)
    }

    /// Element count as the header tells it.
    fn counted(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[4], self.bytes[5]]))
    }

    fn write_header(&mut self, count: usize) {
        let total = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        let count = count.min(UNCOUNTED) as u16;
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    /// The one place that changes bytes: `items` take the place of up to `remove` elements from `at` on.
    fn splice<const N: usize>(&mut self, at: usize, remove: usize, items: [Item<'_>; N]) {
        let mut until = at;
        let mut removed = 0;
        while removed < remove && until != self.end() {
            until = self.next(until);
            removed += 1;
        }
        let entries = items.map(Entry::new);
        let gap: usize = entries.iter().map(Entry::len).sum();
        let old_len = self.bytes.len();
        let new_len = old_len - (until - at) + gap;
        assert!(new_len <= MAX_BYTES || new_len <= old_len, "a listpack is kept below its largest size by its owner");
        if new_len > old_len {
            reserve_class(&mut self.bytes, new_len);
            self.bytes.resize(new_len, 0);
        }
        if until != at + gap {
            self.bytes.copy_within(until..old_len, at + gap);
        }
        self.bytes.truncate(new_len);
        let mut to = at;
        for entry in &entries {
            to = entry.write(&mut self.bytes, to);
        }
        let count = match self.counted() {
            UNCOUNTED => UNCOUNTED,
            count => count + N - removed,
        };
        self.write_header(count);
        if new_len < old_len {
            shrink_class(&mut self.bytes);
        }
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Walks a listpack from both ends.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.front == self.back {
            return None;
        }
        let (item, next) = decode(self.bytes, self.front);
        self.front = next;
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        self.back = back(self.bytes, self.back);
        Some(decode(self.bytes, self.back).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(items: &[&[u8]]) -> Listpack {
        let mut pack = Listpack::new();
        for item in items {
            pack.push(*item);
        }
        pack
    }

    fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
        pack.iter().map(|item| item.to_vec()).collect()
    }

    #[test]
    fn a_list_of_three_numbers() {
        assert_eq!(pack(&[b"1", b"2", b"3"]).bytes(), [0x0d, 0, 0, 0, 3, 0, 0x01, 0x01, 0x02, 0x01, 0x03, 0x01, 0xff]);
    }

    #[test]
    fn integers_take_their_smallest_form() {
        for (n, bytes) in [
            (0, 2),
            (127, 2),
            (128, 3),
            (-1, 3),
            (4095, 3),
            (-4096, 3),
            (4096, 4),
            (-4097, 4),
            (i64::from(i16::MAX), 4),
            (i64::from(i16::MIN), 4),
            (32768, 5),
            (-32769, 5),
            ((1 << 23) - 1, 5),
            (-(1 << 23), 5),
            (1 << 23, 6),
            (i64::from(i32::MAX), 6),
            (i64::from(i32::MIN), 6),
            (1 << 31, 10),
            (i64::MAX, 10),
            (i64::MIN, 10),
        ] {
            let pack = pack(&[n.to_string().as_bytes()]);
            assert_eq!(pack.bytes().len(), HEADER + 1 + bytes, "{n}");
            assert!(matches!(pack.get(0), Some(Item::Int(m)) if m == n), "{n}");
        }
    }

    #[test]
    fn every_width_of_back_length_reads_both_ways() {
        let sizes = [0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16_000, 16_383, 20_000, 2_097_150, 2_097_151, 2_100_000];
        let mut pack = Listpack::new();
        for size in sizes {
            let text = vec![b'x'; size];
            let before = pack.bytes().len();
            pack.push(&text);
            assert!(pack.bytes().len() - before <= entry_bytes(size));
        }
        let pack = Listpack::validate(pack.bytes().to_vec()).unwrap();
        assert!(pack.iter().map(|i| i.len_as_text()).eq(sizes));
        assert!(pack.iter().rev().map(|i| i.len_as_text()).eq(sizes.into_iter().rev()));
    }

    #[test]
    fn the_count_is_found_by_walking_when_the_header_cannot_tell() {
        let mut pack = Listpack::new();
        for i in 0..UNCOUNTED + 3 {
            pack.push(i as i64 % 100);
        }
        assert_eq!(pack.len(), UNCOUNTED + 3);
        assert_eq!(pack.get(-1), pack.get(UNCOUNTED as i64 + 2));
        assert_eq!(pack.get(UNCOUNTED as i64 + 3), None);
        pack.remove_range(0, 10);
        assert_eq!(pack.len(), UNCOUNTED - 7);
        assert!(Listpack::validate(pack.bytes().to_vec()).is_ok());
        let tail = pack.split_off(pack.seek(5).unwrap());
        assert_eq!((pack.len(), tail.len()), (5, UNCOUNTED - 12));
    }

    #[test]
    fn find_looks_at_every_stride_th() {
        let pack = pack(&[b"a", b"b", b"b", b"12", b"12", b"a"]);
        let index = |at: Option<usize>| at.map(|at| pack.iter_until(at).count());
        assert_eq!(index(pack.find(pack.start(), b"b", 1)), Some(1));
        assert_eq!(index(pack.find(pack.start(), b"b", 2)), Some(2));
        assert_eq!(index(pack.find(pack.start(), b"12", 2)), Some(4));
        assert_eq!(index(pack.find(pack.start(), b"012", 1)), None);
        assert_eq!(index(pack.find(pack.end(), b"a", 1)), None);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let good = pack(&[b"hello", b"1024", b"x"]).bytes().to_vec();
        let broken = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Listpack::validate(bytes)
        };
        assert!(Listpack::validate(good.clone()).is_ok());
        assert!(Listpack::validate(Vec::new()).is_err());
        assert!(Listpack::validate(good[..good.len() - 1].to_vec()).is_err());
        assert!(broken(0, 99).is_err());
        assert!(broken(4, 2).is_err());
        assert!(broken(HEADER, 0xff).is_err());
        assert!(broken(HEADER, 0xf7).is_err());
        assert!(broken(HEADER, 0xf0).is_err());
        assert!(broken(HEADER + 6, 7).is_err());
        // An unknown count is allowed, and so is text that could have been an integer.
        let mut bytes = good.clone();
        bytes[4..6].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Listpack::validate(bytes).unwrap().len(), 3);
        let lazy = Listpack::validate(vec![10, 0, 0, 0, 1, 0, 0x81, b'7', 2, 0xff]).unwrap();
        assert!(lazy.find(lazy.start(), b"7", 1).is_some());
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..8),
            1 => proptest::collection::vec(any::<u8>(), 60..200),
            1 => proptest::collection::vec(any::<u8>(), 4090..4100),
            4 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            4 => (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
        ]
    }

    #[derive(Clone, Debug)]
    enum Change {
        Push(Vec<u8>),
        PushAll(Vec<Vec<u8>>),
        Insert(usize, Vec<u8>, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        SplitAndJoin(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => text().prop_map(Change::Push),
            2 => proptest::collection::vec(text(), 0..4).prop_map(Change::PushAll),
            3 => (any::<usize>(), text(), text()).prop_map(|(i, a, b)| Change::Insert(i, a, b)),
            2 => (any::<usize>(), text()).prop_map(|(i, t)| Change::Replace(i, t)),
            2 => (any::<usize>(), 0..4usize).prop_map(|(i, n)| Change::Remove(i, n)),
            1 => any::<usize>().prop_map(Change::SplitAndJoin),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(changes in proptest::collection::vec(change(), 1..40)) {
            let mut pack = Listpack::new();
            let mut model: Vec<Vec<u8>> = Vec::new();
            let position = |pack: &Listpack, i: usize| pack.seek(i as i64).unwrap_or(pack.end());
            for change in changes {
                match change {
                    Change::Push(text) => {
                        pack.push(&text);
                        model.push(text);
                    }
                    Change::PushAll(texts) => {
                        pack.push_all(texts.iter().map(Item::from));
                        model.extend(texts);
                    }
                    Change::Insert(i, a, b) => {
                        let i = i % (model.len() + 1);
                        pack.insert(position(&pack, i), [Item::from(&a), Item::from(&b)]);
                        model.splice(i..i, [a, b]);
                    }
                    Change::Replace(i, text) if !model.is_empty() => {
                        let i = i % model.len();
                        pack.replace(position(&pack, i), &text);
                        model[i] = text;
                    }
                    Change::Remove(i, n) => {
                        let i = i % (model.len() + 1);
                        pack.remove(position(&pack, i), n);
                        model.drain(i..(i + n).min(model.len()));
                    }
                    Change::SplitAndJoin(i) => {
                        let tail = pack.split_off(position(&pack, i % (model.len() + 1)));
                        prop_assert!(Listpack::validate(tail.bytes().to_vec()).is_ok());
                        pack.append(&tail);
                    }
                    Change::Replace(..) => {}
                }
                prop_assert!(Listpack::validate(pack.bytes().to_vec()).is_ok());
                prop_assert_eq!(pack.len(), model.len());
                prop_assert_eq!(texts(&pack), model.clone());
                for (i, text) in model.iter().enumerate() {
                    prop_assert_eq!(pack.get(i as i64).unwrap().to_vec(), text.clone());
                    prop_assert_eq!(pack.get(i as i64 - model.len() as i64).unwrap().to_vec(), text.clone());
                    let found = pack.find(pack.start(), text, 1).map(|at| pack.iter_until(at).count());
                    prop_assert_eq!(found, model.iter().position(|t| t == text));
                }
                prop_assert_eq!(pack.get(model.len() as i64), None);
                prop_assert_eq!(pack.get(-1 - model.len() as i64), None);
                let mut backwards: Vec<_> = pack.iter().rev().map(|item| item.to_vec()).collect();
                backwards.reverse();
                prop_assert_eq!(&backwards, &model);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), honest in any::<bool>()) {
            let mut bytes = bytes;
            if honest && bytes.len() > HEADER {
                let len = bytes.len() as u32;
                bytes[..4].copy_from_slice(&len.to_le_bytes());
                bytes[4..6].copy_from_slice(&[0xff, 0xff]);
                *bytes.last_mut().unwrap() = END;
            }
            if let Ok(pack) = Listpack::validate(bytes) {
                prop_assert_eq!(pack.iter().count(), pack.iter().rev().count());
            }
        }

        #[test]
        fn mutated_bytes_are_refused_or_walk_well(
            texts in proptest::collection::vec(text(), 1..8), at in any::<usize>(), byte in any::<u8>()
        ) {
            let mut pack = Listpack::new();
            for text in &texts {
                pack.push(text);
            }
            let mut bytes = pack.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(pack) = Listpack::validate(bytes) {
                prop_assert_eq!(pack.iter().count(), pack.len());
                prop_assert_eq!(pack.iter().rev().count(), pack.len());
                let _ = pack.find(pack.start(), b"nothing like it", 2);
            }
        }
    }
}
