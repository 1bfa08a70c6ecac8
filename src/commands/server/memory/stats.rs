//! MEMORY STATS.

use super::overview::{Overview, percent, ratio};
use crate::exec::{Ctx, Done};
use crate::resp::{Args, Reply};

/// A number of the reply.
#[derive(Clone, Copy)]
enum Number {
    Bytes(u64),
    Difference(i64),
    Part(f64),
}

pub(super) fn stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    use Number::{Bytes, Difference, Part};
    let server = &*ctx.server;
    let sums = Overview::of(server, server.clients.iter().chain(std::iter::once(&*ctx.client)));
    let gauges = server.gauges;
    let keys = server.keyspace.len() as u64;
    let (active, resident, rss) = (gauges.allocator_active_bytes, gauges.allocator_resident_bytes, gauges.rss_bytes);
    let databases: Vec<(u32, u64, u64)> = (0..server.keyspace.databases())
        .filter(|db| server.keyspace.sizes(*db).0 > 0)
        .map(|db| {
            let (main, volatile) = server.keyspace.table_bytes(db);
            (db, main, volatile)
        })
        .collect();
    let more_than = |whole: u64, part: u64| Difference(whole as i64 - part as i64);
    let before = [
        ("peak.allocated", Bytes(sums.peak)),
        ("total.allocated", Bytes(sums.used)),
        ("startup.allocated", Bytes(sums.startup)),
        ("replication.backlog", Bytes(sums.backlog)),
        ("clients.slaves", Bytes(sums.replicas)),
        ("clients.normal", Bytes(sums.normal)),
        ("aof.buffer", Bytes(sums.aof_buffer)),
    ];
    let after = [
        ("overhead.total", Bytes(sums.overhead)),
        ("keys.count", Bytes(keys)),
        ("keys.bytes-per-key", Bytes(sums.used.saturating_sub(sums.startup).checked_div(keys).unwrap_or(0))),
        ("dataset.bytes", Bytes(sums.dataset)),
        ("dataset.percentage", Part(sums.dataset_percent())),
        ("peak.percentage", Part(percent(sums.used, sums.peak))),
        ("allocator.allocated", Bytes(sums.used)),
        ("allocator.active", Bytes(active)),
        ("allocator.resident", Bytes(resident)),
        ("allocator-fragmentation.ratio", Part(ratio(active, sums.used))),
        ("allocator-fragmentation.bytes", more_than(active, sums.used)),
        ("allocator-rss.ratio", Part(ratio(resident, active))),
        ("allocator-rss.bytes", more_than(resident, active)),
        ("rss-overhead.ratio", Part(ratio(rss, resident))),
        ("rss-overhead.bytes", more_than(rss, resident)),
        ("fragmentation", Part(ratio(rss, sums.used))),
        ("fragmentation.bytes", more_than(rss, sums.used)),
    ];
    let reply = ctx.reply();
    reply.map(before.len() + databases.len() + after.len());
    before.iter().for_each(|(name, number)| push(reply, name, *number));
    for (db, main, volatile) in databases {
        reply.bulk_str(&format!("db.{db}"));
        reply.map(2);
        push(reply, "overhead.hashtable.main", Bytes(main));
        push(reply, "overhead.hashtable.expires", Bytes(volatile));
    }
    after.iter().for_each(|(name, number)| push(reply, name, *number));
    Ok(())
}

fn push(reply: &mut Reply, name: &str, number: Number) {
    reply.bulk_str(name);
    match number {
        Number::Bytes(n) => reply.int(n as i64),
        Number::Difference(n) => reply.int(n),
        Number::Part(x) => reply.double(x),
    }
}
