//! `trib status`: every shard and its nodes at a glance.

use serde::Serialize;

use super::Context;
use crate::trib::cli::{SeedArgs, SheetArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::lock;
use crate::trib::report::Health;
use crate::trib::table::{self, Sheet};
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;

/// Show shards, roles, slots, keys, memory, load and lag of all nodes
///
/// Ends with 3 when the cluster is not healthy.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// One node.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) shard: Option<usize>,
    pub(super) role: &'static str,
    pub(super) addr: String,
    pub(super) id: String,
    /// `ok`, or what is wrong.
    pub(super) state: String,
    pub(super) slots: String,
    pub(super) slot_count: usize,
    pub(super) keys: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) ops_per_sec: Option<u64>,
    /// Bytes of the replication stream that a replica is behind.
    pub(super) lag_bytes: Option<u64>,
    pub(super) version: String,
    pub(super) zone: String,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    let rows = rows(&view, &vitals);
    args.sheet.print(ctx.ui, &sheet(&rows, args.sheet.csv), &rows);
    if let Some(holder) = lock::holder(&ctx.pool, &view).await {
        ctx.ui.note(format!("Locked by {}.", holder.describe()));
    }
    match Health::examine(&view, Some(&vitals)).is_well() {
        true => Ok(()),
        false => Err(Error::reported(Kind::Unhealthy).hint(format!("trib check {}", view.seed().addr))),
    }
}

/// The nodes shard by shard, primaries in the order of their slots, each before its replicas.
pub(super) fn rows(view: &ClusterView, vitals: &Vitals) -> Vec<Row> {
    let mut primaries: Vec<&Node> = view.nodes.iter().filter(|node| node.is_primary()).collect();
    primaries.sort_by_key(|node| node.slots.iter().next().map_or(u16::MAX, crate::base::Slot::get));
    let mut rows = Vec::with_capacity(view.nodes.len());
    for (shard, primary) in primaries.iter().enumerate() {
        rows.push(row(Some(shard), primary, vitals));
        let replicas = view.nodes.iter().filter(|node| node.primary == Some(primary.id));
        rows.extend(replicas.map(|node| row(Some(shard), node, vitals)));
    }
    let known = |node: &&Node| node.is_replica() && !primaries.iter().any(|primary| node.primary == Some(primary.id));
    rows.extend(view.nodes.iter().filter(known).map(|node| row(None, node, vitals)));
    rows
}

fn row(shard: Option<usize>, node: &Node, vitals: &Vitals) -> Row {
    let vital = vitals.get(&node.id);
    let state = match &node.report {
        Err(failure) => failure.reason(),
        // What 'check' says at length.
        Ok(_) if vital.is_some_and(|vital| !vital.serves) => "cluster_state:fail".to_owned(),
        Ok(_) if vital.is_some() && node.is_replica() && !vitals.is_linked(node) => "link down".to_owned(),
        Ok(_) if vital.is_some() && node.is_replica() && !vitals.is_in_sync(node) => "syncing".to_owned(),
        Ok(_) => vitals.complaint(node).unwrap_or_else(|| "ok".to_owned()),
    };
    let primary = node.primary.and_then(|id| vitals.get(&id));
    Row {
        shard: shard.map(|shard| shard + 1),
        role: if node.is_primary() { "primary" } else { "replica" },
        addr: node.addr.to_string(),
        id: node.id.to_string(),
        state,
        slots: node.slots.to_string(),
        slot_count: node.slots.len(),
        keys: vital.map(|vital| vital.keys),
        memory_bytes: vital.map(|vital| vital.memory_bytes),
        ops_per_sec: vital.map(|vital| vital.ops_per_sec),
        lag_bytes: vital.zip(primary).map(|(vital, primary)| primary.offset.saturating_sub(vital.offset)),
        version: vital.map(|vital| vital.version.clone()).unwrap_or_default(),
        zone: vital.map(|vital| vital.zone.clone()).unwrap_or_default(),
    }
}

/// CSV is for programs: bytes are numbers there.
fn sheet(rows: &[Row], exact: bool) -> Sheet {
    let mut sheet = Sheet::new(&[
        ">shard", "role", "node", "id", "state", "slots", ">count", ">keys", ">memory", ">ops/s", ">lag", "version",
        "zone",
    ]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for row in rows {
        let memory =
            if exact { number(row.memory_bytes) } else { row.memory_bytes.map(table::bytes).unwrap_or_default() };
        sheet.add([
            row.shard.map(|shard| shard.to_string()).unwrap_or_default(),
            row.role.to_owned(),
            row.addr.clone(),
            if exact { row.id.clone() } else { row.id[..8].to_owned() },
            row.state.clone(),
            row.slots.clone(),
            row.slot_count.to_string(),
            number(row.keys),
            memory,
            number(row.ops_per_sec),
            number(row.lag_bytes),
            row.version.clone(),
            row.zone.clone(),
        ]);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::small;

    #[test]
    fn shards_come_in_the_order_of_their_slots() {
        let rows = rows(&small(), &Vitals::default());
        let told: Vec<_> = rows.iter().map(|row| (row.shard, row.role, row.addr.as_str())).collect();
        assert_eq!(
            told,
            [
                (Some(1), "primary", "127.0.0.1:7000"),
                (Some(1), "replica", "10.0.0.3:7000"),
                (Some(2), "primary", "10.0.0.2:7000")
            ]
        );
        let csv = sheet(&rows, true).csv();
        assert!(csv.starts_with("shard,role,node,id,state,slots,count,keys,memory,ops/s,lag,version,zone\n1,primary,"));
        assert!(csv.contains(",0-8191,8192,"), "{csv}");
    }
}
