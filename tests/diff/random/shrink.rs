//! Finds a short list of commands that still shows a difference.

use super::generate::Op;
use super::replay::{self, Difference};
use crate::pair::Pair;

/// More attempts than this are not worth the wait.
const ATTEMPTS: usize = 400;

/// Leaves out what can be left out: half of the commands, a quarter, and so on down to single ones, as long as a command
/// of the name `of` is answered differently. (Another one would be another difference, perhaps a known one.) `None` when
/// the same commands do not show it again.
pub fn shrink(pair: &mut Pair, ops: &[Op], of: &str) -> Option<(Vec<Op>, Difference)> {
    let mut run = |ops: &[Op]| replay::run(pair, ops).filter(|difference| difference.name == of);
    let mut few = ops.to_vec();
    let mut shown = run(ops)?;
    let mut attempts = 0;
    let mut chunk = few.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < few.len() && attempts < ATTEMPTS {
            let end = (at + chunk).min(few.len());
            let fewer: Vec<Op> = few[..at].iter().chain(&few[end..]).cloned().collect();
            attempts += 1;
            if let Some(difference) = run(&fewer).filter(|_| !fewer.is_empty()) {
                few = fewer;
                few.truncate(difference.at + 1);
                shown = difference;
            } else {
                at = end;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    Some((few, shown))
}
