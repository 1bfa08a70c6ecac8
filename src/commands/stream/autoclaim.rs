//! XAUTOCLAIM: a consumer takes over whatever has been pending for long enough.

use super::claim::{end_claim, int_of};
use super::id::range_start;
use super::relay::Relay;
use super::reply::{push_entry, push_id};
use super::{no_key_or_group, read_to_change};
use crate::data::stream::{Delivery, Stream, StreamId};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::TypedMut;
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("xautoclaim", -6, xautoclaim)
    .flags(Flags::FAST.union(Flags::WRITE))
    .acl(Acl::STREAM)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
    .doc(Group::Stream, "6.2.0", "O(1)", "Gives entries that were pending for long to another consumer.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("start"),
        Arg::int("count").token("COUNT").optional(),
        Arg::flag("justid", "JUSTID").optional(),
    ])];

/// Entries looked at for each that may be claimed.
const ATTEMPTS: usize = 10;
/// The greatest COUNT.
const COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let min_idle_ms = int_of(args.at(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = range_start(args.at(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut i = 6;
    while i < args.len() {
        if args.is(i, "justid") {
            just_id = true;
        } else if let Some(n) = args.get(i + 1).filter(|_| args.is(i, "count")) {
            let n = int_of(n, "ERR COUNT must be > 0")?;
            if !(1..=COUNT_MAX).contains(&n) {
                return Err(ErrorReply::Static("ERR COUNT must be > 0"));
            }
            count = n as usize;
            i += 1;
        } else {
            return Err(ErrorReply::Syntax);
        }
        i += 1;
    }

    let (key, name, consumer_name, now) = (args.at(1), args.at(2), args.at(3), ctx.now);
    let mut relay = Relay::new(ctx, key, name);
    let (mut db, reply) = ctx.split();
    let mut entry = read_to_change(&mut db, key).ok_or_else(|| no_key_or_group(key, name, ""))?;
    let Stream { log, groups } = entry.stream_mut()?;
    let group = groups.get_mut(name).ok_or_else(|| no_key_or_group(key, name, ""))?;
    let found = group.find(consumer_name);
    let Some(consumer) = found.or_else(|| group.create_consumer(consumer_name, now, None)) else { return Ok(()) };
    group.consumer_mut(consumer).seen = now;

    // What to do is settled first: the reply begins with where to go on.
    let mut attempts = count.saturating_mul(ATTEMPTS);
    let mut picked = Vec::new();
    let mut rest = group.pending().range(start..).map(|(id, pending)| (*id, *pending));
    while attempts > 0 && picked.len() < count {
        let Some((id, pending)) = rest.next() else { break };
        attempts -= 1;
        let exists = log.contains(id);
        if !exists || min_idle_ms == 0 || now - pending.delivery.at >= min_idle_ms {
            picked.push((id, pending, exists));
        }
    }
    let next = rest.next().map_or(StreamId::MIN, |(id, _)| id);

    let claimed = picked.iter().filter(|(_, _, exists)| *exists).count();
    reply.array(3);
    push_id(reply, next);
    reply.array(claimed);
    for (id, pending, exists) in &picked {
        if !exists {
            relay.claim(group.consumer(pending.consumer).name(), *id, pending.delivery, group.last_id);
            group.acknowledge(*id);
            continue;
        }
        let count = pending.delivery.count.saturating_add(u64::from(!just_id));
        let delivery = Delivery { at: now, count };
        group.assign(*id, consumer, delivery);
        group.consumer_mut(consumer).active = Some(now);
        relay.claim(consumer_name, *id, delivery, group.last_id);
        match log.get(*id) {
            Some(entry) if !just_id => push_entry(reply, entry),
            _ => push_id(reply, *id),
        }
    }
    reply.array(picked.len() - claimed);
    for (id, _, _) in picked.iter().filter(|(_, _, exists)| !exists) {
        push_id(reply, *id);
    }
    ctx.changed(picked.len());
    end_claim(ctx, relay, consumer_name, found.is_none(), claimed);
    Ok(())
}
