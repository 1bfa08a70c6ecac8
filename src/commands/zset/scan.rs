//! ZSCAN.

use super::find;
use crate::commands::scan::{self, Found, ScanOptions};
use crate::data::value::Encoding;
use crate::data::zset;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const ARGS: &[Arg] = &scan::step_args("noscores", "NOSCORES");

pub const COMMANDS: &[Command] = &[Command::new("zscan", -3, zscan)
    .flags(Flags::READONLY)
    .acl(Acl::SORTEDSET)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(Group::SortedSet, "2.8.0", "O(1)", "Walks over the elements of a sorted set, some at a time.")
    .tips(&["nondeterministic_output"])
    .args(ARGS)];

fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = scan::cursor(args.at(2))?;
    let (mut db, reply) = ctx.split();
    let mut found = Found::new(reply);
    let Some(set) = find(&mut db, args.at(1))? else {
        found.finish(0, reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args.from(3), Some("noscores"))?;
    let packed = set.encoding() == Encoding::Listpack;
    let next = set.scan(cursor, options.count, |member, score| {
        if options.wants(member) {
            found.push(member);
            if options.keys_only {
                return;
            }
            if packed {
                // As it stands there: a large whole number with all of its digits.
                zset::with_score(score, |score| found.push(score));
            } else {
                found.push_score(score);
            }
        }
    });
    found.finish(next, reply);
    Ok(())
}
