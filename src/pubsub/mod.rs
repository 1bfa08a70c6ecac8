//! Subscriptions: who listens to which channels, patterns and shard channels. Knows nothing of connections: messages
//! are delivered by whoever asks [`Subscriptions::listeners`].

mod channels;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use channels::Channels;

use crate::base::{Slot, glob, key_slot};

/// Who subscribes: a connection's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriberId(pub u64);

/// What one subscription is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A channel of the whole cluster.
    Channel,
    /// All channels that match a pattern.
    Pattern,
    /// A channel of one shard: it lives in a hash slot, like a key.
    Shard,
}

/// How many subscriptions of each kind somebody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub channels: usize,
    pub patterns: usize,
    pub shard_channels: usize,
}

impl Counts {
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Counts::default()
    }
}

/// What one subscriber listens to.
#[derive(Debug, Default)]
struct Own {
    channels: BTreeSet<Arc<[u8]>>,
    patterns: BTreeSet<Arc<[u8]>>,
    shard: BTreeSet<Arc<[u8]>>,
}

impl Own {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Arc<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard,
        }
    }

    fn counts(&self) -> Counts {
        Counts { channels: self.channels.len(), patterns: self.patterns.len(), shard_channels: self.shard.len() }
    }
}

/// All subscriptions of a server.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: Channels,
    patterns: Channels,
    /// By slot, because channels leave with their slot.
    shard: BTreeMap<Slot, Channels>,
    by_subscriber: HashMap<SubscriberId, Own>,
}

impl Subscriptions {
    /// Whether nobody listens to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_subscriber.is_empty()
    }

    /// Whether nobody would hear of a message on any channel (shard channels apart).
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    /// Adds a subscription. False when it was there already.
    pub fn subscribe(&mut self, who: SubscriberId, kind: Kind, name: &[u8]) -> bool {
        let own = self.by_subscriber.entry(who).or_default().of(kind);
        if own.contains(name) {
            return false;
        }
        let name: Arc<[u8]> = match kind {
            Kind::Channel => self.channels.add(name, who),
            Kind::Shard => self.shard.entry(key_slot(name)).or_default().add(name, who),
            Kind::Pattern => self.patterns.add(name, who),
        };
        own.insert(name)
    }

    /// Ends a subscription. False when there was none.
    pub fn unsubscribe(&mut self, who: SubscriberId, kind: Kind, name: &[u8]) -> bool {
        let Some(own) = self.by_subscriber.get_mut(&who) else { return false };
        let was_there = own.of(kind).remove(name);
        if own.counts().is_zero() {
            self.by_subscriber.remove(&who);
        }
        if was_there {
            self.forget(who, kind, name);
        }
        was_there
    }

    /// Takes `who` out of the index of one kind.
    fn forget(&mut self, who: SubscriberId, kind: Kind, name: &[u8]) {
        match kind {
            Kind::Channel => self.channels.remove(name, who),
            Kind::Shard => {
                let slot = key_slot(name);
                if let Some(channels) = self.shard.get_mut(&slot) {
                    channels.remove(name, who);
                    if channels.is_empty() {
                        self.shard.remove(&slot);
                    }
                }
            }
            Kind::Pattern => self.patterns.remove(name, who),
        }
    }

    /// Ends every subscription of `who`.
    pub fn leave(&mut self, who: SubscriberId) {
        let Some(own) = self.by_subscriber.remove(&who) else { return };
        for (kind, names) in [(Kind::Channel, own.channels), (Kind::Pattern, own.patterns), (Kind::Shard, own.shard)] {
            for name in names {
                self.forget(who, kind, &name);
            }
        }
    }

    /// What `who` listens to, in order.
    #[must_use]
    pub fn names_of(&self, who: SubscriberId, kind: Kind) -> Vec<Arc<[u8]>> {
        let Some(own) = self.by_subscriber.get(&who) else { return Vec::new() };
        let names = match kind {
            Kind::Channel => &own.channels,
            Kind::Pattern => &own.patterns,
            Kind::Shard => &own.shard,
        };
        names.iter().cloned().collect()
    }

    #[must_use]
    pub fn counts_of(&self, who: SubscriberId) -> Counts {
        self.by_subscriber.get(&who).map_or_else(Counts::default, Own::counts)
    }

    /// Channels with subscribers, different patterns, shard channels.
    #[must_use]
    pub fn totals(&self) -> Counts {
        Counts {
            channels: self.channels.len(),
            patterns: self.patterns.len(),
            shard_channels: self.shard.values().map(Channels::len).sum(),
        }
    }

    /// How many listen to exactly this channel.
    #[must_use]
    pub fn count(&self, kind: Kind, channel: &[u8]) -> usize {
        self.channels_of(kind, channel).map_or(0, |channels| channels.listeners(channel).count())
    }

    fn channels_of(&self, kind: Kind, channel: &[u8]) -> Option<&Channels> {
        match kind {
            Kind::Channel => Some(&self.channels),
            Kind::Shard => self.shard.get(&key_slot(channel)),
            Kind::Pattern => None,
        }
    }

    /// Who listens to exactly this channel.
    pub fn listeners(&self, kind: Kind, channel: &[u8]) -> impl Iterator<Item = SubscriberId> {
        self.channels_of(kind, channel).into_iter().flat_map(move |channels| channels.listeners(channel))
    }

    /// The patterns that `channel` matches, and who listens to them.
    pub fn matching<'a>(
        &'a self,
        channel: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], impl Iterator<Item = SubscriberId> + 'a)> {
        self.patterns
            .names()
            .filter(move |pattern| glob::matches(pattern, channel, false))
            .map(|pattern| (&**pattern, self.patterns.listeners(pattern)))
    }

    /// The names of channels (or shard channels) that somebody listens to, those that match `pattern`.
    #[must_use]
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let wanted = |name: &&Arc<[u8]>| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        match kind {
            Kind::Channel => self.channels.names().filter(wanted).cloned().collect(),
            Kind::Shard => self.shard.values().flat_map(Channels::names).filter(wanted).cloned().collect(),
            Kind::Pattern => self.patterns.names().filter(wanted).cloned().collect(),
        }
    }

    /// The slots in which somebody listens to a shard channel.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.shard.keys().copied()
    }

    /// Ends every subscription in `slot`, and says whose they were.
    pub fn leave_slot(&mut self, slot: Slot) -> Vec<(Arc<[u8]>, SubscriberId)> {
        let Some(channels) = self.shard.remove(&slot) else { return Vec::new() };
        let ended = channels.all();
        for (name, who) in &ended {
            if let Some(own) = self.by_subscriber.get_mut(who) {
                own.shard.remove(name);
                if own.counts().is_zero() {
                    self.by_subscriber.remove(who);
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SubscriberId = SubscriberId(1);
    const B: SubscriberId = SubscriberId(2);

    fn patterns(subs: &Subscriptions, channel: &[u8]) -> Vec<(Vec<u8>, Vec<u64>)> {
        subs.matching(channel).map(|(p, who)| (p.to_vec(), who.map(|w| w.0).collect())).collect()
    }

    #[test]
    fn who_hears_what() {
        let mut subs = Subscriptions::default();
        assert!(subs.subscribe(A, Kind::Channel, b"news"));
        assert!(!subs.subscribe(A, Kind::Channel, b"news"));
        assert!(subs.subscribe(B, Kind::Channel, b"news"));
        assert!(subs.subscribe(B, Kind::Pattern, b"n*"));
        assert!(subs.subscribe(A, Kind::Shard, b"news"));
        assert_eq!(subs.listeners(Kind::Channel, b"news").collect::<Vec<_>>(), [A, B]);
        assert_eq!(subs.listeners(Kind::Shard, b"news").collect::<Vec<_>>(), [A]);
        assert_eq!(patterns(&subs, b"new"), [(b"n*".to_vec(), vec![2])]);
        assert!(patterns(&subs, b"old").is_empty());
        assert_eq!(subs.counts_of(B), Counts { channels: 1, patterns: 1, shard_channels: 0 });
        assert_eq!(subs.totals(), Counts { channels: 1, patterns: 1, shard_channels: 1 });
        assert_eq!(subs.names(Kind::Channel, Some(b"o*")).len(), 0);
        assert_eq!(subs.names(Kind::Shard, None), [Arc::from(&b"news"[..])]);
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut subs = Subscriptions::default();
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            subs.subscribe(A, kind, b"x");
            subs.subscribe(B, kind, b"x");
            assert!(subs.unsubscribe(A, kind, b"x"));
            assert!(!subs.unsubscribe(A, kind, b"x"));
        }
        assert!(subs.counts_of(A).is_zero());
        subs.leave(B);
        assert!(subs.is_empty() && subs.nobody_listens());
        assert!(subs.totals().is_zero());
    }

    #[test]
    fn channels_leave_with_their_slot() {
        let mut subs = Subscriptions::default();
        subs.subscribe(A, Kind::Shard, b"{x}1");
        subs.subscribe(B, Kind::Shard, b"{x}2");
        subs.subscribe(B, Kind::Shard, b"y");
        let ended = subs.leave_slot(key_slot(b"x"));
        assert_eq!(ended, [(Arc::from(&b"{x}1"[..]), A), (Arc::from(&b"{x}2"[..]), B)]);
        assert_eq!(subs.slots().collect::<Vec<_>>(), [key_slot(b"y")]);
        assert!(subs.counts_of(A).is_zero());
        assert_eq!(subs.count(Kind::Shard, b"y"), 1);
    }
}
