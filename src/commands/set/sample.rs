//! SPOP, SRANDMEMBER.

use crate::commands::sample::Draw;
use crate::commands::{element, parse};
use crate::data::Item;
use crate::data::set::Set;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

/// Members in one SREM of the stream.
const BATCH: usize = 1024;

pub const COMMANDS: &[Command] = &[
    Command::new("spop", -2, spop)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))])
        .doc(Group::Set, "1.0.0", "", "Removes and gives members drawn at random.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0), Arg::int("count").since("3.2.0").optional()]),
    Command::new("srandmember", -2, srandmember)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::Set, "1.0.0", "", "Gives members drawn at random.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0), Arg::int("count").since("2.6.0").optional()]),
];

fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        2 => pop_one(ctx, args.at(1)),
        3 => {
            let count = parse::count(args.at(2))?;
            pop_some(ctx, args.at(1), count)
        }
        _ => Err(ErrorReply::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Done {
    let (mut db, reply, rng) = ctx.split_with_rng();
    let Some(mut entry) = db.write(key) else {
        reply.null();
        return Ok(());
    };
    let set = entry.set_mut()?;
    let Some(member) = set.pop_random(rng) else { return Ok(()) };
    let is_empty = set.is_empty();
    db.took_elements(key, 1, is_empty, EventClass::SET, "spop");
    reply.bulk(&member);
    ctx.propagate_as(Argv::of(&[b"SREM", key, &member]));
    ctx.changed(1);
    Ok(())
}

fn pop_some(ctx: &mut Ctx<'_>, key: &[u8], count: usize) -> Done {
    let (mut db, reply, rng) = ctx.split_with_rng();
    let Some(mut entry) = db.write(key) else {
        reply.set(0);
        return Ok(());
    };
    let set = entry.set_mut()?;
    let len = set.len();
    if count >= len {
        reply.set(len);
        for member in set.iter() {
            element::push(reply, member);
        }
        db.took_elements(key, len, true, EventClass::SET, "spop");
        let verb: &[u8] = if ctx.server.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
        ctx.propagate_as(Argv::of(&[verb, key]));
        ctx.changed(len);
        return Ok(());
    }
    let mut popped = Vec::with_capacity(count);
    let take = |member: Item<'_>| popped.push(member.to_vec());
    Draw::Distinct(count).each(len, rng, set.iter(), |rng| set.random(rng), |member| *member, take);
    reply.set(popped.len());
    for member in &popped {
        set.remove(member);
        reply.bulk(member);
    }
    db.took_elements(key, popped.len(), false, EventClass::SET, "spop");
    for batch in popped.chunks(BATCH) {
        let mut argv = Argv::of(&[b"SREM", key]);
        for member in batch {
            argv.push(member);
        }
        ctx.propagate_as(argv);
    }
    ctx.changed(popped.len());
    Ok(())
}

fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::Syntax);
    }
    let draw = args.get(2).map(|count| Draw::parse(count, false)).transpose()?;
    let (mut db, reply, rng) = ctx.split_with_rng();
    let set = db.read(args.at(1)).map(Typed::set).transpose()?;
    let Some(draw) = draw else {
        match set.and_then(|set| set.random(rng)) {
            Some(member) => element::push(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let len = set.map_or(0, Set::len);
    reply.array(draw.count(len));
    if let Some(set) = set {
        let give = |member| element::push(reply, member);
        draw.each(len, rng, set.iter(), |rng| set.random(rng), |member| *member, give);
    }
    Ok(())
}
