//! Reading arguments: the conversions that every family needs, with the stock errors.

use crate::base::{Millis, num};
use crate::resp::ErrorReply;

/// A signed integer.
pub fn int(arg: &[u8]) -> Result<i64, ErrorReply> {
    num::parse_i64(arg).ok_or(ErrorReply::NotInteger)
}

/// A signed integer of 32 bits.
pub fn int32(arg: &[u8]) -> Result<i32, ErrorReply> {
    i32::try_from(int(arg)?)
        .map_err(|_| ErrorReply::Static("ERR value is out of range, value must between -2147483648 and 2147483647"))
}

/// A count that must not be negative.
pub fn count(arg: &[u8]) -> Result<usize, ErrorReply> {
    let n = num::parse_i64(arg).filter(|n| *n >= 0).ok_or(ErrorReply::NotPositive)?;
    Ok(n as usize)
}

/// An integer whose negative is one too.
pub fn signed_count(arg: &[u8]) -> Result<i64, ErrorReply> {
    match int(arg)? {
        i64::MIN => Err(ErrorReply::Static(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        n => Ok(n),
    }
}

/// A finite or infinite double.
pub fn float(arg: &[u8]) -> Result<f64, ErrorReply> {
    num::parse_f64(arg).ok_or(ErrorReply::NotFloat)
}

/// How a command says when something expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    Seconds,
    Millis,
}

/// When a wait ends that may last so long; `None` for 0, which is for ever.
pub fn wait_until(arg: &[u8], unit: TimeUnit, now: Millis) -> Result<Option<Millis>, ErrorReply> {
    const OUT_OF_RANGE: ErrorReply = ErrorReply::Static("ERR timeout is out of range");
    let ms = match unit {
        TimeUnit::Seconds => {
            let seconds =
                num::parse_f64_rounded(arg).ok_or(ErrorReply::Static("ERR timeout is not a float or out of range"))?;
            // What is too small for a double is not for ever.
            let ms = if seconds == 0.0 && num::parse_f64(arg).is_none() { 1.0 } else { seconds * 1000.0 };
            if ms > i64::MAX as f64 {
                return Err(OUT_OF_RANGE);
            }
            ms.ceil() as i64
        }
        TimeUnit::Millis => {
            num::parse_i64(arg).ok_or(ErrorReply::Static("ERR timeout is not an integer or out of range"))?
        }
    };
    match ms {
        0 => Ok(None),
        1.. => now.0.checked_add(ms).map(|at| Some(Millis(at))).ok_or(OUT_OF_RANGE),
        _ => Err(ErrorReply::Static("ERR timeout is negative")),
    }
}

/// The moment that an expiry argument of `command` stands for: `relative` to now, or since the epoch.
pub fn expire_at(arg: &[u8], unit: TimeUnit, relative: bool, now: Millis, command: &str) -> Result<Millis, ErrorReply> {
    let invalid = || ErrorReply::invalid_expire(command);
    let mut ms = int(arg)?;
    if unit == TimeUnit::Seconds {
        ms = ms.checked_mul(1000).ok_or_else(invalid)?;
    }
    if relative {
        ms = ms.checked_add(now.0).ok_or_else(invalid)?;
    }
    Ok(Millis(ms))
}

/// Resolves Redis's range indexes (negative from the end) against a length: the half-open range, or `None` when empty.
#[must_use]
pub fn range(start: i64, stop: i64, len: usize) -> Option<std::ops::Range<usize>> {
    let len = len as i64;
    let from_end = |i: i64| if i < 0 { i.saturating_add(len) } else { i };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    (start <= stop && start < len && stop >= 0).then(|| start as usize..stop as usize + 1)
}

/// As [`range`], for bytes and bits of strings: an end before the beginning still means the first one.
#[must_use]
pub fn text_range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let end = if end < 0 { end.saturating_add(len as i64).max(0) } else { end };
    range(start, end, len).unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range(0, -1, 3), Some(0..3));
        assert_eq!(range(-2, -1, 3), Some(1..3));
        assert_eq!(range(-100, 100, 3), Some(0..3));
        assert_eq!(range(3, 5, 3), None);
        assert_eq!(range(2, 1, 3), None);
        assert_eq!(range(0, -4, 3), None);
        assert_eq!(range(i64::MIN, i64::MAX, 3), Some(0..3));
        assert_eq!(range(0, 0, 0), None);
    }

    #[test]
    fn waits() {
        let now = Millis(5000);
        let until = |arg: &str, unit| wait_until(arg.as_bytes(), unit, now).map_err(|e| e.text().into_owned());
        assert_eq!(until("0", TimeUnit::Seconds), Ok(None));
        assert_eq!(until("-0", TimeUnit::Seconds), Ok(None));
        assert_eq!(until("0.0001", TimeUnit::Seconds), Ok(Some(Millis(5001))));
        assert_eq!(until("1.5", TimeUnit::Seconds), Ok(Some(Millis(6500))));
        assert_eq!(until("1e-400", TimeUnit::Seconds), Ok(Some(Millis(5001))));
        assert_eq!(until("0x1.8p1", TimeUnit::Seconds), Ok(Some(Millis(8000))));
        assert_eq!(until("7", TimeUnit::Millis), Ok(Some(Millis(5007))));
        for (arg, unit, error) in [
            ("x", TimeUnit::Seconds, "ERR timeout is not a float or out of range"),
            ("nan", TimeUnit::Seconds, "ERR timeout is not a float or out of range"),
            ("1.5", TimeUnit::Millis, "ERR timeout is not an integer or out of range"),
            ("-1", TimeUnit::Seconds, "ERR timeout is negative"),
            ("-inf", TimeUnit::Seconds, "ERR timeout is negative"),
            ("-1", TimeUnit::Millis, "ERR timeout is negative"),
            ("inf", TimeUnit::Seconds, "ERR timeout is out of range"),
            ("1e400", TimeUnit::Seconds, "ERR timeout is out of range"),
            ("1e18", TimeUnit::Seconds, "ERR timeout is out of range"),
            ("9223372036854775.807", TimeUnit::Seconds, "ERR timeout is out of range"),
            ("9223372036854775807", TimeUnit::Millis, "ERR timeout is out of range"),
        ] {
            assert_eq!(until(arg, unit), Err(error.to_owned()), "{arg}");
        }
    }

    #[test]
    fn text_ranges() {
        assert_eq!(text_range(0, -1, 3), 0..3);
        assert_eq!(text_range(0, -100, 3), 0..1);
        assert_eq!(text_range(-100, -200, 3), 0..1);
        assert_eq!(text_range(1, -100, 3), 0..0);
        assert_eq!(text_range(0, i64::MIN, 3), 0..1);
        assert_eq!(text_range(0, -1, 0), 0..0);
    }
}
