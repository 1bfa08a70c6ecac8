//! A replica replaces its failed primary, by vote of the primaries.
//!
//! Nobody votes twice in one epoch, nor does who has won it, and a vote is on disk before it is sent: with a majority
//! needed, an epoch has at most one winner.

use std::collections::BTreeSet;

use super::bitmap;
use super::breakage::Breakage;
use super::clock::Clock;
use super::engine::{Engine, Save};
use super::flags::NodeFlags;
use super::io::{DataAge, LogLevel};
use super::node::NodeIdx;
use super::packet::{self, Header, MessageType, MsgFlags, ReplicaOf};
use crate::base::{Millis, NodeId, Slot};

/// Added to the delay of a replica that has no data yet.
const NO_DATA_DELAY_MS: i64 = 500;

/// My own candidacy.
#[derive(Debug, Default)]
pub(super) struct Election {
    /// Monotonic: when the votes are (or were) to be requested.
    auth_at: Option<Millis>,
    requested: bool,
    epoch: u64,
    voters: BTreeSet<NodeId>,
    rank: i64,
    failed_rank: i64,
    /// Begun at once, as the best of the replicas.
    immediate: bool,
}

impl Election {
    pub(super) fn reset(&mut self) {
        *self = Election::default();
    }

    /// A primary has an epoch that my request, if one is out, can no longer exceed.
    pub(super) fn supersede(&mut self, epoch: u64) {
        if self.requested && self.epoch <= epoch {
            self.reset();
        }
    }
}

impl Engine {
    /// One step of my candidacy: nothing, scheduling it, requesting votes, or winning.
    pub(super) fn run_election(&mut self, now: Clock) {
        let Some(primary) = self.myself().primary else { return };
        let manual = self.manual.may_start();
        let failed = self.nodes[primary].is_failed() && !self.cfg.replica_no_failover;
        if !(failed || manual) || self.slots.count(primary) == 0 || !(manual || self.is_data_fresh(now)) {
            return;
        }
        let age = self.election.auth_at.map(|at| now.mono - at);
        if age.is_none_or(|age| age > self.cfg.auth_retry_ms()) {
            self.schedule_election(now, primary, manual);
        }
        if !self.election.requested && !manual {
            self.adjust_schedule(now, primary);
        }
        let Some(at) = self.election.auth_at else { return };
        if now.mono < at || now.mono - at > self.cfg.auth_timeout_ms() {
            return;
        }
        if !self.election.requested {
            self.request_votes(manual);
        }
        self.count_votes();
    }

    /// Whether what I have of my primary's data is recent enough to replace it.
    fn is_data_fresh(&self, now: Clock) -> bool {
        if self.facts.data == DataAge::Foreign && !self.is_broken(Breakage::ForeignDataWins) {
            return false;
        }
        if self.cfg.replica_validity_factor == 0 {
            return true;
        }
        let timeout = self.cfg.node_timeout_ms;
        let mut age = match self.facts.data {
            DataAge::Foreign => return self.is_broken(Breakage::ForeignDataWins),
            DataAge::Never => return false,
            DataAge::LinkedSince { last_io } => now.mono.since(last_io),
            DataAge::DownSince(at) => now.mono.since(at),
        };
        // The time it takes to see that a primary has failed is no fault of the replica's.
        if age > timeout {
            age -= timeout;
        }
        age <= self.cfg.repl_ping_period_s * 1000 + timeout * self.cfg.replica_validity_factor
    }

    fn schedule_election(&mut self, now: Clock, primary: NodeIdx, manual: bool) {
        self.election.reset();
        if manual {
            self.election.auth_at = Some(now.mono);
            self.log(LogLevel::Notice, "Start of election, as the manual failover asks for it".to_owned());
            return;
        }
        let unit = self.cfg.election_delay_ms();
        let (rank, failed_rank) = (self.rank(primary), self.failed_rank(now, primary));
        let no_data = if self.facts.repl_offset == 0 { NO_DATA_DELAY_MS } else { 0 };
        let jitter = self.rng.below(unit as u64) as i64;
        let delay = unit + jitter + no_data + rank * 2 * unit + failed_rank * unit;
        (self.election.rank, self.election.failed_rank) = (rank, failed_rank);
        self.election.auth_at = Some(now.mono + delay);
        self.log(
            LogLevel::Notice,
            format!(
                "Start of election delayed for {delay} milliseconds (rank #{rank}, primary rank #{failed_rank}, offset {})",
                self.facts.repl_offset
            ),
        );
        // The others rank themselves by the offset this carries.
        for replica in self.nodes[primary].replicas.clone() {
            self.pong_to(now, replica);
        }
    }

    /// Until votes are requested the ranks follow what the others say.
    fn adjust_schedule(&mut self, now: Clock, primary: NodeIdx) {
        let unit = self.cfg.election_delay_ms();
        let (rank, failed_rank) = (self.rank(primary), self.failed_rank(now, primary));
        let added = (rank - self.election.rank) * 2 * unit + (failed_rank - self.election.failed_rank) * unit;
        if added != 0 {
            self.election.auth_at = self.election.auth_at.map(|at| at + added);
            (self.election.rank, self.election.failed_rank) = (rank, failed_rank);
            self.log(
                LogLevel::Notice,
                format!("Replica rank is #{rank} now, primary rank #{failed_rank}: {added} ms more"),
            );
        }
        let all_know = self.nodes[primary].replicas.iter().all(|idx| self.nodes[*idx].is(NodeFlags::PRIMARY_FAILED));
        let waits = self.election.auth_at.is_some_and(|at| at > now.mono);
        let best = rank == 0 && failed_rank == 0 && self.facts.repl_offset != 0;
        if waits && best && all_know && !self.manual.is_active() {
            self.election.auth_at = Some(now.mono);
            self.election.immediate = true;
            self.log(LogLevel::Notice, "Start of election at once: no other replica is ahead".to_owned());
        }
    }

    /// How many replicas of my primary are better candidates.
    fn rank(&self, primary: NodeIdx) -> i64 {
        let (mine, id) = (self.facts.repl_offset, self.myself().id);
        let better = |idx: &&NodeIdx| {
            let node = &self.nodes[**idx];
            **idx != self.me
                && !node.is(NodeFlags::NOFAILOVER)
                && (node.repl_offset > mine || node.repl_offset == mine && node.id < id)
        };
        self.nodes[primary].replicas.iter().filter(better).count() as i64
    }

    /// How many other shards that lost their primary of late go first, so that simultaneous failures
    /// do not compete for one epoch's votes.
    fn failed_rank(&self, now: Clock, primary: NodeIdx) -> i64 {
        let shard = self.nodes[primary].shard_id;
        let life = self.cfg.node_timeout_ms * self.cfg.replica_validity_factor;
        let ahead = |idx: &NodeIdx| {
            let node = &self.nodes[*idx];
            *idx != primary
                && node.is_primary()
                && node.is_failed()
                && !node.replicas.is_empty()
                && node.shard_id < shard
                && (life == 0 || now.mono.since(node.failed_at) <= life)
        };
        self.slots.owners().filter(ahead).count() as i64
    }

    fn request_votes(&mut self, manual: bool) {
        if !self.is_broken(Breakage::EpochNotRaised) {
            self.current_epoch = self.current_epoch.saturating_add(1);
        }
        self.election.epoch = self.current_epoch;
        self.election.requested = true;
        let epoch = self.current_epoch;
        self.log(LogLevel::Notice, format!("Starting a failover election for epoch {epoch}."));
        self.save_now(true);
        let forced = manual || self.election.immediate;
        let mut header = self.header(MessageType::AuthRequest);
        header.mflags.set(MsgFlags::FORCE_ACK, forced);
        let bytes = packet::encode_bare(&header).into();
        self.broadcast(MessageType::AuthRequest, &bytes);
    }

    pub(super) fn on_auth_ack(&mut self, now: Clock, sender: NodeIdx, header: &Header<'_>) {
        if self.election.requested && self.is_voting(sender) && header.current_epoch >= self.election.epoch {
            let (id, label) = (self.nodes[sender].id, self.nodes[sender].label());
            self.election.voters.insert(id);
            self.log(LogLevel::Verbose, format!("Vote of {label} for epoch {}", self.election.epoch));
            self.run_election(now);
        }
    }

    fn count_votes(&mut self) {
        let enough = if self.is_broken(Breakage::MinorityWins) { 1 } else { self.quorum() };
        if self.election.voters.len() < enough {
            return;
        }
        let epoch = self.election.epoch;
        self.log(LogLevel::Notice, "Failover election won: I'm the new primary.".to_owned());
        let mine = &mut self.nodes[self.me].config_epoch;
        *mine = epoch.max(*mine);
        // The primary that I replace may have voted in this epoch: its slots give no second vote.
        self.last_vote_epoch = self.last_vote_epoch.max(epoch);
        self.replace_primary();
    }

    /// Takes my primary's place with all it has. My configuration epoch has been raised for it.
    pub(super) fn replace_primary(&mut self) {
        let Some(old) = self.myself().primary else { return };
        let slots: Vec<Slot> = self.slots.of(old).collect();
        self.make_primary(self.me);
        for slot in slots {
            self.bind_slot(slot, self.me);
        }
        self.election.reset();
        self.reset_manual_failover();
        self.todo.state = true;
        self.todo.save = Save::Now;
        self.todo.broadcast = true;
    }

    /// A replica asks for my vote.
    pub(super) fn on_auth_request(&mut self, now: Clock, sender: NodeIdx, header: &Header<'_>) {
        if !self.is_voting(self.me) {
            return;
        }
        let label = self.nodes[sender].label();
        if let Err(why) = self.judge_candidate(now, sender, header) {
            self.log(LogLevel::Notice, format!("Failover auth denied to {label}: {why}"));
            return;
        }
        let epoch = self.current_epoch;
        self.last_vote_epoch = epoch;
        self.save_now(!self.is_broken(Breakage::VoteNotDurable));
        let bytes = self.bare_packet(MessageType::AuthAck);
        self.send_to(sender, MessageType::AuthAck, bytes);
        self.log(LogLevel::Notice, format!("Failover auth granted to {label} for epoch {epoch}"));
    }

    fn judge_candidate(&mut self, now: Clock, sender: NodeIdx, header: &Header<'_>) -> Result<(), &'static str> {
        if !self.is_safe_to_join(now) {
            return Err("I have just restarted");
        }
        if header.current_epoch < self.current_epoch {
            return Err("its epoch is older than mine");
        }
        if self.last_vote_epoch == self.current_epoch && !self.is_broken(Breakage::VotesTwice) {
            return Err("I have voted in this epoch already");
        }
        let forced = header.mflags.contains(MsgFlags::FORCE_ACK);
        let primary = match header.replica_of {
            ReplicaOf::Node(_) if self.nodes[sender].is_replica() => self.nodes[sender].primary,
            _ => return Err("it is not a replica"),
        };
        let Some(primary) = primary else { return Err("I don't know its primary") };
        if !self.nodes[primary].is_failed() && !forced {
            return Err("its primary is up");
        }
        let newer = bitmap::iter(header.slots)
            .filter(|slot| !self.slots.is_unclaimed(*slot))
            .filter_map(|slot| self.slots.owner(slot))
            .find(|owner| self.nodes[*owner].config_epoch > header.config_epoch);
        if let Some(owner) = newer {
            self.send_update(sender, owner);
            return Err("its slots have an owner with a newer epoch");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::harness::Net;
    use super::super::io::{Input, LinkId};
    use super::*;

    #[test]
    fn who_has_won_an_epoch_does_not_vote_in_it() {
        let mut net = Net::new(6, 17, |c| c.node_timeout_ms = 2000);
        net.create(3);
        net.run(3000);
        net.must(3, "FAILOVER FORCE");
        net.run_until(500, "node 3 is elected", |net| net.engine(3).am_primary());
        let epoch = net.engine(3).current_epoch();
        // Node 4 has asked for votes of this epoch at the same time.
        let mut header = net.nodes[4].engine.as_mut().unwrap().header(MessageType::AuthRequest);
        (header.current_epoch, header.mflags) = (epoch, MsgFlags::FORCE_ACK);
        let bytes = packet::encode_bare(&header);
        let (link, ip) = (LinkId::Inbound(1000), IpAddr::V4(Ipv4Addr::LOCALHOST));
        net.input(3, Input::Accepted { link, peer_ip: ip, local_ip: ip });
        net.input(3, Input::Packet { link, bytes: &bytes });
        let denied = |line: &String| line.contains("I have voted in this epoch already");
        assert!(net.nodes[3].log.iter().any(denied), "{}", net.report());
    }
}
