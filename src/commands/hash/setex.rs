//! HSETEX: fields with values, and when they end.

use super::fields::find_unread;
use super::lifetime::{self, end_of_options, named_fields};
use crate::commands::expiry::{Expiry, ExpiryClause, is_past};
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("hsetex", -6, hsetex)
    .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
    .acl(Acl::HASH)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
    .doc(Group::Hash, "9.0.0", "O(N)", "Sets fields of a hash and says when they end.")
    .args(&[
        Arg::key("key", 0),
        Arg::one_of("key-condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")]).optional(),
        Arg::one_of("fields-condition", &[Arg::flag("fnx", "FNX"), Arg::flag("fxx", "FXX")]).optional(),
        Arg::one_of(
            "expiration",
            &[
                Arg::int("seconds").token("EX"),
                Arg::int("milliseconds").token("PX"),
                Arg::unix_time("unix-time-seconds").token("EXAT"),
                Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                Arg::flag("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
        Arg::block(
            "fields",
            &[
                Arg::int("numfields").key_spec(0),
                Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
            ],
        )
        .token("FIELDS"),
    ])];

/// On what it depends whether anything is set.
#[derive(Default)]
struct Conditions {
    /// `NX` (false) or `XX` (true): the key must not, or must, exist.
    key: Option<bool>,
    /// `FNX` or `FXX`: none of the fields, or all of them.
    fields: Option<bool>,
}

impl Conditions {
    /// Reads the word at argument `i`, if it is a condition. Two that contradict each other are an error.
    fn accept(&mut self, args: Args<'_>, i: usize) -> Result<bool, ErrorReply> {
        const WORDS: [(&str, bool); 4] = [("nx", false), ("xx", true), ("fnx", false), ("fxx", true)];
        let Some(n) = WORDS.iter().position(|(word, _)| args.is(i, word)) else { return Ok(false) };
        let place = if n < 2 { &mut self.key } else { &mut self.fields };
        if place.is_some_and(|before| before != WORDS[n].1) {
            return Err(ErrorReply::Syntax);
        }
        *place = Some(WORDS[n].1);
        Ok(true)
    }

    fn hold_for_key(&self, ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, ErrorReply> {
        let is_there = find_unread(&mut ctx.db(), key)?.is_some();
        Ok(self.key.is_none_or(|exists| is_there == exists))
    }

    fn hold_for_fields(&self, ctx: &mut Ctx<'_>, key: &[u8], pairs: Args<'_>) -> Result<bool, ErrorReply> {
        let mut db = ctx.db();
        let hash = find_unread(&mut db, key)?;
        let has = |field: &[u8]| hash.is_some_and(|hash| hash.contains(field));
        let mut fields = pairs.iter().step_by(2);
        Ok(match self.fields {
            None => true,
            Some(true) => fields.all(has),
            Some(false) => !fields.any(has),
        })
    }
}

fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (mut conditions, mut clause) = (Conditions::default(), ExpiryClause::default());
    let end = end_of_options(args, 2)?;
    let options = args.range(0, end);
    let mut i = 2;
    while i < end {
        i += match conditions.accept(options, i)? {
            true => 1,
            false => clause.accept(options, i).filter(|_| !clause.persists()).ok_or(ErrorReply::Syntax)?,
        };
    }
    let pairs = named_fields(args, end, 2)?;
    // The time is read when the key is as it should be, and before its fields are looked at.
    let mut holds = conditions.hold_for_key(ctx, key)?;
    let expiry = if holds { clause.resolve_or_now(ctx.now, ctx.command.name)? } else { Expiry::Unsaid };
    holds = holds && conditions.hold_for_fields(ctx, key, pairs)?;
    ctx.reply().int(i64::from(holds));
    if !holds {
        return Ok(());
    }
    match expiry {
        Expiry::At { at, .. } if is_past(ctx, at) => set_in_the_past(ctx, key, pairs),
        _ => set(ctx, key, pairs, expiry),
    }
}

/// Fields whose time has passed: what is told is that they came and went, what is done is that they are removed.
fn set_in_the_past(ctx: &mut Ctx<'_>, key: &[u8], pairs: Args<'_>) -> Done {
    let fields: Vec<&[u8]> = pairs.iter().step_by(2).collect();
    let is_new = !ctx.db().exists(key);
    if is_new {
        ctx.notify(EventClass::NEW, "new", key);
    }
    ctx.notify(EventClass::HASH, "hset", key);
    ctx.notify(EventClass::HASH, "hexpire", key);
    if lifetime::remove(ctx, key, &fields, "hexpired")? == 0 {
        ctx.notify(EventClass::HASH, "hexpired", key);
    }
    if is_new {
        ctx.notify(EventClass::GENERIC, "del", key);
    }
    Ok(())
}

/// Sets pairs with the expiry that was said, here and in the stream.
fn set(ctx: &mut Ctx<'_>, key: &[u8], pairs: Args<'_>, expiry: Expiry) -> Done {
    let count = pairs.len() / 2;
    let (mut db, _, limits) = ctx.split_with_limits();
    let now = db.field_clock();
    let mut entry = db.write_or_insert(key, || Value::Hash(Default::default()));
    let hash = entry.hash_mut()?;
    hash.expect(count, limits);
    let had_expiries = hash.has_expiries();
    let mut ended = Argv::of(&[b"HDEL", key]);
    let mut replaced_ended = false;
    for i in (0..pairs.len()).step_by(2) {
        let (field, value) = (pairs.at(i), pairs.at(i + 1));
        let expire_at = match expiry {
            Expiry::At { at, .. } => Some(at),
            Expiry::Keep => match hash.get_with_expiry(field) {
                Some((_, Some(at))) if at <= now => {
                    ended.push(field);
                    None
                }
                Some((_, at)) => at,
                None => None,
            },
            Expiry::Unsaid | Expiry::Persist => None,
        };
        replaced_ended |= hash.put(field, value, expire_at, limits).is_some_and(|old| !old.was_live(now));
    }
    if replaced_ended {
        db.notify(EventClass::HASH, "hexpired", key);
    }
    db.notify(EventClass::HASH, "hset", key);
    if matches!(expiry, Expiry::At { .. }) {
        db.fields_changed(key);
        db.notify(EventClass::HASH, "hexpire", key);
    }
    ctx.changed(count);
    // Who follows may still have fields that are past their time here, and must not keep their time.
    if ended.args().len() > 2 {
        ctx.propagate_as(ended);
    }
    let mut argv = match expiry {
        Expiry::At { at, .. } => {
            let mut argv = Argv::of(&[b"HSETEX", key, b"PXAT"]);
            argv.push_i64(at.0);
            argv
        }
        Expiry::Keep if had_expiries => Argv::of(&[b"HSETEX", key, b"KEEPTTL"]),
        // A server that does not know HSETEX understands this.
        Expiry::Keep | Expiry::Unsaid | Expiry::Persist => Argv::of(&[b"HSET", key]),
    };
    if argv.args().len() > 2 {
        argv.push(b"FIELDS").push_i64(count as i64);
    }
    for word in pairs.iter() {
        argv.push(word);
    }
    ctx.propagate_as(argv);
    Ok(())
}
