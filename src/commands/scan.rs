//! What SCAN, CLUSTERSCAN, HSCAN, SSCAN and ZSCAN have in common: their arguments and the shape of their replies.

use std::fmt::Display;

use super::{element, parse};
use crate::base::{Slot, glob, num};
use crate::data::Item;
use crate::data::entry::Entry;
use crate::data::value::Kind;
use crate::exec::Arg;
use crate::keyspace::Db;
use crate::resp::{Args, ErrorReply, Reply};

/// Pieces of the keyspace that one SCAN visits at most, for each key that was asked for.
const STEPS_PER_KEY: usize = 10;

/// The arguments of a walk over a key whose elements have values, which `token` leaves out.
pub const fn step_args(name: &'static str, token: &'static str) -> [Arg; 5] {
    [
        Arg::key("key", 0),
        Arg::int("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::int("count").token("COUNT").optional(),
        Arg::flag(name, token).optional(),
    ]
}

/// `MATCH`, `COUNT` and, where there is one, the word that leaves values out.
pub struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    pub count: usize,
    pub keys_only: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the arguments behind the cursor.
    pub fn parse(args: Args<'a>, keys_only_word: Option<&str>) -> Result<ScanOptions<'a>, ErrorReply> {
        let mut options = ScanOptions { pattern: None, count: 10, keys_only: false };
        let mut i = 0;
        while i < args.len() {
            if keys_only_word.is_some_and(|word| args.is(i, word)) {
                options.keys_only = true;
                i += 1;
                continue;
            }
            refuse_elsewhere(args, i)?;
            let value = args.get(i + 1).ok_or(ErrorReply::Syntax)?;
            if args.is(i, "match") {
                options.pattern = (value != b"*").then_some(value);
            } else if args.is(i, "count") {
                let count = usize::try_from(parse::int(value)?).map_err(|_| ErrorReply::Syntax)?;
                options.count = if count > 0 { count } else { return Err(ErrorReply::Syntax) };
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 2;
        }
        Ok(options)
    }

    #[must_use]
    pub fn wants(&self, item: Item<'_>) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, item.text(&mut Default::default()), false))
    }
}

/// Which keys a walk over the keyspace is about, and how many at a time.
pub struct KeyFilter<'a> {
    pub pattern: Option<&'a [u8]>,
    count: usize,
    /// Of this type only.
    kind: Option<Kind>,
}

impl<'a> KeyFilter<'a> {
    /// Reads the options behind the cursor.
    pub fn parse(options: Args<'a>) -> Result<KeyFilter<'a>, ErrorReply> {
        let mut filter = KeyFilter { pattern: None, count: 10, kind: None };
        let mut i = 0;
        while i < options.len() {
            refuse_elsewhere(options, i)?;
            let value = options.get(i + 1).ok_or(ErrorReply::Syntax)?;
            if options.is(i, "count") {
                let count = num::parse_i64(value).ok_or(ErrorReply::NotInteger)?;
                filter.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(ErrorReply::Syntax)?;
            } else if options.is(i, "match") {
                filter.pattern = Some(value).filter(|pattern| *pattern != b"*");
            } else if options.is(i, "type") {
                let unknown = || ErrorReply::quoting("ERR unknown type name '", value, "'");
                filter.kind = Some(Kind::parse(value).ok_or_else(unknown)?);
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 2;
        }
        Ok(filter)
    }

    fn has(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind())
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), false))
    }
}

/// One step of a walk over the keyspace, with what is left of its bounds.
pub struct KeyWalk<'a> {
    filter: &'a KeyFilter<'a>,
    seen: usize,
    steps: usize,
}

impl<'a> KeyWalk<'a> {
    #[must_use]
    pub fn new(filter: &'a KeyFilter<'a>) -> KeyWalk<'a> {
        KeyWalk { filter, seen: 0, steps: filter.count.saturating_mul(STEPS_PER_KEY) }
    }

    /// Whether enough was done for one call.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.seen >= self.filter.count || self.steps == 0
    }

    /// Goes on from `cursor`, in `only` that slot if one is given, until enough was done or nothing is left. Returns the
    /// cursor to go on with, 0 if nothing is left.
    pub fn go(&mut self, db: &mut Db<'_>, mut cursor: u64, only: Option<Slot>, found: &mut Found) -> u64 {
        let mut due = Vec::new();
        loop {
            cursor = db.scan(cursor, only, &mut |entry| {
                self.seen += 1;
                match (self.filter.has(entry), db.is_due(entry)) {
                    (true, false) => found.push(Item::Bytes(entry.key())),
                    (true, true) => due.push(Box::<[u8]>::from(entry.key())),
                    (false, _) => {}
                }
            });
            self.steps = self.steps.saturating_sub(1);
            if cursor == 0 || self.is_over() {
                break;
            }
        }
        for key in due {
            // Looking at it ends it.
            db.exists(&key);
        }
        cursor
    }
}

/// Refuses, at argument `i`, a word that only another command of the family knows.
pub fn refuse_elsewhere(args: Args<'_>, i: usize) -> Result<(), ErrorReply> {
    if args.is(i, "novalues") {
        Err(ErrorReply::Static("ERR NOVALUES option can only be used in HSCAN"))
    } else if args.is(i, "noscores") {
        Err(ErrorReply::Static("ERR NOSCORES option can only be used in ZSCAN"))
    } else {
        Ok(())
    }
}

/// A cursor, read as C reads unsigned numbers: with a sign if one is there, which makes large numbers of small ones;
/// nothing at all begins a walk as well as 0 does.
pub fn cursor(arg: &[u8]) -> Result<u64, ErrorReply> {
    let (negative, digits) = match arg {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse::<u64>().ok());
    let number = number.ok_or(ErrorReply::InvalidCursor)?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

/// Collects the elements of one step; the cursor, which comes first, is known only at the end.
pub struct Found {
    elements: Reply,
    count: usize,
}

impl Found {
    #[must_use]
    pub fn new(reply: &Reply) -> Found {
        Found { elements: Reply::new(reply.proto), count: 0 }
    }

    pub fn push(&mut self, item: Item<'_>) {
        element::push(&mut self.elements, item);
        self.count += 1;
    }

    /// A score, a bulk string in either protocol: with 17 digits, as ZSCAN gives those of a skiplist in all versions.
    pub fn push_score(&mut self, score: f64) {
        let mut text = Vec::with_capacity(24);
        num::push_f64_17(&mut text, score);
        self.push(Item::Bytes(&text));
    }

    /// Writes the reply: the cursor to go on with and what was found.
    pub fn finish(self, cursor: impl Display, reply: &mut Reply) {
        reply.array(2);
        reply.bulk_str(&cursor.to_string());
        reply.array(self.count);
        reply.raw(&self.elements.buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Argv;

    #[test]
    fn options() {
        let parse = |words: &[&[u8]]| {
            ScanOptions::parse(Argv::of(words).args(), Some("novalues")).map(|o| (o.count, o.keys_only))
        };
        assert_eq!(parse(&[b"COUNT", b"3", b"NOVALUES"]), Ok((3, true)));
        assert_eq!(parse(&[b"MATCH", b"*"]), Ok((10, false)));
        assert_eq!(parse(&[b"COUNT", b"0"]), Err(ErrorReply::Syntax));
        assert_eq!(parse(&[b"COUNT"]), Err(ErrorReply::Syntax));
        let only_elsewhere = ErrorReply::Static("ERR NOSCORES option can only be used in ZSCAN");
        assert_eq!(parse(&[b"NOSCORES"]), Err(only_elsewhere));
        assert_eq!(parse(&[b"COUNT", b"x"]), Err(ErrorReply::NotInteger));
        assert_eq!(cursor(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(cursor(b""), Ok(0));
        assert_eq!(cursor(b"-1"), Ok(u64::MAX));
        assert_eq!(cursor(b"+01"), Ok(1));
        for bad in [&b"-"[..], b"+-1", b" 1", b"1x", b"18446744073709551616"] {
            assert_eq!(cursor(bad), Err(ErrorReply::InvalidCursor), "{}", bad.escape_ascii());
        }
    }
}
