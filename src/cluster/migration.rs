//! Replica migration: a shard with replicas to spare gives one to a primary that has lost its last.

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::LogLevel;
use super::node::NodeIdx;

/// How long a primary must be without replicas: it may only be a failover in progress.
const ORPHAN_MS: i64 = 5000;

impl Engine {
    fn good_replicas(&self, primary: NodeIdx, bad: NodeFlags) -> usize {
        self.nodes[primary].replicas.iter().filter(|idx| !self.nodes[**idx].is(bad)).count()
    }

    /// Keeps the time since which a primary is orphaned. Returns whether it is.
    pub(super) fn update_orphan(&mut self, now: Clock, idx: NodeIdx) -> bool {
        let node = &self.nodes[idx];
        let orphaned = self.is_voting(idx)
            && node.is(NodeFlags::MIGRATE_TO)
            && !node.is_failed()
            && self.good_replicas(idx, NodeFlags::FAIL) == 0;
        let since = &mut self.nodes[idx].orphaned_at;
        if orphaned {
            since.get_or_insert(now.mono);
        } else {
            *since = None;
        }
        orphaned
    }

    /// On a replica, every tick: moves me to an orphaned primary, if I am the one to go.
    pub(super) fn consider_migration(&mut self, now: Clock, orphans: &[NodeIdx]) {
        let Some(mine) = self.myself().primary else { return };
        if orphans.is_empty() || !self.cfg.allow_replica_migration || !self.state.is_ok() {
            return;
        }
        let counts: Vec<(NodeIdx, usize)> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.is_primary())
            .map(|(idx, _)| (idx, self.good_replicas(idx, NodeFlags::FAIL)))
            .collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let richest = || counts.iter().filter(|(_, count)| *count == most).map(|(idx, _)| *idx);
        if most < 2
            || !richest().any(|idx| idx == mine)
            || self.good_replicas(mine, NodeFlags::FAILING) <= self.cfg.migration_barrier
        {
            return;
        }
        let candidates = richest().flat_map(|idx| self.nodes[idx].replicas.iter());
        let goes =
            candidates.filter(|idx| !self.nodes[**idx].is(NodeFlags::FAIL)).min_by_key(|idx| self.nodes[**idx].id);
        if goes != Some(&self.me) {
            return;
        }
        let long = |idx: &&NodeIdx| self.nodes[**idx].orphaned_at.is_some_and(|at| now.mono.since(at) > ORPHAN_MS);
        if let Some(target) = orphans.iter().find(long).copied() {
            let label = self.nodes[target].label();
            self.log(LogLevel::Notice, format!("Migrating to orphaned primary {label}"));
            self.become_replica_of(target, false);
        }
    }
}
