//! Numbers as text, exactly as the protocol reads and writes them.

use super::extended::Extended;

/// A canonical signed decimal: no blanks, no `+`, no leading zeros, no `-0`.
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [] => return None,
        [b'0'] if !negative => return Some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for &d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(d - b'0');
    }
    if negative { (value <= 1 << 63).then(|| (value as i64).wrapping_neg()) } else { i64::try_from(value).ok() }
}

/// A double as commands accept it: decimal, hexadecimal, or `inf` and `infinity` with a sign in any case. No blanks
/// around it; `nan` is refused, and so is what is too large or too small to be told from infinity or zero.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value = parse_f64_rounded(text)?;
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let is_named = digits.first().is_some_and(|b| b.eq_ignore_ascii_case(&b'i'));
    let is_lost = value.is_infinite() && !is_named || value == 0.0 && !is_zero(digits);
    (!is_lost).then_some(value)
}

/// As [`parse_f64`], where what is too large is infinity and what is too small is zero.
#[must_use]
pub fn parse_f64_rounded(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let value = match digits {
        [b'0', b'x' | b'X', ..] => Extended::parse(text)?.to_f64(),
        _ => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    (!value.is_nan()).then_some(value)
}

/// Whether a number's digits say zero, whatever its exponent.
fn is_zero(digits: &[u8]) -> bool {
    let (digits, exponent) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (rest, b'p'),
        _ => (digits, b'e'),
    };
    digits.iter().take_while(|b| !b.eq_ignore_ascii_case(&exponent)).all(|b| matches!(b, b'0' | b'.'))
}

/// Appends the shortest text that reads back as `value`, laid out as Redis does it since 7.2: whole numbers as such up to
/// 2^62, others with an exponent when many zeros or (from 10^4 on) many decimals would be needed.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    /// Up to here a whole number is one for sure.
    const WHOLE_MAX: f64 = (1_u64 << 62) as f64;
    /// So many zeros behind the digits already take an exponent.
    const ZEROS: i32 = 7;
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
        return;
    }
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
        return;
    }
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        push_i64(out, value as i64);
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let (negative, shortest) = shortest.strip_prefix('-').map_or((false, shortest), |s| (true, s));
    let (mantissa, exponent) = match shortest.split_once('e') {
        Some((m, e)) => (m, e.parse::<i32>().unwrap_or(0)),
        None => (shortest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let all: String = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading = (all.len() - digits.len()) as i32;
    // Position of the decimal point relative to the first significant digit.
    let point = whole.len() as i32 + exponent - leading;
    let digits = digits.trim_end_matches('0').as_bytes();
    if negative {
        out.push(b'-');
    }
    let scientific = point - 1;
    let zeros = point - digits.len() as i32;
    if zeros >= 0 && scientific.abs() < digits.len() as i32 + ZEROS - i32::from(negative) {
        out.extend_from_slice(digits);
        out.resize(out.len() + zeros as usize, b'0');
    } else if zeros < 0 && (zeros > -ZEROS || scientific.abs() < 4) {
        let (before, behind) = digits.split_at(point.max(0) as usize);
        out.extend_from_slice(if before.is_empty() { b"0" } else { before });
        out.push(b'.');
        out.resize(out.len() + (-point).max(0) as usize, b'0');
        out.extend_from_slice(behind);
    } else {
        out.extend_from_slice(&digits[..1]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if scientific < 0 { b'-' } else { b'+' });
        push_i64(out, i64::from(scientific.abs()));
    }
}

/// Appends `value` with up to 17 significant digits, as C's `%.17g` prints it.
pub fn push_f64_17(out: &mut Vec<u8>, value: f64) {
    /// From this power of ten on, and below 10^-4, the text has an exponent.
    const EXPONENT_FROM: i32 = 17;
    if !value.is_finite() {
        return push_f64(out, value);
    }
    let text = format!("{value:.16e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..EXPONENT_FROM).contains(&exponent) {
        let decimals = (EXPONENT_FROM - 1 - exponent) as usize;
        let fixed = format!("{value:.decimals$}");
        let short = if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.') } else { &fixed };
        out.extend_from_slice(short.as_bytes());
    } else {
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{mantissa}e{sign}{:02}", exponent.abs()).as_bytes());
    }
}

/// Appends a signed decimal.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an unsigned decimal.
pub fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Bytes for people, as INFO's `_human` fields give them: `1.50M`.
#[must_use]
pub fn human_bytes(n: u64) -> String {
    let value = n as f64;
    const K: f64 = 1024.0;
    match n {
        0..1024 => format!("{n}B"),
        1024..1_048_576 => format!("{:.2}K", value / K),
        1_048_576..1_073_741_824 => format!("{:.2}M", value / (K * K)),
        1_073_741_824..1_099_511_627_776 => format!("{:.2}G", value / (K * K * K)),
        _ => format!("{:.2}T", value / (K * K * K * K)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_canonical() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_read_as_c_reads_them() {
        for (text, value) in [
            ("1.5", Some(1.5)),
            ("-.5", Some(-0.5)),
            ("5.", Some(5.0)),
            ("+3e2", Some(300.0)),
            ("0x10", Some(16.0)),
            ("-0X1.8p1", Some(-3.0)),
            ("0x1p-1074", Some(5e-324)),
            ("0x", None),
            ("0x1p2000", None),
            ("0x1p-2000", None),
            ("-INFINITY", Some(f64::NEG_INFINITY)),
            ("inf", Some(f64::INFINITY)),
            ("nan", None),
            ("1e400", None),
            ("1e-400", None),
            ("0e-400", Some(0.0)),
            ("5e-324", Some(5e-324)),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("1e", None),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(parse_f64_rounded(b"-1e400"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_f64_rounded(b"1e-400"), Some(0.0));
    }

    #[test]
    fn doubles_read_back_and_look_as_in_redis_since_7_2() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (3e20, "3e+20"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (0.0001, "0.0001"),
            (1.5e-5, "0.000015"),
            (1.234567e-5, "1.234567e-5"),
            (-0.012345678, "-0.012345678"),
            (77_850.303_558_341_56, "7.785030355834156e+4"),
            (123_456.789, "123456.789"),
            (1e16, "10000000000000000"),
            (1e17, "100000000000000000"),
            (4_611_686_018_427_387_904.0, "4611686018427387904"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (-9_223_372_036_854_775_808.0, "-9223372036854776000"),
            (1.25e300, "1.25e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut out = Vec::new();
            push_f64(&mut out, value);
            assert_eq!(std::str::from_utf8(&out).unwrap(), text);
            assert_eq!(parse_f64(&out), Some(value));
        }
    }

    #[test]
    fn seventeen_digits_are_those_of_c() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-2.5, "-2.5"),
            (0.1, "0.10000000000000001"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (123_456.789, "123456.789"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
        ] {
            let mut out = Vec::new();
            push_f64_17(&mut out, value);
            assert_eq!(std::str::from_utf8(&out).unwrap(), text);
        }
    }
}
