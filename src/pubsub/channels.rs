//! Channels and their listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::SubscriberId;

/// The channels that somebody listens to. Ordered, so that one seed gives one run.
#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<Arc<[u8]>, BTreeSet<SubscriberId>>);

impl Channels {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a listener and gives the shared name of the channel.
    pub(super) fn add(&mut self, name: &[u8], who: SubscriberId) -> Arc<[u8]> {
        let name: Arc<[u8]> = self.0.get_key_value(name).map_or_else(|| name.into(), |(shared, _)| Arc::clone(shared));
        self.0.entry(Arc::clone(&name)).or_default().insert(who);
        name
    }

    pub(super) fn remove(&mut self, name: &[u8], who: SubscriberId) {
        if let Some(listeners) = self.0.get_mut(name) {
            listeners.remove(&who);
            if listeners.is_empty() {
                self.0.remove(name);
            }
        }
    }

    pub(super) fn listeners(&self, name: &[u8]) -> impl Iterator<Item = SubscriberId> {
        self.0.get(name).into_iter().flatten().copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.0.keys()
    }

    /// Every channel with every listener.
    pub(super) fn all(&self) -> Vec<(Arc<[u8]>, SubscriberId)> {
        self.0.iter().flat_map(|(name, who)| who.iter().map(|who| (Arc::clone(name), *who))).collect()
    }
}
