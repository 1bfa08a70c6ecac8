//! XREAD, XREADGROUP: the entries behind given ids of one or more streams.

use super::deliver::{From, GroupRead, Streams};
use super::id;
use super::no_key_or_group;
use super::relay::propagate;
use super::reply::push_entries;
use crate::base::Millis;
use crate::commands::parse::{self, TimeUnit};
use crate::data::stream::StreamId;
use crate::data::value::Kind;
use crate::exec::keys::KeyAt;
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Find, Flags, Group, KeyFlags, KeySpec, Wait};
use crate::keyspace::Typed;
use crate::resp::{Args, Argv, ErrorReply};

const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const HALF: Find = Find::Range { last: -1, step: 1, limit: 2 };
const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key", 0).multiple(), Arg::string("id").multiple()]).token("STREAMS");

pub const COMMANDS: &[Command] = &[
    Command::new("xread", -4, xread)
        .flags(Flags::BLOCKING.union(Flags::MOVABLE_KEYS).union(Flags::READONLY))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::new(Begin::Keyword("STREAMS", 1), HALF, KEY_RO_ACCESS)])
        .key_finder(keys_of)
        .doc(
            Group::Stream,
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
        .key_finder(keys_of)
        .doc(
            Group::Stream,
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

/// The keys behind the STREAMS that is an option and no option's value: none unless there is an id for each.
fn keys_of(args: Args<'_>) -> Vec<KeyAt> {
    let mut i = 1;
    while i < args.len() && !args.is(i, "streams") {
        if args.is(i, "block") || args.is(i, "count") {
            i += 2;
        } else if args.is(i, "group") {
            i += 3;
        } else if args.is(i, "noack") {
            i += 1;
        } else {
            return Vec::new();
        }
    }
    let first = i + 1;
    let count = args.len().saturating_sub(first);
    if count % 2 == 1 {
        return Vec::new();
    }
    (first..first + count / 2).map(|position| KeyAt { position, flags: KEY_RO_ACCESS }).collect()
}

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

fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(args, false, ctx.now)?;
    let woken_by = ctx.woken_by();
    let looks_at = |key: &[u8]| woken_by.as_deref().is_none_or(|woken_by| woken_by == key);
    let (mut db, reply) = ctx.split();
    let mut after = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids.iter()) {
        let found = if looks_at(key) { db.read(key) } else { None };
        let log = found.map(Typed::stream).transpose()?.map(|stream| &stream.log);
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
    let mut streams = Streams::default();
    for (key, after) in request.keys.iter().zip(&after).filter(|(key, _)| looks_at(key)) {
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
    let looks_at = |key: &[u8]| woken_by.as_deref().is_none_or(|woken_by| woken_by == key);
    let mut from = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids.iter()) {
        if looks_at(key) {
            let mut db = ctx.db();
            let stream = db.read(key).map(Typed::stream).transpose()?;
            if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
                return Err(no_key_or_group(key, group, " in XREADGROUP with GROUP option"));
            }
        }
        from.push(from_id(id)?);
    }
    let mut streams = Streams::default();
    let mut commands = Vec::new();
    for (key, from) in request.keys.iter().zip(from).filter(|(key, _)| looks_at(key)) {
        let read = GroupRead { key, group, consumer, from, count: request.count, no_ack: request.no_ack };
        commands.extend(read.run(ctx, &mut streams)?);
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
