//! The HyperLogLog group: counting different elements without keeping them.

mod count;
mod debug;

use crate::data::hll;
use crate::exec::Command;
use crate::keyspace::{Db, Typed};
use crate::resp::ErrorReply;

pub const FAMILIES: &[&[Command]] = &[count::COMMANDS, debug::COMMANDS];

const NOT_A_COUNTER: ErrorReply = ErrorReply::Static("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPTED: ErrorReply = ErrorReply::Static("INVALIDOBJ Corrupted HLL object detected");

/// Whether there is a key, which must then hold a HyperLogLog.
fn check(db: &mut Db<'_>, key: &[u8]) -> Result<bool, ErrorReply> {
    let Some(entry) = db.peek(key) else { return Ok(false) };
    if hll::is_valid(entry.text(&mut Default::default())?) { Ok(true) } else { Err(NOT_A_COUNTER) }
}
