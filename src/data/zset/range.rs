//! Ranges of a sorted set: between scores, and between members.

use std::ops::Bound;

use crate::data::Item;

/// The elements whose scores lie between two bounds, neither of them NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    pub min: Bound<f64>,
    pub max: Bound<f64>,
}

impl ScoreRange {
    /// All elements.
    pub const ALL: ScoreRange = ScoreRange { min: Bound::Unbounded, max: Bound::Unbounded };

    pub(super) fn is_above_min(&self, score: f64) -> bool {
        match self.min {
            Bound::Included(min) => score >= min,
            Bound::Excluded(min) => score > min,
            Bound::Unbounded => true,
        }
    }

    pub(super) fn is_below_max(&self, score: f64) -> bool {
        match self.max {
            Bound::Included(max) => score <= max,
            Bound::Excluded(max) => score < max,
            Bound::Unbounded => true,
        }
    }
}

/// A bound among members: `-`, `+`, `[text` or `(text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    Min,
    Max,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

/// The elements whose members lie between two bounds, for sets whose scores are all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    pub min: LexBound<'a>,
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    pub(super) fn is_above_min(&self, member: Item<'_>) -> bool {
        match self.min {
            LexBound::Min => true,
            LexBound::Max => false,
            LexBound::Included(min) => member.cmp_bytes(min).is_ge(),
            LexBound::Excluded(min) => member.cmp_bytes(min).is_gt(),
        }
    }

    pub(super) fn is_below_max(&self, member: Item<'_>) -> bool {
        match self.max {
            LexBound::Min => false,
            LexBound::Max => true,
            LexBound::Included(max) => member.cmp_bytes(max).is_le(),
            LexBound::Excluded(max) => member.cmp_bytes(max).is_lt(),
        }
    }
}
