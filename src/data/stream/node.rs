//! A node of a stream: a run of entries with ids close to each other and mostly the same fields, in one listpack in
//! exactly the form that files carry.
//!
//! ```text
//! master   live count | deleted count | N | N field names | 0
//! entry    flags | ms - master's | seq - master's | N values                     | number of elements before
//!     or   flags | ms - master's | seq - master's | n | n fields with their values | number of elements before
//! ```
//!
//! The node's key, its *master* id, is the id of the first entry that was put in. An entry with the fields of the
//! master does not repeat them. The number at an entry's end lets a walk go backwards. A deleted entry stays, with a
//! flag, until all of its node are deleted.

use super::id::StreamId;
use crate::data::{Corrupt, Item, Listpack, listpack};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Elements of an entry beside its fields and values, without the count of its own fields: flags, ms, seq.
const ENTRY_HEAD: usize = 3;
/// What the small numbers of an entry and of a master take at most.
const NUMBERS_BYTES: usize = 8 * 11;

/// A field with its value, as they come in.
pub type Pair<'v> = (&'v [u8], &'v [u8]);

/// A run of entries.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pack: Listpack,
}

/// What stands in front of a node's entries.
#[derive(Clone, Copy, Debug)]
struct Master {
    live: usize,
    deleted: usize,
    /// Number of field names, and the position of the first.
    fields: usize,
    names_at: usize,
    /// The position of the first entry.
    entries_at: usize,
}

/// An entry where it lies in its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub id: StreamId,
    pub live: bool,
    /// The position of the flags.
    pub at: usize,
    pub fields: Fields<'a>,
}

/// The bytes that `pairs` take at most, as fields of the master and once more as an entry of their own.
pub(super) fn bytes_needed<'v>(pairs: impl Iterator<Item = Pair<'v>>) -> usize {
    pairs.fold(2 * NUMBERS_BYTES, |bytes, (field, value)| {
        bytes + 2 * listpack::entry_bytes(field.len()) + listpack::entry_bytes(value.len())
    })
}

impl Node {
    /// A node without entries whose master has the fields of `pairs`.
    pub(super) fn new<'v>(pairs: impl ExactSizeIterator<Item = Pair<'v>>) -> Node {
        let mut pack = Listpack::new();
        let head = [Item::Int(0), Item::Int(0), Item::Int(pairs.len() as i64)];
        let names = pairs.map(|(field, _)| Item::Bytes(field));
        pack.push_all(head.into_iter().chain(names).chain([Item::Int(0)]));
        Node { pack }
    }

    /// Takes over a listpack from a file or payload after a complete check of its form.
    pub(super) fn validate(pack: Listpack) -> Result<Node, Corrupt> {
        check(&pack)?;
        Ok(Node { pack })
    }

    pub(super) fn pack(&self) -> &Listpack {
        &self.pack
    }

    pub(super) fn mem_bytes(&self) -> usize {
        self.pack.mem_bytes()
    }

    /// Number of live entries.
    pub(super) fn live(&self) -> usize {
        self.number(self.pack.start()).0
    }

    /// Number of entries, the deleted ones too.
    pub(super) fn total(&self) -> usize {
        let (live, next) = self.number(self.pack.start());
        live + self.number(next).0
    }

    fn number(&self, at: usize) -> (usize, usize) {
        let (item, next) = self.pack.read(at);
        // Checked, or written here: a count is a small non-negative integer.
        (item.as_int().unwrap_or(0) as usize, next)
    }

    fn master(&self) -> Master {
        let (live, at) = self.number(self.pack.start());
        let (deleted, at) = self.number(at);
        let (fields, names_at) = self.number(at);
        let end_of_names = self.skip(names_at, fields);
        Master { live, deleted, fields, names_at, entries_at: self.pack.next(end_of_names) }
    }

    fn skip(&self, at: usize, elements: usize) -> usize {
        (0..elements).fold(at, |at, _| self.pack.next(at))
    }

    /// Appends an entry. The caller has seen to it that there is room.
    pub(super) fn append<'v>(
        &mut self,
        master_id: StreamId,
        id: StreamId,
        pairs: impl ExactSizeIterator<Item = Pair<'v>> + Clone,
    ) {
        let master = self.master();
        let same = pairs.len() == master.fields && {
            let mut names = self.pack.iter_from(master.names_at);
            pairs.clone().all(|(field, _)| names.next().is_some_and(|name| name.eq_bytes(field)))
        };
        let ms = Item::Int(id.ms.wrapping_sub(master_id.ms) as i64);
        let seq = Item::Int(id.seq.wrapping_sub(master_id.seq) as i64);
        let count = pairs.len();
        if same {
            let values = pairs.map(|(_, value)| Item::Bytes(value));
            let end = [Item::Int((ENTRY_HEAD + count) as i64)];
            self.pack.push_all([Item::Int(SAME_FIELDS), ms, seq].into_iter().chain(values).chain(end));
        } else {
            let head = [Item::Int(0), ms, seq, Item::Int(count as i64)];
            let words = pairs.flat_map(|(field, value)| [Item::Bytes(field), Item::Bytes(value)]);
            let end = [Item::Int((ENTRY_HEAD + 1 + 2 * count) as i64)];
            self.pack.push_all(head.into_iter().chain(words).chain(end));
        }
        self.pack.replace(self.pack.start(), master.live as i64 + 1);
    }

    /// Marks the live entry at a position as deleted.
    pub(super) fn delete(&mut self, at: usize) {
        let (flags, _) = self.number(at);
        self.pack.replace(at, flags as i64 | DELETED);
        let master = self.master();
        self.set_counts(master.live - 1, master.deleted + 1);
    }

    /// Deletes live entries from the front until `stop` says so of an id. Gives how many are gone, and that id.
    pub(super) fn trim(
        &mut self,
        master_id: StreamId,
        mut stop: impl FnMut(StreamId) -> bool,
    ) -> (usize, Option<StreamId>) {
        let master = self.master();
        let mut at = master.entries_at;
        let mut gone = 0;
        let mut first = None;
        while at != self.pack.end() {
            let (flags, _) = self.number(at);
            let flags = flags as i64;
            if flags & DELETED != 0 {
                at = self.skip_entry(&master, at, flags);
                continue;
            }
            let (Place { id, .. }, next) = self.read(&master, master_id, at);
            if stop(id) {
                first = Some(id);
                break;
            }
            let behind = self.pack.end() - next;
            self.pack.replace(at, flags | DELETED);
            gone += 1;
            at = self.pack.end() - behind;
        }
        self.set_counts(master.live - gone, master.deleted + gone);
        (gone, first)
    }

    /// The position behind the entry at `at`, which has these flags.
    fn skip_entry(&self, master: &Master, at: usize, flags: i64) -> usize {
        let fields_at = self.skip(at, ENTRY_HEAD);
        if flags & SAME_FIELDS != 0 {
            return self.skip(fields_at, master.fields + 1);
        }
        let (own, from) = self.number(fields_at);
        self.skip(from, 2 * own + 1)
    }

    fn set_counts(&mut self, live: usize, deleted: usize) {
        let start = self.pack.start();
        // The one behind first: changing it does not move the other.
        self.pack.replace(self.pack.next(start), deleted as i64);
        self.pack.replace(start, live as i64);
    }

    /// The entry at a position, and the position behind it.
    fn read(&self, master: &Master, master_id: StreamId, at: usize) -> (Place<'_>, usize) {
        let (flags, next) = self.pack.read(at);
        let (ms, next) = self.pack.read(next);
        let (seq, next) = self.pack.read(next);
        let int = |item: Item<'_>| item.as_int().unwrap_or(0);
        let flags = int(flags);
        let id = StreamId {
            ms: master_id.ms.wrapping_add(int(ms) as u64),
            seq: master_id.seq.wrapping_add(int(seq) as u64),
        };
        let same = flags & SAME_FIELDS != 0;
        let (left, from) = if same { (master.fields, next) } else { self.number(next) };
        let end = self.skip(from, if same { left } else { 2 * left });
        let names = same.then_some(master.names_at);
        let fields = Fields { pack: &self.pack, names, values: from, left };
        (Place { id, live: flags & DELETED == 0, at, fields }, self.pack.next(end))
    }

    /// The entries from both ends, the deleted ones too.
    pub(super) fn walk(&self, master_id: StreamId) -> Walk<'_> {
        let master = self.master();
        Walk { node: self, master_id, master, front: master.entries_at, back: self.pack.end() }
    }
}

/// Walks the entries of a node.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    node: &'a Node,
    master_id: StreamId,
    master: Master,
    front: usize,
    back: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        if self.front == self.back {
            return None;
        }
        let (place, next) = self.node.read(&self.master, self.master_id, self.front);
        self.front = next;
        Some(place)
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        let pack = &self.node.pack;
        let last = pack.prev(self.back)?;
        let (elements, _) = self.node.number(last);
        let at = (0..elements).try_fold(last, |at, _| pack.prev(at))?;
        self.back = at;
        Some(self.node.read(&self.master, self.master_id, at).0)
    }
}

/// The fields of an entry with their values.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    pack: &'a Listpack,
    /// The position of the next name, when the names stand in the master.
    names: Option<usize>,
    values: usize,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.names {
            Some(at) => {
                let (name, next) = self.pack.read(*at);
                *at = next;
                name
            }
            None => {
                let (name, next) = self.pack.read(self.values);
                self.values = next;
                name
            }
        };
        let (value, next) = self.pack.read(self.values);
        self.values = next;
        Some((field, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Whether the listpack has the form of a node.
fn check(pack: &Listpack) -> Result<(), Corrupt> {
    let mut items = pack.iter();
    let mut int = |why: &'static str| match items.next() {
        Some(Item::Int(n)) => Ok(n),
        _ => Err(Corrupt(why)),
    };
    let live = int("stream node without a count of entries")?;
    let deleted = int("stream node without a count of deleted entries")?;
    let fields = int("stream node without a count of fields")?;
    let len = pack.len() as i64;
    if [live, deleted, fields].iter().any(|n| !(0..=len).contains(n)) {
        return Err(Corrupt("stream node with an impossible count"));
    }
    skip_some(&mut items, fields)?;
    if !matches!(items.next(), Some(Item::Int(0))) {
        return Err(Corrupt("stream node whose fields do not end"));
    }
    let (mut seen_live, mut seen_deleted) = (0, 0);
    while let Some(flags) = items.next() {
        let mut int = || match items.next() {
            Some(Item::Int(n)) => Ok(n),
            _ => Err(Corrupt("stream entry without an id")),
        };
        let Item::Int(flags @ 0..=3) = flags else { return Err(Corrupt("stream entry with unknown flags")) };
        int()?;
        int()?;
        let elements = if flags & SAME_FIELDS != 0 {
            skip_some(&mut items, fields)?;
            ENTRY_HEAD as i64 + fields
        } else {
            let own = int()?;
            if !(0..=len).contains(&own) {
                return Err(Corrupt("stream entry with an impossible count of fields"));
            }
            skip_some(&mut items, 2 * own)?;
            ENTRY_HEAD as i64 + 1 + 2 * own
        };
        if !matches!(items.next(), Some(Item::Int(n)) if n == elements) {
            return Err(Corrupt("stream entry with a wrong count of elements"));
        }
        if flags & DELETED == 0 {
            seen_live += 1;
        } else {
            seen_deleted += 1;
        }
    }
    if (seen_live, seen_deleted) != (live, deleted) {
        return Err(Corrupt("stream node with a wrong count of entries"));
    }
    Ok(())
}

fn skip_some(items: &mut listpack::Iter<'_>, count: i64) -> Result<(), Corrupt> {
    let cut = Err(Corrupt("stream node cut short"));
    (0..count).try_for_each(|_| items.next().map(|_| ()).map_or(cut, Ok))
}
