//! INCRBYFLOAT: strings that are numbers with a fraction.

use crate::base::Extended;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, SetExpire, Typed};
use crate::resp::{Args, Argv, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("incrbyfloat", 3, incrbyfloat)
    .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
    .acl(Acl::STRING)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
    .doc(Group::String, "2.6.0", "O(1)", "Adds a number with a fraction to a number.")
    .args(&[Arg::key("key", 0), Arg::double("increment")])];

fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let mut digits = itoa::Buffer::new();
    let mut db = ctx.db();
    let old = db.peek(key).map_or(Ok(&b"0"[..]), |entry| entry.text(&mut digits))?;
    let old = Extended::parse(old).ok_or(ErrorReply::NotFloat)?;
    let by = Extended::parse(args.at(2)).ok_or(ErrorReply::NotFloat)?;
    let sum = old.checked_add(by).ok_or(ErrorReply::Static("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::with_capacity(32);
    sum.push_to(&mut text);
    // The result and not the sum is propagated: nobody has to calculate it the same way.
    ctx.propagate_as(Argv::of(&[b"SET", key, &text, b"KEEPTTL"]));
    ctx.reply().bulk(&text);
    ctx.db().set(key, Value::Bytes(text), SetExpire::Keep);
    ctx.notify(EventClass::STRING, "incrbyfloat", key);
    ctx.changed(1);
    Ok(())
}
