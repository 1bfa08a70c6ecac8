//! GETDEL, GETEX, DELIFEQ: reading and removing, or giving another expiry, in one step.

use super::get::push_string;
use crate::commands::expiry::{EXPIRATION, Expiry, ExpiryClause, expire_now, is_past};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, Argv, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("getdel", 2, getdel)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))])
        .doc(Group::String, "6.2.0", "O(1)", "Gives the value of a key and deletes the key.")
        .args(&[Arg::key("key", 0)]),
    Command::new("getex", -2, getex)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .doc(Group::String, "6.2.0", "O(1)", "Gives the value of a key and sets or removes its expiry.")
        .args(&[Arg::key("key", 0), EXPIRATION]),
    Command::new("delifeq", 3, delifeq)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RM.union(KeyFlags::DELETE))])
        .doc(Group::String, "9.0.0", "O(1)", "Deletes a key if it has this value.")
        .args(&[Arg::key("key", 0), Arg::string("value")]),
];

/// Replies with the string at `key`, or null. Whether there is one.
fn give(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, ErrorReply> {
    let (mut db, reply) = ctx.split();
    let Some(entry) = db.read(key) else {
        reply.null();
        return Ok(false);
    };
    push_string(reply, entry.value())?;
    Ok(true)
}

fn delete(ctx: &mut Ctx<'_>, key: &[u8]) {
    ctx.db().remove(key);
    ctx.changed(1);
    ctx.notify(EventClass::GENERIC, "del", key);
    ctx.propagate_as(Argv::of(&[b"DEL", key]));
}

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if give(ctx, args.at(1))? {
        delete(ctx, args.at(1));
    }
    Ok(())
}

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let mut clause = ExpiryClause::default();
    let mut i = 2;
    while i < args.len() {
        i += clause.accept(args, i).filter(|_| !clause.keeps()).ok_or(ErrorReply::Syntax)?;
    }
    if !give(ctx, key)? {
        return Ok(());
    }
    match clause.resolve(ctx.now, "getex")? {
        Expiry::At { at, .. } if is_past(ctx, at) => {
            expire_now(ctx, key);
        }
        Expiry::At { at, .. } => {
            ctx.db().set_expire(key, Some(at));
            ctx.changed(1);
            ctx.notify(EventClass::GENERIC, "expire", key);
            let mut argv = Argv::of(&[b"PEXPIREAT", key]);
            argv.push_i64(at.0);
            ctx.propagate_as(argv);
        }
        Expiry::Persist => {
            let mut db = ctx.db();
            if db.peek(key).is_some_and(|entry| entry.expire_at().is_some()) {
                db.set_expire(key, None);
                db.notify(EventClass::GENERIC, "persist", key);
                ctx.changed(1);
                ctx.propagate_as(Argv::of(&[b"PERSIST", key]));
            }
        }
        Expiry::Unsaid | Expiry::Keep => {}
    }
    Ok(())
}

fn delifeq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut digits = itoa::Buffer::new();
    let equal = match ctx.db().peek(args.at(1)) {
        Some(entry) => entry.text(&mut digits)? == args.at(2),
        None => false,
    };
    if equal {
        delete(ctx, args.at(1));
    }
    ctx.reply().int(i64::from(equal));
    Ok(())
}
