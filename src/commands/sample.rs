//! Drawing elements at random: HRANDFIELD, SRANDMEMBER, ZRANDMEMBER, SPOP.

use std::collections::BTreeSet;

use super::parse;
use crate::base::Rng;
use crate::data::Item;
use crate::resp::ErrorReply;

/// No reply holds more elements than that: a count beyond it can only be meant to exhaust the memory.
const MOST_REPEATED: u64 = 1 << 28;

/// How many elements to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// So many different ones, or all.
    Distinct(usize),
    /// Exactly so many, the same ones perhaps several times.
    Repeated(usize),
}

impl Draw {
    /// A count: a negative one allows repetition. `paired` draws have two elements each.
    pub fn parse(arg: &[u8], paired: bool) -> Result<Draw, ErrorReply> {
        let n = parse::signed_count(arg)?;
        if paired && n.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(ErrorReply::OutOfRange);
        }
        match n {
            0.. => Ok(Draw::Distinct(usize::try_from(n).unwrap_or(usize::MAX))),
            _ if n.unsigned_abs() > MOST_REPEATED => Err(ErrorReply::OutOfRange),
            _ => Ok(Draw::Repeated(n.unsigned_abs() as usize)),
        }
    }

    /// Number of elements that are drawn out of `len`.
    #[must_use]
    pub fn count(self, len: usize) -> usize {
        match self {
            Draw::Distinct(n) => n.min(len),
            Draw::Repeated(n) if len > 0 => n,
            Draw::Repeated(_) => 0,
        }
    }

    /// Draws from a collection of `len` elements: `items` are all of them, `random` draws one, `key` tells them apart.
    pub fn each<T>(
        self,
        len: usize,
        rng: &mut Rng,
        items: impl Iterator<Item = T>,
        mut random: impl FnMut(&mut Rng) -> Option<T>,
        key: impl for<'t> Fn(&'t T) -> Item<'t>,
        mut visit: impl FnMut(T),
    ) {
        match self {
            Draw::Repeated(n) => (0..n).filter_map(|_| random(rng)).for_each(visit),
            // Few of many: drawing again what was drawn before is rare.
            Draw::Distinct(n) if n < len / 4 => {
                let mut seen = BTreeSet::new();
                while seen.len() < n {
                    match random(rng) {
                        Some(item) if seen.insert(key(&item).to_vec()) => visit(item),
                        Some(_) => {}
                        None => return,
                    }
                }
            }
            Draw::Distinct(n) => {
                let mut wanted = n.min(len);
                for (item, left) in items.zip((1..=len).rev()) {
                    if rng.below(left as u64) < wanted as u64 {
                        wanted -= 1;
                        visit(item);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distinct_and_as_many_as_asked_for() {
        let mut rng = Rng::seeded(1);
        for len in [0usize, 1, 5, 100] {
            for n in [0, 1, 5, 20, 99, 100, 1000] {
                let draw = Draw::Distinct(n);
                let mut drawn = Vec::new();
                let random = |rng: &mut Rng| (len > 0).then(|| rng.below(len as u64) as i64);
                draw.each(len, &mut rng, 0..len as i64, random, |n| Item::Int(*n), |n| drawn.push(n));
                assert_eq!(drawn.len(), draw.count(len));
                drawn.sort_unstable();
                drawn.dedup();
                assert_eq!(drawn.len(), n.min(len));
            }
        }
    }

    #[test]
    fn every_element_has_its_chance() {
        let mut rng = Rng::seeded(2);
        let mut hits = [0; 10];
        for _ in 0..1000 {
            let random = |rng: &mut Rng| Some(rng.below(10) as i64);
            Draw::Distinct(5).each(10, &mut rng, 0..10, random, |n| Item::Int(*n), |n| hits[n as usize] += 1);
        }
        assert!(hits.iter().all(|n| (400..600).contains(n)), "{hits:?}");
    }

    #[test]
    fn counts() {
        assert_eq!(Draw::parse(b"3", true), Ok(Draw::Distinct(3)));
        assert_eq!(Draw::parse(b"-3", true), Ok(Draw::Repeated(3)));
        assert_eq!(Draw::parse(b"x", false), Err(ErrorReply::NotInteger));
        assert_eq!(Draw::parse(b"-9223372036854775807", false), Err(ErrorReply::OutOfRange));
    }
}
