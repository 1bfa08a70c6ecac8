//! HGETDEL, HGETEX: reading fields and changing their lifetime in one go.

use super::fields::find;
use super::lifetime::{self, FIELDS, named_fields};
use crate::commands::element;
use crate::commands::expiry::{EXPIRATION, Expiry, ExpiryClause};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply};

const WRITES: Flags = Flags::FAST.union(Flags::WRITE);
const READS_AND: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("hgetdel", -5, hgetdel)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, READS_AND.union(KeyFlags::DELETE))])
        .doc(Group::Hash, "9.1.0", "O(N)", "Gives the values of fields and removes them.")
        .args(&[Arg::key("key", 0), FIELDS]),
    Command::new("hgetex", -5, hgetex)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, READS_AND.union(KeyFlags::UPDATE))])
        .doc(Group::Hash, "9.0.0", "O(N)", "Gives the values of fields and may say when they end.")
        .args(&[Arg::key("key", 0), EXPIRATION, FIELDS]),
];

/// A field that was found, and whether it ends.
struct Given<'a> {
    field: &'a [u8],
    ends: bool,
}

/// Writes the values of fields; gives those that exist.
fn give<'a>(ctx: &mut Ctx<'_>, key: &[u8], fields: Args<'a>) -> Result<Vec<Given<'a>>, ErrorReply> {
    let (mut db, reply) = ctx.split();
    let hash = find(&mut db, key)?;
    let mut given = Vec::new();
    reply.array(fields.len());
    for field in fields.iter() {
        match hash.and_then(|hash| hash.get_with_expiry(field)) {
            Some((value, expire_at)) => {
                element::push(reply, value);
                given.push(Given { field, ends: expire_at.is_some() });
            }
            None => reply.null(),
        }
    }
    Ok(given)
}

fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let fields = named_fields(args, 2, 1)?;
    let found: Vec<&[u8]> = give(ctx, args.at(1), fields)?.iter().map(|given| given.field).collect();
    lifetime::remove(ctx, args.at(1), &found, "hdel").map(drop)
}

fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let mut clause = ExpiryClause::default();
    let mut i = 2;
    while i < args.len() && !args.is(i, "fields") {
        i += clause.accept(args, i).filter(|_| !clause.keeps()).ok_or(ErrorReply::Syntax)?;
    }
    let fields = named_fields(args, i, 1)?;
    let expiry = clause.resolve(ctx.now, ctx.command.name)?;
    let found = give(ctx, key, fields)?;
    let all = || found.iter().map(|given| given.field).collect::<Vec<_>>();
    match expiry {
        Expiry::At { at, .. } => lifetime::let_end(ctx, key, &all(), at),
        Expiry::Persist => {
            let ending: Vec<&[u8]> = found.iter().filter(|given| given.ends).map(|given| given.field).collect();
            lifetime::let_stay(ctx, key, &ending)
        }
        Expiry::Unsaid | Expiry::Keep => Ok(()),
    }
}
