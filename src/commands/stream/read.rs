//! XREAD, XREADGROUP: the entries behind given ids of one or more streams.

use super::id;
use super::no_key_or_group;
use super::relay::{Relay, propagate};
use super::reply::{push_entries, push_entry, push_id};
use crate::base::Millis;
use crate::commands::parse::{self, TimeUnit};
use crate::data::stream::{ConsumerId, Delivery, Group, Log, Stream, StreamId};
use crate::data::value::Kind;
use crate::exec::spec::Group as DocGroup;
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Find, Flags, KeyFlags, KeySpec, Wait};
use crate::keyspace::{EventClass, Typed, TypedMut};
use crate::resp::reply::{Open, Proto};
use crate::resp::{Args, Argv, ErrorReply, Reply};

const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const HALF: Find = Find::Range { last: -1, step: 1, limit: 2 };
const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key", 0).multiple(), Arg::string("id").multiple()]).token("STREAMS");

pub const COMMANDS: &[Command] = &[
    Command::new("xread", -4, xread)
        .flags(Flags::BLOCKING.union(Flags::MOVABLE_KEYS).union(Flags::READONLY))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::new(Begin::Keyword("STREAMS", 1), HALF, KEY_RO_ACCESS)])
        .doc(
            DocGroup::Stream,
            "5.0.0",
            "",
            "Gives the entries behind an id of each of several streams; waits for them if asked.",
        )
        .args(&[
            Arg::int("count").token("COUNT").optional(),
            Arg::int("milliseconds").token("BLOCK").optional(),
            STREAMS,
        ]),
    Command::new("xreadgroup", -7, xreadgroup)
        .flags(Flags::BLOCKING.union(Flags::MOVABLE_KEYS).union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::new(Begin::Keyword("STREAMS", 4), HALF, KEY_RO_ACCESS)])
        .doc(
            DocGroup::Stream,
            "5.0.0",
            "",
            "Gives a consumer entries that its group has not read, or those it holds; waits if asked.",
        )
        .args(&[
            Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
            Arg::int("count").token("COUNT").optional(),
            Arg::int("milliseconds").token("BLOCK").optional(),
            Arg::flag("noack", "NOACK").optional(),
            STREAMS,
        ]),
];

/// What was asked for.
struct Request<'a> {
    /// Entries a stream at most.
    count: Option<usize>,
    /// Until when to wait (for ever when there is no end), if at all.
    block: Option<Option<Millis>>,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    keys: Args<'a>,
    ids: Args<'a>,
    /// The number of the argument that is the first id.
    ids_at: usize,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Behind this id.
    After(StreamId),
    /// What the group has not read.
    New,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, of_group: bool, now: Millis) -> Result<Request<'a>, ErrorReply> {
        let none = Args::new(&[], &[]);
        let mut request =
            Request { count: None, block: None, group: None, no_ack: false, keys: none, ids: none, ids_at: 0 };
        let mut i = 1;
        while i < args.len() {
            let more = args.len() - i - 1;
            if args.is(i, "block") && more > 0 {
                request.block = Some(parse::wait_until(args.at(i + 1), TimeUnit::Millis, now)?);
                i += 2;
            } else if args.is(i, "count") && more > 0 {
                request.count = usize::try_from(parse::int(args.at(i + 1))?).ok().filter(|count| *count > 0);
                i += 2;
            } else if args.is(i, "streams") && more > 0 {
                request.streams(args, i + 1, of_group)?;
                break;
            } else if args.is(i, "group") && more > 1 {
                request.group = Some((args.at(i + 1), args.at(i + 2)));
                only_of_groups("GROUP", of_group)?;
                i += 3;
            } else if args.is(i, "noack") {
                only_of_groups("NOACK", of_group)?;
                request.no_ack = true;
                i += 1;
            } else {
                return Err(ErrorReply::Syntax);
            }
        }
        if request.keys.is_empty() {
            return Err(ErrorReply::Syntax);
        }
        if of_group && request.group.is_none() {
            return Err(ErrorReply::Static("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(request)
    }

    /// Half of the arguments from `from` on are keys, the other half ids.
    fn streams(&mut self, args: Args<'a>, from: usize, of_group: bool) -> Result<(), ErrorReply> {
        let count = args.len() - from;
        if count % 2 == 1 {
            let (name, symbol) = if of_group { ("xreadgroup", '>') } else { ("xread", '$') };
            return Err(ErrorReply::text_of(format!(
                "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified."
            )));
        }
        self.ids_at = from + count / 2;
        self.keys = args.range(from, self.ids_at);
        self.ids = args.from(self.ids_at);
        Ok(())
    }
}

fn only_of_groups(option: &str, of_group: bool) -> Result<(), ErrorReply> {
    if of_group {
        return Ok(());
    }
    Err(ErrorReply::text_of(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    )))
}

/// Writes what there is, one stream after the other, under an array or map that is opened with the first of them.
struct Streams {
    open: Option<Open>,
    count: usize,
}

impl Streams {
    fn begin_one(&mut self, reply: &mut Reply, key: &[u8]) {
        if self.open.is_none() {
            self.open = Some(reply.open());
        }
        self.count += 1;
        if reply.proto == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Ends the reply; false when there was nothing.
    fn end(self, reply: &mut Reply) -> bool {
        let Some(open) = self.open else { return false };
        match reply.proto {
            Proto::Resp2 => reply.end_array(open, self.count),
            Proto::Resp3 => reply.end_map(open, self.count),
        }
        true
    }
}

fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(args, false, ctx.now)?;
    let woken_by = ctx.woken_by();
    let (mut db, reply) = ctx.split();
    let mut after = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids.iter()) {
        let log = db.read(key).map(Typed::stream).transpose()?.map(|stream| &stream.log);
        after.push(match id {
            b"$" => log.map_or(StreamId::MIN, |log| log.last_id),
            // The last entry, or the next to come.
            b"+" => log.map_or(StreamId::MIN, |log| log.top_id().and_then(StreamId::prev).unwrap_or(log.last_id)),
            b">" => {
                return Err(ErrorReply::Static(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            _ => id::parse(id, 0)?,
        });
    }
    let mut streams = Streams { open: None, count: 0 };
    for (key, after) in request.keys.iter().zip(&after) {
        if woken_by.as_deref().is_some_and(|woken_by| woken_by != key) {
            continue;
        }
        let Some(stream) = db.read(key).map(Typed::stream).transpose()? else { continue };
        let log = &stream.log;
        if let Some(start) = after.next().filter(|start| log.top_id().is_some_and(|top| top >= *start)) {
            streams.begin_one(reply, key);
            push_entries(reply, log.range(start, StreamId::MAX), request.count);
        }
    }
    if !streams.end(reply) {
        let ids = after.iter().map(|id| id.text());
        wait_or_nothing(ctx, &request, || {
            let mut again = args.range(0, request.ids_at).to_argv();
            ids.for_each(|id| {
                again.push(id.as_bytes());
            });
            again
        });
    }
    Ok(())
}

fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(args, true, ctx.now)?;
    let Some((group, consumer)) = request.group else { return Err(ErrorReply::Syntax) };
    let woken_by = ctx.woken_by();
    let mut from = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids.iter()) {
        if woken_by.as_deref().is_none_or(|woken_by| woken_by == key) {
            let mut db = ctx.db();
            let stream = db.read(key).map(Typed::stream).transpose()?;
            if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
                let ErrorReply::Text(text) = no_key_or_group(key, group) else { return Err(ErrorReply::NoSuchKey) };
                return Err(ErrorReply::text_of(format!("{text} in XREADGROUP with GROUP option")));
            }
        }
        from.push(from_id(id)?);
    }
    let mut streams = Streams { open: None, count: 0 };
    let mut commands = Vec::new();
    for (key, from) in request.keys.iter().zip(from) {
        if woken_by.as_deref().is_none_or(|woken_by| woken_by == key) {
            let read = GroupRead { key, group, consumer, from, count: request.count, no_ack: request.no_ack };
            commands.extend(read.run(ctx, &mut streams)?);
        }
    }
    propagate(ctx, commands);
    if !streams.end(ctx.reply()) {
        wait_or_nothing(ctx, &request, || args.to_argv());
    }
    Ok(())
}

/// There was nothing to read: waits for it as asked, or says so. `again` makes the command to be run when one of the
/// streams has changed.
fn wait_or_nothing(ctx: &mut Ctx<'_>, request: &Request<'_>, again: impl FnOnce() -> Argv) {
    match request.block {
        Some(until) if ctx.may_block() => {
            let keys = request.keys.iter().map(Box::from).collect();
            // A group may vanish while its consumers wait: then they have an error to read.
            let or_gone = request.group.is_some();
            ctx.wait_for(Wait { keys, kind: Kind::Stream, or_gone, until, again: again() });
        }
        _ => ctx.reply().null_array(),
    }
}

fn from_id(arg: &[u8]) -> Result<From, ErrorReply> {
    Ok(match arg {
        b"$" => {
            return Err(ErrorReply::Static(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                 consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return \
                 an empty result set.",
            ));
        }
        b"+" => {
            return Err(ErrorReply::Static(
                "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                 consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return \
                 an empty result set.",
            ));
        }
        b">" => From::New,
        // The greatest id has always meant the same.
        _ => match id::parse(arg, 0)? {
            StreamId::MAX => From::New,
            id => From::After(id),
        },
    })
}

/// One stream's part of XREADGROUP.
struct GroupRead<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
    from: From,
    count: Option<usize>,
    no_ack: bool,
}

impl GroupRead<'_> {
    /// Reads, and gives what is to be propagated.
    fn run(&self, ctx: &mut Ctx<'_>, streams: &mut Streams) -> Result<Vec<Argv>, ErrorReply> {
        let mut relay = Relay::new(ctx, self.key, self.group);
        let now = ctx.now;
        let (mut db, reply) = ctx.split();
        let Some(mut entry) = db.write(self.key) else { return Ok(Vec::new()) };
        let Stream { log, groups } = entry.stream_mut()?;
        let Some(group) = groups.get_mut(self.group) else { return Ok(Vec::new()) };
        let found = group.find(self.consumer);
        let created = found.is_none();
        let Some(consumer) = found.or_else(|| group.create_consumer(self.consumer, now, None)) else {
            return Ok(Vec::new());
        };
        group.consumer_mut(consumer).seen = now;
        let mut read = false;
        match self.from {
            From::After(id) => {
                streams.begin_one(reply, self.key);
                if created {
                    relay.create_consumer(self.consumer);
                }
                let start = id.next().unwrap_or(StreamId::MAX);
                if push_history(reply, log, group, consumer, start, self.count, now) {
                    group.consumer_mut(consumer).active = Some(now);
                }
                read = true;
            }
            From::New if log.top_id().is_some_and(|top| top > group.last_id) => {
                streams.begin_one(reply, self.key);
                group.consumer_mut(consumer).active = Some(now);
                if created && self.no_ack {
                    relay.create_consumer(self.consumer);
                }
                self.push_new(reply, log, group, consumer, now, &mut relay);
                read = true;
            }
            // Others must know the consumer although it got nothing.
            From::New if created => relay.create_consumer(self.consumer),
            From::New => {}
        }
        if created {
            db.notify(EventClass::STREAM, "xgroup-createconsumer", self.key);
        }
        ctx.changed(usize::from(created) + usize::from(read));
        Ok(relay.into_commands())
    }

    /// Gives the consumer what the group has not read.
    fn push_new(
        &self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        consumer: ConsumerId,
        now: Millis,
        relay: &mut Relay<'_>,
    ) {
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        let open = reply.open();
        let mut pushed = 0;
        for entry in log.range(start, StreamId::MAX).take(self.count.unwrap_or(usize::MAX)) {
            group.advance(log, entry.id);
            push_entry(reply, entry);
            pushed += 1;
            if !self.no_ack {
                let delivery = Delivery { at: now, count: 1 };
                group.assign(entry.id, consumer, delivery);
                relay.claim(self.consumer, entry.id, delivery, group.last_id);
            }
        }
        reply.end_array(open, pushed);
        relay.set_id(group.last_id, group.entries_read);
    }
}

/// Gives a consumer again what it holds from `start` on; says whether it was anything.
fn push_history(
    reply: &mut Reply,
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    start: StreamId,
    count: Option<usize>,
    now: Millis,
) -> bool {
    let held = group.consumer(consumer).pending();
    let ids: Vec<StreamId> = held.range(start..).take(count.unwrap_or(usize::MAX)).copied().collect();
    reply.array(ids.len());
    for id in &ids {
        match log.get(*id) {
            Some(entry) => {
                push_entry(reply, entry);
                group.redeliver(*id, now);
            }
            None => {
                // Deleted meanwhile.
                reply.array(2);
                push_id(reply, *id);
                reply.null_array();
            }
        }
    }
    !ids.is_empty()
}
