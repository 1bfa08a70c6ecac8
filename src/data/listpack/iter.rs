//! The elements of a listpack, walked from both ends.

use super::Listpack;
use super::entry::{back, decode};
use crate::data::Item;

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
    pub(super) bytes: &'a [u8],
    pub(super) front: usize,
    pub(super) back: usize,
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
