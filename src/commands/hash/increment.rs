//! HINCRBY, HINCRBYFLOAT.

use crate::base::Extended;
use crate::commands::parse;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

const FLAGS_FAST_GROW: Flags = Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE);
const KEY_RW_ACCESS_UPDATE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("hincrby", 4, hincrby)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_UPDATE)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Adds an integer to the value of a field.")
        .args(&[Arg::key("key", 0), Arg::string("field"), Arg::int("increment")]),
    Command::new("hincrbyfloat", 4, hincrbyfloat)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_UPDATE)])
        .doc(Group::Hash, "2.6.0", "O(1)", "Adds a float to the value of a field.")
        .args(&[Arg::key("key", 0), Arg::string("field"), Arg::double("increment")]),
];

fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let increment = parse::int(args.at(3))?;
    let (mut db, reply, limits) = ctx.split_with_limits();
    let mut entry = db.write_or_insert(args.at(1), || Value::Hash(Box::default()));
    let hash = entry.hash_mut()?;
    let old = match hash.get(args.at(2)) {
        Some(value) => value.as_int().ok_or(ErrorReply::Static("ERR hash value is not an integer"))?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(ErrorReply::Overflow)?;
    hash.set(args.at(2), itoa::Buffer::new().format(new).as_bytes(), limits);
    reply.int(new);
    db.notify(EventClass::HASH, "hincrby", args.at(1));
    ctx.changed(1);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field, increment) = (args.at(1), args.at(2), args.at(3));
    let by = match Extended::parse(increment).ok_or(ErrorReply::NotFloat)? {
        Extended::Infinite => return Err(ErrorReply::Static("ERR value is NaN or Infinity")),
        by => by,
    };
    let (mut db, reply, limits) = ctx.split_with_limits();
    let mut entry = db.write_or_insert(key, || Value::Hash(Box::default()));
    let hash = entry.hash_mut()?;
    let old = hash.get(field).map_or_else(|| b"0".to_vec(), |value| value.to_vec());
    let old = Extended::parse(&old).ok_or(ErrorReply::Static("ERR hash value is not a float"))?;
    let sum = old.checked_add(by).ok_or(ErrorReply::Static("ERR increment would produce NaN or Infinity"))?;
    let mut new = Vec::with_capacity(32);
    sum.push_to(&mut new);
    hash.set(field, &new, limits);
    reply.bulk(&new);
    db.notify(EventClass::HASH, "hincrbyfloat", key);
    // Replicas get the sum, so that differences in arithmetic cannot add up.
    ctx.propagate_as(Argv::of(&[b"HSET", key, field, &new]));
    ctx.changed(1);
    Ok(())
}
