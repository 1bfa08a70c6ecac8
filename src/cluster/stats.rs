//! Counters of the bus, as CLUSTER INFO shows them.

use super::packet::MessageType;

const TYPES: usize = MessageType::ALL.len();

/// Messages and bytes in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    messages: [u64; TYPES],
    pub bytes: u64,
    pub pubsub_bytes: u64,
    pub module_bytes: u64,
}

impl Traffic {
    pub fn count(&mut self, kind: MessageType, bytes: usize) {
        self.messages[kind as usize] += 1;
        self.bytes += bytes as u64;
        match kind {
            MessageType::Publish | MessageType::PublishShard => self.pubsub_bytes += bytes as u64,
            MessageType::Module => self.module_bytes += bytes as u64,
            _ => {}
        }
    }

    #[must_use]
    pub fn messages(&self, kind: MessageType) -> u64 {
        self.messages[kind as usize]
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.messages.iter().sum()
    }
}

/// All counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BusStats {
    pub sent: Traffic,
    pub received: Traffic,
    /// Links closed because their queue grew past `cluster-link-sendbuf-limit`.
    pub links_over_limit: u64,
}
