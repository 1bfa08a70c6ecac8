//! Nodes join.

use super::Operator;
use crate::desk::NoReply;
use crate::plan::Plan;
use crate::queue::{MS, SEC};

impl Operator {
    /// Builds the cluster the long way: slots and (mostly) epochs, MEET, REPLICATE.
    pub async fn build(self) {
        while self.try_to_build().await.is_err() {
            self.desk.sleep(100 * MS).await;
        }
    }

    async fn try_to_build(&self) -> Result<(), NoReply> {
        for node in 0..self.plan.members() {
            if node < self.plan.primaries {
                let (first, last) = self.plan.slots(node);
                self.tell_loaded(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await?;
            }
            if self.plan.numbered {
                self.tell_loaded(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1)).await?;
            }
        }
        let first = Plan::ip(0);
        for node in 1..self.plan.members() {
            self.must(node, &format!("CLUSTER MEET {first} {}", Plan::PORT)).await?;
        }
        for node in 0..self.plan.members() {
            while self.view(node).await?.iter().filter(|line| !line.failing).count() < self.plan.members() {
                self.desk.sleep(100 * MS).await;
            }
        }
        for node in self.plan.primaries..self.plan.members() {
            let id = self.tell(self.plan.shard(node), "CLUSTER MYID").await?;
            let id = String::from_utf8_lossy(id.as_bytes().unwrap_or_default()).into_owned();
            self.must(node, &format!("CLUSTER REPLICATE {id}")).await?;
        }
        Ok(())
    }

    /// Sends a command whatever comes of it, unless the node still loads its data. A second try may be told that all is
    /// as it should be already.
    async fn tell_loaded(&self, host: usize, line: &str) -> Result<(), NoReply> {
        let reply = self.tell(host, line).await?;
        let loads = reply.as_error().is_some_and(|error| error.starts_with(b"LOADING"));
        if loads { Err(NoReply) } else { Ok(()) }
    }

    /// A spare machine joins and may become a replica.
    pub async fn add_node(&self) -> Result<(), NoReply> {
        if self.plan.spares == 0 {
            return Ok(());
        }
        let spare = self.plan.members() + self.desk.below(self.plan.spares as u64) as usize;
        let member = self.desk.below(self.plan.members() as u64) as usize;
        // Two who were both reset would be a cluster of their own. One that is alone may have slots: those of the old data
        // that it has read again.
        if self.plan.purges {
            let view = self.view(member).await?;
            if view.len() < 2 || view.iter().all(|line| line.ranges.is_empty()) {
                return Ok(());
            }
        }
        self.let_in(spare, member).await
    }

    /// A node that knows nobody joins and may become a replica.
    pub async fn let_in(&self, host: usize, member: usize) -> Result<(), NoReply> {
        self.must(host, &format!("CLUSTER MEET {} {}", Plan::ip(member), Plan::PORT)).await?;
        self.desk.sleep(SEC).await;
        self.maybe_follow(host, |operator| operator.desk.below(2) == 0).await
    }

    /// A node becomes the replica of some primary.
    pub async fn follow_somebody(&self, host: usize) -> Result<(), NoReply> {
        self.maybe_follow(host, |_| true).await
    }

    async fn maybe_follow(&self, host: usize, wanted: impl Fn(&Operator) -> bool) -> Result<(), NoReply> {
        let view = self.view(host).await?;
        let primaries: Vec<&str> = view
            .iter()
            .filter(|line| line.primary && !line.failing && !line.ranges.is_empty() && !line.myself)
            .map(|line| &line.id[..])
            .collect();
        if !primaries.is_empty() && wanted(self) {
            let primary = primaries[self.desk.below(primaries.len() as u64) as usize];
            self.tell(host, &format!("CLUSTER REPLICATE {primary}")).await?;
        }
        Ok(())
    }
}
