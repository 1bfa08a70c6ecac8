//! Union, intersection and difference of sorted sets and plain sets, whose members count as having score 1.

use std::ops::ControlFlow;

use crate::data::item::Text;
use crate::data::set::Set;
use crate::data::value::{Encoding, ValueRef};
use crate::data::zset::ZSet;
use crate::data::{Item, Limits};
use crate::resp::ErrorReply;

/// What can be combined.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Absent,
    Set(&'a Set),
    ZSet(&'a ZSet),
}

/// A source and the factor of its scores.
#[derive(Clone, Copy)]
pub(super) struct Weighted<'a> {
    pub source: Source<'a>,
    pub weight: f64,
}

/// What becomes of the scores of a member in several sources.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

impl<'a> Source<'a> {
    pub fn of(value: Option<ValueRef<'a>>) -> Result<Source<'a>, ErrorReply> {
        match value {
            None => Ok(Source::Absent),
            Some(ValueRef::Set(set)) => Ok(Source::Set(set)),
            Some(ValueRef::ZSet(set)) => Ok(Source::ZSet(set)),
            Some(_) => Err(ErrorReply::WrongType),
        }
    }

    pub fn len(self) -> usize {
        match self {
            Source::Absent => 0,
            Source::Set(set) => set.len(),
            Source::ZSet(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Absent => None,
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::ZSet(set) => set.score(member),
        }
    }

    fn walk(self, mut each: impl FnMut(Item<'a>, f64) -> ControlFlow<()>) {
        let _ = match self {
            Source::Absent => ControlFlow::Continue(()),
            Source::Set(set) => set.iter().try_for_each(|member| each(member, 1.0)),
            Source::ZSet(set) => set.iter().try_for_each(|(member, score)| each(member, score)),
        };
    }
}

impl Weighted<'_> {
    fn weigh(self, score: f64) -> f64 {
        // Nothing times infinity.
        let score = self.weight * score;
        if score.is_nan() { 0.0 } else { score }
    }
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinity minus infinity.
            Aggregate::Sum if (a + b).is_nan() => 0.0,
            Aggregate::Sum => a + b,
            Aggregate::Min => a.min(b),
            Aggregate::Max => a.max(b),
        }
    }
}

/// The elements of any of the sources. Scores are added up from the smallest source to the largest: the order shows in the
/// last digits of a sum.
pub(super) fn unite(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> ZSet {
    let mut union = ZSet::new();
    union.expect(sources.iter().map(|from| from.source.len()).sum(), 0, limits);
    let mut room = Text::new();
    for from in by_size(sources) {
        from.source.walk(|member, score| {
            let (member, score) = (member.text(&mut room), from.weigh(score));
            let old = union.score(member);
            let score = old.map_or(score, |old| aggregate.of(old, score));
            // Zeros are equal whatever their signs, and what is equal would not be changed.
            if old == Some(0.0) && score == 0.0 {
                union.remove(member);
            }
            union.insert(member, score, limits);
            ControlFlow::Continue(())
        });
    }
    union
}

/// The elements whose members all of the sources have.
pub(super) fn intersect(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> ZSet {
    let mut common = ZSet::new();
    let mut room = Text::new();
    walk_common(sources, |member, score, others| {
        let member = member.text(&mut room);
        let sum = |sum, from: &Weighted<'_>| {
            let score = from.weigh(from.source.score(member).unwrap_or(0.0));
            aggregate.of(sum, score)
        };
        common.insert(member, others.iter().fold(score, sum), limits);
        ControlFlow::Continue(())
    });
    common
}

/// How many members all of the sources have, counted up to `limit` (0 for all).
pub(super) fn count_common(sources: &[Weighted<'_>], limit: usize) -> usize {
    let mut count = 0;
    walk_common(sources, |_, _, _| {
        count += 1;
        if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    count
}

/// Calls `each` with the members that all sources have, their weighted score in the smallest, and the other sources.
fn walk_common(sources: &[Weighted<'_>], mut each: impl FnMut(Item<'_>, f64, &[Weighted<'_>]) -> ControlFlow<()>) {
    let sources = by_size(sources);
    let Some((smallest, others)) = sources.split_first() else { return };
    let mut room = Text::new();
    smallest.source.walk(|member, score| {
        let text = member.text(&mut room);
        if others.iter().all(|from| from.source.score(text).is_some()) {
            each(member, smallest.weigh(score), others)
        } else {
            ControlFlow::Continue(())
        }
    });
}

/// The smallest first; equal ones as they stand.
fn by_size<'a>(sources: &[Weighted<'a>]) -> Vec<Weighted<'a>> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(|from| from.source.len());
    sources
}

/// The elements of the first source whose members no other has.
pub(super) fn subtract(sources: &[Weighted<'_>], limits: &Limits) -> ZSet {
    let mut left = ZSet::new();
    let Some((first, others)) = sources.split_first() else { return left };
    let mut room = Text::new();
    // Either each member is looked up in the others, or the others' members are taken out of a copy.
    let looking_up = first.source.len().saturating_mul(others.len() + 1) / 2;
    let taking_out = sources.iter().map(|from| from.source.len()).sum::<usize>();
    if looking_up <= taking_out {
        first.source.walk(|member, score| {
            let member = member.text(&mut room);
            if !others.iter().any(|from| from.source.score(member).is_some()) {
                left.insert(member, score, limits);
            }
            ControlFlow::Continue(())
        });
        return left;
    }
    first.source.walk(|member, score| {
        left.insert(member.text(&mut room), score, limits);
        ControlFlow::Continue(())
    });
    for from in others {
        from.source.walk(|member, _| {
            left.remove(member.text(&mut room));
            if left.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    left
}

/// The same elements in the encoding that suits their number.
pub(super) fn settled(set: ZSet, limits: &Limits) -> ZSet {
    if set.encoding() != Encoding::Skiplist || set.len() > limits.zset_max_listpack_entries {
        return set;
    }
    let mut small = ZSet::new();
    let mut room = Text::new();
    for (member, score) in &set {
        small.insert(member.text(&mut room), score, limits);
    }
    small
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn build(elements: &BTreeMap<u8, i8>) -> ZSet {
        let mut set = ZSet::new();
        for (member, score) in elements {
            set.insert(format!("m{member}").as_bytes(), f64::from(*score), &Limits::default());
        }
        set
    }

    fn shown(set: &ZSet) -> Vec<(Vec<u8>, f64)> {
        set.iter().map(|(member, score)| (member.to_vec(), score)).collect()
    }

    proptest! {
        #[test]
        fn as_in_the_textbook(
            all in prop::collection::vec(prop::collection::btree_map(0u8..30, -4i8..4, 0..20), 1..4)
        ) {
            let limits = Limits::default();
            let sets: Vec<ZSet> = all.iter().map(build).collect();
            let sources: Vec<_> =
                sets.iter().map(|set| Weighted { source: Source::ZSet(set), weight: 2.0 }).collect();
            let sum = |member: &u8| all.iter().filter_map(|set| set.get(member)).sum::<i8>().wrapping_mul(2);

            let any = all.iter().flat_map(BTreeMap::keys).map(|member| (*member, sum(member))).collect();
            prop_assert_eq!(shown(&unite(&sources, Aggregate::Sum, &limits)), shown(&build(&any)));

            let common: BTreeMap<_, _> =
                any.iter().filter(|(m, _)| all.iter().all(|set| set.contains_key(m))).map(|(m, s)| (*m, *s)).collect();
            prop_assert_eq!(shown(&intersect(&sources, Aggregate::Sum, &limits)), shown(&build(&common)));
            prop_assert_eq!(count_common(&sources, 0), common.len());
            prop_assert_eq!(count_common(&sources, 1), common.len().min(1));

            let mut alone = all[0].clone();
            alone.retain(|m, _| !all[1..].iter().any(|set| set.contains_key(m)));
            prop_assert_eq!(shown(&subtract(&sources, &limits)), shown(&build(&alone)));
        }
    }

    #[test]
    fn infinities_do_not_make_nan() {
        assert_eq!(Aggregate::Sum.of(f64::INFINITY, f64::NEG_INFINITY), 0.0);
        let set = build(&BTreeMap::from([(1, 1)]));
        assert_eq!(Weighted { source: Source::ZSet(&set), weight: 0.0 }.weigh(f64::INFINITY), 0.0);
    }
}
