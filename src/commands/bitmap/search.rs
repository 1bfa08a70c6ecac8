//! BITCOUNT, BITPOS: how many bits are set, and which is the first.

use std::ops::Range;

use crate::commands::parse;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply, is_word};

const RANGE: Arg = Arg::block(
    "range",
    &[
        Arg::int("start"),
        Arg::block(
            "end-unit-block",
            &[
                Arg::int("end"),
                Arg::one_of("unit", &[Arg::flag("byte", "BYTE"), Arg::flag("bit", "BIT")]).since("7.0.0").optional(),
            ],
        )
        .optional(),
    ],
)
.optional();
const READS: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))];

pub const COMMANDS: &[Command] = &[
    Command::new("bitcount", -2, bitcount)
        .flags(Flags::READONLY)
        .acl(Acl::BITMAP)
        .keys(READS)
        .doc(
            Group::Bitmap,
            "2.6.0",
            "O(N) where N is the length of the string",
            "Counts the bits of a string that are set.",
        )
        .args(&[Arg::key("key", 0), RANGE]),
    Command::new("bitpos", -3, bitpos)
        .flags(Flags::READONLY)
        .acl(Acl::BITMAP)
        .keys(READS)
        .doc(
            Group::Bitmap,
            "2.8.7",
            "O(N) where N is the length of the string",
            "Finds the first bit that is set, or clear.",
        )
        .args(&[Arg::key("key", 0), Arg::int("bit"), RANGE]),
];

/// Which part of a string is meant: `[start [end [BYTE|BIT]]]`.
struct Part {
    start: i64,
    /// Up to the end of the string, when not said.
    end: Option<i64>,
    in_bits: bool,
}

impl Part {
    /// `unit_first`: of a wrong unit and a wrong end, which one the client hears of.
    fn parse(words: Args<'_>, unit_first: bool) -> Result<Part, ErrorReply> {
        if words.len() > 3 {
            return Err(ErrorReply::Syntax);
        }
        let in_bits = || match words.get(2) {
            None => Ok(false),
            Some(unit) if is_word(unit, "byte") => Ok(false),
            Some(unit) if is_word(unit, "bit") => Ok(true),
            Some(_) => Err(ErrorReply::Syntax),
        };
        let start = words.get(0).map_or(Ok(0), parse::int)?;
        if unit_first {
            in_bits()?;
        }
        let end = words.get(1).map(parse::int).transpose()?;
        Ok(Part { start, end, in_bits: in_bits()? })
    }

    /// The bits of a string of `len` bytes.
    fn bits(&self, len: usize) -> Range<usize> {
        let units = if self.in_bits { len * 8 } else { len };
        let range = parse::text_range(self.start, self.end.unwrap_or(-1), units);
        if self.in_bits { range } else { range.start * 8..range.end * 8 }
    }

    /// Both ends count from the back, and the second is before the first: nothing, even where ranges are cut to the
    /// string.
    fn is_backwards(&self) -> bool {
        self.end.is_some_and(|end| self.start < 0 && end < 0 && self.start > end)
    }
}

fn bitcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let part = Part::parse(args.from(2), false)?;
    let (mut db, reply) = ctx.split();
    let mut digits = itoa::Buffer::new();
    let text = db.read(args.at(1)).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
    let bits = if part.is_backwards() { 0..0 } else { part.bits(text.len()) };
    reply.uint(count(text, bits));
    Ok(())
}

fn bitpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let wanted = match parse::int(args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(ErrorReply::Static("ERR The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(args.from(3), true)?;
    let (mut db, reply) = ctx.split();
    let Some(entry) = db.read(args.at(1)) else {
        // A string that is not there is made of zeros.
        reply.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let mut digits = itoa::Buffer::new();
    let text = entry.text(&mut digits)?;
    let bits = part.bits(text.len());
    let nonempty = !bits.is_empty();
    match find(text, bits, wanted) {
        Some(at) => reply.uint(at),
        // Behind its end a string is made of zeros, unless the range ends by itself.
        None if !wanted && part.end.is_none() && nonempty => reply.uint(text.len() * 8),
        None => reply.int(-1),
    }
    Ok(())
}

/// The bits that are set among `bits`.
fn count(text: &[u8], bits: Range<usize>) -> usize {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let (words, rest) = text[first..=last].as_chunks::<8>();
    let all = words.iter().map(|word| u64::from_le_bytes(*word).count_ones() as usize).sum::<usize>()
        + rest.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
    let before = u16::from(text[first]) >> (8 - bits.start % 8);
    let behind = u16::from(text[last]) & (0xff >> ((bits.end - 1) % 8 + 1));
    all - before.count_ones() as usize - behind.count_ones() as usize
}

/// The first among `bits` that is set, or clear.
fn find(text: &[u8], bits: Range<usize>, wanted: bool) -> Option<usize> {
    let nothing = if wanted { 0 } else { 0xff };
    let mut at = bits.start;
    while at < bits.end {
        if at.is_multiple_of(8) {
            at += 8 * text[at / 8..bits.end / 8].iter().take_while(|byte| **byte == nothing).count();
        }
        let byte_end = (at / 8 + 1) * 8;
        let found = (at..byte_end.min(bits.end)).find(|i| (text[i / 8] & 0x80 >> (i % 8) != 0) == wanted);
        if found.is_some() {
            return found;
        }
        at = byte_end;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_bit_by_bit(
            text in prop::collection::vec(prop::sample::select(vec![0u8, 0xff, 0x80, 1, 0x5a]), 0..40),
            a: prop::sample::Index, b: prop::sample::Index, wanted: bool,
        ) {
            let (a, b) = (a.index(text.len() * 8 + 1), b.index(text.len() * 8 + 1));
            let bits = a.min(b)..a.max(b);
            let is_set = |i: &usize| text[i / 8] >> (7 - i % 8) & 1 == 1;
            prop_assert_eq!(count(&text, bits.clone()), bits.clone().filter(is_set).count());
            prop_assert_eq!(find(&text, bits.clone(), wanted), bits.clone().find(|i| is_set(i) == wanted));
        }
    }
}
