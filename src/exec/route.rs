//! Cluster mode: which slot a command's keys are in, and whether it is served here.

use super::client::{Client, ClientFlags};
use super::keys::{first_key, visit_keys};
use super::server::Server;
use super::spec::{Command, Flags, KeyFlags};
use super::table::Lookup;
use crate::base::{Slot, key_slot, num};
use crate::cluster::{ClientNet, Presence, Redirect, Request};
use crate::resp::{Args, ErrorReply};

/// The keys of a request (a command, or all commands of an EXEC): their one slot, and what they are used for.
#[derive(Default)]
struct Wanted<'a> {
    slot: Option<Slot>,
    keys: Vec<&'a [u8]>,
    write: bool,
    migrate: bool,
    other_db: bool,
    shard_pubsub: bool,
}

impl<'a> Wanted<'a> {
    /// Adds the keys of one command of a client whose database is `db`.
    fn add(&mut self, command: &Command, args: Args<'a>, db: u32) -> Result<(), ErrorReply> {
        let mut crossed = false;
        visit_keys(command, args, |at| {
            let Some(key) = args.get(at.position) else { return };
            let slot = key_slot(key);
            crossed |= self.slot.is_some_and(|first| first != slot);
            self.slot = Some(slot);
            // A channel or a cursor says where to go; it is not there or missing.
            if !at.flags.contains(KeyFlags::NOT_KEY) {
                self.keys.push(key);
            }
        });
        self.write |= command.flags.contains(Flags::WRITE);
        self.shard_pubsub |= command.flags.contains(Flags::PUBSUB);
        self.migrate |= command.name == "migrate";
        self.other_db |= match command.name {
            "move" => args.get(2).is_some_and(|number| is_other_db(number, db)),
            "copy" => (3..args.len()).any(|i| args.is(i, "db") && args.get(i + 1).is_some_and(|n| is_other_db(n, db))),
            _ => false,
        };
        if crossed { Err(ErrorReply::CrossSlot) } else { Ok(()) }
    }
}

/// Whether an argument names another database than `db`. What is no number is refused by the command itself.
fn is_other_db(arg: &[u8], db: u32) -> bool {
    num::parse_i64(arg).is_some_and(|number| number != i64::from(db))
}

/// The walk over a cluster begins anywhere.
fn begins_anywhere(command: &Command, args: Args<'_>) -> bool {
    command.name == "clusterscan" && args.get(1) == Some(b"0")
}

impl Server {
    /// The slot of a command's keys, without a check: for what is obeyed, and for EXEC's commands, which were checked.
    pub(super) fn slot_of(&self, command: &Command, args: Args<'_>) -> Option<Slot> {
        if self.keyspace.is_slotted() && !command.keys.is_empty() {
            first_key(command, args).map(key_slot)
        } else {
            None
        }
    }

    /// Notes the slot of the command's keys, and refuses what is to be served elsewhere.
    pub(super) fn route(&self, client: &mut Client, command: &Command, args: Args<'_>) -> Result<(), ErrorReply> {
        let Some(engine) = &self.cluster else { return Ok(()) };
        let is_exec = command.name == "exec";
        if command.keys.is_empty() && !is_exec || begins_anywhere(command, args) {
            return Ok(());
        }
        let mut wanted = Wanted::default();
        // The common case: one key, in a slot that is served here without any ifs.
        if let Some(slot) = self.single_key_slot(command, args) {
            client.slot = Some(slot);
            if engine.owns(slot)
                && engine.state_ok()
                && engine.migrating_to(slot).is_none()
                && engine.importing_from(slot).is_none()
            {
                return Ok(());
            }
        }
        if is_exec {
            for (index, argv) in client.transaction.iter().flat_map(|t| &t.queued) {
                wanted.add(self.commands.command(*index), argv.args(), client.db)?;
            }
        } else {
            wanted.add(command, args, client.db)?;
        }
        let Some(slot) = wanted.slot else { return Ok(()) };
        client.slot = Some(slot);
        let request = Request {
            write: wanted.write,
            migrate: wanted.migrate,
            other_db: wanted.other_db,
            asking: client.is(ClientFlags::ASKING) || command.flags.contains(Flags::ASKING),
            readonly: client.is(ClientFlags::READONLY),
            multiple_keys: wanted.keys.iter().any(|key| *key != wanted.keys[0]),
            shard_pubsub: wanted.shard_pubsub,
        };
        let queueing = client.in_transaction() && !is_exec;
        let presence = || if queueing { Presence::default() } else { self.presence(client.db, slot, &wanted.keys) };
        let decision = engine.redirect(slot, request, presence);
        if decision == Redirect::Serve {
            return Ok(());
        }
        let net = ClientNet { tls: false, ip: client.peer_ip() };
        Err(decision.error(engine, slot, net).map_or(ErrorReply::ClusterDown, ErrorReply::text_of))
    }

    /// What a client that waits for `key` is told when the key is not served here any more.
    pub(super) fn no_more_served(&self, client: &Client, key: &[u8], args: Args<'_>) -> Option<ErrorReply> {
        let engine = self.cluster.as_ref()?;
        let Lookup::Found(index) = self.commands.lookup(args) else { return None };
        let reads = !self.commands.command(index).flags.contains(Flags::WRITE);
        let slot = key_slot(key);
        let decision = engine.redirect_blocked(slot, client.is(ClientFlags::READONLY) && reads);
        let net = ClientNet { tls: false, ip: client.peer_ip() };
        decision.error(engine, slot, net).map(ErrorReply::text_of)
    }

    fn single_key_slot(&self, command: &Command, args: Args<'_>) -> Option<Slot> {
        let [spec] = command.keys else { return None };
        (spec.is_single() && command.key_finder.is_none()).then(|| first_key(command, args).map(key_slot)).flatten()
    }

    /// How many of the keys are here. Keys past their time are not.
    fn presence(&self, db: u32, slot: Slot, keys: &[&[u8]]) -> Presence {
        let table = self.keyspace.tables(db).get(slot.index());
        let is_here =
            |key: &&&[u8]| table.find(key).is_some_and(|entry| entry.expire_at().is_none_or(|at| at > self.now));
        let present = keys.iter().filter(is_here).count();
        Presence { present, missing: keys.len() - present }
    }
}
