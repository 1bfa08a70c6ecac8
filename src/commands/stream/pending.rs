//! XPENDING: what a group delivered and nobody acknowledged.

use super::id::{range_end, range_start};
use super::no_key_or_group;
use super::reply::push_id;
use crate::base::Millis;
use crate::commands::parse;
use crate::data::stream::{Group, Pending, StreamId};
use crate::exec::spec::Group as DocGroup;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply, Reply};

pub const COMMANDS: &[Command] = &[Command::new("xpending", -3, xpending)
    .flags(Flags::READONLY)
    .acl(Acl::STREAM)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(DocGroup::Stream, "5.0.0", "O(N)", "Tells of entries that were delivered and not acknowledged.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::block(
            "filters",
            &[
                Arg::int("min-idle-time").token("IDLE").since("6.2.0").optional(),
                Arg::string("start"),
                Arg::string("end"),
                Arg::int("count"),
                Arg::string("consumer").optional(),
            ],
        )
        .optional(),
    ])];

/// `[IDLE min-idle-time] start end count [consumer]`
struct Filter<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Option<Filter<'a>>, ErrorReply> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(ErrorReply::Syntax);
        }
        let (mut at, mut min_idle_ms) = (3, 0);
        if args.is(3, "idle") {
            min_idle_ms = parse::int(args.at(4))?;
            at = 5;
            if args.len() < 8 {
                return Err(ErrorReply::Syntax);
            }
        }
        let count = parse::int(args.at(at + 2))?.max(0) as usize;
        let (start, end) = (range_start(args.at(at))?, range_end(args.at(at + 1))?);
        Ok(Some(Filter { min_idle_ms, start, end, count, consumer: args.get(at + 3) }))
    }
}

fn xpending(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name) = (args.at(1), args.at(2));
    let filter = Filter::parse(args)?;
    let now = ctx.now;
    let (mut db, reply) = ctx.split();
    let stream = db.read(key).map(Typed::stream).transpose()?;
    let group = stream.and_then(|stream| stream.groups.get(name)).ok_or_else(|| no_key_or_group(key, name, ""))?;
    match filter {
        None => push_summary(reply, group),
        Some(filter) => push_some(reply, group, &filter, now),
    }
    Ok(())
}

fn push_summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.uint(group.pending().len());
    let ends = group.pending().first_key_value().zip(group.pending().last_key_value());
    let Some(((first, _), (last, _))) = ends else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    push_id(reply, *first);
    push_id(reply, *last);
    let busy = || group.consumers().filter(|consumer| !consumer.pending().is_empty());
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending().len() as i64);
    }
}

fn push_some(reply: &mut Reply, group: &Group, filter: &Filter<'_>, now: Millis) {
    let open = reply.open();
    let mut pushed = 0;
    let mut push = |id: StreamId, pending: &Pending| {
        if pushed == filter.count {
            return false;
        }
        let idle = now - pending.delivery.at;
        if filter.min_idle_ms == 0 || idle >= filter.min_idle_ms {
            reply.array(4);
            push_id(reply, id);
            reply.bulk(group.consumer(pending.consumer).name());
            reply.int(idle.max(0));
            reply.int(pending.delivery.count as i64);
            pushed += 1;
        }
        true
    };
    let all = group.pending();
    if filter.start <= filter.end {
        match filter.consumer.map(|name| group.find(name)) {
            None => {
                all.range(filter.start..=filter.end).all(|(id, pending)| push(*id, pending));
            }
            Some(Some(consumer)) => {
                let held = group.consumer(consumer).pending().range(filter.start..=filter.end);
                held.filter_map(|id| Some((*id, all.get(id)?))).all(|(id, pending)| push(id, pending));
            }
            Some(None) => {}
        }
    }
    reply.end_array(open, pushed);
}
