//! The list group: elements in the order in which they were pushed.

mod blocking;
mod edit;
mod ends;
mod look;
mod shift;

use crate::data::list::End;
use crate::exec::Command;
use crate::resp::{ErrorReply, is_word};

pub const FAMILIES: &[&[Command]] =
    &[blocking::COMMANDS, edit::COMMANDS, ends::COMMANDS, look::COMMANDS, shift::COMMANDS];

/// `LEFT` or `RIGHT`.
fn parse_end(word: &[u8]) -> Result<End, ErrorReply> {
    if is_word(word, "left") {
        Ok(End::Front)
    } else if is_word(word, "right") {
        Ok(End::Back)
    } else {
        Err(ErrorReply::Syntax)
    }
}
