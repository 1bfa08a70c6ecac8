//! An EXEC that stands still in its middle: one of its commands (MIGRATE, CONFIG REWRITE) has asked the outside for
//! something, and the commands behind it have to wait for the answer.
//!
//! To everybody else an EXEC happens at once. So nobody runs a command meanwhile, its changes are not yet in the stream,
//! no snapshot begins, and not a byte of its reply leaves. When its connection ends it still goes on to its end.

use std::collections::VecDeque;

use super::client::{Client, ClientId, Parked};
use super::effect::{Effect, Token};
use super::propagate::Change;
use super::server::Server;
use super::table::CommandIndex;
use crate::resp::{Args, Argv};

/// The commands of a transaction that are still to run.
pub type Queue = VecDeque<(CommandIndex, Argv)>;

/// The EXEC that stands still.
#[derive(Debug)]
pub struct Suspended {
    /// What its running command waits for.
    token: Token,
    id: ClientId,
    /// The client, when its connection is gone.
    orphan: Option<Box<Client>>,
    rest: Queue,
    reply: Vec<u8>,
    changes: Vec<Change>,
}

impl Server {
    /// Runs the commands of a transaction until one waits for the outside. The reply of the EXEC begins at byte
    /// `reply_from` of the client's output.
    pub(super) fn run_queued(&mut self, client: &mut Client, mut queue: Queue, reply_from: usize) {
        while let Some((index, argv)) = queue.pop_front() {
            match self.check_in_exec(client, index, argv.args()) {
                Ok(()) => self.call(client, index, argv.args()),
                Err(error) => self.refuse(client, Some(index), &error),
            }
            if let Some(Parked::Waiting(token)) = client.parked {
                self.suspended = Some(Box::new(Suspended {
                    token,
                    id: client.id,
                    orphan: None,
                    rest: queue,
                    reply: client.reply.buf.split_off(reply_from),
                    changes: self.unit.take_changes(),
                }));
                return;
            }
        }
    }

    /// Whether the answer to `token` is what the suspended EXEC waits for.
    pub(super) fn suspends(&self, token: Token) -> bool {
        self.suspended.as_ref().is_some_and(|suspended| suspended.token == token)
    }

    /// The answer has come: `write` puts it into the reply, and the EXEC goes on.
    pub(super) fn resume(&mut self, write: impl FnOnce(&mut Client)) {
        let Some(suspended) = self.suspended.take() else { return };
        let Suspended { id, orphan, rest, reply, changes, .. } = *suspended;
        let is_orphan = orphan.is_some();
        let Some(mut client) = orphan.or_else(|| self.clients.take(id)) else { return };
        let output = std::mem::replace(&mut client.reply.buf, reply);
        client.parked = None;
        write(&mut client);
        let outer = self.unit.begin_call();
        self.unit.give_changes(changes);
        self.run_queued(&mut client, rest, 0);
        let goes_on = self.suspended.is_none();
        if goes_on {
            self.end_unit(true);
        }
        self.unit.end_call(outer);
        let reply = std::mem::replace(&mut client.reply.buf, output);
        if goes_on {
            client.write_offset = self.repl.offset();
            client.finish(|client| client.reply.raw(&reply));
            self.own_messages.deliver(&mut client);
        }
        match &mut self.suspended {
            Some(again) if is_orphan => again.orphan = Some(client),
            None if is_orphan => self.stop_hearing(&mut client),
            _ => {
                self.outbox.push(Effect::Wake(client.id));
                self.clients.put(client);
            }
        }
        if goes_on {
            self.retry_parked();
            self.serve_ready();
            self.wake_replicas();
        }
    }

    /// The connection of `client` is gone. Gives the client back unless its EXEC is still to be ended.
    pub(super) fn adopt(&mut self, client: Box<Client>) -> Option<Box<Client>> {
        match &mut self.suspended {
            Some(suspended) if suspended.id == client.id => {
                suspended.orphan = Some(client);
                None
            }
            _ => Some(client),
        }
    }

    /// Propagates what the answer to `token` has led to: with the EXEC that waits for it, or alone.
    pub(super) fn propagate_for(&mut self, token: Token, db: u32, args: Args<'_>) {
        match &mut self.suspended {
            Some(suspended) if suspended.token == token => suspended.changes.push(Change::of(db, args)),
            _ => self.propagate(db, args),
        }
    }

    /// What the suspended EXEC has changed leaves now, because the stream ends here.
    pub(super) fn propagate_suspended(&mut self) {
        if let Some(suspended) = &mut self.suspended {
            let changes = std::mem::take(&mut suspended.changes);
            self.unit.give_changes(changes);
            self.end_unit(true);
        }
    }
}
