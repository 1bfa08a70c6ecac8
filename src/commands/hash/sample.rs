//! HRANDFIELD.

use super::fields::find;
use crate::commands::element;
use crate::commands::sample::Draw;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply, Proto};

pub const COMMANDS: &[Command] = &[Command::new("hrandfield", -2, hrandfield)
    .flags(Flags::READONLY)
    .acl(Acl::HASH)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(Group::Hash, "6.2.0", "O(N)", "Gives fields drawn at random.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::block("options", &[Arg::int("count"), Arg::flag("withvalues", "WITHVALUES").optional()]).optional(),
    ])];

fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let with_values = args.is(3, "withvalues");
    let draw = args.get(2).map(|count| Draw::parse(count, with_values)).transpose()?;
    if args.len() > 4 || (args.len() == 4 && !with_values) {
        return Err(ErrorReply::Syntax);
    }
    let (mut db, reply, rng) = ctx.split_with_rng();
    let hash = find(&mut db, args.at(1))?;
    let Some(draw) = draw else {
        match hash.and_then(|hash| hash.random(rng)) {
            Some((field, _)) => element::push(reply, field),
            None => reply.null(),
        }
        return Ok(());
    };
    let len = hash.map_or(0, |hash| hash.len());
    let count = draw.count(len);
    let nested = with_values && reply.proto == Proto::Resp3;
    reply.array(if with_values && !nested { 2 * count } else { count });
    let Some(hash) = hash else { return Ok(()) };
    draw.each(
        len,
        rng,
        hash.iter(),
        |rng| hash.random(rng),
        |(field, _)| *field,
        |(field, value)| {
            if nested {
                reply.array(2);
            }
            element::push(reply, field);
            if with_values {
                element::push(reply, value);
            }
        },
    );
    Ok(())
}
