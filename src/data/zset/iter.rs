//! The elements of a sorted set, walked from both ends.

use super::ZSet;
use super::pack::parse_score;
use crate::data::{Item, listpack, skiplist};

/// Elements in order; also from the back.
#[derive(Clone)]
pub enum Iter<'a> {
    Pack { items: listpack::Iter<'a>, left: usize },
    Ranked(skiplist::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Pack { items, left } => {
                *left = left.checked_sub(1)?;
                Some((items.next()?, parse_score(items.next()?)?))
            }
            Iter::Ranked(elements) => elements.next().map(|(score, member)| (Item::Bytes(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Iter::Pack { left, .. } => *left,
            Iter::Ranked(elements) => elements.len(),
        };
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Pack { items, left } => {
                *left = left.checked_sub(1)?;
                let score = parse_score(items.next_back()?)?;
                Some((items.next_back()?, score))
            }
            Iter::Ranked(elements) => elements.next_back().map(|(score, member)| (Item::Bytes(member), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a ZSet {
    type Item = (Item<'a>, f64);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
