//! RENAME, RENAMENX: the same value under another name.

use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, SetExpire};
use crate::resp::{Args, ErrorReply};

const OLD: KeySpec = KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE));

pub const COMMANDS: &[Command] = &[
    Command::new("rename", 3, rename)
        .flags(Flags::WRITE)
        .acl(Acl::KEYSPACE)
        .keys(&[OLD, KeySpec::range(2, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE))])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives a key another name, in the place of whatever had it.")
        .args(&[Arg::key("key", 0), Arg::key("newkey", 1)]),
    Command::new("renamenx", 3, renamenx)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::KEYSPACE)
        .keys(&[OLD, KeySpec::range(2, 0, 1, KeyFlags::OW.union(KeyFlags::INSERT))])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives a key another name that is free.")
        .args(&[Arg::key("key", 0), Arg::key("newkey", 1)]),
];

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    if !ctx.db().exists(from) {
        return Err(ErrorReply::NoSuchKey);
    }
    if from != to {
        put(ctx, from, to);
    }
    ctx.reply().ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    if !ctx.db().exists(from) {
        return Err(ErrorReply::NoSuchKey);
    }
    let free = !ctx.db().exists(to);
    if free {
        put(ctx, from, to);
    }
    ctx.reply().int(i64::from(free));
    Ok(())
}

/// Value, expiry and time of the last use go with the name.
fn put(ctx: &mut Ctx<'_>, from: &[u8], to: &[u8]) {
    let mut db = ctx.db();
    let Some(entry) = db.remove(from) else { return };
    let (expire, used, encoding) = (entry.expire_at(), entry.access(), entry.encoding());
    db.remove(to);
    db.put(to, entry.into_value(), expire.map_or(SetExpire::Never, SetExpire::At), encoding);
    if let Some(entry) = db.peek(to) {
        entry.set_access(used);
    }
    db.notify(EventClass::GENERIC, "rename_from", from);
    db.notify(EventClass::GENERIC, "rename_to", to);
    ctx.changed(1);
}
