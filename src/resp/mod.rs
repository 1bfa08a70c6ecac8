//! The wire protocol, without IO: requests in, replies out, and the text of every error.

pub mod args;
pub mod client;
pub mod error;
pub mod reply;
pub mod request;

pub use args::{Args, Argv, Span, is_word, word};
pub use client::{ReplyParser, ReplyValue};
pub use error::ErrorReply;
pub use reply::{Proto, Reply};
