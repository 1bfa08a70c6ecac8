//! The append-only file: its manifest and names, reading it back, appending to it, and the decisions around both.
//!
//! An append-only log is a directory: one base (a snapshot, or commands), then increments in order, listed in a
//! manifest. Nothing here opens a file: the caller brings the bytes and performs the verdicts.

pub mod feed;
pub mod manifest;
pub mod names;
pub mod reader;
pub mod rewrite;
pub mod startup;
mod stream;

pub use feed::Feed;
pub use manifest::{LogFile, Manifest, ManifestError};
pub use names::BaseFormat;
pub use reader::{AofError, AofReader, Record};
pub use rewrite::CommandWriter;
