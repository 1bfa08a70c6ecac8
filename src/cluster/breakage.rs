//! Mistakes that the engine makes on purpose when a simulation asks for them, to show that it would see them. No server
//! ever does.

use super::engine::Engine;

/// One mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breakage {
    /// A voter forgets that it has voted in an epoch.
    VotesTwice,
    /// A vote leaves before it is safe from a power failure.
    VoteNotDurable,
    /// One vote is taken for a majority.
    MinorityWins,
    /// A candidate asks for votes in the epoch that is already there.
    EpochNotRaised,
    /// A claim to slots counts whatever its epoch.
    StaleClaimWins,
    /// Two primaries of one epoch both keep it.
    CollisionStays,
    /// A replica that has another shard's data is a candidate.
    ForeignDataWins,
}

impl Engine {
    /// Makes this mistake from now on.
    pub fn break_on_purpose(&mut self, how: Breakage) {
        self.breakage = Some(how);
    }

    pub(super) fn is_broken(&self, how: Breakage) -> bool {
        self.breakage == Some(how)
    }
}
