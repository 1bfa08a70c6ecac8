//! Open slots as a full synchronisation carries them (the RDB field `cluster-slot-states`), so that a replica which is
//! promoted later knows what its primary was moving.
//!
//! The text is one entry after the other, each ended by a comma: `slot<id,` for a slot that comes from node `id`, and
//! `slot>id,` for one on its way to it.

use std::fmt::Write as _;

use super::engine::Engine;
use super::node::NodeIdx;
use crate::base::{NodeId, Slot, num};

impl Engine {
    /// The open slots of this node; empty when there are none.
    #[must_use]
    pub fn open_slots_text(&self) -> String {
        let mut out = String::new();
        for (slot, from) in self.importing_slots() {
            let _ = write!(out, "{slot}<{from},");
        }
        for (slot, to) in self.migrating_slots() {
            let _ = write!(out, "{slot}>{to},");
        }
        out
    }

    /// Takes over the open slots of the primary that this node replicates. Entries that cannot be understood, or whose node is
    /// not known here, are left out, and those that were true when the snapshot was taken and are not any more: the slots are
    /// then closed, as if nobody had told of them.
    pub fn take_open_slots(&mut self, text: &[u8]) {
        if self.am_primary() {
            return;
        }
        let was_open = self.slots.migrating().next().is_some() || self.slots.importing().next().is_some();
        self.slots.close_all();
        for entry in text.split(|&byte| byte == b',') {
            let Some((slot, comes, node)) = read(entry) else { continue };
            let Some(node) = self.nodes.find(&node).filter(|node| *node != self.me) else { continue };
            if self.has_changed_hands(slot, comes, node) {
                continue;
            }
            if comes {
                self.slots.set_importing(slot, Some(node));
            } else {
                self.slots.set_migrating(slot, Some(node));
            }
        }
        if was_open || !text.is_empty() {
            self.save_soon();
        }
    }

    /// Whether a slot that came from, or went to, `node` has arrived, for all that is known here.
    fn has_changed_hands(&self, slot: Slot, comes: bool, node: NodeIdx) -> bool {
        let Some(owner) = self.slots.owner(slot) else { return false };
        if comes {
            self.same_shard(owner, self.me) && !self.same_shard(node, self.me)
        } else {
            self.same_shard(owner, node) && !self.same_shard(node, self.me)
        }
    }
}

/// One entry: the slot, whether it comes (else it goes), and the other node.
fn read(entry: &[u8]) -> Option<(Slot, bool, NodeId)> {
    let at = entry.iter().position(|byte| matches!(byte, b'<' | b'>'))?;
    let slot = num::parse_i64(&entry[..at]).and_then(|n| u16::try_from(n).ok()).and_then(Slot::new)?;
    Some((slot, entry[at] == b'<', NodeId::parse(&entry[at + 1..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let entry = |text: &str| read(text.as_bytes()).map(|(slot, comes, id)| (slot.get(), comes, id.to_string()));
        assert_eq!(entry(&format!("7<{id}")), Some((7, true, id.into())));
        assert_eq!(entry(&format!("16383>{id}")), Some((16383, false, id.into())));
        for bad in
            [format!("16384>{id}"), format!("-1>{id}"), format!(">{id}"), "7>short".into(), "7".into(), String::new()]
        {
            assert_eq!(entry(&bad), None, "{bad}");
        }
    }
}
