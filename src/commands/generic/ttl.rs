//! TTL, PTTL, EXPIRETIME, PEXPIRETIME: how long a key has left.

use crate::base::Millis;
use crate::data::entry::Entry;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const READS: Flags = Flags::FAST.union(Flags::READONLY);
const KEY: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))];

pub const COMMANDS: &[Command] = &[
    Command::new("ttl", 2, ttl)
        .flags(READS)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives the time that a key has left, in seconds.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("pttl", 2, pttl)
        .flags(READS)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "2.6.0", "O(1)", "Gives the time that a key has left, in milliseconds.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("expiretime", 2, expiretime)
        .flags(READS)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "7.0.0", "O(1)", "Gives the Unix time at which a key ends, in seconds.")
        .args(&[Arg::key("key", 0)]),
    Command::new("pexpiretime", 2, pexpiretime)
        .flags(READS)
        .acl(Acl::KEYSPACE)
        .keys(KEY)
        .doc(Group::Generic, "7.0.0", "O(1)", "Gives the Unix time at which a key ends, in milliseconds.")
        .args(&[Arg::key("key", 0)]),
];

/// The reply for a key that does not exist, and for one that does not end.
pub(in crate::commands) const MISSING: i64 = -2;
pub(in crate::commands) const NEVER: i64 = -1;

fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.now;
    give(ctx, args.at(1), |at| nearest_seconds(at.since(now)))
}

fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.now;
    give(ctx, args.at(1), |at| at.since(now))
}

fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args.at(1), |at| nearest_seconds(at.0))
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args.at(1), |at| at.0)
}

pub(in crate::commands) fn nearest_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

fn give(ctx: &mut Ctx<'_>, key: &[u8], show: impl FnOnce(Millis) -> i64) -> Done {
    let (mut db, reply) = ctx.split();
    reply.int(match db.look(key).map(Entry::expire_at) {
        None => MISSING,
        Some(None) => NEVER,
        Some(Some(at)) => show(at),
    });
    Ok(())
}
