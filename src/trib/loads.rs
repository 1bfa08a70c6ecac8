//! What every slot costs its primary: keys, memory, time of the processor.
//!
//! Servers that count by slot are asked for what they count (CLUSTER SLOT-STATS). Elsewhere keys are counted slot by
//! slot, and memory is estimated from a few keys of each. Time is known to nobody but the server; since its counters
//! never go back, they are read twice, and what counts is what has come in between: a slot that was busy last week is
//! not busy now.

use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::client::{Client, Pool, command, join_all};
use super::error::{Error, Failure};
use super::keycount;
use super::slotstats::{self, Metric};
use super::view::Node;
use crate::base::{SLOTS, Slot};

/// What is to be balanced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum By {
    /// Slots
    #[default]
    Slots,
    /// Keys
    Keys,
    /// Bytes of memory, estimated from a few keys of each slot where the server does not count them
    Memory,
    /// Time of the processor, measured for a while (Valkey 8, Redis 8.2 and later, with cluster-slot-stats-enabled)
    Ops,
}

impl By {
    /// Several of what it counts, where time is measured for so long.
    #[must_use]
    pub fn unit(self, sample: Duration) -> String {
        match self {
            By::Slots => "slots".to_owned(),
            By::Keys => "keys".to_owned(),
            By::Memory => "bytes".to_owned(),
            By::Ops => format!("usec of CPU in {} s", sample.as_secs_f64()),
        }
    }
}

/// A connection that was not used for so long may have been closed by the server.
const IDLE: Duration = Duration::from_secs(5);
/// Keys of each slot that are weighed.
const SAMPLE: usize = 3;
const PIPELINE: usize = 1024;

/// The slots of one primary in ascending order, with what each costs.
pub type Loads = Vec<(Slot, u64)>;

/// What the slots cost, in the order of the nodes. Where that is time, it takes as long as `sample`.
pub async fn load(pool: &Pool, primaries: &[&Node], by: By, sample: Duration) -> Result<Vec<Loads>, Error> {
    let read = async || -> Result<Vec<Reading>, Error> {
        let readings = join_all(primaries.iter().map(|node| async {
            Ok::<_, Error>(Reading { loads: of_node(pool, node, by).await?, at: Instant::now() })
        }));
        readings.await.into_iter().collect()
    };
    if by == By::Ops {
        let pause = async {
            tokio::time::sleep(sample).await;
            if sample >= IDLE {
                primaries.iter().for_each(|node| pool.forget(&node.addr));
            }
        };
        return between(read, pause, sample).await;
    }
    Ok(read().await?.into_iter().map(|reading| reading.loads).collect())
}

/// What a node told, and when.
struct Reading {
    at: Instant,
    loads: Loads,
}

impl Reading {
    /// What has come since an earlier reading of the same node, as if that had been exactly `sample` ago.
    fn since(&self, earlier: &Reading, sample: Duration) -> Loads {
        let passed = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let scale = if passed > 0.0 { sample.as_secs_f64() / passed } else { 1.0 };
        let grown = |(&(slot, now), &(_, before)): (&(Slot, u64), &(Slot, u64))| {
            // One that has become less was set to zero in between.
            let more = now.checked_sub(before).unwrap_or(now);
            (slot, (more as f64 * scale).round() as u64)
        };
        self.loads.iter().zip(&earlier.loads).map(grown).collect()
    }
}

/// Reads, pauses and reads again: what has come in between.
async fn between(
    read: impl AsyncFn() -> Result<Vec<Reading>, Error>,
    pause: impl Future<Output = ()>,
    sample: Duration,
) -> Result<Vec<Loads>, Error> {
    let first = read().await?;
    pause.await;
    let second = read().await?;
    Ok(second.iter().zip(&first).map(|(now, before)| now.since(before, sample)).collect())
}

async fn of_node(pool: &Pool, node: &Node, by: By) -> Result<Loads, Error> {
    let slots: Vec<Slot> = node.slots.iter().collect();
    let loads = match by {
        By::Slots => vec![1; slots.len()],
        By::Keys => match counted(pool, node, &slots, Metric::Keys).await {
            // Servers count the first database.
            Ok(counts) if pool.databases(&node.addr).await? == 1 => counts,
            Ok(_) | Err(Failure::Reply { .. }) => keycount::count(pool, node, &slots).await?,
            Err(failure) => return Err(failure.into()),
        },
        By::Memory => match counted(pool, node, &slots, Metric::Memory).await {
            Ok(counts) => counts,
            Err(Failure::Reply { .. }) => estimate_memory(pool, node, &slots).await?,
            Err(failure) => return Err(failure.into()),
        },
        By::Ops => counted(pool, node, &slots, Metric::Cpu).await.map_err(|failure| {
            Error::from(failure)
                .hint("servers count this since Valkey 8 and Redis 8.2, with cluster-slot-stats-enabled yes")
        })?,
    };
    Ok(slots.into_iter().zip(loads).collect())
}

/// What the server counts of these slots. One that does not count this refuses.
async fn counted(pool: &Pool, node: &Node, slots: &[Slot], metric: Metric) -> Result<Vec<u64>, Failure> {
    let stats = slotstats::all(pool, node).await?;
    let mut counts: Vec<Option<u64>> = vec![None; SLOTS];
    for stat in &stats {
        if let Some(count) = counts.get_mut(usize::from(stat.slot)) {
            *count = stat.count(metric);
        }
    }
    // A slot that has just arrived may be missing; none at all means that the server counts something else.
    if !slots.is_empty() && slots.iter().all(|slot| counts[slot.index()].is_none()) {
        let text = format!("CLUSTER SLOT-STATS does not tell {}", metric.name());
        return Err(Failure::Reply { node: node.addr.clone(), text });
    }
    Ok(slots.iter().map(|slot| counts[slot.index()].unwrap_or(0)).collect())
}

/// The keys of each slot times the mean size of some of them.
async fn estimate_memory(pool: &Pool, node: &Node, slots: &[Slot]) -> Result<Vec<u64>, Failure> {
    let mut loads = vec![0; slots.len()];
    for database in 0..pool.databases(&node.addr).await? {
        let client = pool.client_in(&node.addr, database).await?;
        let counts = ask(&client, slots.iter().map(|slot| about("COUNTKEYSINSLOT", *slot))).await?;
        let counts: Vec<u64> = counts.iter().map(number).collect();
        let held: Vec<usize> = (0..slots.len()).filter(|&at| counts[at] > 0).collect();
        let list = |at: &usize| {
            let mut cmd = about("GETKEYSINSLOT", slots[*at]);
            cmd.arg(SAMPLE);
            cmd
        };
        let mut sampled: Vec<(usize, Vec<u8>)> = Vec::new();
        for (at, reply) in held.iter().zip(ask(&client, held.iter().map(list)).await?) {
            let keys: Vec<Vec<u8>> = redis::from_redis_value(reply).unwrap_or_default();
            sampled.extend(keys.into_iter().map(|key| (*at, key)));
        }
        let weigh = |(_, key): &(usize, Vec<u8>)| {
            let mut cmd = command("MEMORY USAGE");
            cmd.arg(key);
            cmd
        };
        let mut sums = vec![(0, 0); slots.len()];
        for ((at, _), reply) in sampled.iter().zip(ask(&client, sampled.iter().map(weigh)).await?) {
            // A key that has gone meanwhile weighs nothing.
            if let Value::Int(_) = reply {
                sums[*at].0 += number(&reply);
                sums[*at].1 += 1;
            }
        }
        for at in held {
            let (bytes, keys): (u64, u64) = sums[at];
            loads[at] += (bytes * counts[at]).checked_div(keys).unwrap_or(0);
        }
    }
    Ok(loads)
}

fn about(subcommand: &str, slot: Slot) -> Cmd {
    let mut cmd = command("CLUSTER");
    cmd.arg(subcommand).arg(slot.get());
    cmd
}

fn number(reply: &Value) -> u64 {
    match reply {
        Value::Int(n) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    }
}

/// The replies to all commands; an error reply to one fails them all.
async fn ask(client: &Client, cmds: impl Iterator<Item = Cmd>) -> Result<Vec<Value>, Failure> {
    let cmds: Vec<Cmd> = cmds.collect();
    let mut replies = Vec::with_capacity(cmds.len());
    for part in cmds.chunks(PIPELINE) {
        for reply in client.pipeline(client.timeouts().reply, part).await? {
            replies.push(reply?);
        }
    }
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn loads(counts: &[u64]) -> Loads {
        Slot::all().zip(counts.iter().copied()).collect()
    }

    /// What two readings of two nodes come to, the second so much later.
    fn measured(first: [&[u64]; 2], second: [&[u64]; 2], later: [Duration; 2], sample: Duration) -> [Vec<u64>; 2] {
        let begun = Instant::now();
        let paused = Cell::new(false);
        let read = async || {
            let (counts, at) = match paused.get() {
                false => (first, [begun; 2]),
                true => (second, later.map(|later| begun + later)),
            };
            Ok(counts.iter().zip(at).map(|(counts, at)| Reading { at, loads: loads(counts) }).collect())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(between(read, async { paused.set(true) }, sample)).unwrap();
        let found: Vec<Vec<u64>> = found.iter().map(|loads| loads.iter().map(|(_, load)| *load).collect()).collect();
        found.try_into().unwrap()
    }

    #[test]
    fn what_was_busy_before_weighs_nothing() {
        let two = Duration::from_secs(2);
        // The first slot has worked for an hour, but not now.
        let found = measured([&[3_600_000_000, 5, 0], &[7]], [&[3_600_000_000, 905, 1], &[7]], [two; 2], two);
        assert_eq!(found, [vec![0, 900, 1], vec![0]]);
    }

    #[test]
    fn nodes_that_were_read_at_other_times_are_compared_by_their_rates() {
        let two = Duration::from_secs(2);
        let found = measured([&[0], &[0]], [&[400], &[400]], [two, two * 2], two);
        assert_eq!(found, [[400], [200]]);
    }

    #[test]
    fn counters_that_were_set_to_zero_count_from_there() {
        let two = Duration::from_secs(2);
        assert_eq!(measured([&[1000], &[5]], [&[30], &[5]], [two, Duration::ZERO], two), [[30], [0]]);
    }

    #[test]
    fn the_unit_says_for_how_long_was_measured() {
        assert_eq!(By::Ops.unit(Duration::from_millis(500)), "usec of CPU in 0.5 s");
        assert_eq!(By::Keys.unit(Duration::from_secs(2)), "keys");
    }
}
