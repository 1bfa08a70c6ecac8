//! `node` and a stock `redis-server` get the same bytes and must give the same replies.
//!
//! Three sources of commands: the hand-written lines of `lines/*.txt`, conversations of several connections in
//! `transcripts/*.txt`, and streams made from the grammar in `grammar/*.txt` and a seed. Replies are compared byte for
//! byte, except where the protocol promises no order or time passes (`compare.rs`), and except for the short list of
//! known differences (`known.txt`).
//!
//! What Redis 7.0 does not have is compared with Valkey 9.1 in the same way, where `.ci/peers` has fetched it: the lines
//! and the grammar in `valkey/`.

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod effects;
mod events;
mod known;
mod lines;
mod newer;
mod pair;
mod random;
mod reply;
mod transcripts;

use support::ServerKind;

/// A server to compare with, and what is said to it and to `node`: directories and files in `tests/diff`.
#[derive(Clone, Copy)]
struct Oracle {
    kind: ServerKind,
    lines: &'static str,
    grammar: &'static str,
    known: &'static str,
}

const STOCK: Oracle =
    Oracle { kind: ServerKind::Stock, lines: "lines", grammar: "grammar", known: include_str!("known.txt") };

/// For the commands and options that Redis 7.0 does not have.
const VALKEY: Oracle = Oracle {
    kind: ServerKind::Peer("valkey-server-9.1"),
    lines: "valkey/lines",
    grammar: "valkey/grammar",
    known: include_str!("valkey/known.txt"),
};
