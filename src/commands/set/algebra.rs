//! Intersection, union and difference of sets that live side by side in the keyspace.

use std::ops::ControlFlow;

use crate::data::item::Text;
use crate::data::set::Set;
use crate::data::{Item, Limits};

/// Calls `each` with the members that all of `sets` have, until it breaks.
pub(super) fn intersect<'s>(sets: &[&'s Set], mut each: impl FnMut(Item<'s>) -> ControlFlow<()>) {
    // The smallest decides; the small ones among the others are the likelier to lack a member.
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    let mut room = Text::new();
    for member in *smallest {
        let text = member.text(&mut room);
        if others.iter().all(|set| set.contains(text)) && each(member).is_break() {
            return;
        }
    }
}

/// The members of any of `sets`.
pub(super) fn unite(sets: &[&Set], limits: &Limits) -> Set {
    let mut union = Set::new();
    let mut room = Text::new();
    for member in sets.iter().flat_map(|set| set.iter()) {
        union.add(member.text(&mut room), limits);
    }
    union
}

/// Calls `each` with the members of `first` that none of `others` has.
pub(super) fn subtract(first: &Set, others: &[&Set], limits: &Limits, mut each: impl FnMut(Item<'_>)) {
    // Either each member is looked up in the others, or the others' members are taken out of a copy.
    let looking_up = first.len().saturating_mul(others.len() + 1) / 2;
    let taking_out = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    let mut room = Text::new();
    if looking_up <= taking_out {
        let mut others = others.to_vec();
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        for member in first {
            let text = member.text(&mut room);
            if !others.iter().any(|set| set.contains(text)) {
                each(member);
            }
        }
        return;
    }
    let mut left = Set::new();
    for member in first {
        left.add(member.text(&mut room), limits);
    }
    for member in others.iter().flat_map(|set| set.iter()) {
        left.remove(member.text(&mut room));
        if left.is_empty() {
            return;
        }
    }
    left.iter().for_each(each);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn build(members: &BTreeSet<u16>) -> Set {
        let mut set = Set::new();
        for n in members {
            // Some members are numbers and some are not.
            let text = if n % 2 == 0 { n.to_string() } else { format!("m{n}") };
            set.add(text.as_bytes(), &Limits::default());
        }
        set
    }

    fn texts(set: &Set) -> BTreeSet<Vec<u8>> {
        set.iter().map(|member| member.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn as_in_the_textbook(
            all in prop::collection::vec(prop::collection::btree_set(0u16..60, 0..40), 1..5)
        ) {
            let sets: Vec<Set> = all.iter().map(build).collect();
            let sets: Vec<&Set> = sets.iter().collect();
            let (first, others) = all.split_first().unwrap();

            let common = first.iter().filter(|n| others.iter().all(|set| set.contains(n))).copied().collect();
            let mut got = BTreeSet::new();
            intersect(&sets, |member| {
                got.insert(member.to_vec());
                ControlFlow::Continue(())
            });
            prop_assert_eq!(got, texts(&build(&common)));

            let any = all.iter().flatten().copied().collect();
            prop_assert_eq!(texts(&unite(&sets, &Limits::default())), texts(&build(&any)));

            let alone = first.iter().filter(|n| !others.iter().any(|set| set.contains(n))).copied().collect();
            let mut got = BTreeSet::new();
            subtract(sets[0], &sets[1..], &Limits::default(), |member| {
                got.insert(member.to_vec());
            });
            prop_assert_eq!(got, texts(&build(&alone)));
        }
    }
}
