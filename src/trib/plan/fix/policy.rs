//! Which repairs may be made, by what they do.

use super::{Case, Repair};

/// A kind of repair, as '--allow' names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Allow {
    /// Close slots that are open without need: no key is moved
    Close,
    /// Finish moves that were begun: the slot goes to where it was going
    Finish,
    /// Bring keys that are elsewhere to the owner of their slot
    Home,
    /// Choose an owner, the one with most keys, for a slot that several claim, or an open one that nobody claims
    Owner,
    /// Give slots that nobody owns, and of which nobody holds a key, to the primaries with the fewest
    CoverEmpty,
    /// Give slots that nobody owns to the primary that holds most keys of them
    CoverKeys,
}

impl Allow {
    /// What this repair is; `was_uncovered` if the slot is closed and nobody's.
    #[must_use]
    pub fn of(repair: &Repair, was_uncovered: bool, owner_holds_keys: bool) -> Allow {
        match repair.case {
            _ if was_uncovered && repair.holders.is_empty() && !owner_holds_keys => Allow::CoverEmpty,
            _ if was_uncovered => Allow::CoverKeys,
            _ if repair.chosen => Allow::Owner,
            Case::Finish { .. } | Case::FinishOne { .. } => Allow::Finish,
            Case::BringHome { keys: 1.. } => Allow::Home,
            Case::BringHome { keys: 0 } | Case::CloseAll | Case::CloseOwner if repair.holders.is_empty() => {
                Allow::Close
            }
            Case::BringHome { .. } | Case::CloseAll | Case::CloseOwner => Allow::Home,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NodeFacts, Slot, repair};
    use super::*;
    use crate::trib::plan::testkit::{id, owning};

    #[test]
    fn repairs_are_named_by_what_they_do() {
        let slot = Slot::new(1).unwrap();
        let facts = |change: fn(&mut [NodeFacts], Slot)| {
            let empty = |primary: crate::trib::plan::Primary| NodeFacts {
                id: primary.id,
                slots: primary.slots,
                migrating: Default::default(),
                importing: Default::default(),
                keys: Default::default(),
            };
            let mut nodes: Vec<NodeFacts> = owning(&[10, 10]).into_iter().map(empty).collect();
            change(&mut nodes, slot);
            nodes
        };
        let kind = |change| Allow::of(&repair(slot, &facts(change)).unwrap(), false, false);
        assert_eq!(kind(|nodes, slot| _ = nodes[0].migrating.insert(slot, id(1))), Allow::Close);
        assert_eq!(kind(|nodes, slot| _ = nodes[1].importing.insert(slot, id(0))), Allow::Close);
        assert_eq!(kind(|nodes, slot| _ = nodes[1].keys.insert(slot, 2)), Allow::Home);
        assert_eq!(kind(|nodes, slot| nodes[1].slots.insert(slot)), Allow::Owner);
        let moving = |nodes: &mut [NodeFacts], slot| {
            nodes[0].migrating.insert(slot, id(1));
            nodes[1].importing.insert(slot, id(0));
        };
        assert_eq!(kind(moving), Allow::Finish);
        let nobodys = repair(slot, &facts(|nodes, slot| nodes[0].slots.remove(slot))).unwrap();
        assert_eq!(Allow::of(&nobodys, true, false), Allow::CoverEmpty);
        assert_eq!(Allow::of(&nobodys, true, true), Allow::CoverKeys);
    }
}
