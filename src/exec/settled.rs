//! Which replies may leave before the log is where `appendfsync` promises it.
//!
//! With `always` a reply waits when it could show a change that is not on disk yet: so those of all commands but the few
//! that can be seen to show none, because they show no data, or only that of keys which nobody has changed since.
//!
//! With the other policies the system must have the log, so that an end of the process loses nothing that was answered.
//! That is the matter of a moment, and all replies wait for it, unless the disk is busy: then only those to changes do.

use super::client::Client;
use super::keys::visit_keys;
use super::server::Server;
use super::spec::{Flags, Group};
use crate::config::AppendFsync;
use crate::resp::Args;

/// What output waits for before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The log is on disk up to this offset.
    Durable(u64),
    /// The system has the log up to this offset.
    Written {
        offset: u64,
        /// The output tells of changes that its own client has made.
        tells_changes: bool,
    },
}

impl Server {
    /// Whether replies are held back until the log is on disk.
    #[must_use]
    pub fn holds_replies(&self) -> bool {
        self.config.appendfsync == AppendFsync::Always && self.aof.is_on()
    }

    /// What a client's output waits for. `unsettled`: not all of it is settled; `tells_changes`: it may tell of changes
    /// that the client has made.
    #[must_use]
    pub fn output_hold(&self, unsettled: bool, tells_changes: bool) -> Option<Hold> {
        let offset = self.aof.offset;
        if !self.aof.is_on() {
            None
        } else if self.config.appendfsync == AppendFsync::Always {
            unsettled.then_some(Hold::Durable(offset))
        } else {
            Some(Hold::Written { offset, tells_changes })
        }
    }

    /// The reply to a command that has just been run, and that changed nothing, is the end of the client's output. If it
    /// shows nothing that is not on disk, and neither does what is in front of it (`reply_from` bytes), it may leave.
    pub(super) fn settle_reply(&mut self, client: &mut Client, args: Args<'_>, reply_from: usize) {
        if client.settled_bytes == reply_from && self.shows_settled_data(client, args) {
            client.settled_bytes = client.reply.buf.len();
        }
    }

    fn shows_settled_data(&self, client: &Client, args: Args<'_>) -> bool {
        if client.parked.is_some() || client.in_transaction() {
            return false;
        }
        let Some(command) = client.last_command.map(|index| self.commands.command(index)) else { return false };
        if !args.at(0).eq_ignore_ascii_case(command.name.as_bytes()) {
            return false;
        }
        if matches!(command.name, "ping" | "echo" | "select" | "hello" | "auth" | "readonly" | "readwrite" | "asking") {
            return true;
        }
        let sees_more = Flags::TOUCHES_ARBITRARY_KEYS | Flags::WRITE | Flags::MAY_REPLICATE | Flags::BLOCKING;
        if !command.flags.contains(Flags::READONLY)
            || command.flags.intersects(sees_more)
            || matches!(command.name, "sort_ro" | "eval_ro" | "evalsha_ro" | "fcall_ro")
            || command.group == Group::Scripting
        {
            return false;
        }
        let (mut keys, mut settled) = (0, true);
        let fits = visit_keys(command, args, |key| {
            keys += 1;
            settled &= args.get(key.position).is_some_and(|key| !self.keyspace.is_unsettled(client.db, key));
        });
        fits && keys > 0 && settled
    }
}
