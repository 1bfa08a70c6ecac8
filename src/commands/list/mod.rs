//! The list group: elements in the order in which they were pushed.

mod blocking;
mod edit;
mod ends;
mod look;
mod shift;

use crate::data::list::End;
use crate::exec::Command;
use crate::resp::ErrorReply;

pub const FAMILIES: &[&[Command]] =
    &[blocking::COMMANDS, edit::COMMANDS, ends::COMMANDS, look::COMMANDS, shift::COMMANDS];

/// `LEFT` or `RIGHT`.
fn parse_end(word: &[u8]) -> Result<End, ErrorReply> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(End::Front)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(End::Back)
    } else {
        Err(ErrorReply::Syntax)
    }
}
