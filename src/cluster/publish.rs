//! Messages for subscribers elsewhere.

use bytes::Bytes;

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::node::NodeIdx;
use super::packet::{self, MessageType};

impl Engine {
    /// Passes a message on: to all nodes, or to those of my shard if `sharded`. Local subscribers are the
    /// caller's.
    pub fn publish(&mut self, now: Clock, channel: &[u8], message: &[u8], sharded: bool) {
        let kind = if sharded { MessageType::PublishShard } else { MessageType::Publish };
        let (mut light, mut full) = (None::<Bytes>, None::<Bytes>);
        for idx in self.nodes.indices() {
            let node = &self.nodes[idx];
            if node.is(NodeFlags::MYSELF | NodeFlags::HANDSHAKE) || sharded && !self.same_shard(idx, self.me) {
                continue;
            }
            let bytes = if self.takes_light(idx) {
                light.get_or_insert_with(|| packet::encode_publish_light(kind, channel, message).into()).clone()
            } else {
                if full.is_none() {
                    full = Some(packet::encode_publish(&self.header(kind), channel, message).into());
                }
                full.clone().unwrap_or_default()
            };
            self.send_to(idx, kind, bytes);
        }
        self.settle(now);
    }

    /// A light packet is understood, and the peer knows by now who is behind the link.
    fn takes_light(&self, idx: NodeIdx) -> bool {
        let node = &self.nodes[idx];
        let link = node.outbound.and_then(|link| self.links.get(&link));
        node.is(NodeFlags::LIGHT_PUBLISH)
            && link.is_some_and(|link| node.pong_received.is_some_and(|at| at.mono >= link.created.mono))
    }
}
