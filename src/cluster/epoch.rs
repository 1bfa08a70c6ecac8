//! Configuration epochs without an election: collisions and bumps.

use super::breakage::Breakage;
use super::engine::{Engine, Save};
use super::io::LogLevel;
use super::node::NodeIdx;
use super::packet::{Header, ReplicaOf};

impl Engine {
    /// The highest epoch known, of the cluster or of any node.
    pub(super) fn max_epoch(&self) -> u64 {
        self.nodes.iter().map(|(_, node)| node.config_epoch).fold(self.current_epoch, u64::max)
    }

    /// Takes a new highest epoch without asking anybody. Returns false if I have it already. The caller
    /// has reasons to believe that nobody contends: an operator's order, or a slot handed over.
    pub(super) fn bump_epoch(&mut self) -> bool {
        let max = self.max_epoch();
        let mine = self.myself().config_epoch;
        if mine != 0 && mine == max {
            return false;
        }
        self.current_epoch = max.saturating_add(1);
        let epoch = self.current_epoch;
        self.nodes[self.me].config_epoch = epoch;
        self.todo.save = Save::Now;
        self.log(LogLevel::Notice, format!("New configEpoch set to {epoch}"));
        true
    }

    /// Two primaries with one epoch: the one with the smaller id takes another.
    pub(super) fn resolve_collision(&mut self, sender: NodeIdx, header: &Header<'_>) {
        let (node, me) = (&self.nodes[sender], self.myself());
        if header.replica_of != ReplicaOf::Nobody
            || !node.is_primary()
            || !me.is_primary()
            || header.config_epoch != me.config_epoch
            || me.id >= node.id
            || self.is_broken(Breakage::CollisionStays)
        {
            return;
        }
        self.current_epoch = self.current_epoch.saturating_add(1);
        let (epoch, label) = (self.current_epoch, self.nodes[sender].label());
        self.nodes[self.me].config_epoch = epoch;
        self.log(LogLevel::Verbose, format!("configEpoch collision with node {label}: mine is {epoch} now"));
        self.todo.save = Save::Now;
        self.todo.broadcast = true;
    }
}
