//! Which elements of a sorted set ZRANGE and its relatives mean: their one grammar, resolved to ranks.

use std::ops::Range;

use super::bounds;
use crate::commands::parse;
use crate::data::zset::{LexRange, ScoreRange, ZSet};
use crate::resp::{Args, ErrorReply};

/// By what elements are selected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

#[derive(Clone, Copy)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

/// A selection of elements and the direction in which they are given.
pub(super) struct Selection<'a> {
    bounds: Bounds<'a>,
    pub reverse: bool,
    pub with_scores: bool,
    offset: i64,
    /// All when negative.
    limit: i64,
}

/// What the name of a command settles in advance.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    /// By what, if it is not for the options to say.
    pub by: Option<By>,
    pub reverse: Option<bool>,
    /// The result is stored: always with scores.
    pub stored: bool,
}

impl<'a> Selection<'a> {
    /// Reads `start stop [option …]`.
    pub fn parse(args: Args<'a>, fixed: Fixed) -> Result<Selection<'a>, ErrorReply> {
        let (mut by, mut reverse) = (fixed.by, fixed.reverse);
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        let mut i = 2;
        while i < args.len() {
            if !fixed.stored && args.is(i, "withscores") {
                with_scores = true;
            } else if let (true, Some(from), Some(count)) = (args.is(i, "limit"), args.get(i + 1), args.get(i + 2)) {
                (offset, limit) = (parse::int(from)?, parse::int(count)?);
                i += 2;
            } else if reverse.is_none() && args.is(i, "rev") {
                reverse = Some(true);
            } else if by.is_none() && args.is(i, "bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && args.is(i, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(ErrorReply::Static(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(ErrorReply::Static("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (start, stop) = (args.at(0), args.at(1));
        let (min, max) = if reverse { (stop, start) } else { (start, stop) };
        let bounds = match by {
            By::Rank => Bounds::Ranks(parse::int(start)?, parse::int(stop)?),
            By::Score => Bounds::Scores(bounds::scores(min, max)?),
            By::Lex => Bounds::Members(bounds::members(min, max)?),
        };
        // A range of ranks takes a LIMIT without a limit, and no notice of it.
        let offset = if by == By::Rank { 0 } else { offset };
        Ok(Selection { bounds, reverse, with_scores, offset, limit })
    }

    /// A selection without options, forward.
    pub fn between(by: By, start: &'a [u8], stop: &'a [u8]) -> Result<Selection<'a>, ErrorReply> {
        let bounds = match by {
            By::Rank => Bounds::Ranks(parse::int(start)?, parse::int(stop)?),
            By::Score => Bounds::Scores(bounds::scores(start, stop)?),
            By::Lex => Bounds::Members(bounds::members(start, stop)?),
        };
        Ok(Selection { bounds, reverse: false, with_scores: false, offset: 0, limit: -1 })
    }

    /// The ranks of the selected elements in `set`, lowest first.
    pub fn ranks(&self, set: &ZSet) -> Range<usize> {
        let len = set.len();
        let all = match self.bounds {
            Bounds::Ranks(start, stop) => match parse::range(start, stop, len) {
                Some(ranks) if self.reverse => len - ranks.end..len - ranks.start,
                Some(ranks) => ranks,
                None => 0..0,
            },
            Bounds::Scores(range) => set.ranks_by_score(&range),
            Bounds::Members(range) => set.ranks_by_lex(&range),
        };
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let left = all.len().saturating_sub(offset);
        let count = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if self.reverse {
            let end = all.end - offset.min(all.len());
            end - count..end
        } else {
            let start = all.start + offset.min(all.len());
            start..start + count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Limits;
    use crate::resp::Argv;

    fn ranks(words: &[&[u8]]) -> Result<Vec<usize>, ErrorReply> {
        let mut set = ZSet::new();
        for (score, member) in [b"a", b"b", b"c", b"d", b"e"].iter().enumerate() {
            set.insert(*member, score as f64, &Limits::default());
        }
        let argv = Argv::of(words);
        let selection = Selection::parse(argv.args(), Fixed { by: None, reverse: None, stored: false })?;
        let ranks = selection.ranks(&set);
        Ok(if selection.reverse { ranks.rev().collect() } else { ranks.collect() })
    }

    #[test]
    fn the_grammar() {
        assert_eq!(ranks(&[b"1", b"-2"]), Ok(vec![1, 2, 3]));
        assert_eq!(ranks(&[b"0", b"1", b"REV"]), Ok(vec![4, 3]));
        assert_eq!(ranks(&[b"(1", b"3", b"BYSCORE"]), Ok(vec![2, 3]));
        assert_eq!(ranks(&[b"3", b"(1", b"BYSCORE", b"REV"]), Ok(vec![3, 2]));
        assert_eq!(ranks(&[b"-inf", b"inf", b"BYSCORE", b"LIMIT", b"1", b"2"]), Ok(vec![1, 2]));
        assert_eq!(ranks(&[b"+", b"-", b"BYLEX", b"REV", b"LIMIT", b"1", b"2"]), Ok(vec![3, 2]));
        assert_eq!(ranks(&[b"-", b"+", b"BYLEX", b"LIMIT", b"9", b"2"]), Ok(vec![]));
        assert_eq!(ranks(&[b"+", b"-", b"BYLEX", b"REV", b"LIMIT", b"9", b"2"]), Ok(vec![]));
        assert_eq!(ranks(&[b"-", b"+", b"BYLEX", b"LIMIT", b"-1", b"2"]), Ok(vec![]));
        assert_eq!(ranks(&[b"-", b"+", b"BYLEX", b"LIMIT", b"3", b"-7"]), Ok(vec![3, 4]));
        assert!(ranks(&[b"0", b"1", b"LIMIT", b"0", b"1"]).is_err());
        assert_eq!(ranks(&[b"0", b"1", b"LIMIT", b"1", b"-1"]), Ok(vec![0, 1]));
        assert_eq!(ranks(&[b"0", b"1", b"LIMIT", b"0"]), Err(ErrorReply::Syntax));
        assert_eq!(ranks(&[b"-", b"+", b"BYLEX", b"BYSCORE"]), Err(ErrorReply::Syntax));
        assert_eq!(ranks(&[b"0", b"1", b"REV", b"REV"]), Err(ErrorReply::Syntax));
    }
}
