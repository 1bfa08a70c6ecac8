//! Slots that the servers move themselves (CLUSTER MIGRATESLOTS): all at once or not at all, with no slot open in
//! between and no client sent back and forth.

use std::cell::Cell;
use std::time::{Duration, Instant};

use redis::Value;

use super::super::client::{Pool, command, pairs_of};
use super::super::error::Failure;
use super::super::slots::SlotSet;
use super::super::view::{self, Node};
use super::link::Link;
use super::{Stop, Trouble, fetch};
use crate::base::Slot;

/// Between two looks at a migration: short ones are over at once, long ones need no haste.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// The part of the time it has taken so far that may be lost until the end is seen.
const PART_LOST: u32 = 40;

/// How long to wait for the next look at a migration that began then.
pub fn pause(begun: Instant) -> Duration {
    (begun.elapsed() / PART_LOST).clamp(FIRST_PAUSE, LAST_PAUSE)
}

/// How long it may take until it is known how a migration has ended.
const IN_DOUBT: Duration = Duration::from_secs(3);

/// How the servers move slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// The source is asked: CLUSTER MIGRATESLOTS, in Valkey 9 and `node`.
    Push,
    /// The target is asked: CLUSTER MIGRATION IMPORT, in Redis 8.4.
    Fetch,
}

/// What both ends know, if they know one of them.
pub async fn dialect(link: &Link<'_>) -> Result<Option<Dialect>, Failure> {
    let (source, target) = tokio::join!(dialects(link.pool, link.source), dialects(link.pool, link.target));
    let (source, target) = (source?, target?);
    Ok(source.into_iter().find(|dialect| target.contains(dialect)))
}

async fn dialects(pool: &Pool, node: &Node) -> Result<Vec<Dialect>, Failure> {
    let mut ask = command("COMMAND INFO cluster|migrateslots");
    match pool.call(&node.addr, ask.arg(fetch::COMMAND)).await {
        Ok(Value::Array(found)) => {
            let known = [Dialect::Push, Dialect::Fetch].into_iter().zip(found);
            Ok(known.filter(|(_, info)| *info != Value::Nil).map(|(dialect, _)| dialect).collect())
        }
        // Somebody who may not ask will not be allowed the command itself.
        Ok(_) | Err(Failure::Reply { .. }) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// Has the source move the slots, and waits for the end of it. They are at the target if this is well, and where they
/// were if not.
pub async fn migrate(link: &Link<'_>, slots: &[Slot], stop: &Cell<Stop>) -> Result<(), Trouble> {
    let source = link.source().await?;
    let wanted: SlotSet = slots.iter().copied().collect();
    let mut begin = command("CLUSTER MIGRATESLOTS SLOTSRANGE");
    for (first, last) in wanted.ranges() {
        begin.arg(first.get()).arg(last.get());
    }
    source.call(begin.arg("NODE").arg(link.target.id.as_str())).await?;
    let look = command("CLUSTER GETSLOTMIGRATIONS");
    let (begun, mut cancelled) = (Instant::now(), false);
    loop {
        let jobs = read_jobs(&source.call(&look).await?);
        let ours = |job: &&Job| job.exports && job.target == link.target.id.as_str() && job.slots == wanted;
        let refused =
            |text: String| Trouble::Refused { from: link.source.addr.clone(), to: link.target.addr.clone(), text };
        match jobs.iter().find(ours) {
            Some(job) if job.state == "success" => return Ok(()),
            Some(job) if job.state == "cancelled" && cancelled => return Err(Trouble::Stopped),
            Some(job) if ["failed", "cancelled"].contains(&job.state.as_str()) => {
                if has_arrived(link, slots, job.is_in_doubt()).await? {
                    return Ok(());
                }
                return Err(refused(format!("{}: {}", job.state, job.message)));
            }
            Some(_) => {}
            None => return Err(refused("the source has forgotten the migration".to_owned())),
        }
        if stop.get() != Stop::No && !cancelled {
            cancelled = true;
            // It may be over by now, which the next look tells.
            let _ = source.call(&command("CLUSTER CANCELSLOTMIGRATIONS")).await;
        }
        tokio::time::sleep(pause(begun)).await;
    }
}

/// Whether the slots are the target's after all. A source that was let go on before it heard of the end does not know
/// (`in_doubt`): it hears of it soon, or the target gives up.
async fn has_arrived(link: &Link<'_>, slots: &[Slot], in_doubt: bool) -> Result<bool, Failure> {
    let until = Instant::now() + if in_doubt { IN_DOUBT } else { Duration::ZERO };
    loop {
        let report = view::ask(link.pool, &link.target.addr).await?;
        if slots.iter().all(|slot| report.own().slots.contains(*slot)) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(LAST_PAUSE).await;
    }
}

/// Waits until the node gives no slots away any more: migrations go on in the servers when this program is killed.
pub async fn until_idle(pool: &Pool, node: &Node) -> Result<(), Failure> {
    let known = dialects(pool, node).await?;
    let begun = Instant::now();
    loop {
        let gives = known.contains(&Dialect::Push) && gives(pool, node).await?;
        let fetches = !gives && known.contains(&Dialect::Fetch) && fetch::is_busy(pool, node).await?;
        if !gives && !fetches {
            return Ok(());
        }
        tokio::time::sleep(pause(begun)).await;
    }
}

async fn gives(pool: &Pool, node: &Node) -> Result<bool, Failure> {
    let jobs = read_jobs(&pool.call(&node.addr, &command("CLUSTER GETSLOTMIGRATIONS")).await?);
    let is_over = |job: &Job| ["success", "failed", "cancelled"].contains(&job.state.as_str());
    Ok(jobs.iter().any(|job| job.exports && !is_over(job)))
}

/// One line of GETSLOTMIGRATIONS.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    exports: bool,
    target: String,
    slots: SlotSet,
    state: String,
    message: String,
}

impl Job {
    /// It has failed, as far as the source knows, at a time when the target may have taken the slots.
    fn is_in_doubt(&self) -> bool {
        self.message.contains("may have succeeded")
    }
}

/// The jobs of a reply; what is no job is left out.
fn read_jobs(reply: &Value) -> Vec<Job> {
    let Value::Array(jobs) = reply else { return Vec::new() };
    jobs.iter().map(read_job).collect()
}

fn read_job(reply: &Value) -> Job {
    let pairs = pairs_of(reply);
    let field = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Job {
        exports: field("operation") == "EXPORT",
        target: field("target_node"),
        slots: read_ranges(&field("slot_ranges")),
        state: field("state"),
        message: field("message"),
    }
}

/// From `0-5 7-7`.
fn read_ranges(text: &str) -> SlotSet {
    let slot = |text: &str| text.parse().ok().and_then(Slot::new);
    let mut slots = SlotSet::new();
    for range in text.split_ascii_whitespace() {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Some(first), Some(last)) = (slot(first), slot(last)) {
            slots.insert_range(first, last);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_in_either_protocol() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = [
            ("name", "x"),
            ("operation", "EXPORT"),
            ("slot_ranges", "0-2 9-9 11"),
            ("target_node", "t"),
            ("state", "failed"),
            ("message", "why"),
        ];
        let map = Value::Map(fields.iter().map(|(name, value)| (bulk(name), bulk(value))).collect());
        let flat = Value::Array(fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect());
        let jobs = read_jobs(&Value::Array(vec![map, flat]));
        assert_eq!(jobs[0], jobs[1]);
        assert_eq!(
            (jobs[0].exports, jobs[0].slots.to_string(), jobs[0].state.as_str()),
            (true, "0-2,9,11".into(), "failed")
        );
        assert_eq!(read_jobs(&Value::Nil), []);
    }
}
