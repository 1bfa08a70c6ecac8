//! The slots that are used most, as the servers count (CLUSTER SLOT-STATS).

use redis::Value;
use serde::Serialize;

use super::client::{Pool, command, join_all, pairs_of};
use super::error::{Error, Failure};
use super::keycount;
use super::view::{ClusterView, Node};
use crate::base::{SLOTS, Slot};

/// What makes a slot hot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Metric {
    /// Keys
    #[default]
    Keys,
    /// Time of the processor
    Cpu,
    /// Bytes that came in
    In,
    /// Bytes that went out
    Out,
    /// Bytes of memory
    Memory,
}

impl Metric {
    /// As the servers call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Metric::Keys => "key-count",
            Metric::Cpu => "cpu-usec",
            Metric::In => "network-bytes-in",
            Metric::Out => "network-bytes-out",
            Metric::Memory => "memory-bytes",
        }
    }
}

/// One slot; what the server does not count is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HotSlot {
    pub slot: u16,
    pub primary: String,
    pub keys: Option<u64>,
    pub cpu_usec: Option<u64>,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    pub memory_bytes: Option<u64>,
}

impl HotSlot {
    /// One of its counters, if the server has it.
    #[must_use]
    pub fn count(&self, metric: Metric) -> Option<u64> {
        match metric {
            Metric::Keys => self.keys,
            Metric::Cpu => self.cpu_usec,
            Metric::In => self.bytes_in,
            Metric::Out => self.bytes_out,
            Metric::Memory => self.memory_bytes,
        }
    }

    fn by(&self, metric: Metric) -> u64 {
        self.count(metric).unwrap_or(0)
    }
}

/// The `count` hottest slots of the cluster, the hottest first.
pub async fn hottest(pool: &Pool, view: &ClusterView, metric: Metric, count: usize) -> Result<Vec<HotSlot>, Error> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let results = join_all(primaries.iter().map(|node| of_node(pool, node, metric, count))).await;
    let mut slots = Vec::new();
    for result in results {
        slots.extend(result.map_err(explain)?);
    }
    slots.sort_by_key(|slot| (std::cmp::Reverse(slot.by(metric)), slot.slot));
    slots.truncate(count);
    Ok(slots)
}

fn explain(failure: Failure) -> Error {
    let is_reply = failure.reply().is_some();
    let error = Error::from(failure);
    match is_reply {
        true => {
            error.hint("servers count this since Valkey 8 and Redis 8.2, with cluster-slot-stats-enabled (memory since Redis 8.4); --by keys works with all")
        }
        false => error,
    }
}

/// All slots of a node with everything that the server counts of them.
pub async fn all(pool: &Pool, node: &Node) -> Result<Vec<HotSlot>, Failure> {
    let mut ask = command("CLUSTER SLOT-STATS SLOTSRANGE");
    ask.arg(0).arg(SLOTS - 1);
    Ok(read(node, &pool.call(&node.addr, &ask).await?))
}

async fn of_node(pool: &Pool, node: &Node, metric: Metric, count: usize) -> Result<Vec<HotSlot>, Failure> {
    let mut ask = command("CLUSTER SLOT-STATS ORDERBY");
    ask.arg(metric.name()).arg("LIMIT").arg(count).arg("DESC");
    match pool.call(&node.addr, &ask).await {
        Ok(reply) => Ok(read(node, &reply)),
        // Every server can be asked for its keys, slot by slot.
        Err(Failure::Reply { .. }) if metric == Metric::Keys => {
            let slots: Vec<Slot> = node.slots.iter().collect();
            let counts = keycount::count(pool, node, &slots).await?;
            let primary = node.addr.to_string();
            let hot = slots.iter().zip(counts).map(|(slot, keys)| HotSlot {
                slot: slot.get(),
                primary: primary.clone(),
                keys: Some(keys),
                ..HotSlot::default()
            });
            Ok(hot.collect())
        }
        Err(failure) => Err(failure),
    }
}

/// From pairs of a slot and its counters.
fn read(node: &Node, reply: &Value) -> Vec<HotSlot> {
    let Value::Array(items) = reply else { return Vec::new() };
    let read_one = |item: &Value| {
        let Value::Array(pair) = item else { return None };
        let [Value::Int(slot), counters] = &pair[..] else { return None };
        let pairs = pairs_of(counters);
        let counter = |metric: Metric| pairs.iter().find(|(name, _)| name == metric.name())?.1.parse().ok();
        Some(HotSlot {
            slot: u16::try_from(*slot).ok()?,
            primary: node.addr.to_string(),
            keys: counter(Metric::Keys),
            cpu_usec: counter(Metric::Cpu),
            bytes_in: counter(Metric::In),
            bytes_out: counter(Metric::Out),
            memory_bytes: counter(Metric::Memory),
        })
    };
    items.iter().filter_map(read_one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::small;
    use super::*;

    #[test]
    fn counters_are_read_in_either_protocol() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let flat = Value::Array(vec![bulk("key-count"), Value::Int(3), bulk("cpu-usec"), Value::Int(70)]);
        let map = Value::Map(vec![(bulk("key-count"), Value::Int(1))]);
        let reply = Value::Array(vec![
            Value::Array(vec![Value::Int(5), flat]),
            Value::Array(vec![Value::Int(6), map]),
            Value::Nil,
        ]);
        let view = small();
        let slots = read(view.seed(), &reply);
        assert_eq!(slots.len(), 2);
        assert_eq!((slots[0].slot, slots[0].keys, slots[0].cpu_usec, slots[0].bytes_in), (5, Some(3), Some(70), None));
        assert_eq!((slots[1].by(Metric::Keys), slots[1].by(Metric::Cpu)), (1, 0));
    }
}
