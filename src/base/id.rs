//! The 40-character names that nodes, shards and replication histories carry.

use std::fmt;

use super::Rng;

/// A node id (or shard id, or replication id): 40 characters, generated from `0-9a-f`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 40]);

impl NodeId {
    /// A new random id.
    pub fn random(rng: &mut Rng) -> NodeId {
        let mut id = [0; 40];
        for byte in &mut id {
            *byte = b"0123456789abcdef"[rng.below(16) as usize];
        }
        NodeId(id)
    }

    /// The id in `bytes`, if they are exactly 40 characters of `[a-z0-9]`.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<NodeId> {
        let id: [u8; 40] = bytes.try_into().ok()?;
        id.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).then_some(NodeId(id))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 40] {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII by construction")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
