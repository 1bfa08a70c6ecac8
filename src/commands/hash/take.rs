//! HGETDEL, HGETEX: reading fields and changing their lifetime in one go.

use super::fields::{find, find_unread};
use super::lifetime::{self, Chosen, FIELDS, end_of_options, named_fields};
use crate::commands::element;
use crate::commands::expiry::{EXPIRATION, Expiry, ExpiryClause, is_past};
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

fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let fields = named_fields(args, 2, 1)?;
    let (mut db, reply) = ctx.split();
    // Who takes away does not look: no hit, and no miss.
    let hash = find_unread(&mut db, args.at(1))?;
    let mut taken = Chosen::default();
    reply.array(fields.len());
    for field in fields.iter() {
        match hash.and_then(|hash| hash.get(field)).filter(|_| !taken.has(field)) {
            Some(value) => {
                element::push(reply, value);
                taken.add(field);
            }
            None => reply.null(),
        }
    }
    lifetime::remove(ctx, args.at(1), &taken.fields, "hdel").map(drop)
}

fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let mut clause = ExpiryClause::default();
    let end = end_of_options(args, 2)?;
    let options = args.range(0, end);
    let mut i = 2;
    while i < end {
        i += clause.accept(options, i).filter(|_| !clause.keeps()).ok_or(ErrorReply::Syntax)?;
    }
    let fields = named_fields(args, end, 1)?;
    // Of a key of another type this is said before the time is read.
    find(&mut ctx.db(), key)?;
    let expiry = clause.resolve_or_now(ctx.now, ctx.command.name)?;
    let ends_now = matches!(expiry, Expiry::At { at, .. } if is_past(ctx, at));
    let (mut db, reply) = ctx.split();
    let hash = find_unread(&mut db, key)?;
    let mut chosen = Chosen::default();
    reply.array(fields.len());
    for field in fields.iter() {
        match hash.and_then(|hash| hash.get_with_expiry(field)).filter(|_| !(ends_now && chosen.has(field))) {
            Some((value, expire_at)) => {
                element::push(reply, value);
                let changes = match expiry {
                    Expiry::At { .. } => true,
                    Expiry::Persist => expire_at.is_some(),
                    Expiry::Unsaid | Expiry::Keep => false,
                };
                if changes {
                    chosen.add(field);
                }
            }
            None => reply.null(),
        }
    }
    match expiry {
        Expiry::At { at, .. } => lifetime::let_end(ctx, key, &chosen.fields, at),
        Expiry::Persist => lifetime::let_stay(ctx, key, &chosen.fields),
        Expiry::Unsaid | Expiry::Keep => Ok(()),
    }
}
