//! XADD.

use super::id::NewId;
use super::node_limits;
use super::reply::push_id;
use super::trim::{TRIM_ARGS, TrimArgs, rewrite};
use crate::data::stream::{Log, StreamId};
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("xadd", -5, xadd)
    .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
    .acl(Acl::STREAM)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
    .doc(Group::Stream, "5.0.0", "O(1)", "Appends an entry.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::flag("nomkstream", "NOMKSTREAM").since("6.2.0").optional(),
        Arg::block("trim", TRIM_ARGS).optional(),
        Arg::one_of("id-selector", &[Arg::flag("auto-id", "*"), Arg::string("id")]),
        Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
    ])];

const ZERO_ID: ErrorReply = ErrorReply::Static("ERR The ID specified in XADD must be greater than 0-0");
const SMALL_ID: ErrorReply =
    ErrorReply::Static("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const NO_MORE_IDS: ErrorReply =
    ErrorReply::Static("ERR The stream has exhausted the last possible ID, unable to add more items");
const TOO_LARGE: ErrorReply = ErrorReply::Static("ERR Elements are too large to be stored");

fn xadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut trim, mut must_exist) = (TrimArgs::default(), false);
    let mut id_at = 2;
    while id_at < args.len() && args.at(id_at) != b"*" {
        if let Some(next) = trim.take(args, id_at)? {
            id_at = next;
        } else if args.is(id_at, "nomkstream") {
            must_exist = true;
            id_at += 1;
        } else {
            break;
        }
    }
    let new_id = args.get(id_at).map_or(Ok(NewId::Auto), NewId::parse)?;
    let trim = trim.finish(ctx, None)?;
    let words = args.from(id_at + 1);
    if words.is_empty() || words.len() % 2 == 1 {
        return Err(ErrorReply::arity(ctx.command.name));
    }
    if new_id == NewId::Exact(StreamId::MIN) {
        return Err(ZERO_ID);
    }
    let pairs = (0..words.len() / 2).map(|i| (words.at(2 * i), words.at(2 * i + 1)));

    let (key, now, limits) = (args.at(1), ctx.now, node_limits(ctx.server));
    let (mut db, reply) = ctx.split();
    if must_exist && !db.exists(key) {
        reply.null();
        return Ok(());
    }
    if !Log::fits(pairs.clone()) {
        return Err(TOO_LARGE);
    }
    let mut entry = db.write_or_insert(key, || Value::Stream(Box::default()));
    let log = &mut entry.stream_mut()?.log;
    if log.last_id == StreamId::MAX {
        return Err(NO_MORE_IDS);
    }
    let id = new_id.after(log.last_id, now).ok_or(SMALL_ID)?;
    log.append(id, pairs, limits);
    let gone = trim.map_or(0, |trim| trim.apply(log));
    let rewritten = trim.and_then(|trim| trim.rewritten(log));
    push_id(reply, id);
    db.notify(EventClass::STREAM, "xadd", key);
    if gone > 0 {
        db.notify(EventClass::STREAM, "xtrim", key);
    }
    ctx.changed(1);
    let chosen = !matches!(new_id, NewId::Exact(_));
    if (chosen || rewritten.is_some()) && ctx.server.has_stream() {
        ctx.propagate_as(rewrite(args, rewritten, chosen.then_some((id_at, id))));
    }
    Ok(())
}
