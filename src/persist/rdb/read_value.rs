//! Reading values of every type and version into the containers of the server.

use std::io::BufRead;

use super::code::{type_name, value_type};
use super::error::{RdbError, Result};
use super::input::Input;
use crate::data::Limits;
use crate::data::value::Value;

/// What stood in the input.
#[derive(Debug)]
pub enum Loaded {
    Value(Value),
    /// A collection without elements. Old servers left such keys behind; they do not exist.
    Empty,
}

/// Reads a value of this type; the input stands behind the type byte (and the key). The encoding follows `limits`.
pub fn read_value<R: BufRead>(input: &mut Input<R>, value_type: u8, _limits: &Limits) -> Result<Loaded> {
    match value_type {
        value_type::STRING => Ok(Loaded::Value(Value::from_bytes(&input.string()?))),
        _ => Err(RdbError::Unsupported { what: type_name(value_type).into(), key: None }),
    }
}
