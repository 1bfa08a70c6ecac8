//! Numbers with a significand of 64 bits: the arithmetic of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Clients compare the results as text, and the text shows the last bits: with the 53 bits of an `f64`, 0.1 + 0.2 would
//! be 0.30000000000000004 and not 0.3. Stock servers calculate in the extended format of x86 processors; here it is
//! done with integers, the same on every machine.

use super::big::Big;

/// Bits of the significand.
const BITS: u32 = 64;
/// Numbers of 2 to this power and above do not exist.
const EXPONENT_MAX: i64 = 16384;
/// Longer texts are not read as numbers.
const TEXT_MAX: usize = 5 * 1024;
/// Powers of ten that no number reaches, so that nobody makes us calculate them.
const DECIMAL_MAX: i64 = 4933;
const DECIMAL_MIN: i64 = -4970;
/// Digits after the point that are shown.
const SHOWN: usize = 17;
const SHOWN_SCALE: u128 = 10u128.pow(SHOWN as u32);

/// A number, or an infinity (which can be read, but not calculated with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// `significand * 2^exponent`. The highest bit of the significand is set, unless the number is zero.
    Finite {
        negative: bool,
        significand: u64,
        exponent: i64,
    },
    Infinite,
}

impl Extended {
    /// Reads decimal and hexadecimal numbers and infinities, as C does. No blanks around them.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Extended> {
        if text.len() >= TEXT_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended::Infinite);
        }
        match digits {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(negative, rest),
            _ => parse_decimal(negative, digits),
        }
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        match self {
            Extended::Infinite => f64::INFINITY,
            Extended::Finite { negative, significand, exponent } => {
                // Multiplied in steps: a single power of two may be out of range where the product is not.
                let exponent = exponent.clamp(-2000, 2000) as i32;
                let half = exponent / 2;
                let value = significand as f64 * 2f64.powi(half) * 2f64.powi(exponent - half);
                if negative { -value } else { value }
            }
        }
    }

    /// The sum, rounded to nearest, ties to even. `None` when it is not a finite number.
    #[must_use]
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        let (Extended::Finite { .. }, Extended::Finite { .. }) = (self, other) else { return None };
        if other.is_zero() {
            return Some(self);
        }
        let (large, small) = if self.magnitude() >= other.magnitude() { (self, other) } else { (other, self) };
        let Extended::Finite { negative, significand, exponent } = large else { return None };
        let Extended::Finite { negative: other_negative, significand: other_significand, exponent: other_exponent } =
            small
        else {
            return None;
        };
        let shift = exponent - other_exponent;
        // So far apart, the smaller one is less than a quarter of the larger one's last bit.
        if small.is_zero() || shift > i64::from(BITS) + 2 {
            return Some(large);
        }
        let mut sum = Big::from(significand);
        sum.shift_left(shift as usize);
        let other = Big::from(other_significand);
        if negative == other_negative {
            sum.add(&other);
        } else {
            sum.subtract(&other);
        }
        round(negative && !sum.is_zero(), sum, other_exponent, false)
    }

    /// Appends the number with up to 17 digits after the point and no zeros at the end. Not for infinities.
    pub fn push_to(self, out: &mut Vec<u8>) {
        let Extended::Finite { negative, significand, exponent } = self else { return };
        let (whole, fraction) = if exponent >= 0 {
            let mut whole = Big::from(significand);
            whole.shift_left(exponent as usize);
            (whole.to_decimal(), 0)
        } else {
            let scaled = shift_right_rounded(u128::from(significand) * SHOWN_SCALE, exponent.unsigned_abs());
            ((scaled / SHOWN_SCALE).to_string(), scaled % SHOWN_SCALE)
        };
        if negative && (fraction != 0 || whole != "0") {
            out.push(b'-');
        }
        out.extend_from_slice(whole.as_bytes());
        if fraction != 0 {
            let digits = format!("{fraction:0SHOWN$}");
            out.push(b'.');
            out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Extended::Finite { significand: 0, .. })
    }

    /// Orders finite numbers by their size without the sign.
    fn magnitude(self) -> (bool, i64, u64) {
        match self {
            Extended::Finite { significand, exponent, .. } => (significand != 0, exponent, significand),
            Extended::Infinite => (true, i64::MAX, u64::MAX),
        }
    }
}

/// The number `n * 2^exponent`, and a little more if `more`, rounded to the nearest that exists. `None` when it is too
/// large.
fn round(negative: bool, mut n: Big, exponent: i64, more: bool) -> Option<Extended> {
    if n.is_zero() {
        return Some(Extended::Finite { negative, significand: 0, exponent: 0 });
    }
    let surplus = n.bits() as i64 - i64::from(BITS);
    let mut exponent = exponent + surplus;
    let mut significand;
    if surplus <= 0 {
        n.shift_left(surplus.unsigned_abs() as usize);
        significand = n.high_bits();
    } else {
        significand = n.high_bits();
        let half = n.bit(surplus as usize - 1);
        let beyond_half = more || n.has_ones_below(surplus as usize - 1);
        if half && (beyond_half || significand & 1 == 1) {
            significand = significand.wrapping_add(1);
            if significand == 0 {
                (significand, exponent) = (1 << (BITS - 1), exponent + 1);
            }
        }
    }
    (exponent + i64::from(BITS) <= EXPONENT_MAX).then_some(Extended::Finite { negative, significand, exponent })
}

/// `n / 2^shift`, to nearest, ties to even. `n` is below 2^126.
fn shift_right_rounded(n: u128, shift: u64) -> u128 {
    if shift >= 127 {
        return 0;
    }
    let (whole, rest, half) = (n >> shift, n & ((1 << shift) - 1), 1u128 << (shift - 1));
    whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
}

/// Digits with at most one point among them, at least one digit. Gives what follows them, and how many stood behind the point.
fn digits<'t>(text: &'t [u8], radix: u32, each: &mut dyn FnMut(u32)) -> Option<(&'t [u8], i64)> {
    let (mut seen, mut behind, mut point) = (false, 0, false);
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let Some(digit) = char::from(*first).to_digit(radix) {
            each(digit);
            seen = true;
            behind += i64::from(point);
        } else if *first == b'.' && !point {
            point = true;
        } else {
            break;
        }
        rest = tail;
    }
    seen.then_some((rest, behind))
}

/// The power at the end of a number, after this letter. A huge one is as good as any that is too large.
fn power(text: &[u8], letter: u8) -> Option<i64> {
    match text {
        [] => Some(0),
        [first, rest @ ..] if first.eq_ignore_ascii_case(&letter) => {
            let (sign, digits) = match rest {
                [b'-', digits @ ..] => (-1, digits),
                [b'+', digits @ ..] => (1, digits),
                _ => (1, rest),
            };
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let size = digits.iter().fold(0i64, |n, d| (n * 10 + i64::from(d - b'0')).min(1 << 30));
            Some(sign * size)
        }
        _ => None,
    }
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let (mut n, mut significant) = (Big::from(0), 0i64);
    let (rest, behind) = digits(text, 10, &mut |digit| {
        n.multiply_add(10, digit);
        significant += i64::from(!n.is_zero());
    })?;
    let power = power(rest, b'e')? - behind;
    if n.is_zero() {
        return Some(Extended::Finite { negative, significand: 0, exponent: 0 });
    }
    if !(DECIMAL_MIN..=DECIMAL_MAX).contains(&(power + significant)) {
        return None;
    }
    if power >= 0 {
        for factor in powers_of_ten(power) {
            n.multiply_add(factor, 0);
        }
        return round(negative, n, 0, false);
    }
    // Shifted so far that the quotient still has more bits than the significand.
    let shift = (power.unsigned_abs() as usize * 10).div_ceil(3) + BITS as usize + 2;
    n.shift_left(shift);
    let more = powers_of_ten(-power).fold(false, |more, divisor| more | (n.divide(divisor) != 0));
    round(negative, n, -(shift as i64), more)
}

/// Factors whose product is `10^power`, as few as fit.
fn powers_of_ten(power: i64) -> impl Iterator<Item = u32> {
    const MOST: i64 = 9;
    (0..power).step_by(MOST as usize).map(move |done| 10u32.pow((power - done).min(MOST) as u32))
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let mut n = Big::from(0);
    let (rest, behind) = digits(text, 16, &mut |digit| n.multiply_add(16, digit))?;
    let exponent = power(rest, b'p')? - 4 * behind;
    let tiny = -EXPONENT_MAX - i64::from(BITS);
    if !n.is_zero() && exponent + (n.bits() as i64) < tiny {
        return None;
    }
    round(negative, n, exponent, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let mut out = Vec::new();
        Extended::parse(text.as_bytes())?.push_to(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn sum(a: &str, b: &str) -> Option<String> {
        let mut out = Vec::new();
        Extended::parse(a.as_bytes())?.checked_add(Extended::parse(b.as_bytes())?)?.push_to(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    /// What a stock server answers to SET and INCRBYFLOAT.
    #[test]
    fn sums_as_stock_servers_show_them() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("0", "-0.0000000000000000001", "0"),
            ("1", "0x10", "17"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
        assert_eq!(sum("1", "inf"), None);
        assert_eq!(sum("1e4932", "1e4932"), None);
    }

    #[test]
    fn what_is_not_a_number() {
        for text in [
            "", ".", "+", "-", "e5", "1e", "1e+", " 1", "1 ", "1.2.3", "0x", "0xg", "nan", "1_0", "1e5000", "1e-5000",
            "infinit",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Extended::parse(&[b'1'; TEXT_MAX]), None);
        assert_eq!(Extended::parse(b"1e99999999999999999999"), None);
        assert_eq!(shown("0e99999999999999999999").as_deref(), Some("0"));
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("1.", "1"),
            (".5", "0.5"),
            ("+2", "2"),
            ("-0", "0"),
            ("0x1p-1", "0.5"),
            ("0xA.8", "10.5"),
            ("1e20", "100000000000000000000"),
            ("1e-17", "0.00000000000000001"),
            ("4e-18", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551617", "18446744073709551616"),
            ("18446744073709551619", "18446744073709551620"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    mod with_f64 {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Every `f64` fits, so it reads back exactly from its shown digits when they are enough.
            #[test]
            fn whole_numbers_are_exact(a in -(1i64 << 53)..1 << 53, b in -(1i64 << 53)..1 << 53) {
                prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some((a + b).to_string()));
            }

            /// The sum of eighths is exact in both formats.
            #[test]
            fn binary_fractions_are_exact(a in -(1i32 << 30)..1 << 30, b in -(1i32 << 30)..1 << 30) {
                let (a, b) = (f64::from(a) / 8.0, f64::from(b) / 8.0);
                prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some((a + b + 0.0).to_string()));
            }

            #[test]
            fn addition_commutes(a: f64, b: f64) {
                prop_assume!(a.is_finite() && b.is_finite());
                prop_assert_eq!(sum(&a.to_string(), &b.to_string()), sum(&b.to_string(), &a.to_string()));
            }

            #[test]
            fn noise_never_panics(text in prop::collection::vec(prop::sample::select(b"0123456789.eExX+-pPaf".to_vec()), 0..20)) {
                let _ = Extended::parse(&text).and_then(|n| n.checked_add(n));
            }
        }
    }
}
