//! Why serialized data was refused.

use std::borrow::Cow;
use std::io;

/// The texts are those that servers log, so that what people search for leads them to the cause.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    /// The input ended inside the data: a copy that was cut short, or a link that broke.
    #[error("Short read or OOM loading DB. Unrecoverable error, aborting now. (input ended at offset {offset})")]
    Truncated {
        offset: u64,
        /// Where what is cut short begins.
        begin: u64,
    },

    #[error("Wrong signature trying to load DB from file: {}", String::from_utf8_lossy(.0))]
    BadMagic([u8; 9]),

    #[error("Can't handle RDB format version {0}")]
    Version(u16),

    /// `expected` is what the file says; servers call that what they got.
    #[error("Wrong RDB checksum expected: ({actual:x}) but got ({expected:x}). Aborting now.")]
    Checksum { expected: u64, actual: u64 },

    /// A type or opcode that a foreign version may define differently.
    #[error("Can't handle foreign type or opcode {code} in RDB with version {version}")]
    Foreign { code: u8, version: u16 },

    #[error("Unknown type or opcode {code} when loading DB at offset {offset}. Unrecoverable error, aborting now.")]
    UnknownCode { code: u8, offset: u64 },

    /// The input is malformed; `offset` is near the place.
    #[error("Internal error in RDB reading offset {offset} -> {reason}")]
    Corrupt { offset: u64, reason: Cow<'static, str> },

    /// Well-formed, but of a kind that the data model does not have.
    #[error("{what}{} is not supported yet", of_key(.key.as_deref()))]
    Unsupported { what: Cow<'static, str>, key: Option<Vec<u8>> },

    #[error("Error reading the RDB: {0}")]
    Io(#[from] io::Error),
}

impl RdbError {
    /// The same error, if the input ended inside something that begins at `begin`.
    pub(super) fn beginning_at(self, begin: u64) -> RdbError {
        match self {
            RdbError::Truncated { offset, .. } => RdbError::Truncated { offset, begin },
            other => other,
        }
    }
}

pub type Result<T> = std::result::Result<T, RdbError>;

fn of_key(key: Option<&[u8]>) -> String {
    key.map(|key| format!(" at key '{}'", key.escape_ascii())).unwrap_or_default()
}
