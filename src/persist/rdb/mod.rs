//! The snapshot file and the serialized values it shares with DUMP.
//!
//! What is written is RDB version 10 with the types Redis 7.0 knows, unless fields of hashes expire and the reader can be
//! told of that: then it is version 80. What is read is every version from Redis 2.x
//! to Valkey 9, so far as the data model has the type: a type that it lacks is an error which names
//! the type and the key, for a silent gap in a loaded dataset would be a loss.

pub mod code;
pub mod error;
pub mod input;
pub mod module;
pub mod output;
pub mod pieces;
pub mod read;
pub mod read_value;
pub mod records;
pub mod redis_hash;
pub(super) mod stream;
pub mod write;
pub mod write_value;

pub use code::{Reader, VersionCheck};
pub use error::RdbError;
pub use pieces::Pieces;
pub use read::{Event, LoadedEntry, RdbReader};
pub use records::{Checksum, ReadOptions, Step};
pub use write::{Access, Aux, RdbWriter, ReplicationAux, WriteOptions};
