//! TYPE, OBJECT: what kind of value a key holds, and how.

use crate::commands::help::help;
use crate::data::entry::Entry;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::AccessPolicy;
use crate::resp::{Args, ErrorReply, Reply};

const KEY: &[KeySpec] = &[KeySpec::range(2, 0, 1, KeyFlags::RO)];

pub const COMMANDS: &[Command] = &[
    Command::new("type", 2, kind)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives the type of a value.")
        .args(&[Arg::key("key", 0)]),
    Command::container("object", SUBCOMMANDS).doc(
        Group::Generic,
        "2.2.3",
        "",
        "A container for commands that tell how values are kept.",
    ),
];

const SUBCOMMANDS: &[Command] = &[
    Command::new("object|encoding", 3, encoding)
        .flags(Flags::READONLY)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "2.2.3", "O(1)", "Gives the encoding of a value.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("object|freq", 3, freq)
        .flags(Flags::READONLY)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "4.0.0", "O(1)", "Gives the logarithmic count of uses of a value.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("object|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).acl(Acl::KEYSPACE).doc(
        Group::Generic,
        "6.2.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("object|idletime", 3, idletime)
        .flags(Flags::READONLY)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "2.2.3", "O(1)", "Gives the seconds since a value was last used.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("object|refcount", 3, refcount)
        .flags(Flags::READONLY)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "2.2.3", "O(1)", "Gives the number of references to a value.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
];

fn kind(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.simple(db.look(args.at(1)).map_or("none", |entry| entry.kind().name()));
    Ok(())
}

/// Shows something of the value at argument 2, or null.
fn show(ctx: &mut Ctx<'_>, args: Args<'_>, push: impl FnOnce(&Entry, &mut Reply) -> Done) -> Done {
    let (mut db, reply) = ctx.split();
    match db.peek(args.at(2)) {
        Some(entry) => push(entry, reply),
        None => {
            reply.null();
            Ok(())
        }
    }
}

fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    show(ctx, args, |entry, reply| {
        reply.bulk_str(entry.encoding().name());
        Ok(())
    })
}

/// Values are never shared here.
fn refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    show(ctx, args, |_, reply| {
        reply.int(1);
        Ok(())
    })
}

fn freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (policy, now) = (ctx.server.keyspace.access_policy(), ctx.now);
    show(ctx, args, |entry, reply| {
        if policy == AccessPolicy::Lru {
            return Err(ErrorReply::Static(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        reply.int(i64::from(policy.frequency(entry.access(), now)));
        Ok(())
    })
}

fn idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (policy, now) = (ctx.server.keyspace.access_policy(), ctx.now);
    show(ctx, args, |entry, reply| {
        if policy != AccessPolicy::Lru {
            return Err(ErrorReply::Static(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                 between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        reply.int(i64::from(AccessPolicy::idle_seconds(entry.access(), now)));
        Ok(())
    })
}
