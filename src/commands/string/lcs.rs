//! LCS: the longest common subsequence of two strings.

use std::ops::Range;

use crate::commands::parse;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply, Reply};

pub const COMMANDS: &[Command] = &[Command::new("lcs", -3, lcs)
    .flags(Flags::READONLY)
    .acl(Acl::STRING)
    .keys(&[KeySpec::range(1, 1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(
        Group::String,
        "7.0.0",
        "O(N*M) where N and M are the lengths of the strings",
        "Finds the longest common subsequence of two strings.",
    )
    .args(&[
        Arg::key("key1", 0),
        Arg::key("key2", 0),
        Arg::flag("len", "LEN").optional(),
        Arg::flag("idx", "IDX").optional(),
        Arg::int("min-match-len").token("MINMATCHLEN").optional(),
        Arg::flag("withmatchlen", "WITHMATCHLEN").optional(),
    ])];

/// The options of LCS.
#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    min_match_len: usize,
    with_match_len: bool,
}

impl Options {
    fn parse(words: Args<'_>) -> Result<Options, ErrorReply> {
        let mut options = Options::default();
        let mut i = 0;
        while i < words.len() {
            if words.is(i, "len") {
                options.len = true;
            } else if words.is(i, "idx") {
                options.idx = true;
            } else if words.is(i, "withmatchlen") {
                options.with_match_len = true;
            } else if let (true, Some(len)) = (words.is(i, "minmatchlen"), words.get(i + 1)) {
                options.min_match_len = usize::try_from(parse::int(len)?).unwrap_or(0);
                i += 1;
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        }
        if options.len && options.idx {
            return Err(ErrorReply::Static("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

fn string(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Vec<u8>, ErrorReply> {
    let mut digits = itoa::Buffer::new();
    let Some(entry) =
        ctx.server.keyspace.db(ctx.client.db).read(key).map(|entry| entry.text(&mut digits).map(<[u8]>::to_vec))
    else {
        return Ok(Vec::new());
    };
    entry.map_err(|_| ErrorReply::Static("ERR The specified keys must contain string values"))
}

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (a, b) = (string(ctx, args.at(1))?, string(ctx, args.at(2))?);
    let options = Options::parse(args.from(3))?;
    let lengths = Lengths::of(&a, &b, ctx.server.config.proto_max_bulk_len)?;
    let reply = ctx.reply();
    if options.len {
        reply.uint(lengths.at(a.len(), b.len()) as usize);
    } else if options.idx {
        reply.map(2);
        reply.bulk_str("matches");
        push_matches(reply, &lengths.matches(&a, &b), &options);
        reply.bulk_str("len");
        reply.uint(lengths.at(a.len(), b.len()) as usize);
    } else {
        let mut common = Vec::new();
        for part in lengths.matches(&a, &b).iter().rev() {
            common.extend_from_slice(&a[part.in_a.clone()]);
        }
        reply.bulk(&common);
    }
    Ok(())
}

fn push_matches(reply: &mut Reply, matches: &[Match], options: &Options) {
    let open = reply.open();
    let mut shown = 0;
    for part in matches.iter().filter(|part| part.in_a.len() >= options.min_match_len) {
        reply.array(2 + usize::from(options.with_match_len));
        for range in [&part.in_a, &part.in_b] {
            reply.array(2);
            reply.uint(range.start);
            reply.uint(range.end - 1);
        }
        if options.with_match_len {
            reply.uint(part.in_a.len());
        }
        shown += 1;
    }
    reply.end_array(open, shown);
}

/// A piece that stands in both strings.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    in_a: Range<usize>,
    in_b: Range<usize>,
}

/// How long the longest common subsequence of each beginning of one string and each beginning of the other is.
struct Lengths {
    table: Vec<u32>,
    columns: usize,
}

impl Lengths {
    /// # Errors
    /// When the table would need more than `max_bytes`.
    fn of(a: &[u8], b: &[u8], max_bytes: usize) -> Result<Lengths, ErrorReply> {
        let columns = b.len() + 1;
        let cells = (a.len() + 1).checked_mul(columns).filter(|cells| *cells <= max_bytes / size_of::<u32>()).ok_or(
            ErrorReply::Static("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"),
        )?;
        let mut table = vec![0u32; cells];
        for (i, x) in a.iter().enumerate() {
            let (above, row) = table[i * columns..(i + 2) * columns].split_at_mut(columns);
            for (j, y) in b.iter().enumerate() {
                row[j + 1] = if x == y { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Ok(Lengths { table, columns })
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.table[i * self.columns + j]
    }

    /// The pieces of the common subsequence, from the last to the first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut found: Vec<Match> = Vec::new();
        let mut open = false;
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match found.last_mut().filter(|_| open) {
                    Some(last) => (last.in_a.start, last.in_b.start) = (i, j),
                    None => found.push(Match { in_a: i..i + 1, in_b: j..j + 1 }),
                }
                open = true;
            } else {
                if self.at(i - 1, j) > self.at(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
                open = false;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_of_two_strings() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let lengths = Lengths::of(a, b, 1 << 20).unwrap();
        assert_eq!(lengths.at(a.len(), b.len()), 6);
        assert_eq!(lengths.matches(a, b), [Match { in_a: 4..8, in_b: 5..9 }, Match { in_a: 2..4, in_b: 0..2 }]);
        assert!(Lengths::of(a, b, 100).is_err());
    }

    proptest! {
        #[test]
        fn pieces_are_common_and_as_long_as_said(a in "[abc]{0,30}", b in "[abc]{0,30}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let lengths = Lengths::of(a, b, 1 << 20).unwrap();
            let matches = lengths.matches(a, b);
            for part in &matches {
                prop_assert_eq!(&a[part.in_a.clone()], &b[part.in_b.clone()]);
            }
            prop_assert!(matches.is_sorted_by(|x, y| x.in_a.start >= y.in_a.end && x.in_b.start >= y.in_b.end));
            let total: usize = matches.iter().map(|part| part.in_a.len()).sum();
            prop_assert_eq!(total, lengths.at(a.len(), b.len()) as usize);
        }
    }
}
