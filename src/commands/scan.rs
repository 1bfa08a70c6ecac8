//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: their arguments and the shape of their replies.

use super::{element, parse};
use crate::base::{glob, num};
use crate::data::Item;
use crate::exec::Arg;
use crate::resp::{Args, ErrorReply, Reply};

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

    /// A score: a bulk string in either protocol.
    pub fn push_score(&mut self, score: f64) {
        let mut text = Vec::with_capacity(24);
        num::push_f64(&mut text, score);
        self.push(Item::Bytes(&text));
    }

    /// Writes the reply: the cursor to go on with and what was found.
    pub fn finish(self, cursor: u64, reply: &mut Reply) {
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
