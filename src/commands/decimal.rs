//! Sums of decimal texts: adding 0.1 ten times has to give 1, so the digits are added, not binary fractions.

use crate::base::num;

/// Digits behind the point that a sum keeps.
const PLACES: usize = 17;
const ONE: i128 = 10i128.pow(PLACES as u32);

/// The sum of two finite numbers as the shortest decimal text without an exponent, or `None` when it overflows.
#[must_use]
pub fn add(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let text = match scaled(a).zip(scaled(b)).and_then(|(a, b)| a.checked_add(b)) {
        Some(sum) => {
            let (whole, fraction) = (sum.unsigned_abs() / ONE.unsigned_abs(), sum.unsigned_abs() % ONE.unsigned_abs());
            format!("{}{whole}.{fraction:0PLACES$}", if sum < 0 { "-" } else { "" })
        }
        // So large that the places behind the point do not matter.
        None => {
            let sum = num::parse_f64(a)? + num::parse_f64(b)?;
            sum.is_finite().then(|| format!("{sum:.PLACES$}"))?
        }
    };
    Some(text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec())
}

/// The number as a multiple of 10^-17, if it is a decimal one of not too many digits.
fn scaled(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = 0i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let shift = PLACES as i64 + i64::from(exponent) - fraction.len() as i64;
    let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|shift| 10i128.checked_pow(shift));
    let value = match power {
        _ if value == 0 => 0,
        Some(power) if shift >= 0 => value.checked_mul(power)?,
        Some(power) => value / power + i128::from(value % power >= power / 2 + power % 2),
        None if shift >= 0 => return None,
        None => 0,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::add;

    #[test]
    fn sums() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("-1", "1", "0"),
            ("3", "-5", "-2"),
            ("1e-17", "0", "0.00000000000000001"),
            ("1e-30", "0", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("100", "0", "100"),
            ("1e25", "1", "10000000000000000905969664"),
        ] {
            assert_eq!(String::from_utf8(add(a.as_bytes(), b.as_bytes()).unwrap()).unwrap(), sum, "{a} + {b}");
        }
        assert_eq!(add(b"1.7e308", b"1.7e308"), None);
    }
}
