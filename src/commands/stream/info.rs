//! XINFO: what there is to know of a stream, its groups and their consumers.

use super::no_group;
use super::reply::{push_entries, push_entry, push_id};
use crate::base::Millis;
use crate::commands::help::help;
use crate::commands::parse;
use crate::data::stream::{Consumer, Group, Log, Stream, StreamId, radix_nodes};
use crate::exec::spec::Group as DocGroup;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply, Reply};

const KEY: &[KeySpec] = &[KeySpec::range(2, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))];

pub const COMMANDS: &[Command] = &[Command::container("xinfo", SUBCOMMANDS).doc(
    DocGroup::Stream,
    "5.0.0",
    "",
    "A container for commands that tell of streams.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("xinfo|consumers", 4, consumers)
        .flags(Flags::READONLY)
        .acl(Acl::STREAM)
        .keys(KEY)
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Tells of the consumers of a group.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0), Arg::string("group")]),
    Command::new("xinfo|groups", 3, groups)
        .flags(Flags::READONLY)
        .acl(Acl::STREAM)
        .keys(KEY)
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Tells of the groups of a stream.")
        .args(&[Arg::key("key", 0)]),
    Command::new("xinfo|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).acl(Acl::STREAM).doc(
        DocGroup::Stream,
        "5.0.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("xinfo|stream", -3, stream)
        .flags(Flags::READONLY)
        .acl(Acl::STREAM)
        .keys(KEY)
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Tells of a stream, with FULL also of all that is in it.")
        .args(&[
            Arg::key("key", 0),
            Arg::block("full-block", &[Arg::flag("full", "FULL"), Arg::int("count").token("COUNT").optional()])
                .optional(),
        ]),
];

/// Elements that FULL gives of each list when nothing else is asked for.
const FULL_COUNT: usize = 10;

fn stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let stream = db.read(args.at(2)).ok_or(ErrorReply::NoSuchKey)?.stream()?;
    match args.len() {
        3 => {
            push_stream(reply, stream);
            return Ok(());
        }
        4 if args.is(3, "full") => push_full(reply, stream, FULL_COUNT),
        6 if args.is(3, "full") && args.is(4, "count") => {
            let count = usize::try_from(parse::int(args.at(5))?).unwrap_or(FULL_COUNT);
            push_full(reply, stream, if count == 0 { usize::MAX } else { count });
        }
        _ => return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "XINFO")),
    }
    Ok(())
}

/// What both forms begin with: seven pairs.
fn push_counters(reply: &mut Reply, log: &Log) {
    reply.bulk_str("length");
    reply.uint(log.len() as usize);
    let nodes = log.nodes();
    reply.bulk_str("radix-tree-keys");
    reply.uint(nodes.len());
    reply.bulk_str("radix-tree-nodes");
    reply.uint(radix_nodes(nodes.map(|(key, _)| key)));
    reply.bulk_str("last-generated-id");
    push_id(reply, log.last_id);
    reply.bulk_str("max-deleted-entry-id");
    push_id(reply, log.max_deleted_id);
    reply.bulk_str("entries-added");
    reply.int(log.entries_added as i64);
    reply.bulk_str("recorded-first-entry-id");
    push_id(reply, log.first_id());
}

fn push_stream(reply: &mut Reply, stream: &Stream) {
    let log = &stream.log;
    reply.map(10);
    push_counters(reply, log);
    reply.bulk_str("groups");
    reply.uint(stream.groups.len());
    let ends = [log.range(StreamId::MIN, StreamId::MAX).next(), log.range_back(StreamId::MIN, StreamId::MAX).next()];
    for (name, entry) in ["first-entry", "last-entry"].into_iter().zip(ends) {
        reply.bulk_str(name);
        match entry {
            Some(entry) => push_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn push_full(reply: &mut Reply, stream: &Stream, count: usize) {
    reply.map(9);
    push_counters(reply, &stream.log);
    reply.bulk_str("entries");
    push_entries(reply, stream.log.range(StreamId::MIN, StreamId::MAX), Some(count));
    reply.bulk_str("groups");
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        push_full_group(reply, &stream.log, name, group, count);
    }
}

fn push_full_group(reply: &mut Reply, log: &Log, name: &[u8], group: &Group, count: usize) {
    reply.map(7);
    reply.bulk_str("name");
    reply.bulk(name);
    push_progress(reply, log, group);
    let pending = group.pending();
    reply.bulk_str("pel-count");
    reply.uint(pending.len());
    reply.bulk_str("pending");
    reply.array(pending.len().min(count));
    for (id, pending) in pending.iter().take(count) {
        reply.array(4);
        push_id(reply, *id);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.int(pending.delivery.at.0);
        reply.int(pending.delivery.count as i64);
    }
    let consumers = group.consumers();
    reply.bulk_str("consumers");
    reply.array(consumers.len());
    for consumer in consumers {
        push_full_consumer(reply, group, consumer, count);
    }
}

fn push_full_consumer(reply: &mut Reply, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    reply.bulk_str("name");
    reply.bulk(consumer.name());
    reply.bulk_str("seen-time");
    reply.int(consumer.seen.0);
    reply.bulk_str("active-time");
    reply.int(consumer.active.map_or(-1, |at| at.0));
    let held = consumer.pending();
    reply.bulk_str("pel-count");
    reply.uint(held.len());
    reply.bulk_str("pending");
    reply.array(held.len().min(count));
    for id in held.iter().take(count) {
        let delivery = group.pending().get(id).map(|pending| pending.delivery);
        reply.array(3);
        push_id(reply, *id);
        reply.int(delivery.map_or(0, |delivery| delivery.at.0));
        reply.int(delivery.map_or(0, |delivery| delivery.count as i64));
    }
}

/// How far a group is: three pairs.
fn push_progress(reply: &mut Reply, log: &Log, group: &Group) {
    let or_null = |name: &str, value: Option<i64>, reply: &mut Reply| {
        reply.bulk_str(name);
        match value {
            Some(n) => reply.int(n),
            None => reply.null(),
        }
    };
    reply.bulk_str("last-delivered-id");
    push_id(reply, group.last_id);
    or_null("entries-read", group.entries_read.map(|read| read as i64), reply);
    or_null("lag", group.lag(log), reply);
}

fn groups(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let stream = db.read(args.at(2)).ok_or(ErrorReply::NoSuchKey)?.stream()?;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk_str("name");
        reply.bulk(name);
        reply.bulk_str("consumers");
        reply.uint(group.consumers().len());
        reply.bulk_str("pending");
        reply.uint(group.pending().len());
        push_progress(reply, &stream.log, group);
    }
    Ok(())
}

fn consumers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, now) = (args.at(2), args.at(3), ctx.now);
    let (mut db, reply) = ctx.split();
    let stream = db.read(key).ok_or(ErrorReply::NoSuchKey)?.stream()?;
    let group = stream.groups.get(name).ok_or_else(|| no_group(key, name))?;
    let consumers = group.consumers();
    reply.array(consumers.len());
    let since = |at: Millis| now.since(at);
    for consumer in consumers {
        reply.map(4);
        reply.bulk_str("name");
        reply.bulk(consumer.name());
        reply.bulk_str("pending");
        reply.uint(consumer.pending().len());
        reply.bulk_str("idle");
        reply.int(since(consumer.seen));
        reply.bulk_str("inactive");
        reply.int(consumer.active.map_or(-1, since));
    }
    Ok(())
}
