//! Keys that are on their way to another node: nobody touches them until they have arrived or stayed.

use std::collections::{BTreeMap, HashSet};

use super::effect::Token;
use super::server::Server;

/// The keys of every MIGRATE that is under way.
#[derive(Debug, Default)]
pub struct Frozen {
    keys: HashSet<Box<[u8]>>,
    by_token: BTreeMap<Token, Vec<Box<[u8]>>>,
}

impl Frozen {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Server {
    #[must_use]
    pub fn has_frozen_keys(&self) -> bool {
        !self.frozen.is_empty()
    }

    #[must_use]
    pub fn is_frozen(&self, key: &[u8]) -> bool {
        self.frozen.keys.contains(key)
    }

    /// Freezes `keys` until [`Server::thaw`].
    pub fn freeze(&mut self, token: Token, keys: Vec<Box<[u8]>>) {
        self.frozen.keys.extend(keys.iter().cloned());
        self.frozen.by_token.insert(token, keys);
    }

    /// Thaws the keys frozen under `token` and gives them back; clients that waited for them try again.
    pub fn thaw(&mut self, token: Token) -> Vec<Box<[u8]>> {
        let keys = self.frozen.by_token.remove(&token).unwrap_or_default();
        for key in &keys {
            self.frozen.keys.remove(key);
        }
        self.retry_parked();
        keys
    }
}
