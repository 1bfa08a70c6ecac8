//! XGROUP: making, moving and removing groups and consumers.

use super::{id, no_group};
use crate::commands::help::help;
use crate::commands::parse;
use crate::data::stream::{Group, StreamId};
use crate::data::value::Value;
use crate::exec::spec::Group as DocGroup;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, ErrorReply};

const ID: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::flag("new-id", "$")]);
const ENTRIES_READ: Arg = Arg::int("entriesread").token("ENTRIESREAD").display("entries-read").optional();
const NO_KEY: ErrorReply = ErrorReply::Static(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);

pub const COMMANDS: &[Command] = &[Command::container("xgroup", SUBCOMMANDS).doc(
    DocGroup::Stream,
    "5.0.0",
    "",
    "A container for commands on the groups of a stream.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("xgroup|create", -5, create)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Makes a group.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("group"),
            ID,
            Arg::flag("mkstream", "MKSTREAM").optional(),
            ENTRIES_READ,
        ]),
    Command::new("xgroup|createconsumer", 5, create_consumer)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .doc(DocGroup::Stream, "6.2.0", "O(1)", "Makes a consumer in a group.")
        .args(&[Arg::key("key", 0), Arg::string("group"), Arg::string("consumer")]),
    Command::new("xgroup|delconsumer", 5, delete_consumer)
        .flags(Flags::WRITE)
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Removes a consumer, and what it holds, from a group.")
        .args(&[Arg::key("key", 0), Arg::string("group"), Arg::string("consumer")]),
    Command::new("xgroup|destroy", 4, destroy)
        .flags(Flags::WRITE)
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(DocGroup::Stream, "5.0.0", "O(N)", "Removes a group.")
        .args(&[Arg::key("key", 0), Arg::string("group")]),
    Command::new("xgroup|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).acl(Acl::STREAM).doc(
        DocGroup::Stream,
        "5.0.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("xgroup|setid", -5, set_id)
        .flags(Flags::WRITE)
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .doc(DocGroup::Stream, "5.0.0", "O(1)", "Moves a group to another entry.")
        .args(&[Arg::key("key", 0), Arg::string("group"), ID, ENTRIES_READ]),
];

/// The options behind `key group id`.
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_make: bool) -> Result<Options, ErrorReply> {
        let mut options = Options { make_stream: false, entries_read: None };
        let mut i = 5;
        while i < args.len() {
            if may_make && args.is(i, "mkstream") {
                options.make_stream = true;
                i += 1;
            } else if let Some(read) = args.get(i + 1).filter(|_| args.is(i, "entriesread")) {
                let read = parse::int(read)?;
                if read < -1 {
                    return Err(ErrorReply::Static("ERR value for ENTRIESREAD must be positive or -1"));
                }
                options.entries_read = u64::try_from(read).ok();
                i += 2;
            } else {
                return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "XGROUP"));
            }
        }
        Ok(options)
    }
}

/// `$` for the last id of the stream, or an id.
fn id_or_last(arg: &[u8], last: StreamId) -> Result<StreamId, ErrorReply> {
    if arg == b"$" { Ok(last) } else { id::parse(arg, 0) }
}

fn create(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let options = Options::parse(args, true)?;
    let (key, name) = (args.at(2), args.at(3));
    let (mut db, reply) = ctx.split();
    let last = match db.write(key) {
        Some(mut entry) => entry.stream_mut()?.log.last_id,
        None if options.make_stream => StreamId::MIN,
        None => return Err(NO_KEY),
    };
    let id = id_or_last(args.at(4), last)?;
    let mut entry = db.write_or_insert(key, || Value::Stream(Box::default()));
    let groups = &mut entry.stream_mut()?.groups;
    if groups.contains_key(name) {
        return Err(ErrorReply::Static("BUSYGROUP Consumer Group name already exists"));
    }
    groups.insert(name.into(), Group::new(id, options.entries_read));
    reply.ok();
    db.notify(EventClass::STREAM, "xgroup-create", key);
    ctx.changed(1);
    Ok(())
}

/// Does something to a group that exists.
fn with_group<T>(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    change: impl FnOnce(&mut Group, StreamId) -> Result<T, ErrorReply>,
) -> Result<T, ErrorReply> {
    let (key, name) = (args.at(2), args.at(3));
    let mut db = ctx.db();
    let mut entry = db.write(key).ok_or(NO_KEY)?;
    let stream = entry.stream_mut()?;
    let group = stream.groups.get_mut(name).ok_or_else(|| no_group(key, name))?;
    change(group, stream.log.last_id)
}

fn set_id(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let options = Options::parse(args, false)?;
    with_group(ctx, args, |group, last| {
        // The ends of all ids are told here only.
        group.last_id = match args.at(4) {
            b"-" => StreamId::MIN,
            b"+" => StreamId::MAX,
            arg => id_or_last(arg, last)?,
        };
        group.entries_read = options.entries_read;
        Ok(())
    })?;
    ctx.reply().ok();
    ctx.notify(EventClass::STREAM, "xgroup-setid", args.at(2));
    ctx.changed(1);
    Ok(())
}

fn destroy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(2);
    let (mut db, reply) = ctx.split();
    let mut entry = db.write(key).ok_or(NO_KEY)?;
    let destroyed = entry.stream_mut()?.groups.remove(args.at(3)).is_some();
    reply.int(i64::from(destroyed));
    if destroyed {
        db.notify(EventClass::STREAM, "xgroup-destroy", key);
        ctx.changed(1);
    }
    Ok(())
}

fn create_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.now;
    let created = with_group(ctx, args, |group, _| Ok(group.create_consumer(args.at(4), now, None).is_some()))?;
    ctx.reply().int(i64::from(created));
    if created {
        ctx.notify(EventClass::STREAM, "xgroup-createconsumer", args.at(2));
        ctx.changed(1);
    }
    Ok(())
}

fn delete_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let held = with_group(ctx, args, |group, _| Ok(group.delete_consumer(args.at(4))))?;
    ctx.reply().uint(held.unwrap_or(0));
    if held.is_some() {
        ctx.notify(EventClass::STREAM, "xgroup-delconsumer", args.at(2));
        ctx.changed(1);
    }
    Ok(())
}
