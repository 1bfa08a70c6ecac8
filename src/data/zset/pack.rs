//! A small sorted set in its listpack: members and scores in turn, and how a score is written there.

use std::cmp::Ordering;

use crate::base::num;
use crate::data::skiplist::pair_order;
use crate::data::{Item, Listpack};

/// Integral scores up to here are kept as integers in a listpack.
pub(super) const INT_SCORE_MAX: f64 = (1u64 << 62) as f64;
/// Bytes that a score takes in a listpack at most: the longest text is 24 bytes.
pub(super) const SCORE_BYTES: usize = 26;

pub(super) fn pair_index(rank: usize) -> i64 {
    i64::try_from(rank).map_or(i64::MAX, |rank| rank.saturating_mul(2))
}

/// The order of elements whose members may be kept as integers.
pub(super) fn element_order(a: (Item<'_>, f64), b: (Item<'_>, f64)) -> Ordering {
    pair_order(a.1, a.0.text(&mut Default::default()), b.1, b.0.text(&mut Default::default()))
}

pub(super) fn parse_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(n) => Some(n as f64),
        Item::Bytes(text) => num::parse_f64(text),
    }
}

pub(super) fn score_at(pack: &Listpack, at: usize) -> f64 {
    parse_score(pack.item(at)).expect("scores are checked before they come in")
}

/// Calls `f` with a score as it stands in a listpack: an integer where possible, else the shortest text.
pub fn with_score<R>(score: f64, f: impl FnOnce(Item<'_>) -> R) -> R {
    if score.fract() == 0.0 && score.abs() <= INT_SCORE_MAX {
        return f(Item::Int(score as i64));
    }
    let mut text = Vec::with_capacity(SCORE_BYTES);
    num::push_f64(&mut text, score);
    f(Item::Bytes(&text))
}

/// Inserts a member that is not there, at its place.
pub(super) fn insert_into_pack(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut at = pack.start();
    while at != pack.end() {
        let score_of = pack.next(at);
        let there = score_at(pack, score_of);
        if there > score || (there == score && pack.item(at).cmp_bytes(member).is_gt()) {
            break;
        }
        at = pack.next(score_of);
    }
    with_score(score, |score| pack.insert(at, [member.into(), score]));
}
