//! What every slot costs its primary: keys, memory, time of the processor.
//!
//! Servers that count by slot are asked for what they count (CLUSTER SLOT-STATS). Elsewhere keys are counted slot by
//! slot, and memory is estimated from a few keys of each. Time is known to nobody but the server.

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
    /// Time of the processor since the server counts it (Valkey 8 and later, with cluster-slot-stats-enabled)
    Ops,
}

impl By {
    /// Several of what it counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            By::Slots => "slots",
            By::Keys => "keys",
            By::Memory => "bytes",
            By::Ops => "usec of CPU",
        }
    }
}

/// Keys of each slot that are weighed.
const SAMPLE: usize = 3;
const PIPELINE: usize = 1024;

/// The slots of each primary in ascending order, with what they cost; in the order of the nodes.
pub async fn load(pool: &Pool, primaries: &[&Node], by: By) -> Result<Vec<Vec<(Slot, u64)>>, Error> {
    let loads = join_all(primaries.iter().map(|node| of_node(pool, node, by))).await;
    loads.into_iter().collect()
}

async fn of_node(pool: &Pool, node: &Node, by: By) -> Result<Vec<(Slot, u64)>, Error> {
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
            Error::from(failure).hint("servers count this since Valkey 8, with cluster-slot-stats-enabled yes")
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
