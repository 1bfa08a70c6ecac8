//! A set of hash slots, as a bitmap: what a node owns, what is uncovered, what a plan moves.

use std::fmt;
use std::str::FromStr;

use crate::base::{SLOTS, Slot};

const WORDS: usize = SLOTS / 64;

/// Any of the 16384 slots. A set that has never had any takes no memory: most nodes' lines are such.
#[derive(Clone)]
pub struct SlotSet {
    words: Option<Box<[u64; WORDS]>>,
}

static NONE: [u64; WORDS] = [0; WORDS];

impl SlotSet {
    #[must_use]
    pub fn new() -> SlotSet {
        SlotSet { words: None }
    }

    /// All slots.
    #[must_use]
    pub fn full() -> SlotSet {
        SlotSet { words: Some(Box::new([u64::MAX; WORDS])) }
    }

    fn words(&self) -> &[u64; WORDS] {
        self.words.as_deref().unwrap_or(&NONE)
    }

    fn words_mut(&mut self) -> &mut [u64; WORDS] {
        self.words.get_or_insert_with(|| Box::new(NONE))
    }

    pub fn insert(&mut self, slot: Slot) {
        self.words_mut()[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// Inserts `first..=last`.
    pub fn insert_range(&mut self, first: Slot, last: Slot) {
        let (first, last) = (first.index(), last.index());
        if first > last {
            return;
        }
        let words = self.words_mut();
        let (low, high) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        if first / 64 == last / 64 {
            words[first / 64] |= low & high;
            return;
        }
        words[first / 64] |= low;
        words[first / 64 + 1..last / 64].fill(u64::MAX);
        words[last / 64] |= high;
    }

    pub fn remove(&mut self, slot: Slot) {
        if let Some(words) = &mut self.words {
            words[slot.index() / 64] &= !(1 << (slot.index() % 64));
        }
    }

    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.words()[slot.index() / 64] & (1 << (slot.index() % 64)) != 0
    }

    /// How many slots are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.as_ref().is_none_or(|words| words.iter().all(|&word| word == 0))
    }

    /// Adds all slots of `other`.
    pub fn extend_from(&mut self, other: &SlotSet) {
        let Some(more) = &other.words else { return };
        for (word, more) in self.words_mut().iter_mut().zip(more.iter()) {
            *word |= more;
        }
    }

    /// Whether all its slots are in `other` too.
    #[must_use]
    pub fn is_subset(&self, other: &SlotSet) -> bool {
        self.words().iter().zip(other.words().iter()).all(|(word, whole)| word & !whole == 0)
    }

    /// The slots that are not in the set.
    #[must_use]
    pub fn complement(&self) -> SlotSet {
        let mut rest = Box::new(*self.words());
        for word in rest.iter_mut() {
            *word = !*word;
        }
        SlotSet { words: Some(rest) }
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        let used = self.words().iter().enumerate().filter(|(_, word)| **word != 0);
        used.flat_map(|(at, word)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) != 0);
            bits.filter_map(move |bit| Slot::new((at * 64 + bit) as u16))
        })
    }

    /// The slots as inclusive ranges in ascending order.
    #[must_use]
    pub fn ranges(&self) -> Vec<(Slot, Slot)> {
        let mut ranges: Vec<(Slot, Slot)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if last.get() + 1 == slot.get() => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

impl PartialEq for SlotSet {
    fn eq(&self, other: &SlotSet) -> bool {
        self.words() == other.words()
    }
}

impl Eq for SlotSet {}

impl Default for SlotSet {
    fn default() -> SlotSet {
        SlotSet::new()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> SlotSet {
        let mut set = SlotSet::new();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

/// As CLUSTER NODES writes them, joined by commas: `0-5460,5462`.
impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges().into_iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for SlotSet {
    type Err = BadSlots;

    /// Reads what is written: `0-5460,5462`; nothing for no slot.
    fn from_str(text: &str) -> Result<SlotSet, BadSlots> {
        let slot = |text: &str| text.parse().ok().and_then(Slot::new).ok_or(BadSlots);
        let mut slots = SlotSet::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            slots.insert_range(slot(first)?, slot(last)?);
        }
        Ok(slots)
    }
}

/// A text is no list of slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no list of slots such as 0-5460,5462")]
pub struct BadSlots;

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slot(n: u16) -> Slot {
        Slot::new(n).unwrap()
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(numbers in proptest::collection::btree_set(0u16..16384, 0..200)) {
            let mut set: SlotSet = numbers.iter().map(|&n| slot(n)).collect();
            prop_assert_eq!(set.len(), numbers.len());
            prop_assert_eq!(set.iter().map(Slot::get).collect::<BTreeSet<_>>(), numbers.clone());
            prop_assert!(set.is_subset(&SlotSet::full()) && !SlotSet::full().is_subset(&set));
            prop_assert_eq!(set.complement().len(), 16384 - numbers.len());
            let mut again = SlotSet::new();
            for (first, last) in set.ranges() {
                again.insert_range(first, last);
            }
            prop_assert_eq!(&again, &set);
            prop_assert_eq!(set.to_string().parse(), Ok(set.clone()));
            again.extend_from(&set.complement());
            prop_assert_eq!(again, SlotSet::full());
            for &n in &numbers {
                set.remove(slot(n));
            }
            prop_assert!(set.is_empty());
            prop_assert_eq!(set, SlotSet::new());
        }

        #[test]
        fn a_range_is_its_slots(first in 0u16..16384, length in 0u16..300) {
            let last = first.saturating_add(length).min(16383);
            let mut set = SlotSet::new();
            set.insert_range(slot(first), slot(last));
            prop_assert_eq!(set, (first..=last).map(slot).collect::<SlotSet>());
        }
    }

    #[test]
    fn prints_ranges() {
        let mut set = SlotSet::new();
        assert_eq!(set.to_string(), "");
        set.insert_range(slot(0), slot(5460));
        set.insert(slot(5462));
        set.insert(slot(16383));
        assert_eq!(set.to_string(), "0-5460,5462,16383");
    }
}
