//! Who is primary and who replicates whom: the changes of role, mine and others'.

use super::engine::{Engine, Save};
use super::flags::NodeFlags;
use super::io::{LogLevel, Output};
use super::node::NodeIdx;
use super::packet::{Header, ReplicaOf};
use crate::base::{NodeId, Slot};

impl Engine {
    pub(super) fn attach_replica(&mut self, primary: NodeIdx, replica: NodeIdx) {
        self.nodes[replica].primary = Some(primary);
        let node = &mut self.nodes[primary];
        node.replicas.insert(replica);
        node.flags |= NodeFlags::MIGRATE_TO;
    }

    pub(super) fn detach_replica(&mut self, primary: NodeIdx, replica: NodeIdx) {
        self.nodes[replica].primary = None;
        let node = &mut self.nodes[primary];
        node.replicas.remove(&replica);
        if node.replicas.is_empty() {
            node.flags.remove(NodeFlags::MIGRATE_TO);
        }
    }

    /// Makes a node a primary without slots. No harm if it is one.
    pub(super) fn make_primary(&mut self, idx: NodeIdx) {
        if self.nodes[idx].is_primary() {
            return;
        }
        if let Some(primary) = self.nodes[idx].primary {
            self.detach_replica(primary, idx);
            if idx != self.me {
                self.nodes[idx].flags |= NodeFlags::MIGRATE_TO;
            }
        }
        let node = &mut self.nodes[idx];
        node.flags.remove(NodeFlags::REPLICA | NodeFlags::PRIMARY_FAILED);
        node.flags |= NodeFlags::PRIMARY;
        if idx == self.me {
            self.emit(Output::Promote);
        }
        self.save_soon();
        self.todo.state = true;
    }

    /// Makes me a replica of `primary`. `try_partial`: its history and mine may be related.
    pub(super) fn become_replica_of(&mut self, primary: NodeIdx, try_partial: bool) {
        debug_assert!(primary != self.me, "nobody replicates itself");
        let me = self.me;
        if self.nodes[me].is_primary() {
            self.nodes[me].flags.remove(NodeFlags::PRIMARY | NodeFlags::MIGRATE_TO);
            self.nodes[me].flags |= NodeFlags::REPLICA;
            self.slots.close_all();
        } else if let Some(old) = self.nodes[me].primary {
            self.detach_replica(old, me);
        }
        let failed = self.nodes[primary].is_failed();
        self.nodes[me].flags.set(NodeFlags::PRIMARY_FAILED, failed);
        self.attach_replica(primary, me);
        let shard = self.nodes[primary].shard_id;
        self.set_shard(me, shard);
        self.follow_partial = try_partial;
        self.reset_manual_failover();
        self.election.reset();
        self.todo.save = Save::Now;
        self.todo.state = true;
        // A shard whose members do not know each other's role cannot fail over well: tell at once.
        self.todo.broadcast = true;
    }

    /// Gives a node another shard id; its replicas go with it.
    pub(super) fn set_shard(&mut self, idx: NodeIdx, shard: NodeId) {
        if self.nodes[idx].shard_id == shard {
            return;
        }
        self.nodes[idx].shard_id = shard;
        for replica in self.nodes[idx].replicas.clone() {
            self.nodes[replica].shard_id = shard;
        }
        self.save_soon();
    }

    /// Takes the role over that a known sender claims. Returns false if the packet is stale and the rest
    /// of it must not be believed.
    pub(super) fn on_claimed_role(&mut self, sender: NodeIdx, header: &Header<'_>) -> bool {
        let claimed = match header.replica_of {
            ReplicaOf::Malformed => return false,
            ReplicaOf::Nobody => {
                if self.nodes[sender].is_replica() {
                    // It is alive, and that it failed as a replica gives nobody the right to replace it.
                    self.nodes[sender].flags.remove(NodeFlags::FAIL);
                    let label = self.nodes[sender].label();
                    self.log(LogLevel::Notice, format!("Node {label} is a primary now"));
                }
                self.make_primary(sender);
                return true;
            }
            ReplicaOf::Node(id) => self.nodes.find(&id).filter(|primary| *primary != sender),
        };
        if self.nodes[sender].is_primary() && !self.demote(sender, claimed, header.config_epoch) {
            return false;
        }
        if let Some(primary) = claimed
            && self.nodes[sender].primary != Some(primary)
        {
            self.relink(sender, primary);
        }
        true
    }

    /// A known primary says it is a replica. Returns false if that is old news.
    fn demote(&mut self, sender: NodeIdx, primary: Option<NodeIdx>, config_epoch: u64) -> bool {
        let shard_mate = primary.filter(|primary| self.same_shard(sender, *primary));
        if let Some(primary) = shard_mate {
            // Two packets of one failover can overtake each other on different links: the epochs tell. They tell nothing
            // of a sender without slots, whose epoch as a primary may be above that of the one it replicates for ever: a
            // node given an epoch of its own and then made a replica, if a packet of its time as a primary comes late.
            let has_failed_over = self.slots.count(sender) > 0 || self.nodes[primary].is_replica();
            let outdated = self.epoch_of(sender) > config_epoch || self.epoch_of(primary) > config_epoch;
            if has_failed_over && outdated {
                let label = self.nodes[sender].label();
                self.log(LogLevel::Notice, format!("Ignored a stale packet of {label}"));
                return false;
            }
        }
        match shard_mate {
            Some(primary) if self.nodes[primary].is_replica() => {
                let slots: Vec<Slot> = self.slots.of(sender).collect();
                self.make_primary(primary);
                for slot in slots {
                    self.bind_slot(slot, primary);
                }
                self.slots.redirect_open(sender, Some(primary));
                self.nodes[primary].config_epoch = config_epoch;
            }
            _ => {
                if self.slots.unassign_all(sender) > 0 {
                    self.todo.slots_changed = true;
                }
            }
        }
        let node = &mut self.nodes[sender];
        node.flags.remove(NodeFlags::PRIMARY | NodeFlags::MIGRATE_TO);
        node.flags |= NodeFlags::REPLICA;
        let label = node.label();
        self.log(LogLevel::Notice, format!("Node {label} is a replica now"));
        self.save_soon();
        self.todo.state = true;
        true
    }

    /// The sender replicates another primary than it did.
    fn relink(&mut self, sender: NodeIdx, primary: NodeIdx) {
        if let Some(old) = self.nodes[sender].primary {
            self.detach_replica(old, sender);
        }
        // Asked before the shard ids are made equal.
        let try_partial = self.same_shard(self.me, primary);
        self.attach_replica(primary, sender);
        let shard = self.nodes[primary].shard_id;
        self.set_shard(sender, shard);
        self.save_soon();
        self.todo.state = true;
        if self.myself().primary == Some(sender) && self.nodes[primary].is_primary() {
            self.follow_head(primary, try_partial);
        }
    }

    /// While the node I follow is a replica itself, looks with every tick whether the chain has a head by now:
    /// when my primary's new role was learned, that of the node it follows may not have been known yet.
    pub(super) fn leave_chain(&mut self) {
        let Some(primary) = self.myself().primary.filter(|primary| self.nodes[*primary].is_replica()) else { return };
        // Views may be circular for a moment: no chain is longer than the cluster.
        let chain = std::iter::successors(Some(primary), |idx| self.nodes[*idx].primary).take(self.nodes.count());
        let head = chain.last().filter(|head| self.nodes[*head].is_primary());
        if let Some(head) = head {
            // What came down the chain was the head's history: the replication ids tell how much of it.
            self.follow_head(head, true);
        }
    }

    /// My primary is a replica: a chain is of no use, go to the head of it.
    fn follow_head(&mut self, head: NodeIdx, try_partial: bool) {
        if head != self.me {
            let label = self.nodes[head].label();
            self.log(LogLevel::Notice, format!("My primary is a replica now: following its primary {label}"));
            self.become_replica_of(head, try_partial);
        }
    }
}
