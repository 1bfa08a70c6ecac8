//! HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME: when fields end.

use super::fields::find;
use super::lifetime::{FIELDS, asked_fields};
use crate::base::Millis;
use crate::commands::generic::ttl::{MISSING, NEVER, nearest_seconds};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const READS: Flags = Flags::FAST.union(Flags::READONLY);
const KEY: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))];
const ARGS: &[Arg] = &[Arg::key("key", 0), FIELDS];

pub const COMMANDS: &[Command] = &[
    Command::new("httl", -5, httl)
        .flags(READS)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", "O(N)", "Gives the seconds that fields have left.")
        .args(ARGS),
    Command::new("hpttl", -5, hpttl)
        .flags(READS)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", "O(N)", "Gives the milliseconds that fields have left.")
        .args(ARGS),
    Command::new("hexpiretime", -5, hexpiretime)
        .flags(READS)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", "O(N)", "Gives the Unix times at which fields end, in seconds.")
        .args(ARGS),
    Command::new("hpexpiretime", -5, hpexpiretime)
        .flags(READS)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", "O(N)", "Gives the Unix times at which fields end, in milliseconds.")
        .args(ARGS),
];

fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.now;
    give(ctx, args, |at| nearest_seconds(at.since(now)))
}

fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.now;
    give(ctx, args, |at| at.since(now))
}

fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, |at| nearest_seconds(at.0))
}

fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, |at| at.0)
}

fn give(ctx: &mut Ctx<'_>, args: Args<'_>, show: impl Fn(Millis) -> i64) -> Done {
    let fields = asked_fields(args, 2)?;
    let (mut db, reply) = ctx.split();
    let hash = find(&mut db, args.at(1))?;
    reply.array(fields.len());
    for field in fields.iter() {
        reply.int(match hash.and_then(|hash| hash.get_with_expiry(field)) {
            None => MISSING,
            Some((_, None)) => NEVER,
            Some((_, Some(at))) => show(at),
        });
    }
    Ok(())
}
