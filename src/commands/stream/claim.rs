//! XCLAIM: a consumer takes over entries that another was given.

use super::id;
use super::relay::{Relay, propagate};
use super::reply::{push_entry, push_id};
use super::{no_key_or_group, read_to_change};
use crate::base::{Millis, num};
use crate::data::stream::{Delivery, Stream, StreamId};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("xclaim", -6, xclaim)
    .flags(Flags::FAST.union(Flags::WRITE))
    .acl(Acl::STREAM)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
    .doc(Group::Stream, "5.0.0", "O(log N)", "Gives pending entries to another consumer.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("id").multiple(),
        Arg::int("ms").token("IDLE").optional(),
        Arg::unix_time("unix-time-milliseconds").token("TIME").optional(),
        Arg::int("count").token("RETRYCOUNT").optional(),
        Arg::flag("force", "FORCE").optional(),
        Arg::flag("justid", "JUSTID").optional(),
        Arg::string("lastid").token("LASTID").optional(),
    ])];

/// What stands behind the group: `consumer min-idle-time id [id …] [options]`
struct Claim {
    min_idle_ms: i64,
    ids: Vec<StreamId>,
    delivered_at: Option<Millis>,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

/// An integer, or the error about the option that it belongs to.
pub fn int_of(arg: &[u8], error: &'static str) -> Result<i64, ErrorReply> {
    num::parse_i64(arg).ok_or(ErrorReply::Static(error))
}

impl Claim {
    fn parse(args: Args<'_>, now: Millis) -> Result<Claim, ErrorReply> {
        let min_idle_ms = int_of(args.at(4), "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let ids: Vec<StreamId> = args.from(5).iter().map_while(|arg| id::parse(arg, 0).ok()).collect();
        let mut i = 5 + ids.len();
        let mut claim = Claim {
            min_idle_ms,
            ids,
            delivered_at: None,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut time = None;
        while i < args.len() {
            let value = args.get(i + 1);
            i += match value {
                _ if args.is(i, "force") => {
                    claim.force = true;
                    1
                }
                _ if args.is(i, "justid") => {
                    claim.just_id = true;
                    1
                }
                Some(ms) if args.is(i, "idle") => {
                    time = Some(now - int_of(ms, "ERR Invalid IDLE option argument for XCLAIM")?);
                    2
                }
                Some(at) if args.is(i, "time") => {
                    time = Some(Millis(int_of(at, "ERR Invalid TIME option argument for XCLAIM")?));
                    2
                }
                Some(count) if args.is(i, "retrycount") => {
                    let count = int_of(count, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                    claim.retry_count = u64::try_from(count).ok();
                    2
                }
                Some(last) if args.is(i, "lastid") => {
                    claim.last_id = id::parse(last, 0)?;
                    2
                }
                _ => {
                    let option = crate::resp::error::shown(args.at(i), 128);
                    return Err(ErrorReply::text_of(format!("ERR Unrecognized XCLAIM option '{option}'")));
                }
            };
        }
        // A time that makes no sense is no error: clients compute it from clocks of their own.
        claim.delivered_at = time.filter(|time| (0..=now.0).contains(&time.0));
        Ok(claim)
    }
}

fn xclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, consumer_name, now) = (args.at(1), args.at(2), args.at(3), ctx.now);
    let mut relay = Relay::new(ctx, key, name);
    let (mut db, reply) = ctx.split();
    let mut entry = read_to_change(&mut db, key).ok_or_else(|| no_key_or_group(key, name, ""))?;
    let Stream { log, groups } = entry.stream_mut()?;
    let group = groups.get_mut(name).ok_or_else(|| no_key_or_group(key, name, ""))?;
    let claim = Claim::parse(args, now)?;
    let moved = claim.last_id > group.last_id;
    if moved {
        group.last_id = claim.last_id;
    }
    let found = group.find(consumer_name);
    let Some(consumer) = found.or_else(|| group.create_consumer(consumer_name, now, None)) else { return Ok(()) };
    group.consumer_mut(consumer).seen = now;

    let open = reply.open();
    let (mut claimed, mut dropped) = (0, 0);
    for id in &claim.ids {
        let pending = group.pending().get(id).copied();
        let Some(found) = log.get(*id) else {
            if let Some(pending) = pending {
                // Its entry is gone: nobody can do anything with it.
                relay.claim(group.consumer(pending.consumer).name(), *id, pending.delivery, group.last_id);
                group.acknowledge(*id);
                dropped += 1;
            }
            continue;
        };
        let count = match pending {
            Some(pending) if claim.min_idle_ms > 0 && now - pending.delivery.at < claim.min_idle_ms => continue,
            Some(pending) => pending.delivery.count,
            None if claim.force => 1,
            None => continue,
        };
        let count = claim.retry_count.unwrap_or(count.saturating_add(u64::from(!claim.just_id)));
        let delivery = Delivery { at: claim.delivered_at.unwrap_or(now), count };
        group.assign(*id, consumer, delivery);
        group.consumer_mut(consumer).active = Some(now);
        relay.claim(consumer_name, *id, delivery, group.last_id);
        if claim.just_id {
            push_id(reply, *id);
        } else {
            push_entry(reply, found);
        }
        claimed += 1;
    }
    reply.end_array(open, claimed);
    if claimed + dropped == 0 && moved {
        relay.set_id(group.last_id, group.entries_read);
    }
    ctx.changed(claimed + dropped + usize::from(moved));
    end_claim(ctx, relay, consumer_name, found.is_none(), claimed);
    Ok(())
}

/// What XCLAIM and XAUTOCLAIM end with: whoever listens is told of what was done, and of the consumer if it is new. Who
/// claimed something is known by that.
pub fn end_claim(ctx: &mut Ctx<'_>, mut relay: Relay<'_>, consumer: &[u8], created: bool, claimed: usize) {
    if created {
        if claimed == 0 {
            relay.create_consumer(consumer);
        }
        ctx.notify(EventClass::STREAM, "xgroup-createconsumer", relay.key());
        ctx.changed(1);
    }
    propagate(ctx, relay.into_commands());
}
