//! Ids as commands take them: whole, in part, as a bound of a range, or to be chosen here.

use crate::base::{Millis, num};
use crate::data::stream::StreamId;
use crate::resp::ErrorReply;

const INVALID: ErrorReply = ErrorReply::Static("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: ErrorReply = ErrorReply::Static("ERR invalid start ID for the interval");
const INVALID_END: ErrorReply = ErrorReply::Static("ERR invalid end ID for the interval");

/// The id of an entry to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: by the clock.
    Auto,
    /// `ms-*`: the next number within this millisecond.
    Within(u64),
    Exact(StreamId),
}

impl NewId {
    /// Reads an id to be added.
    pub fn parse(arg: &[u8]) -> Result<NewId, ErrorReply> {
        match arg.strip_suffix(b"-*") {
            _ if arg == b"*" => Ok(NewId::Auto),
            Some(ms) => number(ms).map(NewId::Within).ok_or(INVALID),
            None => parse(arg, 0).map(NewId::Exact),
        }
    }

    /// The id for an entry behind `last`; `None` when it would not stand behind it.
    #[must_use]
    pub fn after(self, last: StreamId, now: Millis) -> Option<StreamId> {
        let id = match self {
            NewId::Auto => {
                let ms = u64::try_from(now.0).unwrap_or(0);
                if ms > last.ms { StreamId { ms, seq: 0 } } else { last.next()? }
            }
            NewId::Within(ms) if ms == last.ms => StreamId { ms, seq: last.seq.checked_add(1)? },
            NewId::Within(ms) => StreamId { ms, seq: 0 },
            NewId::Exact(id) => id,
        };
        (id > last).then_some(id)
    }
}

/// An id; when only the time is given, the number is `missing`.
pub fn parse(arg: &[u8], missing: u64) -> Result<StreamId, ErrorReply> {
    let id = match arg.iter().position(|&b| b == b'-') {
        None => number(arg).map(|ms| StreamId { ms, seq: missing }),
        Some(at) => number(&arg[..at]).zip(number(&arg[at + 1..])).map(|(ms, seq)| StreamId { ms, seq }),
    };
    id.ok_or(INVALID)
}

/// All of these, or the error of the first that is none.
pub fn parse_all<'a>(args: impl Iterator<Item = &'a [u8]>) -> Result<Vec<StreamId>, ErrorReply> {
    args.map(|arg| parse(arg, 0)).collect()
}

/// The first id of a range: `-`, an id, or `(id` for the one behind it.
pub fn range_start(arg: &[u8]) -> Result<StreamId, ErrorReply> {
    match bound(arg, 0)? {
        (id, false) => Ok(id),
        (id, true) => id.next().ok_or(INVALID_START),
    }
}

/// The last id of a range: `+`, an id, or `(id` for the one before it.
pub fn range_end(arg: &[u8]) -> Result<StreamId, ErrorReply> {
    match bound(arg, u64::MAX)? {
        (id, false) => Ok(id),
        (id, true) => id.prev().ok_or(INVALID_END),
    }
}

/// An id, and whether it is itself excluded.
fn bound(arg: &[u8], missing: u64) -> Result<(StreamId, bool), ErrorReply> {
    match arg {
        b"-" => Ok((StreamId::MIN, false)),
        b"+" => Ok((StreamId::MAX, false)),
        [b'(', rest @ ..] if !rest.is_empty() => Ok((parse(rest, missing)?, true)),
        _ => Ok((parse(arg, missing)?, false)),
    }
}

/// Half of an id. Redis falls back to the C library for what is not canonical, so that blanks and a sign in front and
/// leading zeros are let through.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(n) = num::parse_i64(text) {
        return u64::try_from(n).ok();
    }
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: StreamId = StreamId::new(5, 7);

    #[test]
    fn ids_in_every_form() {
        for (text, id) in [
            ("1-2", Some(StreamId::new(1, 2))),
            ("1", Some(StreamId::new(1, 9))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            ("007-+1", Some(StreamId::new(7, 1))),
            ("18446744073709551616-0", None),
            ("-", None),
            ("+", None),
            ("1-", None),
            ("-1", None),
            ("1-2-3", None),
            ("1-*", None),
            ("", None),
            ("x", None),
            ("1 ", None),
        ] {
            assert_eq!(parse(text.as_bytes(), 9).ok(), id, "{text}");
        }
    }

    #[test]
    fn new_ids_stand_behind_the_last() {
        for (text, now, id) in [
            ("*", 9, Some(StreamId::new(9, 0))),
            ("*", 5, Some(StreamId::new(5, 8))),
            ("*", 1, Some(StreamId::new(5, 8))),
            ("5-*", 9, Some(StreamId::new(5, 8))),
            ("6-*", 9, Some(StreamId::new(6, 0))),
            ("4-*", 9, None),
            ("5-7", 9, None),
            ("5-8", 9, Some(StreamId::new(5, 8))),
        ] {
            assert_eq!(NewId::parse(text.as_bytes()).unwrap().after(LAST, Millis(now)), id, "{text} at {now}");
        }
        assert_eq!(NewId::Within(5).after(StreamId::new(5, u64::MAX), Millis(0)), None);
        assert_eq!(NewId::Auto.after(StreamId::MAX, Millis(0)), None);
        assert!(NewId::parse(b"*-*").is_err());
    }

    #[test]
    fn bounds_of_ranges() {
        assert_eq!(range_start(b"-"), Ok(StreamId::MIN));
        assert_eq!(range_end(b"+"), Ok(StreamId::MAX));
        assert_eq!(range_start(b"3"), Ok(StreamId::new(3, 0)));
        assert_eq!(range_end(b"3"), Ok(StreamId::new(3, u64::MAX)));
        assert_eq!(range_start(b"(3-1"), Ok(StreamId::new(3, 2)));
        assert_eq!(range_end(b"(3-0"), Ok(StreamId::new(2, u64::MAX)));
        assert_eq!(range_end(b"(0-0"), Err(INVALID_END));
        assert_eq!(range_start(b"(18446744073709551615-18446744073709551615"), Err(INVALID_START));
        for bad in [&b"(-"[..], b"(+", b"("] {
            assert_eq!(range_start(bad), Err(INVALID));
        }
    }
}
