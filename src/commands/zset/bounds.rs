//! The bounds of ranges as clients write them.

use std::ops::Bound;

use crate::base::num;
use crate::data::zset::{LexBound, LexRange, ScoreRange};
use crate::resp::ErrorReply;

/// A range of scores: `1.5`, or `(1.5` to leave the bound itself out.
pub(super) fn scores(min: &[u8], max: &[u8]) -> Result<ScoreRange, ErrorReply> {
    let bound = |text| score(text).ok_or(ErrorReply::Static("ERR min or max is not a float"));
    Ok(ScoreRange { min: bound(min)?, max: bound(max)? })
}

/// A range of members: `-`, `+`, `[text` or `(text`.
pub(super) fn members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, ErrorReply> {
    let bound = |text| member(text).ok_or(ErrorReply::Static("ERR min or max not valid string range item"));
    Ok(LexRange { min: bound(min)?, max: bound(max)? })
}

fn score(text: &[u8]) -> Option<Bound<f64>> {
    // C strings, as the stock server reads them: blanks in front, the end at a zero byte, no text as the number zero.
    let number = |text: &[u8]| {
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        if text.is_empty() { Some(0.0) } else { num::parse_f64_rounded(text.trim_ascii_start()) }
    };
    match text.strip_prefix(b"(") {
        Some(text) => number(text).map(Bound::Excluded),
        None => number(text).map(Bound::Included),
    }
}

fn member(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        b"-" => Some(LexBound::Min),
        b"+" => Some(LexBound::Max),
        [b'[', text @ ..] => Some(LexBound::Included(text)),
        [b'(', text @ ..] => Some(LexBound::Excluded(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(score(b"1.5"), Some(Bound::Included(1.5)));
        assert_eq!(score(b"(-inf"), Some(Bound::Excluded(f64::NEG_INFINITY)));
        assert_eq!(score(b"("), Some(Bound::Excluded(0.0)));
        assert_eq!(score(b"( 1\0x"), Some(Bound::Excluded(1.0)));
        assert_eq!(score(b"1e400"), Some(Bound::Included(f64::INFINITY)));
        assert_eq!(score(b" "), None);
        assert_eq!(score(b"nan"), None);
        assert_eq!(score(b"[1"), None);
        assert_eq!(member(b"[a"), Some(LexBound::Included(b"a")));
        assert_eq!(member(b"("), Some(LexBound::Excluded(b"")));
        assert_eq!(member(b"-x"), None);
        assert_eq!(member(b""), None);
    }
}
