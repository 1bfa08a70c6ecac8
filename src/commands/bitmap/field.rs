//! BITFIELD, BITFIELD_RO: numbers of any width at any bit of a string.

use crate::base::num;
use crate::commands::parse;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, ErrorReply, Reply, is_word};

const GET: Arg = Arg::block("get-block", &[Arg::string("encoding"), Arg::int("offset")]).token("GET");

pub const COMMANDS: &[Command] = &[
    Command::new("bitfield", -2, bitfield)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::BITMAP)
        .keys(&[KeySpec::range(
            1,
            0,
            1,
            KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
        )])
        .doc(Group::Bitmap, "3.2.0", "O(1) for each operation", "Reads and changes numbers inside a string.")
        .args(&[
            Arg::key("key", 0),
            Arg::one_of(
                "operation",
                &[
                    GET,
                    Arg::block(
                        "write",
                        &[
                            Arg::one_of(
                                "overflow-block",
                                &[Arg::flag("wrap", "WRAP"), Arg::flag("sat", "SAT"), Arg::flag("fail", "FAIL")],
                            )
                            .token("OVERFLOW")
                            .optional(),
                            Arg::one_of(
                                "write-operation",
                                &[
                                    Arg::block(
                                        "set-block",
                                        &[Arg::string("encoding"), Arg::int("offset"), Arg::int("value")],
                                    )
                                    .token("SET"),
                                    Arg::block(
                                        "incrby-block",
                                        &[Arg::string("encoding"), Arg::int("offset"), Arg::int("increment")],
                                    )
                                    .token("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ]),
    Command::new("bitfield_ro", -2, bitfield_ro)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::BITMAP)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::Bitmap, "6.0.0", "O(1) for each operation", "Reads numbers inside a string.")
        .args(&[Arg::key("key", 0), GET.optional().multiple().multiple_token()]),
];

/// Where a number stands, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    signed: bool,
    /// 1 to 64; to 63 without a sign, so that every value is an `i64`.
    bits: usize,
    /// Of its highest bit.
    offset: usize,
}

/// What happens to a result that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Field {
    fn parse(ctx: &Ctx<'_>, kind: &[u8], offset: &[u8]) -> Result<Field, ErrorReply> {
        let (signed, bits) = Field::parse_kind(kind).ok_or(ErrorReply::Static(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ))?;
        // `#2` is the third field of this width.
        let (digits, unit) = offset.strip_prefix(b"#").map_or((offset, 1), |digits| (digits, bits));
        let offset = num::parse_i64(digits)
            .and_then(|n| usize::try_from(n).ok()?.checked_mul(unit))
            .filter(|n| n / 8 < ctx.server.config.proto_max_bulk_len || ctx.client.is_obeyed())
            .ok_or(ErrorReply::Static("ERR bit offset is not an integer or out of range"))?;
        Ok(Field { signed, bits, offset })
    }

    fn parse_kind(kind: &[u8]) -> Option<(bool, usize)> {
        let (signed, digits) = match kind {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return None,
        };
        let bits = usize::try_from(num::parse_i64(digits)?).ok()?;
        (1..=if signed { 64 } else { 63 }).contains(&bits).then_some((signed, bits))
    }

    /// Bytes that a string needs to hold the field.
    fn end(self) -> usize {
        (self.offset + self.bits).div_ceil(8)
    }

    /// The number in `text`, which goes on with zeros.
    fn read(self, text: &[u8]) -> i64 {
        let bit = |at: usize| text.get(at / 8).is_some_and(|byte| byte & 0x80 >> (at % 8) != 0);
        let raw = (self.offset..self.offset + self.bits).fold(0u64, |n, at| n << 1 | u64::from(bit(at)));
        self.number(raw)
    }

    /// Writes the low bits of a number into a string that is long enough.
    fn write(self, text: &mut [u8], value: i64) {
        for i in 0..self.bits {
            let at = self.offset + self.bits - 1 - i;
            let mask = 0x80 >> (at % 8);
            if value >> i & 1 == 1 {
                text[at / 8] |= mask;
            } else {
                text[at / 8] &= !mask;
            }
        }
    }

    /// The number that these bits mean.
    fn number(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { (raw << unused) as i64 >> unused } else { (raw << unused >> unused) as i64 }
    }

    /// The least and the largest number that fit.
    fn limits(self) -> (i128, i128) {
        let range = 1i128 << self.bits;
        if self.signed { (-range / 2, range / 2 - 1) } else { (0, range - 1) }
    }

    /// The number that a field with a sign is asked to take. One so far below that 64 bits cannot tell by how much
    /// saturates at the upper end, since stock servers compare with that difference.
    fn told(self, value: i64, overflow: Overflow) -> i128 {
        let (_, largest) = self.limits();
        let is_beyond_telling = self.bits < 64 && largest - i128::from(value) > i128::from(i64::MAX);
        if is_beyond_telling && overflow == Overflow::Saturate { largest } else { i128::from(value) }
    }

    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (least, largest) = self.limits();
        if (least..=largest).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.number(value as u64)),
            Overflow::Saturate => Some(value.clamp(least, largest) as i64),
            Overflow::Fail => None,
        }
    }
}

/// Reads the operations of BITFIELD, or of BITFIELD_RO, which only knows GET.
fn operations(ctx: &Ctx<'_>, args: Args<'_>, read_only: bool) -> Result<Vec<(Field, Action)>, ErrorReply> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut i = 2;
    while i < args.len() {
        let left = args.len() - i - 1;
        if args.is(i, "overflow") && left >= 1 {
            overflow = match args.at(i + 1) {
                word if is_word(word, "wrap") => Overflow::Wrap,
                word if is_word(word, "sat") => Overflow::Saturate,
                word if is_word(word, "fail") => Overflow::Fail,
                _ => return Err(ErrorReply::Static("ERR Invalid OVERFLOW type specified")),
            };
            i += 2;
            continue;
        }
        let (get, set, add) = (args.is(i, "get"), args.is(i, "set"), args.is(i, "incrby"));
        if !(get && left >= 2 || (set || add) && left >= 3) {
            return Err(ErrorReply::Syntax);
        }
        let field = Field::parse(ctx, args.at(i + 1), args.at(i + 2))?;
        let action = if get {
            Action::Get
        } else {
            let value = parse::int(args.at(i + 3))?;
            if set { Action::Set(value, overflow) } else { Action::Add(value, overflow) }
        };
        operations.push((field, action));
        i += if get { 3 } else { 4 };
    }
    if read_only && operations.iter().any(|(_, action)| *action != Action::Get) {
        return Err(ErrorReply::Static("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    Ok(operations)
}

fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let operations = operations(ctx, args, false)?;
    let written = operations.iter().filter(|(_, action)| *action != Action::Get).map(|(field, _)| field.end()).max();
    match written {
        None => read(ctx, args.at(1), &operations),
        Some(len) => change(ctx, args.at(1), &operations, len),
    }
}

fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let operations = operations(ctx, args, true)?;
    read(ctx, args.at(1), &operations)
}

fn read(ctx: &mut Ctx<'_>, key: &[u8], operations: &[(Field, Action)]) -> Done {
    let (mut db, reply) = ctx.split();
    let mut digits = itoa::Buffer::new();
    let text = db.read(key).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
    reply.array(operations.len());
    for (field, _) in operations {
        reply.int(field.read(text));
    }
    Ok(())
}

/// Runs operations of which some write, on a string of at least `len` bytes.
fn change(ctx: &mut Ctx<'_>, key: &[u8], operations: &[(Field, Action)], len: usize) -> Done {
    let (mut db, reply) = ctx.split();
    let mut entry = db.write_or_insert(key, || Value::Bytes(Vec::new()));
    let text = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    let grows = text.len() < len;
    if grows {
        text.resize(len, 0);
    }
    reply.array(operations.len());
    let mut done = 0;
    for (field, action) in operations {
        let wrote = run(*field, *action, text, reply);
        done += usize::from(wrote.is_some_and(|differs| differs || grows));
    }
    if done > 0 {
        db.notify(EventClass::STRING, "setbit", key);
    }
    ctx.changed(done.max(usize::from(grows)));
    Ok(())
}

/// Runs one operation and writes its reply. If it wrote: whether the bits are different now.
fn run(field: Field, action: Action, text: &mut [u8], reply: &mut Reply) -> Option<bool> {
    let old = field.read(text);
    let (new, set) = match action {
        Action::Get => {
            reply.int(old);
            return None;
        }
        // A field without a sign is set to the value as 64 bits without a sign.
        Action::Set(value, overflow) if !field.signed => (field.fit(i128::from(value as u64), overflow), true),
        Action::Set(value, overflow) => (field.fit(field.told(value, overflow), overflow), true),
        Action::Add(by, overflow) => (field.fit(i128::from(old) + i128::from(by), overflow), false),
    };
    match new {
        Some(new) => {
            field.write(text, new);
            reply.int(if set { old } else { new });
        }
        None => reply.null(),
    }
    new.map(|new| new != old)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn results_that_do_not_fit() {
        let i8 = Field { signed: true, bits: 8, offset: 0 };
        let u4 = Field { signed: false, bits: 4, offset: 0 };
        for (field, value, wrapped, saturated) in
            [(i8, 128, -128, 127), (i8, -129, 127, -128), (i8, 127, 127, 127), (u4, 16, 0, 15), (u4, -1, 15, 0)]
        {
            assert_eq!(field.fit(value, Overflow::Wrap), Some(wrapped));
            assert_eq!(field.fit(value, Overflow::Saturate), Some(saturated));
            assert_eq!(field.fit(value, Overflow::Fail), (i128::from(wrapped) == value).then_some(wrapped));
        }
    }

    #[test]
    fn far_below_is_above() {
        let i8 = Field { signed: true, bits: 8, offset: 0 };
        for (value, saturated) in [(i64::MIN, 127), (i64::MIN + 127, 127), (i64::MIN + 128, -128), (-129, -128)] {
            assert_eq!(i8.fit(i8.told(value, Overflow::Saturate), Overflow::Saturate), Some(saturated), "{value}");
        }
        assert_eq!(i8.told(i64::MIN, Overflow::Wrap), i128::from(i64::MIN));
    }

    #[test]
    fn widths() {
        for (kind, expected) in [
            ("i64", Some((true, 64))),
            ("u63", Some((false, 63))),
            ("u64", None),
            ("i65", None),
            ("i0", None),
            ("8", None),
        ] {
            assert_eq!(Field::parse_kind(kind.as_bytes()), expected, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(signed: bool, bits in 1usize..=63, offset in 0usize..100, value: i64, fill: u8) {
            let field = Field { signed, bits, offset };
            let mut text = vec![fill; 24];
            let value = field.fit(i128::from(value), Overflow::Wrap).unwrap();
            field.write(&mut text, value);
            prop_assert_eq!(field.read(&text), value);
            for at in (0..24 * 8).filter(|at| !(offset..offset + bits).contains(at)) {
                let mask = 0x80 >> (at % 8);
                prop_assert_eq!(text[at / 8] & mask, fill & mask, "bit {} of others", at);
            }
        }
    }
}
