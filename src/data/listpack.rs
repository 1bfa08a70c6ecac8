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
mod iter;
mod room;

use super::{Corrupt, Item};
use crate::base::num;
pub use entry::entry_bytes;
use entry::{Entry, back, check, decode, skip};
pub use iter::Iter;
use room::Room;

const HEADER: usize = 6;
const END: u8 = 0xff;
const EMPTY: [u8; HEADER + 1] = [HEADER as u8 + 1, 0, 0, 0, 0, 0, END];
/// The count of a listpack with this many elements or more is not kept, and found by walking.
const UNCOUNTED: usize = 0xffff;
/// A listpack larger than this is never made.
pub const MAX_BYTES: usize = 1 << 30;

/// A valid listpack; as large as a pointer.
#[repr(transparent)]
pub struct Listpack {
    room: Room,
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
        Listpack { room: Room::new(&EMPTY) }
    }

    /// Takes foreign bytes over after a complete check: header, every entry, every back length, the count.
    pub fn validate(bytes: &[u8]) -> Result<Listpack, Corrupt> {
        check(bytes)?;
        Ok(Listpack { room: Room::new(bytes) })
    }

    /// Takes back bytes that were a listpack's before.
    pub(super) fn trust(bytes: &[u8]) -> Listpack {
        debug_assert!(check(bytes).is_ok());
        Listpack { room: Room::new(bytes) }
    }

    /// The exact bytes of the format.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.room.bytes()
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
        self.room.len() == HEADER + 1
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.room.capacity()
    }

    /// Whether `more` bytes of new elements still keep the listpack below its largest size.
    #[must_use]
    pub fn has_room(&self, more: usize) -> bool {
        self.room.len().saturating_add(more) <= MAX_BYTES
    }

    /// The position of the first element, or [`Listpack::end`].
    #[must_use]
    pub fn start(&self) -> usize {
        HEADER
    }

    /// The position behind the last element.
    #[must_use]
    pub fn end(&self) -> usize {
        self.room.len() - 1
    }

    /// The position after the one of an element.
    #[must_use]
    pub fn next(&self, at: usize) -> usize {
        skip(self.bytes(), at)
    }

    /// The position of the element before `at`, if there is one.
    #[must_use]
    pub fn prev(&self, at: usize) -> Option<usize> {
        (at > HEADER).then(|| back(self.bytes(), at))
    }

    /// The element at a position that is not the end.
    #[must_use]
    pub fn item(&self, at: usize) -> Item<'_> {
        decode(self.bytes(), at).0
    }

    /// The element at a position that is not the end, and the position after it.
    #[must_use]
    pub fn read(&self, at: usize) -> (Item<'_>, usize) {
        decode(self.bytes(), at)
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
        let bytes = self.bytes();
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
        let mut added = 0;
        for item in items {
            self.put(self.end(), self.end(), &[Entry::new(item)]);
            added += 1;
        }
        self.add_to_count(added, 0);
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
        let at = self.end();
        let entries = &other.bytes()[HEADER..other.end()];
        self.room.splice(at, at, entries.len());
        self.room.bytes_mut()[at..at + entries.len()].copy_from_slice(entries);
        self.write_count(count);
    }

    /// Keeps the elements before `at` and returns the others.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Listpack {
        let end = self.end();
        let mut tail = Listpack::new();
        tail.room.splice(HEADER, HEADER, end - at);
        tail.room.bytes_mut()[HEADER..HEADER + end - at].copy_from_slice(&self.bytes()[at..end]);
        let count = self.len();
        self.room.splice(at, end, 0);
        let moved_count = tail.iter().count();
        tail.write_count(moved_count);
        self.write_count(count - moved_count);
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
        Iter { bytes: self.bytes(), front: from, back: until }
    }

    /// The elements before position `at`, for walking back from it.
    #[must_use]
    pub fn iter_until(&self, at: usize) -> Iter<'_> {
        self.iter_between(self.start(), at)
    }

    /// Element count as the header tells it.
    fn counted(&self) -> usize {
        let bytes = self.bytes();
        usize::from(u16::from_le_bytes([bytes[4], bytes[5]]))
    }

    fn write_count(&mut self, count: usize) {
        let count = count.min(UNCOUNTED) as u16;
        self.room.bytes_mut()[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    fn add_to_count(&mut self, added: usize, removed: usize) {
        match self.counted() {
            UNCOUNTED => {}
            count => self.write_count(count + added - removed),
        }
    }

    /// `items` take the place of up to `remove` elements from `at` on.
    fn splice<const N: usize>(&mut self, at: usize, remove: usize, items: [Item<'_>; N]) {
        let mut until = at;
        let mut removed = 0;
        while removed < remove && until != self.end() {
            until = self.next(until);
            removed += 1;
        }
        self.put(at, until, &items.map(Entry::new));
        self.add_to_count(N, removed);
    }

    /// The one place that changes elements: entries take the place of what stands from `at` up to `until`.
    fn put(&mut self, at: usize, until: usize, entries: &[Entry<'_>]) {
        let new: usize = entries.iter().map(Entry::len).sum();
        let fits = self.has_room(new.saturating_sub(until - at));
        assert!(fits, "a listpack is kept below its largest size by its owner");
        self.room.splice(at, until, new);
        let bytes = self.room.bytes_mut();
        let mut to = at;
        for entry in entries {
            to = entry.write(bytes, to);
        }
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Listpack {
        Listpack { room: Room::new(self.bytes()) }
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Listpack) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Listpack {}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

#[cfg(test)]
mod tests;
