//! SINTER, SUNION, SDIFF, their storing forms, and SINTERCARD.

use std::ops::ControlFlow;

use super::algebra;
use crate::commands::mpop::positive;
use crate::commands::{element, parse};
use crate::data::item::Text;
use crate::data::set::Set;
use crate::data::value::Value;
use crate::data::{Item, Limits};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, EventClass, Typed};
use crate::resp::{Args, ErrorReply};

const FLAGS_GROW: Flags = Flags::DENYOOM.union(Flags::WRITE);
const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const KEY_OW_UPDATE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("sinter", -2, sinter)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N*M)", "Gives the members that all of several sets have.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("sinterstore", -3, sinterstore)
        .flags(FLAGS_GROW)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::range(2, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N*M)", "Stores the members that all of several sets have.")
        .args(&[Arg::key("destination", 0), Arg::key("key", 1).multiple()]),
    Command::new("sintercard", -3, sintercard)
        .flags(Flags::MOVABLE_KEYS.union(Flags::READONLY))
        .acl(Acl::SET)
        .keys(&[KeySpec::counted(1, KEY_RO_ACCESS)])
        .doc(Group::Set, "7.0.0", "O(N*M)", "Counts the members that all of several sets have.")
        .args(&[Arg::int("numkeys"), Arg::key("key", 0).multiple(), Arg::int("limit").token("LIMIT").optional()]),
    Command::new("sunion", -2, sunion)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N)", "Gives the members of any of several sets.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("sunionstore", -3, sunionstore)
        .flags(FLAGS_GROW)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::range(2, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N)", "Stores the members of any of several sets.")
        .args(&[Arg::key("destination", 0), Arg::key("key", 1).multiple()]),
    Command::new("sdiff", -2, sdiff)
        .flags(Flags::READONLY)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N)", "Gives the members of the first set that no other set has.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("sdiffstore", -3, sdiffstore)
        .flags(FLAGS_GROW)
        .acl(Acl::SET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::range(2, -1, 1, KEY_RO_ACCESS)])
        .doc(Group::Set, "1.0.0", "O(N)", "Stores the members of the first set that no other set has.")
        .args(&[Arg::key("destination", 0), Arg::key("key", 1).multiple()]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersect,
    Unite,
    Subtract,
}

/// The sets at `keys`; the error if one of them is something else.
fn find_all<'d>(db: &'d mut Db<'_>, keys: Args<'_>) -> Result<Vec<Option<&'d Set>>, ErrorReply> {
    db.read_all(keys.iter()).into_iter().map(|entry| entry.map(Typed::set).transpose()).collect()
}

impl Operation {
    /// Calls `each` with the members of the result.
    fn run(self, sets: &[Option<&Set>], limits: &Limits, mut each: impl FnMut(Item<'_>)) {
        let present: Vec<&Set> = sets.iter().flatten().copied().collect();
        match (self, sets.first().copied().flatten()) {
            (Operation::Intersect, _) if present.len() < sets.len() => {}
            (Operation::Intersect, _) => algebra::intersect(&present, |member| {
                each(member);
                ControlFlow::Continue(())
            }),
            (Operation::Unite, _) => algebra::unite(&present, limits).iter().for_each(each),
            (Operation::Subtract, None) => {}
            (Operation::Subtract, Some(first)) => algebra::subtract(first, &present[1..], limits, each),
        }
    }

    fn give(self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
        let (mut db, reply, limits) = ctx.split_with_limits();
        let sets = find_all(&mut db, args.from(1))?;
        let open = reply.open();
        let mut count = 0;
        self.run(&sets, limits, |member| {
            element::push(reply, member);
            count += 1;
        });
        reply.end_set(open, count);
        Ok(())
    }

    fn store(self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
        let (destination, event) = (args.at(1), ctx.command.name);
        let (mut db, reply, limits) = ctx.split_with_limits();
        let sets = find_all(&mut db, args.from(2))?;
        let mut result = Set::new();
        let mut room = Text::new();
        self.run(&sets, limits, |member| {
            result.add(member.text(&mut room), limits);
        });
        let count = result.len();
        let found = (count > 0).then(|| Value::Set(result));
        let changed = db.store_found(destination, found, EventClass::SET, event);
        reply.uint(count);
        ctx.changed(usize::from(changed));
        Ok(())
    }
}

fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Intersect.give(ctx, args)
}

fn sinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Intersect.store(ctx, args)
}

fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Unite.give(ctx, args)
}

fn sunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Unite.store(ctx, args)
}

fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Subtract.give(ctx, args)
}

fn sdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Subtract.store(ctx, args)
}

fn sintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let keys = positive(args.at(1), "ERR numkeys should be greater than 0")?;
    if keys > args.len() - 2 {
        return Err(ErrorReply::Static("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let options = args.from(2 + keys);
    for i in (0..options.len()).step_by(2) {
        match options.get(i + 1) {
            Some(n) if options.is(i, "limit") => {
                limit = parse::count(n).map_err(|_| ErrorReply::Static("ERR LIMIT can't be negative"))?;
            }
            _ => return Err(ErrorReply::Syntax),
        }
    }
    let (mut db, reply) = ctx.split();
    let sets = find_all(&mut db, args.range(2, 2 + keys))?;
    let mut count = 0;
    if let Some(present) = sets.into_iter().collect::<Option<Vec<&Set>>>() {
        algebra::intersect(&present, |_| {
            count += 1;
            if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    reply.uint(count);
    Ok(())
}
