//! HINCRBY, HINCRBYFLOAT.

use crate::base::{Extended, Millis};
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
    let (key, field) = (args.at(1), args.at(2));
    let (mut db, reply, limits) = ctx.split_with_limits();
    let now = db.field_clock();
    let mut entry = db.write_or_insert(key, || Value::Hash(Default::default()));
    let hash = entry.hash_mut()?;
    let (old, expire_at) = match hash.live(now).get_with_expiry(field) {
        Some((value, at)) => (value.as_int().ok_or(ErrorReply::Static("ERR hash value is not an integer"))?, at),
        None => (0, None),
    };
    let new = old.checked_add(increment).ok_or(ErrorReply::Overflow)?;
    let (may_hide, mut digits) = (hash.has_expiries(), itoa::Buffer::new());
    let text = digits.format(new).as_bytes();
    let replaced = hash.put(field, text, expire_at, limits);
    reply.int(new);
    if replaced.is_some_and(|old| !old.was_live(now)) {
        db.notify(EventClass::HASH, "hexpired", key);
    }
    db.notify(EventClass::HASH, "hincrby", key);
    ctx.changed(1);
    if may_hide {
        // A replica may still have, and add to, a field that is past its time.
        ctx.propagate_as(setting(key, field, text, expire_at));
    }
    Ok(())
}

/// The command that sets a field to what it has become.
fn setting(key: &[u8], field: &[u8], text: &[u8], expire_at: Option<Millis>) -> Argv {
    let Some(at) = expire_at else { return Argv::of(&[b"HSET", key, field, text]) };
    let mut argv = Argv::of(&[b"HSETEX", key, b"PXAT"]);
    argv.push_i64(at.0);
    for word in [b"FIELDS", &b"1"[..], field, text] {
        argv.push(word);
    }
    argv
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field, increment) = (args.at(1), args.at(2), args.at(3));
    let by = match Extended::parse(increment).ok_or(ErrorReply::NotFloat)? {
        Extended::Infinite => return Err(ErrorReply::Static("ERR value is NaN or Infinity")),
        by => by,
    };
    let (mut db, reply, limits) = ctx.split_with_limits();
    let now = db.field_clock();
    let mut entry = db.write_or_insert(key, || Value::Hash(Default::default()));
    let hash = entry.hash_mut()?;
    let old = hash.live(now).get_with_expiry(field).map(|(value, at)| (value.to_vec(), at));
    let (old, expire_at) = old.unwrap_or_else(|| (b"0".to_vec(), None));
    let old = Extended::parse(&old).ok_or(ErrorReply::Static("ERR hash value is not a float"))?;
    let sum = old.checked_add(by).ok_or(ErrorReply::Static("ERR increment would produce NaN or Infinity"))?;
    let mut new = Vec::with_capacity(32);
    sum.push_to(&mut new);
    let replaced = hash.put(field, &new, expire_at, limits);
    reply.bulk(&new);
    if replaced.is_some_and(|old| !old.was_live(now)) {
        db.notify(EventClass::HASH, "hexpired", key);
    }
    db.notify(EventClass::HASH, "hincrbyfloat", key);
    // Replicas get the sum, so that differences in arithmetic cannot add up.
    ctx.propagate_as(setting(key, field, &new, expire_at));
    ctx.changed(1);
    Ok(())
}
