//! The intset: a small set of integers as a sorted array, in exactly the form that RDB files and DUMP payloads
//! carry: width of an integer in bytes (2, 4 or 8) and their number, both u32 little endian, then the integers,
//! ascending, little endian. The width fits the widest value ever added and never shrinks.

use super::alloc::{reserve_class, shrink_class, size_class};
use super::{Corrupt, item};

const HEADER: usize = 8;

/// A valid intset, possibly empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intset {
    bytes: Vec<u8>,
}

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl Intset {
    #[must_use]
    pub fn new() -> Intset {
        Intset { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// Takes foreign bytes over after a complete check. As in the formats they come from, empty is corrupt.
    pub fn validate(bytes: Vec<u8>) -> Result<Intset, Corrupt> {
        if bytes.len() < HEADER {
            return Err(Corrupt("intset shorter than its header"));
        }
        let set = Intset { bytes };
        let (width, len) = (set.width(), set.len());
        if !matches!(width, 2 | 4 | 8) {
            return Err(Corrupt("intset of unknown width"));
        }
        if len == 0 || len.checked_mul(width) != Some(set.bytes.len() - HEADER) {
            return Err(Corrupt("intset size mismatch"));
        }
        if !set.iter().is_sorted_by(|a, b| a < b) {
            return Err(Corrupt("intset out of order"));
        }
        Ok(set)
    }

    /// The exact bytes of the format.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.word(4)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// The `index`-th smallest integer.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    #[must_use]
    pub fn contains(&self, n: i64) -> bool {
        self.find(n).is_ok()
    }

    /// Adds an integer; `false` if it was there. O(log n) to find the place, O(n) to make room.
    pub fn insert(&mut self, n: i64) -> bool {
        let Err(index) = self.find(n) else { return false };
        let needed = width_of(n);
        if needed > self.width() {
            self.widen(needed);
        }
        let width = self.width();
        let at = HEADER + index * width;
        let old_len = self.bytes.len();
        reserve_class(&mut self.bytes, old_len + width);
        self.bytes.resize(old_len + width, 0);
        self.bytes.copy_within(at..old_len, at + width);
        self.bytes[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        self.write_len(self.len() + 1);
        true
    }

    /// Removes an integer; `false` if it was not there.
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(index) = self.find(n) else { return false };
        let at = HEADER + index * self.width();
        self.bytes.drain(at..at + self.width());
        self.write_len(self.len() - 1);
        shrink_class(&mut self.bytes);
        true
    }

    /// The integers in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Length of the longest text among the integers.
    #[must_use]
    pub fn widest_text(&self) -> usize {
        let ends = [self.get(0), self.len().checked_sub(1).and_then(|last| self.get(last))];
        ends.into_iter().flatten().map(item::digits).max().unwrap_or(0)
    }

    fn width(&self) -> usize {
        self.word(0)
    }

    fn word(&self, at: usize) -> usize {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes")) as usize
    }

    fn write_len(&mut self, len: usize) {
        self.bytes[4..HEADER].copy_from_slice(&(len as u32).to_le_bytes());
    }

    fn at(&self, index: usize) -> i64 {
        match self.width() {
            2 => i64::from(i16::from_le_bytes(self.raw(index))),
            4 => i64::from(i32::from_le_bytes(self.raw(index))),
            _ => i64::from_le_bytes(self.raw(index)),
        }
    }

    fn raw<const N: usize>(&self, index: usize) -> [u8; N] {
        let at = HEADER + index * N;
        self.bytes[at..at + N].try_into().expect("a range of N bytes")
    }

    /// The index of `n`, or the one it would have.
    fn find(&self, n: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Sets are often filled in ascending order.
        if high > 0 && self.at(high - 1) < n {
            return Err(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(&n) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::new();
        reserve_class(&mut bytes, HEADER + (self.len() + 1) * width);
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&self.bytes[4..HEADER]);
        for n in self.iter() {
            bytes.extend_from_slice(&n.to_le_bytes()[..width]);
        }
        self.bytes = bytes;
    }
}

fn width_of(n: i64) -> usize {
    if i16::try_from(n).is_ok() {
        2
    } else if i32::try_from(n).is_ok() {
        4
    } else {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn hostile_bytes_are_refused() {
        let mut set = Intset::new();
        assert!(Intset::validate(set.bytes().to_vec()).is_err(), "empty");
        set.insert(5);
        set.insert(-3);
        let good = set.bytes().to_vec();
        assert_eq!(Intset::validate(good.clone()).unwrap(), set);
        for (at, byte) in [(0, 3), (0, 4), (4, 1), (4, 3), (7, 0xff), (8, 5), (8, 6)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            if at == 8 {
                bytes[9] = 0;
            }
            assert!(Intset::validate(bytes).is_err(), "{at} {byte}");
        }
        assert!(Intset::validate(good[..7].to_vec()).is_err());
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(
            changes in proptest::collection::vec(
                (any::<bool>(), prop_oneof![-20i64..20, -40_000i64..40_000, any::<i64>()]), 1..200)
        ) {
            let mut set = Intset::new();
            let mut model = BTreeSet::new();
            for (add, n) in changes {
                if add {
                    prop_assert_eq!(set.insert(n), model.insert(n));
                } else {
                    let n = model.range(n..).next().copied().unwrap_or(n);
                    prop_assert_eq!(set.remove(n), model.remove(&n));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert!(set.is_empty() || Intset::validate(set.bytes().to_vec()).is_ok());
                let widest = model.iter().map(|n| n.to_string().len()).max().unwrap_or(0);
                prop_assert_eq!(set.widest_text(), widest);
                prop_assert_eq!(set.contains(n), model.contains(&n));
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), width in 0u32..9, len in 0u32..9) {
            let mut bytes = bytes;
            if bytes.len() >= HEADER {
                bytes[..4].copy_from_slice(&width.to_le_bytes());
                bytes[4..8].copy_from_slice(&len.to_le_bytes());
            }
            if let Ok(set) = Intset::validate(bytes) {
                prop_assert_eq!(set.iter().count(), set.len());
            }
        }
    }
}
