//! SADD, SREM, SMOVE, SMEMBERS, SISMEMBER, SMISMEMBER, SCARD, SSCAN.

use crate::commands::element;
use crate::commands::scan::{self, Found, ScanOptions};
use crate::data::set::Set;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, EventClass, Typed, TypedMut};
use crate::resp::{Args, ErrorReply};

const FLAGS_FAST_READ: Flags = Flags::FAST.union(Flags::READONLY);
const FLAGS_FAST_WRITE: Flags = Flags::FAST.union(Flags::WRITE);
const KEY_RW_INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("sadd", -3, sadd)
        .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_INSERT)])
        .doc(Group::Set, "1.0.0", "O(1)", "Adds members.")
        .args(&[Arg::key("key", 0), Arg::string("member").multiple()]),
    Command::new("srem", -3, srem)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(Group::Set, "1.0.0", "O(N)", "Removes members.")
        .args(&[Arg::key("key", 0), Arg::string("member").multiple()]),
    Command::new("smove", 4, smove)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::SET)
        .keys(&[
            KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
            KeySpec::range(2, 0, 1, KEY_RW_INSERT),
        ])
        .doc(Group::Set, "1.0.0", "O(1)", "Moves a member from one set to another.")
        .args(&[Arg::key("source", 0), Arg::key("destination", 1), Arg::string("member")]),
    Command::new("smembers", 2, smembers)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N)", "Gives all members.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0)]),
    Command::new("sismember", 3, sismember)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Set, "1.0.0", "O(1)", "Says whether a value is a member.")
        .args(&[Arg::key("key", 0), Arg::string("member")]),
    Command::new("smismember", -3, smismember)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "6.2.0", "O(N)", "Says of several values whether they are members.")
        .args(&[Arg::key("key", 0), Arg::string("member").multiple()]),
    Command::new("scard", 2, scard)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Set, "1.0.0", "O(1)", "Gives the number of members.")
        .args(&[Arg::key("key", 0)]),
    Command::new("sscan", -3, sscan)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "2.8.0", "O(1)", "Walks over the members of a set, some at a time.")
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key", 0),
            Arg::int("cursor"),
            Arg::pattern("pattern").token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
        ]),
];

/// The set at `key`, if there is one.
fn find<'d>(db: &'d mut Db<'_>, key: &[u8]) -> Result<Option<&'d Set>, ErrorReply> {
    db.read(key).map(Typed::set).transpose()
}

fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let members = args.from(2);
    let (mut db, reply, limits) = ctx.split_with_limits();
    let make = || Value::Set(Set::for_member(args.at(2), members.len(), limits));
    let mut entry = db.write_or_insert(args.at(1), make);
    let set = entry.set_mut()?;
    set.expect(members.len(), limits);
    let added = members.iter().filter(|member| set.add(member, limits)).count();
    reply.uint(added);
    if added > 0 {
        db.notify(EventClass::SET, "sadd", args.at(1));
    }
    ctx.changed(added);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let set = entry.set_mut()?;
    let removed = args.from(2).iter().filter(|member| set.remove(member)).count();
    let is_empty = set.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::SET, "srem");
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (source, destination, member) = (args.at(1), args.at(2), args.at(3));
    let (mut db, reply, limits) = ctx.split_with_limits();
    let Some(set) = db.peek(source).map(Typed::set).transpose()? else {
        reply.int(0);
        return Ok(());
    };
    let contains = set.contains(member);
    db.peek(destination).map(Typed::set).transpose()?;
    reply.int(i64::from(contains));
    if !contains || source == destination {
        return Ok(());
    }
    if let Some(mut entry) = db.write(source) {
        let set = entry.set_mut()?;
        set.remove(member);
        let is_empty = set.is_empty();
        db.took_elements(source, 1, is_empty, EventClass::SET, "srem");
    }
    let make = || Value::Set(Set::for_member(member, 1, limits));
    let added = db.write_or_insert(destination, make).set_mut()?.add(member, limits);
    if added {
        db.notify(EventClass::SET, "sadd", destination);
    }
    ctx.changed(1 + usize::from(added));
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    reply.set(set.map_or(0, Set::len));
    for member in set.into_iter().flatten() {
        element::push(reply, member);
    }
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let contains = find(&mut db, args.at(1))?.is_some_and(|set| set.contains(args.at(2)));
    reply.int(i64::from(contains));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.uint(find(&mut db, args.at(1))?.map_or(0, Set::len));
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = scan::cursor(args.at(2))?;
    let (mut db, reply) = ctx.split();
    let mut found = Found::new(reply);
    let Some(set) = find(&mut db, args.at(1))? else {
        found.finish(0, reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args.from(3), None)?;
    let next = set.scan(cursor, options.count, |member| {
        if options.wants(member) {
            found.push(member);
        }
    });
    found.finish(next, reply);
    Ok(())
}
