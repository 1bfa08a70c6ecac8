//! The sorted set group: members in the order of their scores.

pub(in crate::commands) mod add;
mod algebra;
mod blocking;
mod bounds;
mod combine;
mod look;
mod pop;
mod range;
mod remove;
mod sample;
mod scan;
mod selection;

use crate::data::Item;
use crate::data::zset::ZSet;
use crate::exec::Command;
use crate::keyspace::{Db, Typed};
use crate::resp::{ErrorReply, Proto, Reply};

pub const FAMILIES: &[&[Command]] = &[
    add::COMMANDS,
    blocking::COMMANDS,
    combine::COMMANDS,
    look::COMMANDS,
    pop::COMMANDS,
    range::COMMANDS,
    remove::COMMANDS,
    sample::COMMANDS,
    scan::COMMANDS,
];

/// The sorted set at `key`, if there is one.
fn find<'d>(db: &'d mut Db<'_>, key: &[u8]) -> Result<Option<&'d ZSet>, ErrorReply> {
    db.read(key).map(Typed::zset).transpose()
}

/// Writes elements as an array: members alone, or with their scores as pairs (flat in RESP2).
fn push_elements<'a>(reply: &mut Reply, elements: impl ExactSizeIterator<Item = (Item<'a>, f64)>, with_scores: bool) {
    let nested = with_scores && reply.proto == Proto::Resp3;
    reply.array(if with_scores && !nested { 2 * elements.len() } else { elements.len() });
    for (member, score) in elements {
        push_element(reply, member, with_scores.then_some(score), nested);
    }
}

fn push_element(reply: &mut Reply, member: Item<'_>, score: Option<f64>, nested: bool) {
    if nested {
        reply.array(2);
    }
    crate::commands::element::push(reply, member);
    if let Some(score) = score {
        reply.double(score);
    }
}
