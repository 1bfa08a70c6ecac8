//! Which changes follow the keys that were sent.
//!
//! Changes leave in units (a command; all of an EXEC), and between a unit's beginning and its end no walk goes on. So at
//! the end of a unit every key it touched is in one of two states. One that the walk has not passed will be sent as it
//! is then, with the change: nothing is forwarded. One that it has passed gets the change as a command.
//!
//! A command that touches both (RENAME, SMOVE, ZUNIONSTORE …) cannot be forwarded: at the target it would find one key
//! missing. Then all passed keys of the unit are sent as they are now, in the place of the unit's commands. That is right
//! whatever the commands did, and it does not have to be known before they run. The same holds for a command that reads
//! keys which it does not name (SORT … BY).
//!
//! A large value that the walk has met waits for its turn, as if it were ahead. While it is under way, its changes are
//! what [`large`](super::large) makes of them; where other keys come into it, it begins anew.

use super::large::{Stand, is_large};
use super::source::Sending;
use super::{export, why};
use crate::base::key_slot;
use crate::exec::effect::{Effect, LogLevel};
use crate::exec::keys::visit_keys;
use crate::exec::server::Server;
use crate::exec::table::{CommandTable, Lookup};
use crate::keyspace::{KeyIn, Keyspace};
use crate::resp::args::push_command;
use crate::resp::{Args, Argv};

/// One change: its database and its command.
pub(in crate::exec) type Changed<'a> = (u32, Args<'a>);

/// How the keys of one change stand to a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// None of its keys moves.
    Elsewhere,
    Ahead,
    Passed,
    /// It is a large value of which a part is sent.
    Begun,
    Both,
}

impl Place {
    fn and(self, other: Place) -> Place {
        match (self, other) {
            (Place::Elsewhere, place) | (place, Place::Elsewhere) => place,
            (a, b) if a == b => a,
            _ => Place::Both,
        }
    }
}

/// Whether a command changes all keys of a database, whatever their slots.
fn is_flush(args: Args<'_>) -> bool {
    ["flushall", "flushdb", "swapdb"].iter().any(|name| args.is(0, name))
}

/// Calls `each` with every key that a change names, and its database.
fn visit_keys_in<'a>(commands: &CommandTable, (db, args): Changed<'a>, each: &mut dyn FnMut(u32, &'a [u8])) -> bool {
    let Lookup::Found(index) = commands.lookup(args) else { return true };
    let command = commands.command(index);
    let mut first = None;
    visit_keys(command, args, |key| {
        if let Some(key) = args.get(key.position) {
            first.get_or_insert(key);
            each(db, key);
        }
    });
    // The other database that MOVE and COPY may name.
    let other = match command.name {
        "move" => args.get(2),
        "copy" => (3..args.len()).find(|i| args.is(*i, "db")).and_then(|i| args.get(i + 1)),
        _ => None,
    };
    let key = if command.name == "copy" { args.get(2) } else { first };
    let number = other.and_then(crate::base::num::parse_i64).and_then(|n| u32::try_from(n).ok());
    if let (Some(db), Some(key)) = (number, key) {
        each(db, key);
    }
    command.name != "sort"
}

impl Sending {
    fn moves_key(&self, key: &[u8]) -> bool {
        self.moves[key_slot(key).index()]
    }

    fn place_of(&self, keyspace: &Keyspace, db: u32, key: &[u8]) -> Place {
        match (&self.walk, self.large.stand(db, key)) {
            _ if !self.moves_key(key) => Place::Elsewhere,
            (_, Some(Stand::Begun)) => Place::Begun,
            (_, Some(Stand::Waits)) => Place::Ahead,
            (Some(walk), None) if !keyspace.has_walked(walk, db, key) => Place::Ahead,
            _ => Place::Passed,
        }
    }

    /// Takes the changes of one unit.
    fn take_unit(&mut self, keyspace: &Keyspace, commands: &CommandTable, unit: &[Changed<'_>]) {
        let mut places = Vec::with_capacity(unit.len());
        for change in unit {
            let mut place = Place::Elsewhere;
            let names_all = visit_keys_in(commands, *change, &mut |db, key| {
                place = place.and(self.place_of(keyspace, db, key));
            });
            if matches!(place, Place::Passed | Place::Begun) && !names_all && self.walk.is_some() {
                place = Place::Both;
            }
            places.push(place);
        }
        if places.contains(&Place::Both) {
            return self.send_as_they_are(keyspace, commands, unit);
        }
        let mut of_begun = Vec::new();
        for ((db, args), place) in unit.iter().zip(places) {
            match place {
                Place::Passed => {
                    self.writer.select(&mut self.out, *db as usize);
                    push_command(&mut self.out, *args);
                }
                Place::Begun => of_begun.push(*args),
                Place::Elsewhere | Place::Ahead | Place::Both => {}
            }
        }
        if !of_begun.is_empty() {
            self.large.follow(keyspace, &mut self.writer, &mut self.out, &of_begun);
        }
    }

    /// Sends every key of the unit that the walk has passed as it is now; a large one once more, when its turn comes.
    fn send_as_they_are(&mut self, keyspace: &Keyspace, commands: &CommandTable, unit: &[Changed<'_>]) {
        let mut keys: Vec<KeyIn> = Vec::new();
        let mut begins_anew = false;
        for change in unit {
            visit_keys_in(commands, *change, &mut |db, key| match self.place_of(keyspace, db, key) {
                Place::Passed => keys.push((db, key.into())),
                place => begins_anew |= place == Place::Begun,
            });
        }
        if begins_anew {
            self.large.restart(keyspace, &mut self.writer, &mut self.out);
        }
        keys.sort_unstable();
        keys.dedup();
        for (db, key) in keys {
            self.writer.select(&mut self.out, db as usize);
            push_command(&mut self.out, Argv::of(&[b"DEL", &key]).args());
            match keyspace.tables(db).get(key_slot(&key).index()).find(&key) {
                Some(entry) if is_large(entry.value()) => self.large.push(db, &key),
                Some(entry) => self.writer.entry(&mut self.out, db as usize, &key, entry.value(), entry.expire_at()),
                None => {}
            }
        }
    }
}

impl Server {
    /// The changes of one unit have happened.
    pub(in crate::exec) fn tell_migrations(&mut self, unit: &[Changed<'_>]) {
        if !self.migrations.wants_stream() {
            return;
        }
        if unit.iter().any(|(_, args)| is_flush(*args)) {
            self.fail_migrations(why::FLUSHED);
        }
        let mut over_limit = Vec::new();
        let hard_limit = self.config.client_output_buffer_limit.replica.hard_bytes;
        for (name, sending) in self.migrations.exports.iter_mut().filter(|(_, sending)| sending.forwards) {
            let before = sending.out.len();
            sending.take_unit(&self.keyspace, &self.commands, unit);
            if sending.out.len() > before && !sending.woken() {
                self.outbox.push(Effect::WakeExport(sending.link));
            }
            if hard_limit > 0 && sending.pending_bytes() as u64 > hard_limit {
                over_limit.push(*name);
            }
        }
        for name in over_limit {
            self.log(LogLevel::Warning, format!("The target of slot export {name} is too slow: too much waits for it"));
            self.export_event(name, export::Event::LinkLost);
        }
    }
}
