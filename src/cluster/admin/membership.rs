//! MEET, FORGET, RESET.

use super::super::clock::Clock;
use super::super::engine::{Engine, Save};
use super::super::io::{LogLevel, Output, SlotKeys};
use super::{AdminError, AdminReply};
use crate::base::NodeId;

impl Engine {
    pub(super) fn meet(&mut self, now: Clock, ip: &str, port: u16, cport: u16) -> Result<AdminReply, AdminError> {
        let addr = self.addr_from_wire(ip, port, 0, cport);
        self.start_handshake(now, addr, true);
        Ok(AdminReply::Ok)
    }

    pub(super) fn forget(&mut self, now: Clock, arg: &[u8]) -> Result<AdminReply, AdminError> {
        let idx = match self.find(arg) {
            Ok(idx) => idx,
            // Told by another node a moment ago: done already.
            Err(_) if NodeId::parse(arg).is_some_and(|id| self.blacklist.contains(&id, now.mono)) => {
                return Ok(AdminReply::Ok);
            }
            Err(error) => return Err(error),
        };
        if idx == self.me {
            return Err(AdminError::ForgetMyself);
        }
        if self.myself().primary == Some(idx) {
            return Err(AdminError::ForgetPrimary);
        }
        let id = self.nodes[idx].id;
        self.blacklist.add(id, now.mono + self.cfg.blacklist_ttl_s * 1000);
        self.remove_node(now, idx);
        self.todo.save = Save::Now;
        // The others forget it too where they understand the extension.
        self.todo.broadcast = true;
        Ok(AdminReply::Ok)
    }

    pub(super) fn reset(&mut self, now: Clock, hard: bool, keys: &dyn SlotKeys) -> Result<AdminReply, AdminError> {
        if self.myself().is_primary() && !keys.is_empty() {
            return Err(AdminError::ResetWithKeys);
        }
        if self.myself().is_replica() {
            self.make_primary(self.me);
            self.emit(Output::FlushAll);
        }
        self.slots.close_all();
        self.reset_manual_failover();
        self.election.reset();
        for idx in self.nodes.indices() {
            self.slots.unassign_all(idx);
            if idx != self.me {
                self.remove_node(now, idx);
            }
        }
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(now, link);
        }
        self.blacklist.clear();
        let shard = NodeId::random(&mut self.rng);
        self.set_shard(self.me, shard);
        if hard {
            (self.current_epoch, self.last_vote_epoch) = (0, 0);
            self.nodes[self.me].config_epoch = 0;
            let (old, new) = (self.myself().id, NodeId::random(&mut self.rng));
            self.nodes.rename(self.me, new);
            self.log(LogLevel::Notice, format!("Node hard reset, now I'm {new}, no longer {old}"));
        }
        // It owns nothing that another could have taken over meanwhile.
        self.state.clear_past();
        self.todo.slots_changed = true;
        self.todo.save = Save::Now;
        Ok(AdminReply::Ok)
    }
}
