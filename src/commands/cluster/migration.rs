//! Atomic slot migration: MIGRATESLOTS, CANCELSLOTMIGRATIONS, GETSLOTMIGRATIONS, and SYNCSLOTS, by which the two ends talk.

#[cfg(test)]
mod tests;

use crate::base::{NodeId, Slot, num};
use crate::cluster::{Engine, NodeIdx};
use crate::exec::client::ClientFlags;
use crate::exec::slot_migration::message::{Establish, Finish, Message};
use crate::exec::slot_migration::ranges::SlotRanges;
use crate::exec::slot_migration::{Operation, SlotMigrations};
use crate::exec::{Ctx, Done};
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

/// The longest argument shown in an error.
const SHOWN_BYTES: usize = 128;

/// CLUSTER MIGRATESLOTS: one migration for each group of ranges and a node.
pub fn migrateslots(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(engine) = ctx.server.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
    if !engine.am_primary() {
        return Err(ErrorReply::Static("ERR Slot migration can only be used on primary nodes."));
    }
    match engine.has_open_slots() {
        (true, _) => return Err(ErrorReply::Static("ERR Slots are being manually imported")),
        (_, true) => return Err(ErrorReply::Static("ERR Slots are being manually migrated")),
        _ => {}
    }
    let mut wanted: Vec<(SlotRanges, NodeId)> = Vec::new();
    let mut at = 2;
    while at < args.len() {
        let (group, next) = group(engine, &ctx.server.migrations, args, at)?;
        if wanted.iter().any(|(ranges, _)| ranges.common(&group.0).is_some()) {
            return Err(ErrorReply::Static("ERR Slot ranges in migrations overlap"));
        }
        wanted.push(group);
        at = next;
    }
    for (ranges, target) in wanted {
        ctx.server.start_export(ranges, target);
    }
    ctx.reply().ok();
    Ok(())
}

/// Reads `SLOTSRANGE a b … NODE id` from word `at` on: the slots are looked at before the node is. Returns where the next
/// group begins as well.
fn group(
    engine: &Engine,
    migrations: &SlotMigrations,
    args: Args<'_>,
    at: usize,
) -> Result<((SlotRanges, NodeId), usize), ErrorReply> {
    if !args.is(at, "SLOTSRANGE") {
        return Err(ErrorReply::Syntax);
    }
    let words: Vec<&[u8]> = args.from(at + 1).iter().collect();
    let (mut ranges, mut used) = (SlotRanges::default(), 0);
    while words.get(used).is_some_and(|word| num::parse_i64(word).is_some()) {
        let (first, last) = ranges.read(&words[used..])?;
        (first.get()..=last.get()).filter_map(Slot::new).try_for_each(|slot| owner(engine, slot).map(drop))?;
        used += 2;
    }
    let ranges = ranges.some()?;
    check_slots(engine, migrations, &ranges)?;
    let node = at + 1 + used;
    if !args.is(node, "NODE") {
        return Err(ErrorReply::Syntax);
    }
    let name = args.get(node + 1).ok_or(ErrorReply::Syntax)?;
    let named = |text: &str| ErrorReply::text_of(format!("ERR {text} node name: {}", shown(name, SHOWN_BYTES)));
    let id = NodeId::parse(name).ok_or_else(|| named("Invalid"))?;
    let target = engine.find_id(&id).ok_or_else(|| named("Unknown"))?;
    if target == engine.me() {
        return Err(ErrorReply::Static("ERR Target node can not be this node."));
    }
    Ok(((ranges, id), node + 2))
}

/// Who serves the slot: somebody has to.
fn owner(engine: &Engine, slot: Slot) -> Result<NodeIdx, ErrorReply> {
    let none = || ErrorReply::text_of(format!("ERR Slot {slot} has no node served."));
    engine.slot_owner(slot).ok_or_else(none)
}

/// Whether this node may give these slots away.
fn check_slots(engine: &Engine, migrations: &SlotMigrations, ranges: &SlotRanges) -> Done {
    let mut owner_of_all = None;
    for slot in ranges.slots() {
        let of_this = owner(engine, slot)?;
        if *owner_of_all.get_or_insert(of_this) != of_this {
            return Err(ErrorReply::Static("ERR Requested slots span multiple shards"));
        }
    }
    if owner_of_all != Some(engine.me()) {
        return Err(ErrorReply::Static("ERR Slots are not served by this node."));
    }
    if let Some(slot) = ranges.slots().find(|slot| migrations.is_moving(Operation::Export, *slot)) {
        return Err(ErrorReply::text_of(format!("ERR I am already migrating slot {slot}.")));
    }
    Ok(())
}

/// CLUSTER CANCELSLOTMIGRATIONS: ends what goes out. What has been granted ends by itself within seconds: its target may
/// have taken it already.
pub fn cancelslotmigrations(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if ctx.server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    if !ctx.server.cancel_exports() {
        return Err(ErrorReply::Static("ERR No migrations ongoing"));
    }
    ctx.reply().ok();
    Ok(())
}

/// CLUSTER GETSLOTMIGRATIONS: the newest first.
pub fn getslotmigrations(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if ctx.server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    let migrations = &ctx.server.migrations;
    let reply = &mut ctx.client.reply;
    reply.array(migrations.jobs().count());
    for job in migrations.jobs() {
        let ends = [("target_node", job.target), ("source_node", job.source)];
        let known = ends.iter().filter_map(|(name, id)| Some((*name, (*id)?)));
        reply.map(10 + known.clone().count());
        reply.bulk_str("name");
        reply.bulk(job.name.as_bytes());
        reply.bulk_str("operation");
        reply.bulk_str(if job.operation == Operation::Import { "IMPORT" } else { "EXPORT" });
        reply.bulk_str("slot_ranges");
        reply.bulk_str(&job.ranges.text());
        for (name, id) in known {
            reply.bulk_str(name);
            reply.bulk(id.as_bytes());
        }
        let times = [("create_time", job.created), ("last_update_time", job.updated), ("last_ack_time", job.acked)];
        for (name, at) in times {
            reply.bulk_str(name);
            reply.int(at.secs());
        }
        reply.bulk_str("state");
        reply.bulk_str(job.state.name());
        reply.bulk_str("message");
        reply.bulk_str(&job.message);
        // Nothing is copied on write, since nothing is forked.
        reply.bulk_str("cow_size");
        reply.int(0);
        reply.bulk_str("remaining_repl_size");
        reply.uint(migrations.pending_bytes(&job.name));
    }
    Ok(())
}

/// CLUSTER SYNCSLOTS: what the source of a migration says to its target, and a primary to its replicas.
pub fn syncslots(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    let followed = ctx.client.is_obeyed() && !ctx.client.is(ClientFlags::SLOT_IMPORT);
    if args.is(2, "ESTABLISH") && !ctx.client.is(ClientFlags::SLOT_IMPORT) {
        let establish = Establish::parse(args.from(3))?;
        return ctx.server.establish_import(ctx.client, establish);
    }
    if args.is(2, "FINISH") && followed {
        let finish = Finish::parse(args.from(3))?;
        return ctx.server.finish_followed(&finish);
    }
    if ctx.client.is(ClientFlags::SLOT_IMPORT) {
        ctx.server.import_message(ctx.client, Message::parse(args.at(2)));
        return Ok(());
    }
    Err(ErrorReply::text_of(format!(
        "ERR CLUSTER SYNCSLOTS {} should only be used by slot migration clients",
        shown(args.at(2), SHOWN_BYTES)
    )))
}
