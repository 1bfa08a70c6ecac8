//! REPLICATE and FAILOVER.

use super::super::clock::Clock;
use super::super::engine::{Engine, Save};
use super::super::io::{DataAge, LogLevel, Output, SlotKeys};
use super::{AdminError, AdminReply, FailoverMode};
use crate::base::NodeId;

impl Engine {
    pub(super) fn replicate(&mut self, arg: &[u8], keys: &dyn SlotKeys) -> Result<AdminReply, AdminError> {
        let idx = self.find(arg)?;
        if idx == self.me {
            return Err(AdminError::ReplicateMyself);
        }
        if self.nodes[idx].is_replica() {
            return Err(AdminError::ReplicateReplica);
        }
        if self.myself().is_primary() && (self.slots.count(self.me) > 0 || !keys.is_empty()) {
            return Err(AdminError::ReplicateNotEmpty);
        }
        if self.myself().primary != Some(idx) {
            let try_partial = self.same_shard(self.me, idx);
            self.become_replica_of(idx, try_partial);
        }
        Ok(AdminReply::Ok)
    }

    /// Leaves the primary, without its data.
    pub(super) fn replicate_no_one(&mut self) -> Result<AdminReply, AdminError> {
        if self.myself().is_replica() {
            self.make_primary(self.me);
            self.emit(Output::FlushAll);
            self.reset_manual_failover();
            self.election.reset();
            let shard = NodeId::random(&mut self.rng);
            self.set_shard(self.me, shard);
            self.todo.save = Save::Now;
            self.todo.broadcast = true;
        }
        Ok(AdminReply::Ok)
    }

    pub(super) fn failover(
        &mut self,
        now: Clock,
        mode: FailoverMode,
        replica: Option<&[u8]>,
    ) -> Result<AdminReply, AdminError> {
        if replica.is_some_and(|id| id != self.myself().id.as_bytes()) {
            return Ok(AdminReply::Ok);
        }
        if self.myself().is_primary() {
            return Err(AdminError::FailoverPrimary);
        }
        let primary = self.myself().primary.ok_or(AdminError::FailoverOrphan)?;
        let linked = self.nodes[primary].outbound.is_some();
        if mode == FailoverMode::Default && (self.nodes[primary].is_failed() || !linked) {
            return Err(AdminError::FailoverPrimaryDown);
        }
        // What is here is another shard's, or what a load has left: as the primary's data it would take the place of all there is.
        if self.facts.data == DataAge::Foreign {
            return Err(AdminError::FailoverForeign);
        }
        match mode {
            FailoverMode::Takeover => {
                self.log(LogLevel::Notice, "Taking over the primary (user request).".to_owned());
                self.bump_epoch();
                self.replace_primary();
                self.todo.save = Save::Now;
            }
            FailoverMode::Force => {
                self.log(LogLevel::Notice, "Forced failover user request accepted.".to_owned());
                self.start_manual_failover(now, true);
            }
            FailoverMode::Default => {
                self.log(LogLevel::Notice, "Manual failover user request accepted.".to_owned());
                self.start_manual_failover(now, false);
            }
        }
        Ok(AdminReply::Ok)
    }
}
