//! A replica that takes over from its primary because the operator wants it to, and the wait until it has.

use std::time::{Duration, Instant};

use super::client::{Pool, command, info_field, text_of};
use super::error::{Error, Failure, Kind};
use super::view::{self, Node};
use super::vitals::{Vital, Vitals};
use super::wait::{self, Look};
use crate::base::NodeId;

/// A server gives a failover that does not come about up after 5 s; then it may be asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(6);

/// Whole seconds that a server has to be up before it is made a primary: it counts them from the full second.
const NEWBORN_SECS: u64 = 4;

/// Who has to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// The primary, which stops writes until the replica has everything: nothing is lost
    #[default]
    Agreed,
    /// Most of the primaries, but not the one that is replaced
    Forced,
    /// Nobody
    Taken,
}

/// What a promotion is about.
pub struct Promotion<'a> {
    pub pool: &'a Pool,
    pub replica: &'a Node,
    pub primary: &'a Node,
    pub how: How,
    pub limit: Duration,
}

impl Promotion<'_> {
    /// Asks the replica to take over.
    pub async fn ask(&self) -> Result<(), Failure> {
        let words = match self.how {
            How::Agreed => "CLUSTER FAILOVER",
            How::Forced => "CLUSTER FAILOVER FORCE",
            How::Taken => "CLUSTER FAILOVER TAKEOVER",
        };
        match self.pool.call(&self.replica.addr, &command(words)).await {
            // It is a primary already, or was made one while this was on its way.
            Err(Failure::Reply { text, .. }) if text.contains("should send CLUSTER FAILOVER to a") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether the replica has been up for so short a time that it would take no writes as a primary (2 s in Redis).
    async fn is_newborn(&self) -> Result<bool, Failure> {
        let info = text_of(&self.pool.call(&self.replica.addr, &command("INFO server")).await?).unwrap_or_default();
        let up = info_field(&info, "uptime_in_seconds").and_then(|secs| secs.parse::<u64>().ok());
        Ok(up.is_some_and(|secs| secs < NEWBORN_SECS))
    }

    /// Asks, and returns when the replica is the primary, and its old primary has heard of it. One that gives up is
    /// asked again.
    ///
    /// A replica that has won an election a moment ago may take over on the votes of that time (seen with Redis 7.0),
    /// in an epoch that has passed: then it has to give everything back. It does so once its old votes have
    /// expired, so it is not asked again before that.
    pub async fn run(&self) -> Result<(), Error> {
        let mut asked: Option<Instant> = None;
        let mut pause = AGAIN_AFTER;
        let result = wait::until(None, self.limit, async || {
            if view::ask(self.pool, &self.replica.addr).await?.own().primary.is_none() {
                return match self.is_acknowledged().await {
                    true => Ok(Look::Done(())),
                    false => {
                        pause = self.votes_expire().await.max(AGAIN_AFTER);
                        Ok(Look::NotYet(format!("{} has not heard of its successor", self.primary.addr)))
                    }
                };
            }
            if self.how == How::Agreed && asked.is_none() && self.is_newborn().await? {
                return Ok(Look::NotYet(format!("{} has just been started", self.replica.addr)));
            }
            if asked.is_none_or(|at| at.elapsed() >= pause) {
                asked = Some(Instant::now());
                self.ask().await?;
            }
            Ok(Look::NotYet(format!("{} has not taken over", self.replica.addr)))
        });
        result.await.map_err(|error| match error.kind {
            Kind::TimedOut => error.hint(match self.how {
                How::Agreed => {
                    "is it in sync? 'trib status' shows its lag; 'trib failover --forced' does without the primary"
                }
                How::Forced => "most of the primaries have to vote for it; --takeover does without them",
                How::Taken => "look at its log",
            }),
            _ => error,
        })
    }

    /// Whether the old primary follows the new one. A dead one has no say.
    async fn is_acknowledged(&self) -> bool {
        match view::ask(self.pool, &self.primary.addr).await {
            Ok(report) => report.own().primary == Some(self.replica.id),
            Err(_) => true,
        }
    }

    /// How long votes count: an election may be repeated after twice the time that it has, which is twice the node
    /// timeout.
    async fn votes_expire(&self) -> Duration {
        let reply = self.pool.call(&self.replica.addr, &command("CONFIG GET cluster-node-timeout")).await;
        let millis = match &reply {
            Ok(redis::Value::Array(pair)) => pair.get(1).and_then(text_of).and_then(|text| text.parse().ok()),
            // Not everybody may ask; this is what servers come with.
            _ => None,
        };
        Duration::from_millis(millis.unwrap_or(15_000)).saturating_mul(4) + Duration::from_secs(1)
    }
}

/// Bytes of the replication stream that the replica lacks; `None` where its link is down or nobody knows.
#[must_use]
pub fn lag(replica: &Vital, primary: Option<&Vital>) -> Option<u64> {
    match (replica.link_up, primary) {
        (Some(true), Some(primary)) => Some(primary.offset.saturating_sub(replica.offset)),
        _ => None,
    }
}

/// The replica to choose: one whose link is up before others, then the one that lacks least (where the primary is gone,
/// that has most), then the first. A lag up to `tolerated` is none.
#[must_use]
pub fn best<'v>(replicas: &[&'v Node], primary: NodeId, vitals: &Vitals, tolerated: u64) -> Option<&'v Node> {
    let rank = |node: &&&Node| {
        let vital = vitals.get(&node.id);
        let lag = vital.and_then(|vital| lag(vital, vitals.get(&primary)));
        let lag = lag.map(|lag| if lag <= tolerated { 0 } else { lag });
        // Nothing to compare with: the stream that got furthest.
        let missing = u64::MAX - vital.map_or(0, |vital| vital.offset);
        (lag.is_none(), lag.unwrap_or(missing))
    };
    replicas.iter().min_by_key(rank).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::view::tests::{id, small};
    use super::*;

    #[test]
    fn the_replica_that_lacks_least_is_the_best() {
        let view = small();
        let [a, b, c] = &view.nodes[..] else { panic!("three nodes") };
        let vital = |offset, link_up| Vital { offset, link_up, ..Vital::default() };
        let chosen = |of_a: Option<u64>, of_b: (u64, bool), of_c: (u64, bool)| {
            let mut known = HashMap::from([(b.id, vital(of_b.0, Some(of_b.1))), (c.id, vital(of_c.0, Some(of_c.1)))]);
            known.extend(of_a.map(|offset| (a.id, vital(offset, None))));
            best(&[b, c], a.id, &Vitals::from(known), 10).unwrap().id
        };
        assert_eq!(chosen(Some(100), (50, true), (80, true)), id('c'));
        assert_eq!(chosen(Some(100), (92, true), (100, true)), id('b'), "both are as good as in sync");
        assert_eq!(chosen(Some(100), (90, false), (10, true)), id('c'), "a link that is up comes first");
        assert_eq!(chosen(None, (90, false), (95, false)), id('c'), "the primary is gone");
        assert!(best(&[], a.id, &Vitals::default(), 0).is_none());
    }
}
