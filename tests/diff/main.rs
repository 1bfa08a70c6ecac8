//! `node` and a stock `redis-server` get the same bytes and must give the same replies.
//!
//! Three sources of commands: the hand-written lines of `lines/*.txt`, conversations of several connections in
//! `transcripts/*.txt`, and streams made from the grammar in `grammar/*.txt` and a seed. Replies are compared byte for
//! byte, except where the protocol promises no order or time passes (`compare.rs`), and except for the short list of
//! known differences (`known.txt`).

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod events;
mod known;
mod lines;
mod newer;
mod pair;
mod random;
mod reply;
mod transcripts;

use support::ServerKind;

/// Whether there is a stock server to compare with. Without one the test says so; in CI it fails.
fn stock_is_available() -> bool {
    ServerKind::Stock.is_available()
}
