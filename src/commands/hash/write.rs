//! HSET, HMSET, HSETNX, HDEL.

use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

const FLAGS_FAST_GROW: Flags = Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE);
const KEY_RW_UPDATE: KeyFlags = KeyFlags::RW.union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("hset", -4, hset)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_UPDATE)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Sets fields of a hash.")
        .args(&[Arg::key("key", 0), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()]),
    Command::new("hmset", -4, hmset)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_UPDATE)])
        .doc(Group::Hash, "2.0.0", "O(N)", "Sets fields of a hash.")
        .args(&[Arg::key("key", 0), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()]),
    Command::new("hsetnx", 4, hsetnx)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .doc(Group::Hash, "2.0.0", "O(1)", "Sets a field that does not exist.")
        .args(&[Arg::key("key", 0), Arg::string("field"), Arg::string("value")]),
    Command::new("hdel", -3, hdel)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(Group::Hash, "2.0.0", "O(N)", "Removes fields.")
        .args(&[Arg::key("key", 0), Arg::string("field").multiple()]),
];

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let created = set_fields(ctx, args)?;
    ctx.reply().uint(created);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    set_fields(ctx, args)?;
    ctx.reply().ok();
    Ok(())
}

/// Sets the pairs behind the key; says how many fields are new.
fn set_fields(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<usize, ErrorReply> {
    let pairs = args.from(2);
    if pairs.len() % 2 == 1 {
        return Err(ErrorReply::arity(ctx.command.name));
    }
    let count = pairs.len() / 2;
    let (mut db, _, limits) = ctx.split_with_limits();
    let now = db.field_clock();
    let mut entry = db.write_or_insert(args.at(1), || Value::Hash(Default::default()));
    let hash = entry.hash_mut()?;
    hash.expect(count, limits);
    let (mut created, mut replaced_ended) = (0, false);
    let mut words = pairs.iter();
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        let replaced = hash.put(field, value, None, limits);
        let ended = replaced.is_some_and(|old| !old.was_live(now));
        created += usize::from(replaced.is_none() || ended);
        replaced_ended |= ended;
    }
    if replaced_ended {
        db.notify(EventClass::HASH, "hexpired", args.at(1));
    }
    db.notify(EventClass::HASH, "hset", args.at(1));
    ctx.changed(count);
    Ok(created)
}

fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field, value) = (args.at(1), args.at(2), args.at(3));
    let (mut db, reply, limits) = ctx.split_with_limits();
    let now = db.field_clock();
    let mut entry = db.write_or_insert(key, || Value::Hash(Default::default()));
    let hash = entry.hash_mut()?;
    if hash.live(now).contains(field) {
        reply.int(0);
        return Ok(());
    }
    let may_hide = hash.has_expiries();
    let replaced_ended = !hash.set(field, value, limits);
    reply.int(1);
    if replaced_ended {
        db.notify(EventClass::HASH, "hexpired", key);
    }
    db.notify(EventClass::HASH, "hset", key);
    ctx.changed(1);
    if may_hide {
        // A replica may still have a field that is past its time.
        ctx.propagate_as(Argv::of(&[b"HSET", key, field, value]));
    }
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let now = db.field_clock();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let hash = entry.hash_mut()?;
    // A field past its time does not exist: it is left to the expiry, which tells replicas of it.
    let removed = args.from(2).iter().filter(|field| hash.live(now).contains(field) && hash.remove(field)).count();
    let is_empty = hash.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::HASH, "hdel");
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}
