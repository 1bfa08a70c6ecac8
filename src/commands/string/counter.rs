//! INCR, DECR, INCRBY, DECRBY: strings that are whole numbers.

use crate::base::num;
use crate::commands::parse;
use crate::data::value::{Value, ValueRef};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::EventClass;
use crate::resp::{Args, ErrorReply};

const WRITES: Flags = Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE);
const UPDATES: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))];

pub const COMMANDS: &[Command] = &[
    Command::new("incr", 2, incr)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(UPDATES)
        .doc(Group::String, "1.0.0", "O(1)", "Adds one to a number.")
        .args(&[Arg::key("key", 0)]),
    Command::new("decr", 2, decr)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(UPDATES)
        .doc(Group::String, "1.0.0", "O(1)", "Takes one from a number.")
        .args(&[Arg::key("key", 0)]),
    Command::new("incrby", 3, incrby)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(UPDATES)
        .doc(Group::String, "1.0.0", "O(1)", "Adds a whole number to a number.")
        .args(&[Arg::key("key", 0), Arg::int("increment")]),
    Command::new("decrby", 3, decrby)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(UPDATES)
        .doc(Group::String, "1.0.0", "O(1)", "Takes a whole number from a number.")
        .args(&[Arg::key("key", 0), Arg::int("decrement")]),
];

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(ctx, args.at(1), 1)
}

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(ctx, args.at(1), -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(ctx, args.at(1), parse::int(args.at(2))?)
}

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let by = parse::int(args.at(2))?;
    add(ctx, args.at(1), by.checked_neg().ok_or(ErrorReply::Static("ERR decrement would overflow"))?)
}

fn add(ctx: &mut Ctx<'_>, key: &[u8], by: i64) -> Done {
    let mut db = ctx.db();
    let sum = if let Some(mut entry) = db.write(key) {
        let old = match entry.value() {
            ValueRef::Int(n) => n,
            // A text that was put together piece by piece may have become a number.
            ValueRef::Bytes(text) => num::parse_i64(text).ok_or(ErrorReply::NotInteger)?,
            _ => return Err(ErrorReply::WrongType),
        };
        let sum = old.checked_add(by).ok_or(ErrorReply::Overflow)?;
        drop(entry.set_int(sum));
        sum
    } else {
        db.insert(key, Value::Int(by), None);
        by
    };
    db.notify(EventClass::STRING, "incrby", key);
    ctx.changed(1);
    ctx.reply().int(sum);
    Ok(())
}
