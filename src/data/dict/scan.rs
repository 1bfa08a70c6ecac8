//! Walking a table in pieces while it changes: SCAN, snapshots and sampling.
//!
//! The *position* of a hash is its bits in reverse order, so a bucket of a table of any size holds one contiguous
//! range of positions, and doubling or halving the table splits or joins such ranges. A cursor is the reversed
//! first position that was not visited yet. It therefore means the same before and after a resize:
//!
//! - visited is exactly what lies below it: [`position_reached`] needs to know nothing of the table;
//! - what is in the table the whole time is visited exactly once, not merely at least once, because a bucket that
//!   was visited in part (as two smaller ones) is filtered by position;
//! - only the low bits of a cursor are used, as many as the table has (at most 58), so that its owner may shift it.

use super::buckets::Buckets;
use super::{Dict, Keyed};
use crate::base::Rng;

/// A random item is chosen among at least this many: enough to even out the chances of items in full and in sparse
/// buckets.
const RANDOM_SAMPLE: usize = 16;

/// While a table is halved and halved again, a step visits at most this many bits' worth of the larger array.
const STEP_SPREAD_BITS: u32 = 4;

/// Whether a walk that has come to `cursor` has passed the place of `hash`: true for what it has visited, false for
/// what it will still visit, whatever resizes happened. A cursor of 0 is a walk that has not begun (the caller
/// knows when a walk is over).
#[inline]
#[must_use]
pub fn position_reached(hash: u64, cursor: u64) -> bool {
    hash.reverse_bits() < cursor.reverse_bits()
}

impl<T: Keyed> Dict<T> {
    /// Visits the next piece of the table and returns the cursor to go on with; 0 begins a walk and ends it.
    pub fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(&'a T)) -> u64 {
        let first = cursor.reverse_bits();
        let last = first | (u64::MAX >> self.step_bits());
        for table in self.tables() {
            self.visit_range(table, first, last, visit);
        }
        let next = last.wrapping_add(1).reverse_bits();
        self.prefetch(next);
        next
    }

    /// The items of `table` whose positions are in `first..=last`, a range no larger than one of its buckets or
    /// made of whole ones (but for its beginning).
    fn visit_range<'a>(&'a self, table: &'a Buckets<T>, first: u64, last: u64, visit: &mut dyn FnMut(&'a T)) {
        if table.is_none() {
            return;
        }
        let unused = u64::MAX.checked_shr(table.bits()).unwrap_or(0);
        let mut bucket_first = first & !unused;
        loop {
            let bucket_last = bucket_first | unused;
            let chain = table.chain(table.index(bucket_first.reverse_bits()));
            chain.clone().for_each(Keyed::prefetch);
            if first <= bucket_first && bucket_last <= last {
                chain.for_each(&mut *visit);
            } else {
                let inside = |item: &&T| (first..=last).contains(&self.hash(item.key()).reverse_bits());
                chain.filter(inside).for_each(&mut *visit);
            }
            if bucket_last >= last {
                return;
            }
            bucket_first = bucket_last + 1;
        }
    }

    /// How many bits of the position one step of a walk leaves fixed.
    fn step_bits(&self) -> u32 {
        let bits = self.tables().map(Buckets::bits);
        let (least, most) = (bits.clone().min().unwrap_or(0), bits.max().unwrap_or(0));
        most.min(least + STEP_SPREAD_BITS)
    }

    /// Visits at least `at_least` items (all, if there are fewer) from neighbouring buckets at a random place.
    pub fn sample<'a>(&'a self, rng: &mut Rng, at_least: usize, visit: &mut dyn FnMut(&'a T)) {
        let at_least = at_least.min(self.len());
        let mut seen = 0;
        // Whole steps only: beginning inside a bucket would mean hashing its items to tell which to leave out.
        let mut cursor = rng.next_u64() & !(u64::MAX << self.step_bits());
        let start = cursor;
        while seen < at_least {
            cursor = self.scan(cursor, &mut |item| {
                seen += 1;
                visit(item);
            });
            if cursor == start {
                return;
            }
        }
    }

    /// A random item: uniform among the items of some neighbouring buckets at a random place.
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        let mut choose = rng.clone();
        let (mut chosen, mut seen) = (None, 0);
        self.sample(rng, RANDOM_SAMPLE, &mut |item| {
            seen += 1;
            if choose.below(seen) == 0 {
                chosen = Some(item);
            }
        });
        chosen
    }
}
