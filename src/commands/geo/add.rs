//! GEOADD.

use super::position;
use crate::commands::zset::add::zadd;
use crate::data::geohash;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, Argv, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("geoadd", -5, geoadd)
    .flags(Flags::DENYOOM.union(Flags::WRITE))
    .acl(Acl::GEO)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
    .doc(
        Group::Geo,
        "3.2.0",
        "O(log(N)) for each member, where N is the number of members of the sorted set",
        "Adds members with their positions, or moves them.",
    )
    .args(&[
        Arg::key("key", 0),
        Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")]).since("6.2.0").optional(),
        Arg::flag("change", "CH").since("6.2.0").optional(),
        Arg::block("data", &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")]).multiple(),
    ])];

/// Runs, and is propagated, as the ZADD that it means.
fn geoadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut call = Argv::of(&[b"ZADD", args.at(1)]);
    let mut i = 2;
    while args.is(i, "nx") || args.is(i, "xx") || args.is(i, "ch") {
        call.push(args.at(i));
        i += 1;
    }
    let options = args.range(2, i);
    let has = |word: &str| (0..options.len()).any(|i| options.is(i, word));
    let words = args.from(i);
    if words.is_empty() || !words.len().is_multiple_of(3) || (has("nx") && has("xx")) {
        return Err(ErrorReply::Syntax);
    }
    for i in (0..words.len()).step_by(3) {
        let score = geohash::score(position(words.at(i), words.at(i + 1))?);
        call.push_i64(score as i64).push(words.at(i + 2));
    }
    zadd(ctx, call.args())?;
    ctx.propagate_as(call);
    Ok(())
}
