//! The set value: an intset while all members are integers, a listpack while small, a hash table then.

use super::blob::Blob;
use super::dict::{self, Dict, Stats};
use super::item::all_distinct;
use super::packed::{Held, HeldMut, Packed};
use super::value::Encoding;
use super::{Corrupt, Intset, Item, Limits, Listpack, listpack, reserve_some, scan_some};
use crate::base::{Rng, num};

/// An intset never grows beyond this, whatever the limits say.
const INTSET_CAP: usize = 1 << 30;

/// Distinct members. Moves on from intset to listpack to hash table, and never back.
#[derive(Debug)]
pub struct Set {
    /// In a listpack in order of insertion.
    repr: Packed<Other>,
}

/// What a set is that is no listpack.
#[derive(Debug)]
enum Other {
    Ints(Intset),
    Table(Box<Table>),
}

impl Default for Set {
    fn default() -> Set {
        Set { repr: Packed::full(Other::Ints(Intset::new())) }
    }
}

struct Table {
    members: Dict<Blob>,
    /// Heap bytes of the members.
    member_bytes: usize,
}

impl Set {
    /// See [`super::value::ValueRef::prefetch_member`].
    pub(super) fn prefetch(&self, member: &[u8]) -> Option<u64> {
        let Some(table) = self.table() else {
            self.repr.prefetch();
            return None;
        };
        table.members.prefetch_key(member)
    }

    /// See [`super::value::ValueRef::prefetch_found`].
    pub(super) fn prefetch_found(&self, hash: u64) {
        if let Some(table) = self.table() {
            table.members.prefetch_item(hash);
        }
    }

    /// An empty set that will become what its first member makes of it.
    #[must_use]
    pub fn new() -> Set {
        Set::default()
    }

    /// An empty set in the encoding that suits `first`, which is about to be added as one of about `count` members.
    #[must_use]
    pub fn for_member(first: &[u8], count: usize, limits: &Limits) -> Set {
        let repr = if num::parse_i64(first).is_some() && count <= intset_limit(limits) {
            Packed::full(Other::Ints(Intset::new()))
        } else if count <= limits.set_max_listpack_entries {
            Packed::pack(Listpack::new())
        } else {
            let mut table = Table::new(limits);
            reserve_some(&mut table.members, count);
            Packed::full(Other::Table(Box::new(table)))
        };
        Set { repr }
    }

    /// Takes over an intset from a file or payload.
    #[must_use]
    pub fn from_intset(ints: Intset, limits: &Limits) -> Set {
        let fits = ints.len() <= intset_limit(limits);
        let mut set = Set { repr: Packed::full(Other::Ints(ints)) };
        if !fits {
            set.make_table(limits);
        }
        set
    }

    /// Takes over a listpack of members from a file or payload; no member may come twice.
    pub fn from_pack(pack: Listpack, limits: &Limits) -> Result<Set, Corrupt> {
        if !all_distinct(pack.iter()) {
            return Err(Corrupt("set with a member twice"));
        }
        let fits = pack.len() <= limits.set_max_listpack_entries;
        let mut set = Set { repr: Packed::pack(pack) };
        if !fits {
            set.make_table(limits);
        }
        Ok(set)
    }

    /// The members in the form in which they are written, while they are kept so.
    #[must_use]
    pub fn as_intset(&self) -> Option<&Intset> {
        match self.repr.as_full() {
            Some(Other::Ints(ints)) => Some(ints),
            _ => None,
        }
    }

    /// The members in the form in which they are written, while they are kept so.
    #[must_use]
    pub fn as_pack(&self) -> Option<&Listpack> {
        self.repr.as_pack()
    }

    fn table(&self) -> Option<&Table> {
        match self.repr.as_full() {
            Some(Other::Table(table)) => Some(table),
            _ => None,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self.repr.get() {
            Held::Full(Other::Ints(ints)) => ints.len(),
            Held::Pack(pack) => pack.len(),
            Held::Full(Other::Table(table)) => table.members.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match self.repr.get() {
            Held::Full(Other::Ints(_)) => Encoding::Intset,
            Held::Pack(_) => Encoding::Listpack,
            Held::Full(Other::Table(_)) => Encoding::Hashtable,
        }
    }

    /// Sizes of the table, once there is one.
    #[must_use]
    pub fn table_stats(&self) -> Option<Stats> {
        self.table().map(|table| table.members.stats())
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.mem_bytes(),
            Held::Full(other) => {
                let heap = match other {
                    Other::Ints(ints) => ints.mem_bytes(),
                    Other::Table(table) => size_of::<Table>() + table.members.mem_bytes() + table.member_bytes,
                };
                size_of::<Other>() + heap
            }
        }
    }

    /// Prepares for that many members to be added: more than the encoding may have make a hash table at once.
    pub fn expect(&mut self, members: usize, limits: &Limits) {
        let most = match self.repr.get() {
            Held::Full(Other::Ints(_)) => intset_limit(limits),
            Held::Pack(_) => limits.set_max_listpack_entries,
            Held::Full(Other::Table(_)) => return,
        };
        if members > most {
            reserve_some(&mut self.make_table(limits).members, members);
        }
    }

    #[must_use]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.repr.get() {
            Held::Full(Other::Ints(ints)) => num::parse_i64(member).is_some_and(|n| ints.contains(n)),
            Held::Pack(pack) => pack.find(pack.start(), member, 1).is_some(),
            Held::Full(Other::Table(table)) => table.members.contains(member),
        }
    }

    /// Adds a member; says whether it is new.
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        if let HeldMut::Full(Other::Ints(ints)) = self.repr.get_mut() {
            match num::parse_i64(member) {
                Some(n) => {
                    let new = ints.insert(n);
                    if ints.len() > intset_limit(limits) {
                        self.make_table(limits);
                    }
                    return new;
                }
                None => self.leave_ints(member.len(), limits),
            }
        }
        if let HeldMut::Pack(pack) = self.repr.get_mut() {
            if pack.find(pack.start(), member, 1).is_some() {
                return false;
            }
            if pack.len() < limits.set_max_listpack_entries
                && member.len() <= limits.set_max_listpack_value
                && pack.has_room(listpack::entry_bytes(member.len()))
            {
                pack.push(member);
                return true;
            }
        }
        self.make_table(limits).add(member)
    }

    /// Removes a member; says whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.repr.get_mut() {
            HeldMut::Full(Other::Ints(ints)) => num::parse_i64(member).is_some_and(|n| ints.remove(n)),
            HeldMut::Pack(pack) => match pack.find(pack.start(), member, 1) {
                Some(at) => {
                    pack.remove(at, 1);
                    true
                }
                None => false,
            },
            HeldMut::Full(Other::Table(table)) => table.remove(member),
        }
    }

    /// All members: ascending in an intset, in no particular order otherwise.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        match self.repr.get() {
            Held::Full(Other::Ints(ints)) => Iter::Ints { ints, at: 0 },
            Held::Pack(pack) => Iter::Pack(pack.iter()),
            Held::Full(Other::Table(table)) => Iter::Table(table.members.iter()),
        }
    }

    pub fn random(&self, rng: &mut Rng) -> Option<Item<'_>> {
        match self.repr.get() {
            Held::Full(Other::Ints(ints)) => ints.get(rng.below(ints.len() as u64) as usize).map(Item::Int),
            Held::Pack(pack) => pack.get(rng.below(pack.len() as u64) as i64),
            Held::Full(Other::Table(table)) => table.members.random(rng).map(item_of),
        }
    }

    /// Removes a random member and returns it.
    pub fn pop_random(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let member = self.random(rng)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// One step of SSCAN from `cursor` on: visits about `count` members (all, while small) and returns the cursor to
    /// go on with, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match self.repr.get() {
            Held::Full(Other::Table(table)) => scan_some(&table.members, cursor, count, |blob| visit(item_of(blob))),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// Makes room for a member that is no integer and has `len` bytes.
    fn leave_ints(&mut self, len: usize, limits: &Limits) {
        let Some(Other::Ints(ints)) = self.repr.as_full() else { return };
        let widest = ints.widest_text().max(len);
        // An integer entry takes eleven bytes at most, so a listpack of this many is below its largest size.
        let small = ints.len() < limits.set_max_listpack_entries.min(listpack::MAX_BYTES / 16);
        if small && widest <= limits.set_max_listpack_value {
            let mut pack = Listpack::new();
            for n in ints.iter() {
                pack.push(n);
            }
            self.repr = Packed::pack(pack);
        } else {
            self.make_table(limits);
        }
    }

    fn make_table(&mut self, limits: &Limits) -> &mut Table {
        if self.table().is_none() {
            let mut table = Table::new(limits);
            table.members.reserve(self.len());
            for item in self.iter() {
                table.add(item.text(&mut Default::default()));
            }
            self.repr = Packed::full(Other::Table(Box::new(table)));
        }
        match self.repr.as_full_mut() {
            Some(Other::Table(table)) => table,
            _ => unreachable!("converted above"),
        }
    }
}

fn intset_limit(limits: &Limits) -> usize {
    limits.set_max_intset_entries.min(INTSET_CAP)
}

impl Table {
    fn new(limits: &Limits) -> Table {
        Table { members: Dict::with_seed(limits.hash_seed), member_bytes: 0 }
    }

    fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.members.hash(member);
        match self.members.slot(hash, member) {
            dict::Slot::Occupied(_) => false,
            dict::Slot::Vacant(slot) => {
                self.member_bytes += slot.insert(Blob::new(member)).mem_bytes();
                true
            }
        }
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.members.remove(member);
        self.member_bytes -= removed.as_ref().map_or(0, Blob::mem_bytes);
        removed.is_some()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter()).finish()
    }
}

fn item_of(blob: &Blob) -> Item<'_> {
    Item::Bytes(blob.bytes())
}

/// The members of a set.
pub enum Iter<'a> {
    Ints { ints: &'a Intset, at: usize },
    Pack(listpack::Iter<'a>),
    Table(dict::Iter<'a, Blob>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Iter::Ints { ints, at } => {
                let n = ints.get(*at)?;
                *at += 1;
                Some(Item::Int(n))
            }
            Iter::Pack(items) => items.next(),
            Iter::Table(members) => members.next().map(item_of),
        }
    }
}

impl<'a> IntoIterator for &'a Set {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn limits(ints: usize, entries: usize) -> Limits {
        Limits {
            set_max_intset_entries: ints,
            set_max_listpack_entries: entries,
            set_max_listpack_value: 4,
            ..Limits::default()
        }
    }

    fn encoding_after(members: &[&str], limits: &Limits) -> Encoding {
        let mut set = Set::for_member(members[0].as_bytes(), members.len(), limits);
        for member in members {
            set.add(member.as_bytes(), limits);
        }
        set.encoding()
    }

    #[test]
    fn encodings_follow_the_limits() {
        let limits = limits(3, 3);
        assert_eq!(encoding_after(&["1", "2", "3"], &limits), Encoding::Intset);
        assert_eq!(encoding_after(&["1", "2", "3", "4"], &limits), Encoding::Hashtable);
        assert_eq!(encoding_after(&["1", "a", "3"], &limits), Encoding::Listpack);
        assert_eq!(encoding_after(&["a", "1", "3"], &limits), Encoding::Listpack);
        assert_eq!(encoding_after(&["a", "b", "c", "d"], &limits), Encoding::Hashtable);
        assert_eq!(encoding_after(&["1", "large"], &limits), Encoding::Hashtable);
        assert_eq!(encoding_after(&["12345", "a"], &limits), Encoding::Hashtable);
        assert_eq!(encoding_after(&["-999", "a"], &limits), Encoding::Listpack);
        let mut set = Set::for_member(b"1", 1, &limits);
        for member in ["1", "2", "3"] {
            set.add(member.as_bytes(), &limits);
        }
        assert!(set.add(b"a", &limits), "beside as many integers as a listpack may have members");
        assert_eq!(set.encoding(), Encoding::Hashtable);
    }

    #[test]
    fn payloads_are_checked() {
        let mut pack = Listpack::new();
        for member in ["a", "1", "b"] {
            pack.push(member.as_bytes());
        }
        assert_eq!(Set::from_pack(pack.clone(), &limits(1, 3)).unwrap().encoding(), Encoding::Listpack);
        assert_eq!(Set::from_pack(pack.clone(), &limits(1, 2)).unwrap().encoding(), Encoding::Hashtable);
        pack.push(b"1");
        assert!(Set::from_pack(pack, &limits(1, 9)).is_err());
        let mut ints = Intset::new();
        (0..5).for_each(|n| assert!(ints.insert(n)));
        let set = Set::from_intset(ints, &limits(4, 100));
        assert_eq!((set.encoding(), set.len()), (Encoding::Hashtable, 5));
    }

    #[test]
    fn a_member_of_a_large_set_is_cheap() {
        for (name, most) in [("m", 12.0), ("member:", 28.0)] {
            let mut set = Set::new();
            for i in 0..10_000 {
                set.add(format!("{name}{i}").as_bytes(), &Limits::default());
            }
            let each = set.mem_bytes() as f64 / 10_000.0;
            assert!(each <= most, "{each} bytes a member");
        }
    }

    /// From DUMP of redis-server 7.0.
    #[test]
    fn integers_are_laid_out_as_in_redis() {
        for (members, bytes) in [
            (&["-1", "70000", "3"][..], &b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x03\0\0\0\x70\x11\x01\0"[..]),
            (&["5", "-5"], b"\x02\0\0\0\x02\0\0\0\xfb\xff\x05\0"),
            (&["9223372036854775807", "0"], b"\x08\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ] {
            let mut set = Set::new();
            for member in members {
                set.add(member.as_bytes(), &Limits::default());
            }
            assert_eq!(set.as_intset().unwrap().bytes(), bytes);
        }
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            1 => proptest::collection::vec(97u8..100, 0..3),
            6 => (-12i64..12).prop_map(|n| n.to_string().into_bytes()),
            1 => proptest::collection::vec(97u8..100, 4..6),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(
            changes in proptest::collection::vec((0..5u8, member()), 1..120),
            ints in 0..12usize, entries in 0..20usize, seed in any::<u64>()
        ) {
            let limits = limits(ints, entries);
            let mut rng = Rng::seeded(seed);
            let mut set = Set::for_member(&changes[0].1, 1, &limits);
            let mut model = BTreeSet::new();
            for (kind, member) in changes {
                match kind {
                    0 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    1 => match set.pop_random(&mut rng) {
                        Some(popped) => prop_assert!(model.remove(&popped)),
                        None => prop_assert!(model.is_empty()),
                    },
                    _ => prop_assert_eq!(set.add(&member, &limits), model.insert(member)),
                }
                prop_assert_eq!(set.len(), model.len());
                let all: Vec<_> = set.iter().map(|m| m.to_vec()).collect();
                prop_assert_eq!(all.len(), model.len());
                prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), model.clone());
                match set.repr.get() {
                    Held::Full(Other::Ints(ints)) => prop_assert!(ints.is_empty() || Intset::validate(ints.bytes().to_vec()).is_ok()),
                    Held::Pack(pack) => prop_assert!(Listpack::validate(pack.bytes()).is_ok()),
                    Held::Full(Other::Table(table)) => {
                        let bytes: usize = table.members.iter().map(Blob::mem_bytes).sum();
                        prop_assert_eq!(table.member_bytes, bytes);
                    }
                }
            }
            prop_assert!(model.iter().all(|m| set.contains(m)));
            prop_assert!(!set.contains(b"not there") && !set.contains(b"77"));
            let mut scanned = BTreeSet::new();
            let mut cursor = 0;
            loop {
                cursor = set.scan(cursor, 3, |member| { scanned.insert(member.to_vec()); });
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(scanned, model);
        }
    }
}
