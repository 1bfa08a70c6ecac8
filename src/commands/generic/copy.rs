//! COPY, MOVE: values under other names and in other databases.

use crate::base::Millis;
use crate::commands::parse;
use crate::data::copy;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, SetExpire};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("copy", -3, copy)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::KEYSPACE)
        .keys(&[
            KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
            KeySpec::range(2, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        ])
        .doc(
            Group::Generic,
            "6.2.0",
            "O(N) where N is the number of elements of the value, O(1) for strings",
            "Copies the value of a key to another key.",
        )
        .args(&[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::int("destination-db").token("DB").optional(),
            Arg::flag("replace", "REPLACE").optional(),
        ]),
    Command::new("move", 3, move_key)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .doc(Group::Generic, "1.0.0", "O(1)", "Moves a key to another database.")
        .args(&[Arg::key("key", 0), Arg::int("db")]),
];

const SAME: ErrorReply = ErrorReply::Static("ERR source and destination objects are the same");

/// The number of a database that exists, or would without cluster mode.
fn database(ctx: &Ctx<'_>, arg: &[u8]) -> Result<u32, ErrorReply> {
    let number = parse::int32(arg)?;
    let databases = if has_one_database(ctx) { ctx.server.config.databases } else { databases(ctx) as usize };
    u32::try_from(number).ok().filter(|db| (*db as usize) < databases).ok_or(ErrorReply::DbOutOfRange)
}

fn databases(ctx: &Ctx<'_>) -> u32 {
    ctx.server.keyspace.databases()
}

/// Cluster mode, with the one database that it usually has.
fn has_one_database(ctx: &Ctx<'_>) -> bool {
    ctx.server.keyspace.is_slotted() && databases(ctx) == 1
}

fn expires(at: Option<Millis>) -> SetExpire {
    at.map_or(SetExpire::Never, SetExpire::At)
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    let (mut target, mut replace) = (ctx.client.db, false);
    let mut i = 3;
    while i < args.len() {
        if args.is(i, "replace") {
            replace = true;
        } else if let (true, Some(number)) = (args.is(i, "db"), args.get(i + 1)) {
            target = database(ctx, number)?;
            i += 1;
        } else {
            return Err(ErrorReply::Syntax);
        }
        i += 1;
    }
    if target != ctx.client.db && has_one_database(ctx) {
        return Err(ErrorReply::Static("ERR Copying to another database is not allowed in cluster mode"));
    }
    if target == ctx.client.db && from == to {
        return Err(SAME);
    }
    let limits = &ctx.server.config.limits;
    let mut source = ctx.server.keyspace.db(ctx.client.db);
    let copied =
        source.read(from).map(|entry| (copy::copy(entry.value(), limits), entry.expire_at(), entry.encoding()));
    let mut db = ctx.server.keyspace.db(target);
    let done = match copied {
        Some((value, expire, encoding)) if replace || !db.exists(to) => {
            db.remove(to);
            db.put(to, value, expires(expire), encoding);
            db.notify(EventClass::GENERIC, "copy_to", to);
            true
        }
        _ => false,
    };
    ctx.changed(usize::from(done));
    ctx.reply().int(i64::from(done));
    Ok(())
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    if has_one_database(ctx) {
        return Err(ErrorReply::Static("ERR MOVE is not allowed in cluster mode"));
    }
    let target = database(ctx, args.at(2))?;
    if target == ctx.client.db {
        return Err(SAME);
    }
    let free = !ctx.server.keyspace.db(target).exists(key);
    let moved = if free { ctx.db().remove(key) } else { None };
    let done = moved.is_some();
    if let Some(entry) = moved {
        let (expire, encoding) = (entry.expire_at(), entry.encoding());
        ctx.server.keyspace.db(target).put(key, entry.into_value(), expires(expire), encoding);
        ctx.notify(EventClass::GENERIC, "move_from", key);
        ctx.server.keyspace.db(target).notify(EventClass::GENERIC, "move_to", key);
        ctx.changed(1);
    }
    ctx.reply().int(i64::from(done));
    Ok(())
}
