//! Nodes that were forgotten on purpose and must not come back through gossip for a while.

use std::collections::BTreeMap;

use crate::base::{Millis, NodeId};

/// Ids with the monotonic time at which their ban ends.
#[derive(Debug, Default)]
pub struct Blacklist(BTreeMap<NodeId, Millis>);

impl Blacklist {
    /// Bans an id; a longer ban that is in force stays.
    pub fn add(&mut self, id: NodeId, until: Millis) {
        let end = self.0.entry(id).or_insert(until);
        *end = (*end).max(until);
    }

    #[must_use]
    pub fn contains(&self, id: &NodeId, now: Millis) -> bool {
        self.0.get(id).is_some_and(|until| *until > now)
    }

    /// Drops bans that are over.
    pub fn expire(&mut self, now: Millis) {
        self.0.retain(|_, until| *until > now);
    }

    /// Bans in force, with the whole seconds that they have left. What is left of a second is not told: rounded up, a ban
    /// would grow with everybody who passes it on, and never end while its node asks to be let in.
    pub fn iter(&self, now: Millis) -> impl Iterator<Item = (NodeId, u64)> + '_ {
        let left = move |until: Millis| (until - now).max(0) as u64 / 1000;
        self.0.iter().map(move |(id, until)| (*id, left(*until))).filter(|(_, secs)| *secs > 0)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn bans_end() {
        let id = NodeId::random(&mut Rng::seeded(1));
        let mut list = Blacklist::default();
        list.add(id, Millis(60_000));
        list.add(id, Millis(10_000));
        assert!(list.contains(&id, Millis(59_999)) && !list.contains(&id, Millis(60_000)));
        assert_eq!(list.iter(Millis(58_500)).collect::<Vec<_>>(), [(id, 1)]);
        assert_eq!(list.iter(Millis(59_001)).count(), 0, "less than a second is nobody else's business");
        list.expire(Millis(60_000));
        assert_eq!(list.iter(Millis(0)).count(), 0);
    }
}
