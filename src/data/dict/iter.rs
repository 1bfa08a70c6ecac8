//! All items of a table: visited, or taken out one by one.

use super::buckets::{Buckets, Chain};
use super::{Dict, Moving};

/// The items of a table in no particular order.
pub struct Iter<'a, T> {
    tables: [Option<&'a Buckets<T>>; 2],
    table: usize,
    next_chain: usize,
    chain: Option<Chain<'a, T>>,
    left: usize,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(dict: &'a Dict<T>) -> Iter<'a, T> {
        let old = dict.moving.as_ref().map(|moving| &moving.from);
        Iter { tables: [Some(&dict.main), old], table: 0, next_chain: 0, chain: None, left: dict.len }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.chain.as_mut().and_then(Iterator::next) {
                self.left -= 1;
                return Some(item);
            }
            let table = (*self.tables.get(self.table)?)?;
            if self.next_chain < table.count() {
                self.chain = Some(table.chain(self.next_chain));
                self.next_chain += 1;
            } else {
                self.table += 1;
                self.next_chain = 0;
                self.chain = None;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Dict<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The items of a table, taken out. Memory of the table's children is given back on the way, so that a huge table can
/// be dropped in slices: `items.by_ref().take(1000).for_each(drop)`.
pub struct IntoIter<T> {
    arrays: [Buckets<T>; 2],
    array: usize,
    next_chain: usize,
    /// Items of the chain taken last.
    ready: Vec<T>,
    left: usize,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.ready.pop() {
                self.left -= 1;
                return Some(item);
            }
            let array = self.arrays.get_mut(self.array)?;
            if self.next_chain < array.count() {
                array.take_chain(self.next_chain, |item| self.ready.push(item));
                self.next_chain += 1;
                array.passed(self.next_chain);
            } else {
                array.release();
                self.array += 1;
                self.next_chain = 0;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for IntoIter<T> {}

impl<T> IntoIterator for Dict<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        let left = self.len;
        let old = self.moving.map_or_else(Buckets::none, |moving| {
            let Moving { from, .. } = *moving;
            from
        });
        IntoIter { arrays: [self.main, old], array: 0, next_chain: 0, ready: Vec::new(), left }
    }
}
