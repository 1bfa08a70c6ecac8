//! Failovers by order.

use super::{Deed, Operator};
use crate::desk::NoReply;

impl Operator {
    /// Some replica takes its primary's place, if both agree.
    pub async fn fail_over(&self) -> Result<(), NoReply> {
        self.order("CLUSTER FAILOVER").await
    }

    /// The same without asking the primary, or anybody.
    pub async fn force_failover(&self) -> Result<(), NoReply> {
        self.did(Deed::Forces);
        let how = if self.desk.below(3) == 0 { "TAKEOVER" } else { "FORCE" };
        self.order(&format!("CLUSTER FAILOVER {how}")).await
    }

    async fn order(&self, line: &str) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let replicas: Vec<usize> =
            view.iter().filter(|line| !line.primary && !line.failing).map(|line| line.host).collect();
        if !replicas.is_empty() {
            let replica = replicas[self.desk.below(replicas.len() as u64) as usize];
            // One that has never had its primary's data must not be made a primary of them.
            let role = self.tell(replica, "ROLE").await?;
            let state = role.as_items().and_then(|items| items.get(3)?.as_bytes());
            if state != Some(b"connected") {
                return Ok(());
            }
            self.tell(replica, line).await?;
        }
        Ok(())
    }
}
