//! A hash as commands see it: without the fields whose time has come, though they may still be there.

use super::Hash;
use crate::base::{Millis, Rng};
use crate::data::Item;

/// How often a random field is drawn before all are looked at.
const DRAWS: usize = 100;

/// A hash at a moment.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    hash: &'a Hash,
    now: Millis,
    /// Whether any field is past its time: else there is nothing to look out for.
    hides: bool,
}

impl<'a> Live<'a> {
    pub(super) fn new(hash: &'a Hash, now: Millis) -> Live<'a> {
        Live { hash, now, hides: hash.first_expiry().is_some_and(|at| at <= now) }
    }

    fn shows(&self, expire_at: Option<Millis>) -> bool {
        !self.hides || expire_at.is_none_or(|at| at > self.now)
    }

    /// Number of fields to be seen. O(number of those that are hidden).
    #[must_use]
    pub fn len(&self) -> usize {
        let hidden = self.hash.expiries().map_or(0, |expiries| expiries.count_due(self.now));
        self.hash.len() - hidden
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<Item<'a>> {
        if !self.hides {
            return self.hash.get(field);
        }
        self.get_with_expiry(field).map(|(value, _)| value)
    }

    #[must_use]
    pub fn get_with_expiry(&self, field: &[u8]) -> Option<(Item<'a>, Option<Millis>)> {
        self.hash.get_with_expiry(field).filter(|(_, expire_at)| self.shows(*expire_at))
    }

    #[must_use]
    pub fn contains(&self, field: &[u8]) -> bool {
        if !self.hides { self.hash.contains(field) } else { self.get(field).is_some() }
    }

    /// All fields with their values.
    pub fn iter(self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> {
        let shown = self.hash.iter_with_expiry().filter(move |(.., expire_at)| self.shows(*expire_at));
        shown.map(|(field, value, _)| (field, value))
    }

    /// A random field with its value.
    pub fn random(&self, rng: &mut Rng) -> Option<(Item<'a>, Item<'a>)> {
        if self.is_empty() {
            return None;
        }
        let drawn = (0..DRAWS).find_map(|_| {
            let (field, value) = self.hash.random(rng)?;
            (!self.hides || self.contains(&field.to_vec())).then_some((field, value))
        });
        // Hardly any field is left: each gets its chance all the same.
        drawn.or_else(|| self.iter().nth(rng.below(self.len() as u64) as usize))
    }

    /// One step of HSCAN; see [`Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        self.hash.scan(cursor, count, |field, value, expire_at| {
            if self.shows(expire_at) {
                visit(field, value);
            }
        })
    }
}
