//! The slots of a migration, as an operator, a message or a file names them.

use std::fmt::Write as _;

use crate::base::{SLOTS, Slot, num};
use crate::resp::{Argv, ErrorReply};

/// Ranges of slots, both ends included, in the order in which they were named; they do not overlap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlotRanges(Vec<(Slot, Slot)>);

impl SlotRanges {
    /// Reads pairs of a first and a last slot.
    ///
    /// # Errors
    /// With the words that clients know.
    pub fn parse(words: &[&[u8]]) -> Result<SlotRanges, ErrorReply> {
        let mut ranges = SlotRanges::default();
        for pair in words.chunks(2) {
            ranges.read(pair)?;
        }
        ranges.some()
    }

    /// Reads one more pair, which `words` begin with. Gives its two slots.
    ///
    /// # Errors
    /// As for [`SlotRanges::parse`].
    pub fn read(&mut self, words: &[&[u8]]) -> Result<(Slot, Slot), ErrorReply> {
        let first = slot(words[0])?;
        let Some(last) = words.get(1) else {
            return Err(ErrorReply::Static("ERR No end slot for final slot range"));
        };
        let last = slot(last)?;
        self.add(first, last)?;
        Ok((first, last))
    }

    /// The ranges, if there are any.
    ///
    /// # Errors
    /// There are none.
    pub fn some(self) -> Result<SlotRanges, ErrorReply> {
        if self.0.is_empty() { Err(ErrorReply::Static("ERR No slot ranges specified")) } else { Ok(self) }
    }

    fn add(&mut self, first: Slot, last: Slot) -> Result<(), ErrorReply> {
        if first > last {
            return Err(ErrorReply::text_of(format!(
                "ERR Start slot number {first} is greater than end slot number {last}."
            )));
        }
        if let Some((a, b)) = self.0.iter().find(|(a, b)| first <= *b && *a <= last) {
            return Err(ErrorReply::text_of(format!(
                "ERR Slot range {first}-{last} overlaps with previous range {a}-{b}."
            )));
        }
        self.0.push((first, last));
        Ok(())
    }

    /// The ranges of a file, if they are such as a file may hold.
    #[must_use]
    pub fn of_file(pairs: &[(u16, u16)]) -> Option<SlotRanges> {
        let mut ranges = SlotRanges::default();
        for (first, last) in pairs {
            ranges.add(Slot::new(*first)?, Slot::new(*last)?).ok()?;
        }
        Some(ranges)
    }

    /// First and last slot of each range.
    #[must_use]
    pub fn pairs(&self) -> Vec<(u16, u16)> {
        self.0.iter().map(|(first, last)| (first.get(), last.get())).collect()
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().flat_map(|(first, last)| (first.get()..=last.get()).filter_map(Slot::new))
    }

    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    /// A slot that both have.
    #[must_use]
    pub fn common(&self, other: &SlotRanges) -> Option<Slot> {
        let both = |(a, b): &(Slot, Slot)| other.0.iter().find(|(c, d)| a <= d && c <= b).map(|(c, _)| *a.max(c));
        self.0.iter().find_map(both)
    }

    /// One mark a slot.
    #[must_use]
    pub fn marks(&self) -> Box<[bool]> {
        let mut marks = vec![false; SLOTS];
        self.slots().for_each(|slot| marks[slot.index()] = true);
        marks.into()
    }

    /// `a-b c-d`
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (first, last) in &self.0 {
            let _ = write!(text, "{}{first}-{last}", if text.is_empty() { "" } else { " " });
        }
        text
    }

    /// Appends both ends of every range to a command.
    pub fn push_words(&self, argv: &mut Argv) {
        for (first, last) in &self.0 {
            argv.push_i64(i64::from(first.get())).push_i64(i64::from(last.get()));
        }
    }
}

fn slot(word: &[u8]) -> Result<Slot, ErrorReply> {
    let number = num::parse_i64(word).and_then(|n| u16::try_from(n).ok());
    number.and_then(Slot::new).ok_or(ErrorReply::InvalidSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SlotRanges, String> {
        let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
        SlotRanges::parse(&words).map_err(|error| error.text().into_owned())
    }

    #[test]
    fn ranges_are_read_and_shown() {
        let ranges = parse("5 7 0 0 16383 16383").unwrap();
        assert_eq!(ranges.text(), "5-7 0-0 16383-16383");
        assert_eq!(ranges.slots().map(Slot::get).collect::<Vec<_>>(), [5, 6, 7, 0, 16383]);
        assert_eq!(SlotRanges::of_file(&ranges.pairs()), Some(ranges.clone()));
        assert_eq!(ranges.marks().iter().filter(|mark| **mark).count(), 5);
        let slot = |n| Slot::new(n).unwrap();
        assert!(ranges.contains(slot(6)) && !ranges.contains(slot(8)));
        assert_eq!(ranges.common(&parse("7 9").unwrap()), Some(slot(7)));
        assert_eq!(ranges.common(&parse("8 9").unwrap()), None);
    }

    #[test]
    fn nonsense_is_refused_in_the_words_clients_know() {
        for (text, error) in [
            ("", "ERR No slot ranges specified"),
            ("1", "ERR No end slot for final slot range"),
            ("1 2 3", "ERR No end slot for final slot range"),
            ("1 x", "ERR Invalid or out of range slot"),
            ("16384 16384", "ERR Invalid or out of range slot"),
            ("-1 2", "ERR Invalid or out of range slot"),
            ("9 8", "ERR Start slot number 9 is greater than end slot number 8."),
            ("1 5 5 9", "ERR Slot range 5-9 overlaps with previous range 1-5."),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
        assert_eq!(SlotRanges::of_file(&[(3, 2)]), None);
        assert_eq!(SlotRanges::of_file(&[(3, 16384)]), None);
    }
}
