//! The connection group: who a client is and how it speaks.

mod client;
mod hello;
mod session;

use crate::exec::{Command, Flags};

pub const FAMILIES: &[&[Command]] = &[client::COMMANDS, hello::COMMANDS, session::COMMANDS];

/// Of what a connection needs before anything else: no login, no data, nothing to wait for.
const ANY_TIME: Flags = Flags::ALLOW_BUSY
    .union(Flags::FAST)
    .union(Flags::LOADING)
    .union(Flags::NOSCRIPT)
    .union(Flags::NO_AUTH)
    .union(Flags::STALE);
