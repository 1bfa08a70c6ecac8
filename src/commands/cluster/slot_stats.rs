//! CLUSTER SLOT-STATS: how many keys the slots of this shard hold, and what they cost.

use std::cmp::Reverse;

use crate::base::{SLOTS, Slot, num};
use crate::cluster::SlotKeys;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply};

/// What slots can be ordered by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metric {
    KeyCount,
    CpuUsec,
    BytesIn,
    BytesOut,
}

const METRICS: [(Metric, &str); 4] = [
    (Metric::KeyCount, "key-count"),
    (Metric::CpuUsec, "cpu-usec"),
    (Metric::BytesIn, "network-bytes-in"),
    (Metric::BytesOut, "network-bytes-out"),
];

/// Metrics that are there: what is not counted cannot be shown.
fn metrics(ctx: &Ctx<'_>) -> &'static [(Metric, &'static str)] {
    if ctx.server.slot_stats.is_some() { &METRICS } else { &METRICS[..1] }
}

fn value(ctx: &Ctx<'_>, slot: Slot, metric: Metric) -> u64 {
    let used = ctx.server.slot_stats.as_ref().map(|stats| stats.of(slot)).unwrap_or_default();
    match metric {
        Metric::KeyCount => ctx.server.keyspace.count(slot) as u64,
        Metric::CpuUsec => used.cpu_usec,
        Metric::BytesIn => used.bytes_in,
        Metric::BytesOut => used.bytes_out,
    }
}

/// CLUSTER SLOT-STATS.
pub fn slot_stats(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(engine) = ctx.server.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
    let mine = Slot::all().filter(|slot| engine.is_in_my_shard(*slot));
    let slots: Vec<Slot> = if args.len() == 5 && args.is(2, "slotsrange") {
        let (first, last) = range(args)?;
        mine.filter(|slot| (first..=last).contains(slot)).collect()
    } else if args.len() >= 4 && args.is(2, "orderby") {
        let order = Order::parse(ctx, args)?;
        let mut slots: Vec<Slot> = mine.collect();
        if order.ascending {
            slots.sort_by_key(|slot| value(ctx, *slot, order.metric));
        } else {
            slots.sort_by_key(|slot| Reverse(value(ctx, *slot, order.metric)));
        }
        slots.truncate(order.limit);
        slots
    } else {
        return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "CLUSTER"));
    };
    ctx.reply().array(slots.len());
    for slot in slots {
        let metrics = metrics(ctx);
        ctx.reply().array(2);
        ctx.reply().int(i64::from(slot.get()));
        ctx.reply().map(metrics.len());
        for (metric, name) in metrics {
            let value = value(ctx, slot, *metric);
            ctx.reply().bulk_str(name);
            ctx.reply().int(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

fn range(args: Args<'_>) -> Result<(Slot, Slot), ErrorReply> {
    let slot = |i| super::keys::slot(args.at(i)).ok_or(ErrorReply::InvalidSlot);
    let (first, last) = (slot(3)?, slot(4)?);
    if first > last {
        let text = format!("ERR Start slot number {first} is greater than end slot number {last}");
        return Err(ErrorReply::text_of(text));
    }
    Ok((first, last))
}

/// ORDERBY metric [LIMIT n] [ASC|DESC]
struct Order {
    metric: Metric,
    limit: usize,
    ascending: bool,
}

impl Order {
    fn parse(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Order, ErrorReply> {
        let named = metrics(ctx).iter().find(|(_, name)| args.is(3, name));
        let Some((metric, _)) = named else {
            return Err(ErrorReply::Static("ERR Unrecognized sort metric for ORDERBY."));
        };
        let (mut limit, mut ascending) = (None, None);
        let mut i = 4;
        while i < args.len() {
            let repeated = if args.is(i, "limit") && i + 1 < args.len() {
                i += 1;
                let number = num::parse_i64(args.at(i)).and_then(|n| usize::try_from(n).ok());
                let number = number.filter(|n| (1..=SLOTS).contains(n)).ok_or(ErrorReply::Static(
                    "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
                ))?;
                limit.replace(number).is_some()
            } else if args.is(i, "asc") || args.is(i, "desc") {
                ascending.replace(args.is(i, "asc")).is_some()
            } else {
                return Err(ErrorReply::Syntax);
            };
            if repeated {
                return Err(ErrorReply::Static("ERR Multiple filters of the same type are disallowed."));
            }
            i += 1;
        }
        Ok(Order { metric: *metric, limit: limit.unwrap_or(SLOTS), ascending: ascending.unwrap_or(false) })
    }
}
