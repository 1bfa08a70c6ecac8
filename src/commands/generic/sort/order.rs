//! The order of SORT: every element's weight is read once and becomes a rank of 8 bytes; texts are compared only
//! where two ranks are the same.

use std::cmp::Ordering;
use std::ops::Range;

use super::pattern::{Pattern, weight};
use crate::base::collate;
use crate::data::Item;
use crate::data::item::Text;
use crate::keyspace::Db;

/// The elements to sort, their texts one behind the other.
#[derive(Default)]
pub(super) struct Elements {
    texts: Vec<u8>,
    all: Vec<Element>,
}

/// One element, and the text by which it is sorted when that is another one: it stands behind the element's own.
#[derive(Clone, Copy)]
struct Element {
    rank: u64,
    start: usize,
    len: u32,
    by_len: u32,
}

/// Stands for the length of a text that does not exist; such elements come first.
const ABSENT: u32 = u32::MAX;

/// By what is sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Numbers; elements of the same weight by their texts.
    Numbers,
    /// The elements' own texts, byte by byte.
    Texts,
    /// Other texts; elements with the same one stay as they were.
    OtherTexts,
}

impl Elements {
    pub fn with_capacity(count: usize) -> Elements {
        Elements { texts: Vec::with_capacity(8 * count), all: Vec::with_capacity(count) }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn push(&mut self, item: Item<'_>) {
        let start = self.texts.len();
        item.push_to(&mut self.texts);
        let len = (self.texts.len() - start) as u32;
        self.all.push(Element { rank: 0, start, len, by_len: ABSENT });
    }

    /// As [`Elements::push`], for elements that are sorted as numbers themselves. False when this one is none.
    pub fn push_number(&mut self, item: Item<'_>) -> bool {
        self.push(item);
        let Some((number, element)) = weight(item).zip(self.all.last_mut()) else { return false };
        element.rank = rank_of_number(number);
        true
    }

    /// Texts of the elements, in order.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.all.iter().map(|element| element.text(&self.texts))
    }

    pub fn rank_by_texts(&mut self) {
        for element in &mut self.all {
            element.rank = rank_of_text(element.text(&self.texts));
        }
    }

    /// Reads the weights as numbers; those that do not exist are 0. False when one is no number.
    pub fn rank_by_other_numbers(&mut self, by: Pattern<'_>, db: &mut Db<'_>) -> bool {
        let mut name = Vec::new();
        self.all.iter_mut().all(|element| {
            let number = by.read(db, element.text(&self.texts), &mut name).map_or(Some(0.0), weight);
            element.rank = number.map_or(0, rank_of_number);
            number.is_some()
        })
    }

    /// Reads the weights as texts, to be compared as the locale has it if `collated`.
    pub fn rank_by_other_texts(&mut self, by: Pattern<'_>, db: &mut Db<'_>, collated: bool) {
        let (mut name, mut room) = (Vec::new(), Text::new());
        self.rank_by(|text, texts| {
            let Some(other) = by.read(db, text, &mut name) else { return false };
            if collated {
                collate::push_key(texts, other.text(&mut room));
            } else {
                other.push_to(texts);
            }
            true
        });
    }

    /// Whether the order of the locale is another than that of all bytes.
    pub fn need_keys(&self) -> bool {
        !collate::is_plain() || self.texts.contains(&0)
    }

    /// By their own texts, as the locale has it.
    pub fn rank_by_keys(&mut self) {
        self.rank_by(|text, texts| {
            collate::push_key(texts, text);
            true
        });
    }

    /// Puts behind each text what `push` appends for it; it returns false when there is nothing.
    fn rank_by(&mut self, mut push: impl FnMut(&[u8], &mut Vec<u8>) -> bool) {
        let old = std::mem::take(&mut self.texts);
        for element in &mut self.all {
            let (text, start) = (element.text(&old), self.texts.len());
            self.texts.extend_from_slice(text);
            if push(text, &mut self.texts) {
                element.by_len = (self.texts.len() - start) as u32 - element.len;
            }
            element.start = start;
            element.rank = element.by(&self.texts).map_or(0, rank_of_text);
        }
    }

    /// Sorts, and keeps the elements of `wanted` only.
    pub fn sort(&mut self, order: Order, descending: bool, wanted: Range<usize>) {
        let texts = &self.texts;
        let compare = |a: &Element, b: &Element| {
            let forwards = a.rank.cmp(&b.rank).then_with(|| match order {
                Order::Numbers | Order::Texts => a.text(texts).cmp(b.text(texts)),
                Order::OtherTexts => a.by(texts).cmp(&b.by(texts)),
            });
            let ordering: Ordering = if descending { forwards.reverse() } else { forwards };
            // Their places keep the order of equals.
            ordering.then(a.start.cmp(&b.start))
        };
        // The rest need not be in order.
        if wanted.end < self.all.len() && !wanted.is_empty() {
            self.all.select_nth_unstable_by(wanted.end, compare);
        }
        self.all.truncate(wanted.end);
        if wanted.start > 0 && wanted.start < self.all.len() {
            self.all.select_nth_unstable_by(wanted.start, compare);
        }
        self.all.drain(..wanted.start.min(self.all.len()));
        self.all.sort_unstable_by(compare);
    }
}

impl Element {
    fn text(self, texts: &[u8]) -> &[u8] {
        &texts[self.start..self.start + self.len as usize]
    }

    fn by(self, texts: &[u8]) -> Option<&[u8]> {
        let start = self.start + self.len as usize;
        (self.by_len != ABSENT).then(|| &texts[start..start + self.by_len as usize])
    }
}

/// A number as bits that sort as it does.
fn rank_of_number(number: f64) -> u64 {
    // Both zeros are the same weight.
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The beginning of a text.
fn rank_of_text(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = text.len().min(8);
    first[..len].copy_from_slice(&text[..len]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranks_of_numbers_are_in_their_order() {
        let numbers = [f64::NEG_INFINITY, -1e300, -2.5, -f64::MIN_POSITIVE, 0.0, 1e-9, 1.0, 1e17, f64::INFINITY];
        assert!(numbers.windows(2).all(|two| rank_of_number(two[0]) < rank_of_number(two[1])));
        assert_eq!(rank_of_number(-0.0), rank_of_number(0.0));
    }

    #[test]
    fn keys_end_at_a_zero() {
        let mut elements = Elements::default();
        [&b"b\0b"[..], b"b\0a", b"a", b"b"].iter().for_each(|text| elements.push(Item::from(*text)));
        assert!(elements.need_keys());
        elements.rank_by_keys();
        elements.sort(Order::OtherTexts, false, 0..4);
        assert_eq!(elements.texts().collect::<Vec<_>>(), [&b"a"[..], b"b\0b", b"b\0a", b"b"]);
    }

    proptest! {
        #[test]
        fn a_limited_sort_is_a_part_of_the_whole(
            texts in prop::collection::vec(prop::collection::vec(97u8..100, 0..12), 0..60),
            start in 0..70usize, len in 0..70usize, descending: bool,
        ) {
            let mut elements = Elements::default();
            texts.iter().for_each(|text| elements.push(Item::from(text)));
            elements.rank_by_texts();
            let start = start.min(texts.len());
            let wanted = start..(start + len).min(texts.len());
            elements.sort(Order::Texts, descending, wanted.clone());
            let mut model = texts;
            model.sort();
            if descending {
                model.reverse();
            }
            prop_assert_eq!(elements.texts().map(<[u8]>::to_vec).collect::<Vec<_>>(), model[wanted].to_vec());
        }
    }
}
