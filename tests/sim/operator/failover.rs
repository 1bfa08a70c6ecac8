//! Failovers by order.

use super::view::Line;
use super::{Deed, Operator, PATIENCE};
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

    /// Two do the same at the same time, each as if it were alone. Or a primary that is down is given a replica.
    pub async fn be_rash(&self) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let down = view.iter().find(|line| line.primary && line.failing && !line.ranges.is_empty());
        if let Some(down) = down {
            return self.misplace_replica(&view, down).await;
        }
        let failovers = self.desk.below(3) > 0;
        let hosts = self.some_two(|line| line.primary != failovers).await?;
        if !failovers {
            self.desk.say_all(&hosts, "CLUSTER BUMPEPOCH", PATIENCE).await;
            return Ok(());
        }
        self.did(Deed::Forces);
        self.desk.say_all(&hosts, "CLUSTER FAILOVER FORCE", PATIENCE).await;
        Ok(())
    }

    /// A replica of another shard is to follow a primary that is down, whose data it cannot get.
    async fn misplace_replica(&self, view: &[Line], primary: &Line) -> Result<(), NoReply> {
        let replicas: Vec<usize> =
            view.iter().filter(|line| !line.primary && !line.failing).map(|line| line.host).collect();
        if !replicas.is_empty() {
            let replica = replicas[self.desk.below(replicas.len() as u64) as usize];
            self.tell(replica, &format!("CLUSTER REPLICATE {}", primary.id)).await?;
        }
        Ok(())
    }

    /// At most two nodes that are well, of those that are wanted.
    async fn some_two(&self, wanted: impl Fn(&Line) -> bool) -> Result<Vec<usize>, NoReply> {
        let view = self.view(self.some_host()).await?;
        let mut hosts: Vec<usize> =
            view.iter().filter(|line| wanted(line) && !line.failing).map(|line| line.host).collect();
        while hosts.len() > 2 {
            hosts.swap_remove(self.desk.below(hosts.len() as u64) as usize);
        }
        Ok(hosts)
    }

    async fn order(&self, line: &str) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let replicas: Vec<usize> =
            view.iter().filter(|line| !line.primary && !line.failing).map(|line| line.host).collect();
        if !replicas.is_empty() {
            let replica = replicas[self.desk.below(replicas.len() as u64) as usize];
            self.tell(replica, line).await?;
        }
        Ok(())
    }
}
