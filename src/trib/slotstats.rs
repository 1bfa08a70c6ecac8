//! The slots that are used most, as the servers count (CLUSTER SLOT-STATS).

use clap::ValueEnum;
use redis::Value;
use serde::Serialize;

use super::client::{Pool, command, join_all, pairs_of};
use super::error::{Error, Failure};
use super::keycount;
use super::view::{ClusterView, Node};
use crate::base::{SLOTS, Slot};

/// What makes a slot hot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
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
    for (node, result) in primaries.into_iter().zip(results) {
        match result {
            Ok(found) => slots.extend(found),
            Err(failure) if failure.reply().is_some() => return Err(uncounted(pool, node, metric, failure).await),
            Err(failure) => return Err(failure.into()),
        }
    }
    slots.sort_by_key(|slot| (std::cmp::Reverse(slot.by(metric)), slot.slot));
    slots.truncate(count);
    Ok(slots)
}

/// Why a node does not tell the slots that are hottest by that: it says itself what it counts.
async fn uncounted(pool: &Pool, node: &Node, metric: Metric, failure: Failure) -> Error {
    let Some(slot) = node.slots.iter().next() else { return failure.into() };
    let mut ask = command("CLUSTER SLOT-STATS SLOTSRANGE");
    let counted = match pool.call(&node.addr, ask.arg(slot.get()).arg(slot.get())).await {
        Ok(reply) => counted(&read(node, &reply)),
        Err(_) => Vec::new(),
    };
    explain(node, metric, &counted, failure)
}

/// What is counted of slots.
fn counted(slots: &[HotSlot]) -> Vec<Metric> {
    let is_counted = |metric: &Metric| slots.iter().any(|slot| slot.count(*metric).is_some());
    Metric::value_variants().iter().copied().filter(is_counted).collect()
}

fn explain(node: &Node, metric: Metric, counted: &[Metric], failure: Failure) -> Error {
    let since = "servers count this since Valkey 8 and Redis 8.2, with cluster-slot-stats-enabled (memory since Redis 8.4, \
                 and not Valkey)";
    if counted.is_empty() || counted.contains(&metric) {
        return Error::from(failure).hint(format!("{since}; --by keys works with all"));
    }
    let names = |metrics: &[Metric]| {
        let values = metrics.iter().filter_map(Metric::to_possible_value);
        values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    Error::failed(format!(
        "[ERR] Node {} does not count {} by slots, only {}.",
        node.addr,
        names(&[metric]),
        names(counted)
    ))
    .hint(since)
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
    use super::super::error::What;
    use super::super::view::tests::small;
    use super::*;

    #[test]
    fn a_server_without_that_counter_is_told_with_those_it_has() {
        let view = small();
        let refused = || Failure::Reply { node: view.seed().addr.clone(), text: "ERR Unrecognized sort metric".into() };
        let slot = HotSlot { keys: Some(0), cpu_usec: Some(1), bytes_in: Some(0), ..HotSlot::default() };
        let known = counted(&[slot]);
        let error = explain(view.seed(), Metric::Memory, &known, refused());
        let text = "[ERR] Node 127.0.0.1:7000 does not count memory by slots, only keys, cpu, in.";
        assert_eq!(error.what, What::Message(text.to_owned()));
        // One that does not know the command, and one that counts it and still refuses.
        for known in [Vec::new(), vec![Metric::Keys, Metric::Memory]] {
            let error = explain(view.seed(), Metric::Memory, &known, refused());
            assert_eq!(error.what, What::Node(refused()));
            assert!(error.hint.unwrap().contains("--by keys"));
        }
    }

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
