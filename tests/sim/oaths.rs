//! What a machine says on the bus when it votes or asks for votes, and what must be true when it does.
//!
//! These are the rules that everything else rests on: an epoch is asked for once, a vote is given once, and neither is said
//! before it is safe from a power failure. That they are broken shows in the data only where much else goes wrong at the
//! same time, so they are looked at where they are made.

use std::collections::BTreeMap;

use trib::base::NodeId;
use trib::cluster::packet::{self, Body, Header, MessageType, MsgFlags, Packet, ReplicaOf};

use crate::machine::NODES_CONF;
use crate::net::End;
use crate::world::World;

/// What machines have sworn.
#[derive(Default)]
pub struct Oaths {
    /// Whom a node has given its vote of an epoch to.
    votes: BTreeMap<(NodeId, u64), usize>,
}

impl Oaths {
    /// How many nodes have given a machine their votes of an epoch.
    pub fn votes(&self, epoch: u64, to: usize) -> usize {
        self.votes.iter().filter(|((_, of), whom)| *of == epoch && **whom == to).count()
    }
}

/// `lastVoteEpoch` of a nodes.conf.
fn last_vote_epoch(conf: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(conf).ok()?;
    let mut words = text.lines().last()?.split(' ');
    words.find(|word| *word == "lastVoteEpoch")?;
    words.next()?.parse().ok()
}

impl World {
    /// A machine sends a packet.
    pub fn sent_on_bus(&mut self, node: usize, end: End, bytes: &[u8]) {
        // The type stands in the header's bytes 12 and 13. Most packets are something else.
        if !matches!(bytes.get(12..14), Some([0, 5 | 6])) {
            return;
        }
        let Some((to, _)) = self.net.owner(end.other()) else { return };
        let Ok(Packet::Full(header, Body::Bare)) = packet::decode(bytes) else { return };
        match header.kind {
            MessageType::AuthRequest => self.check_request(node, &header),
            MessageType::AuthAck => self.check_vote(node, to, &header),
            _ => {}
        }
    }

    /// A machine asks for votes.
    fn check_request(&mut self, node: usize, header: &Header<'_>) {
        let (asked, known) = (header.current_epoch, self.checks.epoch_before(node, self.nodes[node].life));
        if asked <= known {
            return self.fail(|| format!("node {node} asks for votes of epoch {asked}, and knew of {known} before"));
        }
        if self.has_nothing(node) {
            return self.fail(|| format!("node {node} asks for votes and has nothing"));
        }
        let Some(server) = self.nodes[node].server() else { return };
        // Whoever orders a failover may know better.
        let ordered = header.mflags.contains(MsgFlags::FORCE_ACK);
        if !ordered && server.repl.is_data_foreign() {
            self.fail(|| format!("node {node} asks for votes with data that are not its primary's"));
        }
    }

    /// A machine votes.
    fn check_vote(&mut self, node: usize, to: usize, header: &Header<'_>) {
        let (epoch, Some(id)) = (header.current_epoch, header.sender) else { return };
        if header.replica_of != ReplicaOf::Nobody {
            return self.fail(|| format!("node {node} votes and is no primary"));
        }
        let before = self.checks.oaths.votes.insert((id, epoch), to);
        if let Some(other) = before.filter(|other| *other != to) {
            return self
                .fail(|| format!("node {node} gave its vote of epoch {epoch} to node {other} and to node {to}"));
        }
        let safe = self.nodes[node].disk.durable(NODES_CONF).and_then(last_vote_epoch);
        if safe.is_none_or(|safe| safe < epoch) {
            self.fail(|| {
                format!("node {node} votes in epoch {epoch}, and would know of {safe:?} after a power failure")
            });
        }
    }
}
