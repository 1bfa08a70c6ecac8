//! Popping from the first of several keys that has something: the arguments of LMPOP and ZMPOP, and how all that block
//! wait.

use std::ops::Range;

use super::parse::{self, TimeUnit};
use crate::data::value::Kind;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply};

/// `numkeys key [key …] END [COUNT count]`
#[derive(Clone, Copy)]
pub struct MultiPop<'a, E> {
    pub keys: Args<'a>,
    pub end: E,
    /// How many elements at most, at least 1.
    pub count: usize,
}

impl<'a, E> MultiPop<'a, E> {
    /// Reads the arguments from number `from` on; `end` knows the words for the two ends.
    pub fn parse(
        args: Args<'a>,
        from: usize,
        end: impl Fn(&[u8]) -> Result<E, ErrorReply>,
    ) -> Result<MultiPop<'a, E>, ErrorReply> {
        let keys = positive(args.at(from), "ERR numkeys should be greater than 0")?;
        let end_at = keys.checked_add(from + 1).ok_or(ErrorReply::Syntax)?;
        let end = end(args.get(end_at).ok_or(ErrorReply::Syntax)?)?;
        let mut count = None;
        let mut i = end_at + 1;
        while i < args.len() {
            match args.get(i + 1) {
                Some(n) if args.is(i, "count") && count.is_none() => {
                    count = Some(positive(n, "ERR count should be greater than 0")?);
                }
                _ => return Err(ErrorReply::Syntax),
            }
            i += 2;
        }
        Ok(MultiPop { keys: args.range(from + 1, end_at), end, count: count.unwrap_or(1) })
    }
}

/// Pops, as `pop` does it, which says whether there was anything; waits for a key to get a value of this kind otherwise,
/// and sends the command as it was `sent` again then. A client that must not wait is told that there is nothing.
pub fn pop_or_wait(
    ctx: &mut Ctx<'_>,
    sent: Args<'_>,
    kind: Kind,
    keys: Args<'_>,
    timeout: &[u8],
    pop: impl FnOnce(&mut Ctx<'_>) -> Result<bool, ErrorReply>,
) -> Done {
    let until = parse::wait_until(timeout, TimeUnit::Seconds, ctx.now)?;
    if pop(ctx)? {
        return Ok(());
    }
    if ctx.may_block() {
        ctx.wait_for_value(kind, keys, until, sent);
    } else {
        ctx.reply().null_array();
    }
    Ok(())
}

/// The positions of `count` elements at the front or the back of `len`, or of as many as there are.
#[must_use]
pub fn range_at_end(len: usize, count: usize, back: bool) -> Range<usize> {
    let count = count.min(len);
    if back { len - count..len } else { 0..count }
}

/// A number above 0, or the error of this text.
pub fn positive(arg: &[u8], error: &'static str) -> Result<usize, ErrorReply> {
    parse::count(arg).ok().filter(|n| *n > 0).ok_or(ErrorReply::Static(error))
}
