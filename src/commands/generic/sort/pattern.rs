//! The patterns of BY and GET: where, besides the element itself, a weight or a result is read.

use crate::base::Slot;
use crate::base::slot::pattern_slot;
use crate::data::Item;
use crate::data::value::ValueRef;
use crate::keyspace::Db;

/// A pattern, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// A name without `*`, the same for every element: nothing is read from it.
    Constant,
    /// The element takes the place of the first `*` of a key's name; `->` behind it names a field of a hash.
    Key { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    pub fn parse(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&b| b == b'*') else { return Pattern::Constant };
        let (before, rest) = (&text[..star], &text[star + 1..]);
        match rest.windows(2).position(|two| two == b"->") {
            Some(arrow) if arrow + 2 < rest.len() => {
                Pattern::Key { before, after: &rest[..arrow], field: Some(&rest[arrow + 2..]) }
            }
            _ => Pattern::Key { before, after: rest, field: None },
        }
    }

    /// What the pattern stands for, given an element. `name` is room for the key's name.
    pub fn read<'d>(self, db: &'d mut Db<'_>, element: &'d [u8], name: &mut Vec<u8>) -> Option<Item<'d>> {
        let (before, after, field) = match self {
            Pattern::Element => return Some(Item::Bytes(element)),
            Pattern::Constant => return None,
            Pattern::Key { before, after, field } => (before, after, field),
        };
        name.clear();
        for part in [before, element, after] {
            name.extend_from_slice(part);
        }
        let now = db.field_clock();
        match (db.read(name)?.value(), field) {
            (ValueRef::Int(n), None) => Some(Item::Int(n)),
            (ValueRef::Bytes(text), None) => Some(Item::Bytes(text)),
            (ValueRef::Hash(hash), Some(field)) => hash.live(now).get(field),
            _ => None,
        }
    }
}

/// Whether every key that `pattern` can name is in `slot`.
pub(super) fn stays_in(pattern: &[u8], slot: Slot) -> bool {
    pattern_slot(pattern) == Some(slot)
}

/// A weight as a number: blanks may stand before it, and nothing at all is 0. What a double cannot hold, because it is
/// too large or too close to 0, is refused.
pub(super) fn weight(item: Item<'_>) -> Option<f64> {
    let text = match item {
        Item::Int(n) => return Some(n as f64),
        Item::Bytes([]) => return Some(0.0),
        Item::Bytes(text) => std::str::from_utf8(text.trim_ascii_start()).ok()?,
    };
    let value: f64 = text.parse().ok()?;
    if value.is_normal() {
        return Some(value);
    }
    let mut digits = text.split(['e', 'E']).next().unwrap_or_default().bytes().filter(u8::is_ascii_digit);
    let held = if value.is_infinite() { digits.next().is_none() } else { digits.all(|digit| digit == b'0') };
    (held && !value.is_nan()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let key = |before: &'static str, after: &'static str, field: Option<&'static str>| Pattern::Key {
            before: before.as_bytes(),
            after: after.as_bytes(),
            field: field.map(str::as_bytes),
        };
        for (text, pattern) in [
            ("#", Pattern::Element),
            ("##", Pattern::Constant),
            ("nosort", Pattern::Constant),
            ("", Pattern::Constant),
            ("*", key("", "", None)),
            ("a*b*c", key("a", "b*c", None)),
            ("a*->f", key("a", "", Some("f"))),
            ("a*b->f->g", key("a", "b", Some("f->g"))),
            ("a->b*c", key("a->b", "c", None)),
            ("a*->", key("a", "->", None)),
        ] {
            assert_eq!(Pattern::parse(text.as_bytes()), pattern, "{text}");
        }
    }

    #[test]
    fn weights_are_numbers_that_a_double_holds() {
        for (text, value) in [
            ("", Some(0.0)),
            (" 1.5", Some(1.5)),
            ("-2e3", Some(-2000.0)),
            ("0e-999", Some(0.0)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("1e-400", None),
            ("1e-310", None),
            ("nan", None),
            (" ", None),
            ("1 ", None),
            ("one", None),
        ] {
            assert_eq!(weight(Item::Bytes(text.as_bytes())), value, "{text:?}");
        }
    }
}
