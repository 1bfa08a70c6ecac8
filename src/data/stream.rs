//! The stream: a log of entries with ids that ascend, and the groups that read it.

mod group;
mod id;
mod log;
mod node;
mod radix;
mod rank;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use group::{Consumer, ConsumerId, Delivery, Group, Pending};
pub use id::{IdText, StreamId};
pub use log::{Entry, Keep, Log, NodeLimits, Range};
pub use node::Fields;
pub use radix::radix_nodes;

/// A stream. Its two parts are changed side by side: a group moves on while entries are read.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub log: Log,
    /// By name.
    pub groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    #[must_use]
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Bytes of the value, its own struct included, about.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        let groups: usize =
            self.groups.iter().map(|(name, group)| name.len() + size_of::<Group>() + group.mem_bytes()).sum();
        size_of::<Stream>() + self.log.mem_bytes() + groups
    }
}
