//! The stream group: logs of entries under one key, and groups of consumers that read them.

mod add;
mod autoclaim;
mod claim;
mod deliver;
mod group;
mod id;
mod info;
mod pending;
mod range;
mod read;
mod relay;
mod remove;
mod reply;
mod trim;

use crate::data::stream::NodeLimits;
use crate::data::table::EntryMut;
use crate::exec::{Command, Server};
use crate::keyspace::Db;
use crate::resp::ErrorReply;
use crate::resp::error::push_shown;

pub const FAMILIES: &[&[Command]] = &[
    add::COMMANDS,
    autoclaim::COMMANDS,
    claim::COMMANDS,
    group::COMMANDS,
    info::COMMANDS,
    pending::COMMANDS,
    range::COMMANDS,
    read::COMMANDS,
    remove::COMMANDS,
    trim::COMMANDS,
];

fn node_limits(server: &Server) -> NodeLimits {
    NodeLimits { max_bytes: server.config.stream_node_max_bytes, max_entries: server.config.stream_node_max_entries }
}

/// The value of a key that is looked up as reads are, so that hits and misses count, and then changed.
fn read_to_change<'a>(db: &'a mut Db<'_>, key: &[u8]) -> Option<EntryMut<'a>> {
    db.read(key)?;
    db.write(key)
}

/// Neither is there, or only the key is; `where_wanted` ends the sentence.
fn no_key_or_group(key: &[u8], group: &[u8], where_wanted: &str) -> ErrorReply {
    told(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'", where_wanted.as_bytes()])
}

/// The key is there, the group is not.
fn no_group(key: &[u8], group: &[u8]) -> ErrorReply {
    told(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
}

/// An error made of these parts, some of them the client's own.
fn told(parts: &[&[u8]]) -> ErrorReply {
    let mut text = Vec::new();
    parts.iter().for_each(|part| push_shown(&mut text, part, usize::MAX));
    ErrorReply::Bytes(text.into())
}
