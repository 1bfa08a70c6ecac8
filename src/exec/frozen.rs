//! Keys that are on their way to another node: nobody touches them until they have arrived or stayed.

use std::collections::{BTreeMap, HashSet};

use super::effect::Token;
use super::server::Server;

/// The keys of one MIGRATE.
#[derive(Debug)]
pub struct FrozenKeys {
    pub db: u32,
    pub keys: Vec<Box<[u8]>>,
    /// They stay here as well.
    pub copy: bool,
}

/// The keys of every MIGRATE that is under way.
#[derive(Debug, Default)]
pub struct Frozen {
    keys: HashSet<Box<[u8]>>,
    by_token: BTreeMap<Token, FrozenKeys>,
}

impl Frozen {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Thaws the keys frozen under `token`.
    pub fn take(&mut self, token: Token) -> Option<FrozenKeys> {
        let frozen = self.by_token.remove(&token)?;
        for key in &frozen.keys {
            self.keys.remove(key);
        }
        Some(frozen)
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

    /// Freezes keys until the answer to `token`.
    pub fn freeze(&mut self, token: Token, frozen: FrozenKeys) {
        self.frozen.keys.extend(frozen.keys.iter().cloned());
        self.frozen.by_token.insert(token, frozen);
    }
}
