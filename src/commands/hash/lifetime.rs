//! What the commands about fields that expire have in common: how fields are named, and how their time is changed.

use std::collections::BTreeSet;

use crate::base::Millis;
use crate::commands::expiry::is_past;
use crate::commands::parse;
use crate::exec::{Arg, Ctx, Done};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

const COUNT: ErrorReply =
    ErrorReply::Static("ERR numfields should be greater than 0 and match the provided number of fields");

/// `FIELDS numfields field …`.
pub(super) const FIELDS: Arg =
    Arg::block("fields", &[Arg::int("numfields").key_spec(0), Arg::string("field").multiple()]).token("FIELDS");

/// Where the word FIELDS stands that ends the options, which begin at argument `from`. What stands behind it may be called
/// so as well.
pub(super) fn end_of_options(args: Args<'_>, from: usize) -> Result<usize, ErrorReply> {
    // Without a word behind it, it names no fields.
    (from..args.len() - 1).find(|&i| args.is(i, "fields")).ok_or(COUNT)
}

/// Fields of one command that are to be changed: what is named twice is changed once, and found changed the second time.
#[derive(Default)]
pub(super) struct Chosen<'a> {
    /// In the order of the command.
    pub fields: Vec<&'a [u8]>,
    seen: BTreeSet<&'a [u8]>,
}

impl<'a> Chosen<'a> {
    pub fn add(&mut self, field: &'a [u8]) {
        self.fields.push(field);
        self.seen.insert(field);
    }

    pub fn has(&self, field: &[u8]) -> bool {
        self.seen.contains(field)
    }
}

/// As [`named_fields`], for commands that only ask.
pub(super) fn asked_fields(args: Args<'_>, at: usize) -> Result<Args<'_>, ErrorReply> {
    named_fields(args, at, 1).map_err(|error| if error == COUNT { ErrorReply::Syntax } else { error })
}

/// Reads `FIELDS`, a number, and so many times `each` words, from argument `at` to the end.
pub(super) fn named_fields(args: Args<'_>, at: usize, each: usize) -> Result<Args<'_>, ErrorReply> {
    let count = args.get(at + 1).filter(|_| args.is(at, "fields")).ok_or(ErrorReply::Syntax)?;
    let words = args.from(at + 2);
    let count = parse::int(count)?;
    let expected = usize::try_from(count).ok().and_then(|count| count.checked_mul(each));
    if count > 0 && expected == Some(words.len()) { Ok(words) } else { Err(COUNT) }
}

/// `command key [PXAT ms] FIELDS n field …`.
fn about_fields<'a>(
    command: &[u8],
    key: &[u8],
    at: Option<Millis>,
    fields: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Argv {
    let mut argv = Argv::of(&[command, key]);
    if let Some(at) = at {
        argv.push_i64(at.0);
    }
    argv.push(b"FIELDS").push_i64(fields.len() as i64);
    fields.for_each(|field| {
        argv.push(field);
    });
    argv
}

/// Removes fields, here and in the stream, and tells of that as `event`. Gives the number of those that were there.
pub(super) fn remove(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    fields: &[&[u8]],
    event: &'static str,
) -> Result<usize, ErrorReply> {
    let mut db = ctx.db();
    let Some(mut entry) = db.write(key) else { return Ok(0) };
    let hash = entry.hash_mut()?;
    let mut argv = Argv::of(&[b"HDEL", key]);
    let mut removed = 0;
    for field in fields.iter().filter(|field| hash.remove(field)) {
        argv.push(field);
        removed += 1;
    }
    let is_empty = hash.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::HASH, event);
    if removed > 0 {
        ctx.changed(removed);
        ctx.propagate_as(argv);
    }
    Ok(removed)
}

/// Lets fields that are there end at `at`, or at once if that has passed.
pub(super) fn let_end(ctx: &mut Ctx<'_>, key: &[u8], fields: &[&[u8]], at: Millis) -> Done {
    if fields.is_empty() {
        return Ok(());
    }
    if is_past(ctx, at) {
        return remove(ctx, key, fields, "hexpired").map(drop);
    }
    set_expiry(ctx, key, fields, Some(at))?;
    ctx.notify(EventClass::HASH, "hexpire", key);
    ctx.propagate_as(about_fields(b"HPEXPIREAT", key, Some(at), fields.iter().copied()));
    Ok(())
}

/// Lets fields that are there stay.
pub(super) fn let_stay(ctx: &mut Ctx<'_>, key: &[u8], fields: &[&[u8]]) -> Done {
    if fields.is_empty() {
        return Ok(());
    }
    set_expiry(ctx, key, fields, None)?;
    ctx.notify(EventClass::HASH, "hpersist", key);
    ctx.propagate_as(about_fields(b"HPERSIST", key, None, fields.iter().copied()));
    Ok(())
}

fn set_expiry(ctx: &mut Ctx<'_>, key: &[u8], fields: &[&[u8]], at: Option<Millis>) -> Done {
    let (mut db, _, limits) = ctx.split_with_limits();
    let Some(mut entry) = db.write(key) else { return Ok(()) };
    let hash = entry.hash_mut()?;
    for field in fields {
        hash.set_expiry(field, at, limits);
    }
    db.fields_changed(key);
    ctx.changed(fields.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted() {
        let parse = |line: &str, each| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            named_fields(Argv::of(&words).args(), 0, each).map(|fields| fields.len())
        };
        assert_eq!(parse("fields 2 a b", 1), Ok(2));
        assert_eq!(parse("FIELDS 1 a b", 2), Ok(2));
        assert_eq!(parse("FIELD 1 a", 1), Err(ErrorReply::Syntax));
        assert_eq!(parse("FIELDS", 1), Err(ErrorReply::Syntax));
        assert_eq!(parse("FIELDS x a", 1), Err(ErrorReply::NotInteger));
        for line in ["FIELDS 0 a", "FIELDS -1 a", "FIELDS 2 a", "FIELDS 1 a b", "FIELDS 9223372036854775807 a"] {
            assert_eq!(parse(line, 1), Err(COUNT), "{line}");
            assert_eq!(parse(line, 3), Err(COUNT), "{line}");
        }
    }
}
