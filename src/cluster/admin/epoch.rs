//! BUMPEPOCH and SET-CONFIG-EPOCH.

use super::super::engine::{Engine, Save};
use super::super::io::LogLevel;
use super::{AdminError, AdminReply};

impl Engine {
    pub(super) fn bump_epoch_by_order(&mut self) -> AdminReply {
        let bumped = self.bump_epoch();
        let epoch = self.myself().config_epoch;
        if bumped {
            self.todo.broadcast = true;
            AdminReply::Bumped(epoch)
        } else {
            AdminReply::Still(epoch)
        }
    }

    pub(super) fn set_config_epoch(&mut self, epoch: u64) -> Result<AdminReply, AdminError> {
        if self.nodes.count() > 1 {
            return Err(AdminError::EpochWithNodes);
        }
        if self.myself().config_epoch != 0 {
            return Err(AdminError::EpochSet);
        }
        self.nodes[self.me].config_epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        self.log(LogLevel::Notice, format!("configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH"));
        self.todo.save = Save::Now;
        self.todo.state = true;
        Ok(AdminReply::Ok)
    }
}
