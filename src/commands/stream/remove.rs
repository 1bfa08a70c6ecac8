//! XDEL, XACK, XSETID.

use super::{id, read_to_change};
use crate::commands::parse;
use crate::data::stream::StreamId;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, ErrorReply};

const KEY_RW_UPDATE: KeyFlags = KeyFlags::RW.union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("xack", -4, xack)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_UPDATE)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Tells a group that entries are done with.")
        .args(&[Arg::key("key", 0), Arg::string("group"), Arg::string("id").multiple()]),
    Command::new("xdel", -3, xdel)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(Group::Stream, "5.0.0", "O(1)", "Deletes entries.")
        .args(&[Arg::key("key", 0), Arg::string("id").multiple()]),
    Command::new("xsetid", -3, xsetid)
        .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_UPDATE)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Sets the last id, and what else a stream knows of its past.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("last-id"),
            Arg::int("entries-added").token("ENTRIESADDED").since("7.0.0").optional(),
            Arg::string("max-deleted-id").token("MAXDELETEDID").since("7.0.0").optional(),
        ]),
];

fn xack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = read_to_change(&mut db, args.at(1)) else {
        reply.int(0);
        return Ok(());
    };
    let Some(group) = entry.stream_mut()?.groups.get_mut(args.at(2)) else {
        reply.int(0);
        return Ok(());
    };
    // All are read before the first is done: an error must not come after a change.
    let ids = id::parse_all(args.from(3).iter())?;
    let done = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    reply.uint(done);
    ctx.changed(done);
    Ok(())
}

fn xdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let log = &mut entry.stream_mut()?.log;
    let ids = id::parse_all(args.from(2).iter())?;
    let deleted = ids.into_iter().filter(|id| log.delete(*id)).count();
    reply.uint(deleted);
    if deleted > 0 {
        db.notify(EventClass::STREAM, "xdel", key);
        ctx.changed(deleted);
    }
    Ok(())
}

fn xsetid(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let last = id::parse(args.at(2), 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut i = 3;
    while i < args.len() {
        let value = args.get(i + 1).ok_or(ErrorReply::Syntax)?;
        if args.is(i, "entriesadded") {
            let count = u64::try_from(parse::int(value)?);
            added = Some(count.map_err(|_| ErrorReply::Static("ERR entries_added must be positive"))?);
        } else if args.is(i, "maxdeletedid") {
            max_deleted = id::parse(value, 0)?;
            if last < max_deleted {
                return Err(ErrorReply::Static(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(ErrorReply::Syntax);
        }
        i += 2;
    }
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let mut entry = db.write(key).ok_or(ErrorReply::NoSuchKey)?;
    let log = &mut entry.stream_mut()?.log;
    if last < log.max_deleted_id {
        return Err(ErrorReply::Static("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if log.top_id().is_some_and(|top| last < top) {
        return Err(ErrorReply::Static("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if !log.is_empty() && added.is_some_and(|added| added < log.len()) {
        return Err(ErrorReply::Static(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    log.last_id = last;
    if let Some(added) = added {
        log.entries_added = added;
    }
    if max_deleted != StreamId::MIN {
        log.max_deleted_id = max_deleted;
    }
    reply.ok();
    db.notify(EventClass::STREAM, "xsetid", key);
    ctx.changed(1);
    Ok(())
}
