//! The 2048-byte slot bitmap of the wire: slot `s` is bit `s mod 8`, least significant first, of byte `s / 8`.

use crate::base::{SLOTS, Slot};

/// Bytes of a slot bitmap.
pub const BITMAP_LEN: usize = SLOTS / 8;

/// A set of slots in the layout that packets carry.
pub type Bitmap = [u8; BITMAP_LEN];

/// The set without slots.
pub const EMPTY: Bitmap = [0; BITMAP_LEN];

pub fn insert(map: &mut Bitmap, slot: Slot) {
    map[slot.index() / 8] |= 1 << (slot.index() % 8);
}

pub fn remove(map: &mut Bitmap, slot: Slot) {
    map[slot.index() / 8] &= !(1 << (slot.index() % 8));
}

#[must_use]
pub fn contains(map: &Bitmap, slot: Slot) -> bool {
    map[slot.index() / 8] & (1 << (slot.index() % 8)) != 0
}

#[must_use]
pub fn count(map: &Bitmap) -> usize {
    words(map).map(|word| word.count_ones() as usize).sum()
}

/// Eight bytes at a step: slot `s` is bit `s mod 64` of word `s / 64`.
fn words(map: &Bitmap) -> impl Iterator<Item = u64> + '_ {
    map.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The slots of the set in ascending order. What is empty costs a look per 64 slots.
pub fn iter(map: &Bitmap) -> impl Iterator<Item = Slot> + '_ {
    words(map).enumerate().filter(|(_, word)| *word != 0).flat_map(|(i, word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Slot::new(i as u16 * 64 + bit as u16)
        })
    })
}

/// The set of these slots.
pub fn collect(slots: impl IntoIterator<Item = Slot>) -> Box<Bitmap> {
    let mut map = Box::new(EMPTY);
    for slot in slots {
        insert(&mut map, slot);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bit_order_is_least_significant_first() {
        let map = collect([Slot::new(0).unwrap(), Slot::new(9).unwrap(), Slot::new(16383).unwrap()]);
        assert_eq!((map[0], map[1], map[2047]), (1, 2, 0x80));
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(slots in proptest::collection::btree_set(0u16..16384, 0..200), gone in 0u16..16384) {
            let gone = Slot::new(gone).unwrap();
            let mut map = collect(slots.iter().filter_map(|&s| Slot::new(s)));
            prop_assert_eq!(count(&map), slots.len());
            prop_assert_eq!(iter(&map).map(Slot::get).collect::<Vec<_>>(), slots.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(contains(&map, gone), slots.contains(&gone.get()));
            remove(&mut map, gone);
            prop_assert!(!contains(&map, gone));
        }
    }
}
