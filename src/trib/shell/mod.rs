//! `trib cli`: a conversation with one server, for those who would open redis-cli.
//!
//! [`show`] gives replies the forms that redis-cli gives them, [`session`] is the connection with its redirections and
//! subscriptions, [`docs`] what COMMAND DOCS tells for completion and help, [`line`] the line that is edited, and [`pipe`]
//! sends a prepared stream of commands.

pub mod docs;
pub mod line;
pub mod pipe;
pub mod session;
pub mod show;
