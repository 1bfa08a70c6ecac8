//! Data of modules: what they mean is known to nobody else, but where they end can be told.
//!
//! The id of the module's type, then pieces that each say what they are, then the end.

use std::io::BufRead;

use super::error::Result;
use super::input::Input;

/// What a piece is.
mod piece {
    pub const END: u64 = 0;
    pub const SIGNED: u64 = 1;
    pub const UNSIGNED: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// Reads past the data; the input stands in front of the id.
pub fn skip<R: BufRead>(input: &mut Input<R>) -> Result<()> {
    input.length()?;
    loop {
        match input.length()? {
            piece::END => return Ok(()),
            piece::SIGNED | piece::UNSIGNED => _ = input.length()?,
            piece::FLOAT => _ = input.array::<4>()?,
            piece::DOUBLE => _ = input.array::<8>()?,
            piece::STRING => _ = input.string()?,
            _ => return Err(input.corrupt("Unknown piece of a module's data")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::rdb::RdbError;

    #[test]
    fn every_piece_is_passed() {
        let body = b"\x81\x4e\x73\x1b\xc8\xb7\x80\x02\x01\x01\x07\x02\x40\x90\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x05\x02ab\0behind";
        let mut input = Input::new(&body[..]);
        skip(&mut input).unwrap();
        assert_eq!(input.offset(), body.len() as u64 - 6);
        for len in 0..body.len() - 6 {
            assert!(matches!(skip(&mut Input::new(&body[..len])), Err(RdbError::Truncated { .. })), "{len}");
        }
        assert!(matches!(skip(&mut Input::new(&b"\x07\x06"[..])), Err(RdbError::Corrupt { .. })));
    }
}
