//! The append-only file: its manifest and names, reading it back, appending to it, and the decisions around both.
//!
//! An append-only log is a directory: one base (a snapshot, or commands), then increments in order, listed in a
//! manifest. Files are reached only through the door of [`disk`](super::disk).

pub mod elements;
pub mod feed;
pub mod log;
pub mod manifest;
pub mod names;
pub mod reader;
pub mod rewrite;
pub mod startup;
pub mod stream;

pub use feed::Feed;
pub use log::{Begun, Log, Place};
pub use manifest::{LogFile, Manifest, ManifestError};
pub use names::BaseFormat;
pub use reader::{AofError, AofReader, Record};
pub use rewrite::CommandWriter;
