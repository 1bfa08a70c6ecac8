//! HSCAN.

use super::fields::find;
use crate::commands::scan::{self, Found, ScanOptions};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const ARGS: &[Arg] = &scan::step_args("novalues", "NOVALUES");

pub const COMMANDS: &[Command] = &[Command::new("hscan", -3, hscan)
    .flags(Flags::READONLY)
    .acl(Acl::HASH)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(Group::Hash, "2.8.0", "O(1)", "Walks over the fields of a hash, some at a time.")
    .tips(&["nondeterministic_output"])
    .args(ARGS)];

fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = scan::cursor(args.at(2))?;
    let (mut db, reply) = ctx.split();
    let mut found = Found::new(reply);
    let Some(hash) = find(&mut db, args.at(1))? else {
        found.finish(0, reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args.from(3), Some("novalues"))?;
    let next = hash.scan(cursor, options.count, |field, value| {
        if options.wants(field) {
            found.push(field);
            if !options.keys_only {
                found.push(value);
            }
        }
    });
    found.finish(next, reply);
    Ok(())
}
