//! The plain kinds of directive: how each reads its arguments and shows its value, with Redis's own refusals.
//!
//! A kind is a small constant; the table names one for every directive, and the type of the field it is
//! assigned to must be the kind's `Value`, so a mismatch does not compile.

use std::fmt::Write;
use std::marker::PhantomData;

use crate::base::num;
use crate::base::words;

/// Why a value was refused, in the words that CONFIG SET and the start-up error show.
pub type Refusal = String;

/// Reads and shows the values of one directive.
pub trait Kind {
    type Value;

    /// The value that `args` (the words after the name) stand for. `old` is the value they replace, for
    /// the directives that are set in parts.
    fn parse(&self, args: &[&[u8]], old: &Self::Value) -> Result<Self::Value, Refusal>;

    /// The value as CONFIG GET shows it.
    fn show(&self, value: &Self::Value) -> Vec<u8>;

    /// The value as lines of a configuration file, without the directive's name. One line for most kinds.
    fn lines(&self, value: &Self::Value) -> Vec<Vec<u8>> {
        vec![self.show(value)]
    }
}

/// The only argument, or Redis's refusal of any other number of them.
pub(super) fn single<'a>(args: &[&'a [u8]]) -> Result<&'a [u8], Refusal> {
    match args {
        [one] => Ok(one),
        _ => Err("wrong number of arguments".into()),
    }
}

/// `yes` or `no`.
pub struct YesNo;

impl Kind for YesNo {
    type Value = bool;

    fn parse(&self, args: &[&[u8]], _: &bool) -> Result<bool, Refusal> {
        let word = single(args)?;
        if word.eq_ignore_ascii_case(b"yes") {
            Ok(true)
        } else if word.eq_ignore_ascii_case(b"no") {
            Ok(false)
        } else {
            Err("argument must be 'yes' or 'no'".into())
        }
    }

    fn show(&self, value: &bool) -> Vec<u8> {
        if *value { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// An integer type that a number directive may be stored in. The table's ranges keep values inside it.
pub trait Number: Copy {
    fn from_wide(wide: i128) -> Option<Self>;
    fn to_wide(self) -> i128;
}

macro_rules! numbers {
    ($($ty:ty)*) => {$(
        impl Number for $ty {
            fn from_wide(wide: i128) -> Option<$ty> {
                <$ty>::try_from(wide).ok()
            }
            fn to_wide(self) -> i128 {
                self as i128
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 usize i32 i64);

/// A decimal integer within a range.
pub struct Int<T> {
    min: i64,
    max: i64,
    clamp: Option<(i64, i64)>,
    stored: PhantomData<T>,
}

/// A decimal integer between `min` and `max` inclusive.
pub const fn int<T>(min: i64, max: i64) -> Int<T> {
    Int { min, max, clamp: None, stored: PhantomData }
}

impl<T> Int<T> {
    /// Accepts the whole range but stores the nearest value within `low..=high`.
    pub const fn clamped(mut self, low: i64, high: i64) -> Int<T> {
        self.clamp = Some((low, high));
        self
    }
}

impl<T: Number> Kind for Int<T> {
    type Value = T;

    fn parse(&self, args: &[&[u8]], _: &T) -> Result<T, Refusal> {
        let mut n = num::parse_i64(single(args)?).ok_or("argument couldn't be parsed into an integer")?;
        check_range(n.into(), self.min.into(), self.max.into())?;
        if let Some((low, high)) = self.clamp {
            n = n.clamp(low, high);
        }
        T::from_wide(n.into()).ok_or_else(|| "argument couldn't be parsed into an integer".into())
    }

    fn show(&self, value: &T) -> Vec<u8> {
        value.to_wide().to_string().into_bytes()
    }
}

fn check_range(n: i128, min: i128, max: i128) -> Result<(), Refusal> {
    if (min..=max).contains(&n) { Ok(()) } else { Err(format!("argument must be between {min} and {max} inclusive")) }
}

/// File permission bits, written in octal.
pub struct Octal;

impl Kind for Octal {
    type Value = u32;

    fn parse(&self, args: &[&[u8]], _: &u32) -> Result<u32, Refusal> {
        let text = std::str::from_utf8(single(args)?).unwrap_or_default();
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| !text.starts_with('+'));
        let mode = mode.ok_or("argument couldn't be parsed as an octal number")?;
        if mode <= 0o777 { Ok(mode) } else { Err("argument must be between 0 and 777 inclusive".into()) }
    }

    fn show(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into_bytes()
    }
}

/// A number of bytes with an optional unit.
pub struct Memory<T> {
    min: u64,
    max: u64,
    floor: u64,
    stored: PhantomData<T>,
}

/// A number of bytes between `min` and `max` inclusive: `64mb` is 64 × 1024 × 1024, `64m` is 64,000,000.
pub const fn memory<T>(min: u64, max: u64) -> Memory<T> {
    Memory { min, max, floor: 0, stored: PhantomData }
}

impl<T> Memory<T> {
    /// Accepts the whole range but stores at least `floor`.
    pub const fn at_least(mut self, floor: u64) -> Memory<T> {
        self.floor = floor;
        self
    }
}

impl<T: Number> Kind for Memory<T> {
    type Value = T;

    fn parse(&self, args: &[&[u8]], _: &T) -> Result<T, Refusal> {
        let n = parse_bytes(single(args)?).ok_or("argument must be a memory value")?;
        check_range(n.into(), self.min.into(), self.max.into())?;
        T::from_wide(n.max(self.floor).into()).ok_or_else(|| "argument must be a memory value".into())
    }

    fn show(&self, value: &T) -> Vec<u8> {
        value.to_wide().to_string().into_bytes()
    }

    fn lines(&self, value: &T) -> Vec<Vec<u8>> {
        vec![u64::try_from(value.to_wide()).map_or_else(|_| self.show(value), bytes_with_unit)]
    }
}

/// Bytes from text like `1gb`. Units in any case; an empty text is 0, as in Redis.
pub fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = if number.is_empty() { 0 } else { std::str::from_utf8(number).ok()?.parse::<u64>().ok()? };
    number.checked_mul(factor)
}

/// The shortest exact form for a configuration file: `67108864` is `64mb`.
pub(super) fn bytes_with_unit(n: u64) -> Vec<u8> {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if n > 0 && n.trailing_zeros() >= shift {
            return format!("{}{unit}", n >> shift).into_bytes();
        }
    }
    n.to_string().into_bytes()
}

/// An enumeration whose values have names.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every accepted name in the order in which a refusal lists them. The first name of a value is the one shown.
    const NAMES: &'static [(&'static str, Self)];

    /// The name CONFIG GET shows.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

/// One of the names of an enumeration, in any case.
pub struct OneOf<E>(PhantomData<E>);

/// One of the names of `E`, in any case.
pub const fn one_of<E>() -> OneOf<E> {
    OneOf(PhantomData)
}

impl<E: Choice> Kind for OneOf<E> {
    type Value = E;

    fn parse(&self, args: &[&[u8]], _: &E) -> Result<E, Refusal> {
        let word = single(args)?;
        let hit = E::NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        hit.map(|(_, value)| *value).ok_or_else(|| must_be_one_of(E::NAMES.iter().map(|(name, _)| *name)))
    }

    fn show(&self, value: &E) -> Vec<u8> {
        value.name().as_bytes().to_vec()
    }
}

pub(super) fn must_be_one_of(names: impl Iterator<Item = &'static str>) -> Refusal {
    let mut text = String::from("argument(s) must be one of the following: ");
    for (i, name) in names.enumerate() {
        let _ = write!(text, "{}{name}", if i > 0 { ", " } else { "" });
    }
    text
}

/// Any bytes, under a check of their own.
pub struct Text {
    check: fn(&[u8]) -> Result<(), Refusal>,
}

/// Any bytes.
pub const fn text() -> Text {
    Text { check: |_| Ok(()) }
}

/// Any bytes that pass `check`.
pub const fn text_where(check: fn(&[u8]) -> Result<(), Refusal>) -> Text {
    Text { check }
}

impl Kind for Text {
    type Value = Vec<u8>;

    fn parse(&self, args: &[&[u8]], _: &Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let word = single(args)?;
        (self.check)(word)?;
        Ok(word.to_vec())
    }

    fn show(&self, value: &Vec<u8>) -> Vec<u8> {
        value.clone()
    }

    fn lines(&self, value: &Vec<u8>) -> Vec<Vec<u8>> {
        vec![words::quoted(value)]
    }
}
