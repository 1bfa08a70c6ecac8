//! Nodes leave: they are reset, and all others are told to forget them.

use std::collections::BTreeSet;

use super::Operator;
use super::view::Line;
use crate::desk::NoReply;
use crate::queue::{MS, SEC};

impl Operator {
    /// Some node that owns nothing leaves the cluster. One with a new id may come back; one that keeps its id would not be
    /// let in for a minute.
    pub async fn remove_node(&self) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let idle: Vec<&Line> = view.iter().filter(|line| line.ranges.is_empty() && !line.failing).collect();
        if idle.is_empty() {
            return Ok(());
        }
        let leaver = idle[self.desk.below(idle.len() as u64) as usize];
        let hard = self.desk.below(3) > 0;
        // It may have become something else by now.
        let own = self.view(leaver.host).await?;
        if own.len() < 2 || own.iter().any(|line| line.myself && (line.id != leaver.id || !line.ranges.is_empty())) {
            return Ok(());
        }
        self.must(leaver.host, if hard { "CLUSTER RESET HARD" } else { "CLUSTER RESET SOFT" }).await?;
        for other in view.iter().filter(|line| line.id != leaver.id) {
            // Who does not hear it from here hears it from the others.
            let _ = self.tell(other.host, &format!("CLUSTER FORGET {}", leaver.id)).await;
        }
        let owner = view.iter().find(|line| !line.ranges.is_empty());
        if let Some(owner) = owner.filter(|_| hard && self.desk.below(2) == 0) {
            self.desk.sleep(self.desk.below(2 * SEC) + MS).await;
            self.let_in(leaver.host, owner.host).await?;
        }
        Ok(())
    }

    /// Has everybody forget ids that no machine has any more. True when there were none.
    pub async fn forget_ghosts(&self) -> Result<bool, NoReply> {
        let (mut living, mut known) = (BTreeSet::new(), Vec::new());
        for host in 0..self.plan.machines() {
            for (id, flags) in self.known_ids(host).await? {
                if flags.contains("myself") {
                    living.insert(id);
                } else if !flags.contains("handshake") {
                    known.push((host, id));
                }
            }
        }
        let ghosts: Vec<&(usize, String)> = known.iter().filter(|(_, id)| !living.contains(id)).collect();
        for (host, id) in &ghosts {
            let reply = self.tell(*host, &format!("CLUSTER FORGET {id}")).await?;
            if reply.as_error().is_some_and(|error| error.ends_with(b"forget my master!")) {
                self.follow_somebody(*host).await?;
            }
        }
        Ok(ghosts.is_empty())
    }
}
