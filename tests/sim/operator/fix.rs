//! Half-moved slots are brought to an end once everything is well: all keys to the owner, all flags closed. Nodes that are
//! no more are forgotten.

use std::collections::BTreeSet;

use trib::base::Slot;

use super::view::Line;
use super::{Deed, Operator};
use crate::desk::NoReply;
use crate::queue::MS;

impl Operator {
    /// Looks until there is nothing to mend any more.
    pub async fn fix(self) {
        loop {
            match self.fix_once().await {
                Ok(true) => return,
                Ok(false) | Err(NoReply) => self.desk.sleep(300 * MS).await,
            }
        }
    }

    /// True when nothing was open.
    async fn fix_once(&self) -> Result<bool, NoReply> {
        let mut own: Vec<Line> = Vec::new();
        for host in 0..self.plan.machines() {
            // Who is alone is no part of the cluster, whatever it owns: one that was reset, and read its old data again.
            let view = self.view(host).await?;
            if view.len() > 1 {
                own.extend(view.into_iter().find(|line| line.myself));
            }
        }
        let primaries: Vec<&Line> = own.iter().filter(|line| line.primary).collect();
        // A replica may know of a move that its primary was not told to make in the end.
        let flagged: BTreeSet<Slot> = own.iter().flat_map(|line| line.open.iter().map(|open| open.0)).collect();
        let moved = self.deeds.borrow().moved.clone();
        let mut well = !self.plan.purges || self.forget_ghosts().await?;
        for &slot in moved.union(&flagged) {
            let owners: Vec<&&Line> = primaries.iter().filter(|line| line.owns(slot)).collect();
            match owners[..] {
                [owner] => well &= self.fix_slot(slot, owner, &primaries, flagged.contains(&slot)).await?,
                // Two who believe that they own it agree soon.
                _ => well = false,
            }
        }
        Ok(well)
    }

    /// Brings all keys of a slot to its owner and closes it. True when there was nothing to do.
    async fn fix_slot(&self, slot: Slot, owner: &Line, primaries: &[&Line], open: bool) -> Result<bool, NoReply> {
        let mut well = !open;
        // An owner that sends clients elsewhere would send the keys back: its flags are closed first.
        if open {
            self.must(owner.host, &format!("CLUSTER SETSLOT {slot} STABLE")).await?;
        }
        for other in primaries.iter().filter(|line| line.id != owner.id) {
            let count = self.tell(other.host, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await?;
            if count.as_i64().unwrap_or(0) > 0 {
                well = false;
                self.did(Deed::Moves(slot));
                self.must(other.host, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", owner.id)).await?;
                self.move_keys(slot, other.host, owner.host).await?;
            }
            if !well {
                self.must(other.host, &format!("CLUSTER SETSLOT {slot} STABLE")).await?;
            }
        }
        Ok(well)
    }
}
