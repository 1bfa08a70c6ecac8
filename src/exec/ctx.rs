//! What a handler is given: the server, the client that called, and the moment.

use super::client::Client;
use super::effect::{Effect, Token};
use super::server::Server;
use super::spec::Command;
use crate::base::{Millis, Rng};
use crate::data::Limits;
use crate::keyspace::{Db, EventClass};
use crate::resp::{Argv, Reply};

/// One call of one command.
pub struct Ctx<'a> {
    pub server: &'a mut Server,
    pub client: &'a mut Client,
    pub command: &'static Command,
    /// Wall time at the start of the batch.
    pub now: Millis,
}

impl Ctx<'_> {
    /// The client's database and its output, side by side.
    pub fn split(&mut self) -> (Db<'_>, &mut Reply) {
        (self.server.keyspace.db(self.client.db), &mut self.client.reply)
    }

    /// As [`Ctx::split`], together with what governs the encodings of collections.
    pub fn split_with_limits(&mut self) -> (Db<'_>, &mut Reply, &Limits) {
        (self.server.keyspace.db(self.client.db), &mut self.client.reply, &self.server.config.limits)
    }

    /// As [`Ctx::split`], together with the source of random numbers.
    pub fn split_with_rng(&mut self) -> (Db<'_>, &mut Reply, &mut Rng) {
        (self.server.keyspace.db(self.client.db), &mut self.client.reply, &mut self.server.rng)
    }

    /// The client's database.
    pub fn db(&mut self) -> Db<'_> {
        self.server.keyspace.db(self.client.db)
    }

    /// The client's output.
    pub fn reply(&mut self) -> &mut Reply {
        &mut self.client.reply
    }

    /// Counts changes of the dataset: a command that changed nothing is not propagated.
    pub fn changed(&mut self, n: usize) {
        self.server.keyspace.changed(n);
    }

    /// Tells subscribers of `event`, which happened to `key` of the client's database: `notify-keyspace-events` decides
    /// whether anybody hears of it. [`Db::notify`] does the same for any database.
    pub fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.db().notify(class, event, key);
    }

    /// Propagates `argv` in the place of the command as it was sent. Called several times, all of them in order.
    pub fn propagate_as(&mut self, argv: Argv) {
        self.server.unit.replace(argv);
    }

    /// Propagates the command as it was sent to replicas, although it changes nothing.
    pub fn propagate_to_replicas(&mut self) {
        self.server.unit.to_replicas();
    }

    /// Keeps the command out of the replication stream and the AOF.
    pub fn dont_propagate(&mut self) {
        self.server.unit.suppress();
    }

    /// Asks the world for something.
    pub fn effect(&mut self, effect: Effect) {
        self.server.outbox.push(effect);
    }

    /// Parks the client until the answer to the returned token.
    pub fn park(&mut self) -> Token {
        self.server.park(self.client)
    }
}
