//! What commands on groups send to replicas and the log in their own place: the outcome, entry by entry.

use crate::base::Millis;
use crate::data::stream::{Delivery, StreamId};
use crate::exec::Ctx;
use crate::resp::Argv;

/// The commands collected so far; nothing is collected while nobody listens.
pub struct Relay<'a> {
    wanted: bool,
    key: &'a [u8],
    group: &'a [u8],
    commands: Vec<Argv>,
}

impl<'a> Relay<'a> {
    pub fn new(ctx: &Ctx<'_>, key: &'a [u8], group: &'a [u8]) -> Relay<'a> {
        Relay { wanted: ctx.server.has_stream(), key, group, commands: Vec::new() }
    }

    /// The key of the stream.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    fn push(&mut self, make: impl FnOnce(&mut Argv, &[u8], &[u8])) {
        if self.wanted {
            let mut argv = Argv::default();
            make(&mut argv, self.key, self.group);
            self.commands.push(argv);
        }
    }

    /// An entry belongs to `consumer`, delivered like this, while the group stands at `last`.
    pub fn claim(&mut self, consumer: &[u8], id: StreamId, delivery: Delivery, last: StreamId) {
        let Delivery { at: Millis(at), count } = delivery;
        self.push(|argv, key, group| {
            for word in [&b"XCLAIM"[..], key, group, consumer, b"0", id.text().as_bytes(), b"TIME"] {
                argv.push(word);
            }
            argv.push_i64(at).push(b"RETRYCOUNT").push_i64(count as i64);
            for word in [&b"FORCE"[..], b"JUSTID", b"LASTID", last.text().as_bytes()] {
                argv.push(word);
            }
        });
    }

    /// The group stands at `last` and has read so much.
    pub fn set_id(&mut self, last: StreamId, entries_read: Option<u64>) {
        self.push(|argv, key, group| {
            for word in [&b"XGROUP"[..], b"SETID", key, group, last.text().as_bytes(), b"ENTRIESREAD"] {
                argv.push(word);
            }
            argv.push_i64(entries_read.map_or(-1, |read| read as i64));
        });
    }

    pub fn create_consumer(&mut self, consumer: &[u8]) {
        self.push(|argv, key, group| {
            for word in [&b"XGROUP"[..], b"CREATECONSUMER", key, group, consumer] {
                argv.push(word);
            }
        });
    }

    /// The commands, in order.
    #[must_use]
    pub fn into_commands(self) -> Vec<Argv> {
        self.commands
    }
}

/// Propagates these commands in the place of the running one, or nothing.
pub fn propagate(ctx: &mut Ctx<'_>, commands: Vec<Argv>) {
    if commands.is_empty() {
        ctx.dont_propagate();
    }
    for argv in commands {
        ctx.propagate_as(argv);
    }
}
