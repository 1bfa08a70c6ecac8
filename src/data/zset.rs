//! The sorted set value: members in order of (score, member bytes), as a listpack of pairs while small, as a
//! skiplist with a hash table then.
//!
//! Ranges by score and by member are first turned into ranges of ranks, which is O(log n) in a large set; counting,
//! limiting, walking in either direction and removing then all work on ranks.

mod iter;
mod pack;
mod range;
mod ranked;

use std::ops::Range;

use super::dict::Stats;
use super::item::all_distinct;
use super::packed::{Held, HeldMut, Packed};
use super::skiplist::pair_order;
use super::value::Encoding;
use super::{Corrupt, Item, Limits, Listpack, listpack};
use crate::base::Rng;
pub use iter::Iter;
pub use pack::with_score;
use pack::{SCORE_BYTES, element_order, insert_into_pack, pair_index, parse_score, score_at};
pub use range::{LexBound, LexRange, ScoreRange};
use ranked::Ranked;

/// Members with scores, in order. Never goes back from skiplist to listpack. A score is never NaN.
#[derive(Default)]
pub struct ZSet {
    /// In a listpack member and score in turn, in order.
    repr: Packed<Ranked>,
}

impl ZSet {
    #[must_use]
    pub fn new() -> ZSet {
        ZSet::default()
    }

    /// Takes over a listpack of members and scores from a file or payload: they must be complete, no member twice
    /// and every score a number. One that is out of order is put in order.
    pub fn from_pack(pack: Listpack, limits: &Limits) -> Result<ZSet, Corrupt> {
        let count = pack.len();
        if !count.is_multiple_of(2) {
            return Err(Corrupt("sorted set with a member without score"));
        }
        if !pack.iter().skip(1).step_by(2).all(|score| parse_score(score).is_some()) {
            return Err(Corrupt("sorted set with a score that is no number"));
        }
        if !all_distinct(pack.iter().step_by(2)) {
            return Err(Corrupt("sorted set with a member twice"));
        }
        let mut set = ZSet { repr: Packed::pack(pack) };
        if !set.iter().is_sorted_by(|a, b| element_order(*a, *b).is_le()) {
            let mut elements: Vec<_> = set.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            elements.sort_by(|a, b| pair_order(a.1, &a.0, b.1, &b.0));
            let mut pack = Listpack::new();
            for (member, score) in &elements {
                with_score(*score, |score| pack.insert(pack.end(), [member.into(), score]));
            }
            set.repr = Packed::pack(pack);
        }
        if count / 2 > limits.zset_max_listpack_entries {
            set.make_ranked(limits);
        }
        Ok(set)
    }

    /// The elements in the form in which they are written, while they are kept so.
    #[must_use]
    pub fn as_pack(&self) -> Option<&Listpack> {
        self.repr.as_pack()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.len() / 2,
            Held::Full(ranked) => ranked.len(),
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
            Held::Full(_) => Encoding::Skiplist,
        }
    }

    /// Sizes of the table of members, once there is one.
    #[must_use]
    pub fn table_stats(&self) -> Option<Stats> {
        self.repr.as_full().map(Ranked::table_stats)
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.mem_bytes(),
            Held::Full(ranked) => ranked.mem_bytes(),
        }
    }

    /// Prepares for that many elements to be inserted, the longest member being that long: more than a listpack may
    /// have make a skiplist at once.
    pub fn expect(&mut self, elements: usize, longest_member: usize, limits: &Limits) {
        if elements > limits.zset_max_listpack_entries || longest_member > limits.zset_max_listpack_value {
            self.make_ranked(limits).reserve(elements);
        }
    }

    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.repr.get() {
            Held::Pack(pack) => {
                let at = pack.find(pack.start(), member, 2)?;
                Some(score_at(pack, pack.next(at)))
            }
            Held::Full(ranked) => ranked.score(member),
        }
    }

    /// The number of elements before the member (after it, if `reverse`), and its score. O(log n) when large.
    #[must_use]
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match self.repr.get() {
            Held::Pack(pack) => {
                let at = pack.find(pack.start(), member, 2)?;
                (pack.iter_until(at).count() / 2, score_at(pack, pack.next(at)))
            }
            Held::Full(ranked) => ranked.rank(member)?,
        };
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// Adds a member, or gives it another score; returns the score it had. `score` is not NaN.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
        if let HeldMut::Pack(pack) = self.repr.get_mut() {
            if let Some(at) = pack.find(pack.start(), member, 2) {
                let old = score_at(pack, pack.next(at));
                if old != score {
                    pack.remove(at, 2);
                    insert_into_pack(pack, member, score);
                }
                return Some(old);
            }
            if pack.len() / 2 < limits.zset_max_listpack_entries
                && member.len() <= limits.zset_max_listpack_value
                && pack.has_room(listpack::entry_bytes(member.len()) + SCORE_BYTES)
            {
                insert_into_pack(pack, member, score);
                return None;
            }
        }
        self.make_ranked(limits).insert(member, score)
    }

    /// Removes a member; returns the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => {
                let at = pack.find(pack.start(), member, 2)?;
                let score = score_at(pack, pack.next(at));
                pack.remove(at, 2);
                Some(score)
            }
            HeldMut::Full(ranked) => ranked.remove(member),
        }
    }

    /// Removes the elements of these ranks, as far as there are any.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => pack.remove_range(pair_index(ranks.start), ranks.len().saturating_mul(2)),
            HeldMut::Full(ranked) => ranked.remove_ranks(ranks),
        }
    }

    /// Removes and returns the first element.
    pub fn pop_min(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(0)
    }

    /// Removes and returns the last element.
    pub fn pop_max(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(self.len().checked_sub(1)?)
    }

    fn pop(&mut self, rank: usize) -> Option<(Vec<u8>, f64)> {
        let (member, score) = self.get(rank)?;
        let element = (member.to_vec(), score);
        self.remove_ranks(rank..rank + 1);
        Some(element)
    }

    /// The element of this rank.
    #[must_use]
    pub fn get(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        self.range(rank..rank.saturating_add(1)).next()
    }

    /// A random element, all being equally likely.
    pub fn random(&self, rng: &mut Rng) -> Option<(Item<'_>, f64)> {
        self.get(rng.below(self.len() as u64) as usize)
    }

    /// All elements in order; also from the back.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// The elements of these ranks, as far as there are any, in order; also from the back.
    #[must_use]
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        match self.repr.get() {
            Held::Pack(pack) => {
                let end = ranks.end.min(self.len());
                let left = end.saturating_sub(ranks.start);
                let position = |rank: usize| pack.seek(pair_index(rank)).unwrap_or(pack.end());
                let items = match left {
                    0 => pack.iter_from(pack.end()),
                    _ => pack.iter_between(position(ranks.start), position(end)),
                };
                Iter::Pack { items, left }
            }
            Held::Full(ranked) => Iter::Ranked(ranked.range(ranks)),
        }
    }

    /// The ranks of the elements whose scores are in a range. O(log n) when large.
    #[must_use]
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        self.ranks_between(|_, score| range.is_above_min(score), |_, score| range.is_below_max(score))
    }

    /// The ranks of the elements whose members are in a range, if all scores are the same. O(log n) when large.
    #[must_use]
    pub fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        self.ranks_between(|member, _| range.is_above_min(member), |member, _| range.is_below_max(member))
    }

    fn ranks_between(
        &self,
        above_min: impl Fn(Item<'_>, f64) -> bool,
        below_max: impl Fn(Item<'_>, f64) -> bool,
    ) -> Range<usize> {
        let start = self.count_while(|member, score| !above_min(member, score));
        let end = self.count_while(below_max);
        start..end.max(start)
    }

    /// Number of elements at the front for which `before` holds; it must hold for a prefix.
    fn count_while(&self, before: impl Fn(Item<'_>, f64) -> bool) -> usize {
        match self.repr.get() {
            Held::Pack(_) => self.iter().take_while(|(member, score)| before(*member, *score)).count(),
            Held::Full(ranked) => ranked.count_while(|score, member| before(Item::Bytes(member), score)),
        }
    }

    /// One step of ZSCAN from `cursor` on: visits about `count` elements (all, while small) and returns the cursor to
    /// go on with, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, f64)) -> u64 {
        match self.repr.get() {
            Held::Pack(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Held::Full(ranked) => ranked.scan(cursor, count, visit),
        }
    }

    fn make_ranked(&mut self, limits: &Limits) -> &mut Ranked {
        self.repr.make_full(|pack| {
            let mut ranked = Ranked::new(limits.hash_seed);
            ranked.reserve(pack.len() / 2);
            for (member, score) in (Iter::Pack { items: pack.iter(), left: pack.len() / 2 }) {
                ranked.insert(member.text(&mut Default::default()), score);
            }
            ranked
        })
    }
}

impl std::fmt::Debug for ZSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::pack::INT_SCORE_MAX;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::ops::Bound;

    fn limits(entries: usize) -> Limits {
        Limits { zset_max_listpack_entries: entries, zset_max_listpack_value: 6, ..Limits::default() }
    }

    fn elements<'a>(items: impl Iterator<Item = (Item<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
        items.map(|(member, score)| (member.to_vec(), score)).collect()
    }

    #[test]
    fn scores_read_back_as_they_were_given() {
        let big = (1u64 << 62) as f64;
        let scores = [0.0, -1.5, 3.0, 0.1, 1e17, -1e18, big, -big, 3e20, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        for entries in [0, 128] {
            let mut set = ZSet::new();
            for score in scores.into_iter().chain([f64::INFINITY, f64::NEG_INFINITY]) {
                set.insert(b"m", score, &limits(entries));
                assert_eq!(set.score(b"m").map(f64::to_bits), Some(score.to_bits()), "{score}");
            }
        }
    }

    /// From DUMP of redis-server 7.0.
    #[test]
    fn elements_are_laid_out_as_in_redis() {
        let mut set = ZSet::new();
        for (member, score) in [("b", 2.5), ("a", f64::NEG_INFINITY), ("7", 3e20), ("c", 1.0), ("bb", 1.0)] {
            set.insert(member.as_bytes(), score, &Limits::default());
        }
        let expected = b"\x2c\0\0\0\x0a\0\x81a\x02\x84-inf\x05\x82bb\x03\x01\x01\x81c\x02\x01\x01\
            \x81b\x02\x832.5\x04\x07\x01\x853e+20\x06\xff";
        assert_eq!(set.as_pack().unwrap().bytes(), expected);
        // Found by trial: the largest integral score that is kept as an integer.
        set = ZSet::new();
        set.insert(b"m", INT_SCORE_MAX, &Limits::default());
        assert_eq!(set.as_pack().unwrap().bytes()[9..], *b"\xf4\0\0\0\0\0\0\0\x40\x09\xff");
    }

    #[test]
    fn payloads_are_checked_and_put_in_order() {
        let pack = |items: &[&str]| {
            let mut pack = Listpack::new();
            items.iter().for_each(|item| pack.push(item.as_bytes()));
            ZSet::from_pack(pack, &limits(3))
        };
        assert!(pack(&["a"]).is_err());
        assert!(pack(&["a", "x"]).is_err());
        assert!(pack(&["a", "nan"]).is_err());
        assert!(pack(&["a", "1", "a", "2"]).is_err());
        assert!(pack(&["7", "1", "7", "2"]).is_err());
        let set = pack(&["b", "1", "a", "1", "c", "-inf"]).unwrap();
        assert_eq!(set.encoding(), Encoding::Listpack);
        assert!(elements(set.iter()).into_iter().map(|(m, _)| m).eq([b"c", b"a", b"b"].map(|m| m.to_vec())));
        let large = pack(&["a", "1", "b", "2", "c", "3", "d", "4"]).unwrap();
        assert_eq!((large.encoding(), large.len()), (Encoding::Skiplist, 4));
    }

    #[test]
    fn encodings_follow_the_limits() {
        let limits = limits(2);
        let mut set = ZSet::new();
        set.insert(b"a", 1.0, &limits);
        set.insert(b"sixsix", 1.0, &limits);
        assert_eq!(set.encoding(), Encoding::Listpack);
        set.insert(b"a", 2.0, &limits);
        assert_eq!(set.encoding(), Encoding::Listpack);
        set.insert(b"c", 2.0, &limits);
        assert_eq!(set.encoding(), Encoding::Skiplist);
        let mut set = ZSet::new();
        set.insert(b"seven77", 1.0, &limits);
        assert_eq!(set.encoding(), Encoding::Skiplist);
        let mut set = ZSet::new();
        set.expect(3, 1, &limits);
        assert_eq!(set.encoding(), Encoding::Skiplist);
    }

    #[test]
    fn a_member_of_a_large_set_is_cheap() {
        let mut set = ZSet::new();
        for i in 0..10_000 {
            set.insert(format!("member:{i}").as_bytes(), f64::from(i % 100), &Limits::default());
        }
        let each = set.mem_bytes() as f64 / 10_000.0;
        assert!(each <= 68.0, "{each} bytes a member");
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(Vec<u8>, f64),
        Remove(Vec<u8>),
        RemoveRanks(usize, usize),
        Pop(bool),
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::collection::vec(97u8..100, 0..3),
            4 => (-12i64..12).prop_map(|n| n.to_string().into_bytes()),
            1 => proptest::collection::vec(97u8..100, 5..8),
        ]
    }

    fn score() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => (-3i8..3).prop_map(f64::from),
            2 => (-3i8..3).prop_map(|n| f64::from(n) / 2.0),
            1 => any::<f64>().prop_filter("a number", |n| !n.is_nan()),
        ]
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            8 => (member(), score()).prop_map(|(m, s)| Change::Insert(m, s)),
            3 => member().prop_map(Change::Remove),
            1 => (0..12usize, 0..4usize).prop_map(|(at, n)| Change::RemoveRanks(at, n)),
            1 => any::<bool>().prop_map(Change::Pop),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_vector(
            changes in proptest::collection::vec(change(), 1..60),
            entries in 0..14usize, low in score(), high in score(), text in member()
        ) {
            let limits = limits(entries);
            let mut set = ZSet::new();
            let mut model: Vec<(Vec<u8>, f64)> = Vec::new();
            for change in changes {
                match change {
                    Change::Insert(member, score) => {
                        let old = model.iter().position(|(m, _)| *m == member).map(|at| model.remove(at).1);
                        prop_assert_eq!(set.insert(&member, score, &limits), old);
                        model.push((member, score));
                        model.sort_by(|a, b| pair_order(a.1, &a.0, b.1, &b.0));
                    }
                    Change::Remove(member) => {
                        let old = model.iter().position(|(m, _)| *m == member).map(|at| model.remove(at).1);
                        prop_assert_eq!(set.remove(&member), old);
                    }
                    Change::RemoveRanks(at, count) => {
                        set.remove_ranks(at..at + count);
                        model.drain(at.min(model.len())..(at + count).min(model.len()));
                    }
                    Change::Pop(true) => prop_assert_eq!(set.pop_max(), model.pop()),
                    Change::Pop(false) => {
                        let first = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(set.pop_min(), first);
                    }
                }
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(elements(set.iter()), model.clone());
                if let Some(pack) = set.as_pack() {
                    prop_assert!(Listpack::validate(pack.bytes()).is_ok());
                }
            }
            let mut backwards = elements(set.iter().rev());
            backwards.reverse();
            prop_assert_eq!(&backwards, &model);
            for (rank, (member, score)) in model.iter().enumerate() {
                prop_assert_eq!(set.score(member), Some(*score));
                prop_assert_eq!(set.rank(member, false), Some((rank, *score)));
                prop_assert_eq!(set.rank(member, true), Some((model.len() - 1 - rank, *score)));
                prop_assert_eq!(elements(set.range(rank..rank + 3)), model[rank..model.len().min(rank + 3)].to_vec());
            }
            for min in [Bound::Included(low), Bound::Excluded(low), Bound::Unbounded] {
                for max in [Bound::Included(high), Bound::Excluded(high), Bound::Unbounded] {
                    let ranks = set.ranks_by_score(&ScoreRange { min, max });
                    let inside = |score: f64| {
                        (match min { Bound::Included(b) => score >= b, Bound::Excluded(b) => score > b, _ => true })
                        && (match max { Bound::Included(b) => score <= b, Bound::Excluded(b) => score < b, _ => true })
                    };
                    let expected: Vec<_> = model.iter().filter(|(_, s)| inside(*s)).cloned().collect();
                    prop_assert_eq!(elements(set.range(ranks)), expected);
                }
            }
            let mut scanned: HashMap<Vec<u8>, f64> = HashMap::new();
            let mut cursor = 0;
            loop {
                cursor = set.scan(cursor, 2, |member, score| { scanned.insert(member.to_vec(), score); });
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(scanned, model.iter().cloned().collect::<HashMap<_, _>>());

            // Ranges by member are for equal scores.
            let mut same = ZSet::new();
            for (member, _) in &model {
                same.insert(member, 0.0, &limits);
            }
            model.sort_by(|a, b| a.0.cmp(&b.0));
            let bounds = [LexBound::Min, LexBound::Max, LexBound::Included(&text), LexBound::Excluded(&text)];
            for min in bounds {
                for max in bounds {
                    let inside = |m: &[u8]| {
                        (match min {
                            LexBound::Min => true,
                            LexBound::Max => false,
                            LexBound::Included(b) => m >= b,
                            LexBound::Excluded(b) => m > b,
                        }) && (match max {
                            LexBound::Min => false,
                            LexBound::Max => true,
                            LexBound::Included(b) => m <= b,
                            LexBound::Excluded(b) => m < b,
                        })
                    };
                    let found = elements(same.range(same.ranks_by_lex(&LexRange { min, max })));
                    let expected: Vec<_> = model.iter().filter(|(m, _)| inside(m)).map(|(m, _)| m.clone()).collect();
                    prop_assert_eq!(found.into_iter().map(|(m, _)| m).collect::<Vec<_>>(), expected);
                }
            }
        }
    }
}
