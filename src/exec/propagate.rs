//! One encoding of every change feeds the AOF and the replicas.
//!
//! All changes of one unit of execution (a command, an EXEC with its commands, a command that served a waiting client)
//! leave together when it ends: one bare, several between MULTI and EXEC. What happens outside of any command leaves at
//! once.

use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::{Millis, num};
use crate::keyspace::LapsedFields;
use crate::persist::aof::feed::push_timestamp;
use crate::resp::args::push_command;
use crate::resp::{Args, Argv};

/// One change on its way into the stream.
#[derive(Debug)]
pub(super) struct Change {
    db: u32,
    argv: Argv,
    /// Of no interest to the AOF.
    replicas_only: bool,
}

impl Change {
    pub(super) fn of(db: u32, args: Args<'_>) -> Change {
        Change { db, argv: args.to_argv(), replicas_only: false }
    }
}

/// What one call propagates.
#[derive(Debug, Default)]
pub struct CallChanges {
    suppressed: bool,
    /// It goes to replicas although it changes nothing, and not into the AOF.
    replicas_only: bool,
    replaced: Vec<Argv>,
}

/// The unit of execution that is running, if there is one.
#[derive(Debug, Default)]
pub struct Unit {
    /// Calls inside calls: the commands of an EXEC are at depth 2.
    depth: usize,
    /// What has changed so far, but for the running call's own.
    collected: Vec<Change>,
    call: CallChanges,
}

impl Unit {
    /// Before each call. What is returned is given back to [`Unit::end_call`].
    pub fn begin_call(&mut self) -> CallChanges {
        self.depth += 1;
        std::mem::take(&mut self.call)
    }

    /// Before a batch: a call that panicked has ended nothing.
    pub fn reset(&mut self) {
        if self.depth > 0 {
            *self = Unit::default();
        }
    }

    /// After each call; the one around it goes on.
    pub fn end_call(&mut self, outer: CallChanges) {
        self.depth -= 1;
        self.call = outer;
    }

    /// Whether the running command is inside another: one of an EXEC.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        self.depth > 1
    }

    /// Propagates `argv` in the place of the running command.
    pub fn replace(&mut self, argv: Argv) {
        self.call.replaced.push(argv);
    }

    /// Propagates the running command as it is, to replicas only.
    pub fn to_replicas(&mut self) {
        self.call.replicas_only = true;
    }

    /// Does not propagate the running command.
    pub fn suppress(&mut self) {
        self.call.suppressed = true;
    }

    /// What has been collected, for a unit that goes on later.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.collected)
    }

    /// What a unit that goes on now has collected before.
    pub(super) fn give_changes(&mut self, changes: Vec<Change>) {
        self.collected = changes;
    }

    /// Whether there is something to propagate although the running command itself changed nothing.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.call.replicas_only || !self.collected.is_empty()
    }
}

impl Server {
    /// Whether anybody wants to know of changes. What is loaded is no change.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        !self.is_loading() && (self.aof.is_on() || self.repl.wants_stream() || self.migrations.wants_stream())
    }

    /// After each call: what it changed joins its unit, and the unit leaves if this was its outermost call. `args` is the
    /// command as it was sent.
    pub(super) fn propagate_call(&mut self, db: u32, command: &Command, args: Args<'_>, changed: bool) {
        let expired = self.keyspace.take_expired();
        let call = std::mem::take(&mut self.unit.call);
        if !self.has_stream() {
            self.unit.collected.clear();
            return;
        }
        let as_sent = call.replicas_only || (changed && !call.suppressed && call.replaced.is_empty());
        if as_sent && self.unit.depth == 1 && self.unit.collected.is_empty() && expired.is_empty() {
            // The common case: nothing is copied.
            self.tell_migrations(&[(db, args)]);
            self.emit(Some(db), args, call.replicas_only && !changed);
            return;
        }
        let collected = &mut self.unit.collected;
        let verb = expiry_verb(self.config.lazyfree_lazy_expire);
        collected.extend(expired.iter().map(|(db, key)| Change {
            db: *db,
            argv: Argv::of(&[verb, key]),
            replicas_only: false,
        }));
        if as_sent {
            collected.push(Change { db, argv: args.to_argv(), replicas_only: call.replicas_only && !changed });
        } else if changed && !call.suppressed {
            collected.extend(call.replaced.into_iter().map(|argv| Change { db, argv, replicas_only: false }));
        }
        if self.unit.depth == 1 {
            // What a walk over the keyspace happens to find expired belongs to nothing.
            self.end_unit(!command.flags.contains(Flags::TOUCHES_ARBITRARY_KEYS));
        }
    }

    /// The unit leaves: together if it is one.
    pub(super) fn end_unit(&mut self, together: bool) {
        let collected = self.unit.take_changes();
        if self.migrations.wants_stream() {
            let unit: Vec<_> = collected.iter().map(|change| (change.db, change.argv.args())).collect();
            self.tell_migrations(&unit);
        }
        let wrap = together && collected.len() > 1;
        let replicas_only = collected.iter().all(|change| change.replicas_only);
        if wrap {
            self.emit(None, Argv::of(&[b"MULTI"]).args(), replicas_only);
        }
        for change in &collected {
            self.emit(Some(change.db), change.argv.args(), change.replicas_only);
        }
        if wrap {
            self.emit(None, Argv::of(&[b"EXEC"]).args(), replicas_only);
        }
    }

    /// Keys and fields found expired outside of any command are deleted in the stream as well.
    pub(super) fn propagate_expired(&mut self) {
        let verb = expiry_verb(self.config.lazyfree_lazy_expire);
        for (db, key) in self.keyspace.take_expired() {
            self.propagate(db, Argv::of(&[verb, &key]).args());
        }
        for lapsed in self.keyspace.take_lapsed_fields() {
            self.propagate_lapsed(&lapsed);
        }
    }

    /// Replicas may go on from where the file was written that has been read, and have what was left out because its time was
    /// over: they are told that it is gone.
    pub(super) fn tell_what_lapsed(&mut self) {
        for lapsed in std::mem::take(&mut self.lapsed_in_file) {
            self.propagate_lapsed(&lapsed);
        }
    }

    /// Deletes in the stream what is gone of a key: some fields, the rest of it, or all.
    fn propagate_lapsed(&mut self, lapsed: &LapsedFields) {
        if !lapsed.fields.is_empty() {
            let mut argv = Argv::of(&[b"HDEL", &lapsed.key]);
            for field in &lapsed.fields {
                argv.push(field);
            }
            self.propagate(lapsed.db, argv.args());
        }
        if lapsed.key_gone {
            let verb = expiry_verb(self.config.lazyfree_lazy_expire);
            self.propagate(lapsed.db, Argv::of(&[verb, &lapsed.key]).args());
        }
    }

    /// Adds one change to the running unit, or to the stream when there is none.
    pub fn propagate(&mut self, db: u32, args: Args<'_>) {
        if !self.has_stream() {
            return;
        }
        if self.unit.depth > 0 {
            self.unit.collected.push(Change::of(db, args));
        } else {
            self.tell_migrations(&[(db, args)]);
            self.emit(Some(db), args, false);
        }
    }

    /// Sends a command to the replicas that this server itself has not run (DEBUG REPLICATE): their data may be other
    /// data from then on. Nothing happens on a replica, whose replicas get its primary's bytes.
    pub fn feed_replicas(&mut self, args: Args<'_>) {
        if !self.repl.is_primary() {
            return;
        }
        self.scratch.clear();
        push_command(&mut self.scratch, args);
        let now = self.mono();
        self.repl.propagate(now, None, &self.scratch);
    }

    /// `db` is `None` for what belongs to no database: MULTI, EXEC, and messages about slot migrations.
    pub(super) fn emit(&mut self, db: Option<u32>, args: Args<'_>, replicas_only: bool) {
        let stamp = self.config.aof_timestamp_enabled.then(|| self.now.secs());
        let bytes = if self.aof.is_on() && !replicas_only {
            self.aof.append(db, stamp, args)
        } else {
            self.scratch.clear();
            push_command(&mut self.scratch, args);
            &self.scratch
        };
        // The replicas of a replica get its primary's bytes as they are.
        if self.repl.is_primary() {
            // A clock that was read for the command just now is good enough.
            let micros = self.lap.unwrap_or_else(|| self.stopwatch.micros());
            self.repl.propagate(Millis((micros / 1000) as i64), db, bytes);
        }
    }
}

fn expiry_verb(lazily: bool) -> &'static [u8] {
    if lazily { b"UNLINK" } else { b"DEL" }
}

/// The AOF's side of the stream: bytes waiting to be written, with its own notion of the selected database.
#[derive(Debug, Default)]
pub struct AofBuffer {
    on: bool,
    selected: Option<u32>,
    /// The second of the last time mark.
    stamped: Option<i64>,
    buf: Vec<u8>,
    /// Bytes ever appended.
    pub offset: u64,
    /// How many of those that have been taken the disk has refused: they wait beside the buffer.
    pub refused: usize,
    /// What has been written is being made durable beside everything else.
    pub syncing: bool,
}

impl AofBuffer {
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Starts or stops collecting. A fresh file begins with a SELECT.
    pub fn switch(&mut self, on: bool) {
        self.on = on;
        self.selected = None;
        self.stamped = None;
        if !on {
            self.buf.clear();
            self.refused = 0;
        }
    }

    /// The next file begins with a SELECT again.
    pub fn reselect(&mut self) {
        self.selected = None;
    }

    /// Appends a command to a log that is on, and gives its bytes. `stamp`: the second it ran in, when that is to stand in
    /// the file.
    fn append(&mut self, db: Option<u32>, stamp: Option<i64>, args: Args<'_>) -> &[u8] {
        let before = self.buf.len();
        if let Some(secs) = stamp.filter(|secs| self.stamped.is_none_or(|last| *secs > last)) {
            push_timestamp(&mut self.buf, secs);
            self.stamped = Some(secs);
        }
        if let Some(db) = db.filter(|db| self.selected != Some(*db)) {
            self.selected = Some(db);
            let mut text = Vec::with_capacity(4);
            num::push_u64(&mut text, u64::from(db));
            push_command(&mut self.buf, Argv::of(&[b"SELECT", &text]).args());
        }
        let from = self.buf.len();
        push_command(&mut self.buf, args);
        self.offset += (self.buf.len() - before) as u64;
        &self.buf[from..]
    }

    /// Swaps the waiting bytes with an empty buffer.
    pub fn take(&mut self, into: &mut Vec<u8>) {
        into.clear();
        std::mem::swap(&mut self.buf, into);
    }

    #[must_use]
    pub fn pending(&self) -> usize {
        self.buf.len()
    }

    /// Bytes that are not in the file yet.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.buf.len() + self.refused
    }
}
