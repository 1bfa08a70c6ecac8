//! One encoding of every change feeds the AOF and the replicas.
//!
//! All changes of one unit of execution (a command, an EXEC) leave together: one bare, several between MULTI and EXEC.

use super::server::Server;
use crate::base::{Millis, num};
use crate::resp::args::push_command;
use crate::resp::{Args, Argv};

/// One change on its way into the stream.
#[derive(Debug)]
struct Change {
    db: u32,
    argv: Argv,
    /// Of no interest to the AOF.
    replicas_only: bool,
}

/// What the running command propagates, and what its unit has collected.
#[derive(Debug, Default)]
pub struct Unit {
    /// Inside EXEC: changes are collected until its end.
    collecting: bool,
    collected: Vec<Change>,
    suppressed: bool,
    /// The running command goes to replicas although it changes nothing, and not into the AOF.
    replicas_only: bool,
    replaced: Vec<Argv>,
}

impl Unit {
    /// Before each call.
    pub fn begin_call(&mut self) {
        self.suppressed = false;
        self.replicas_only = false;
        self.replaced.clear();
    }

    /// Whether the running command is one of an EXEC.
    #[must_use]
    pub fn is_collecting(&self) -> bool {
        self.collecting
    }

    /// Propagates `argv` in the place of the running command.
    pub fn replace(&mut self, argv: Argv) {
        self.replaced.push(argv);
    }

    /// Propagates the running command as it is, to replicas only.
    pub fn to_replicas(&mut self) {
        self.replicas_only = true;
    }

    #[must_use]
    pub fn goes_to_replicas(&self) -> bool {
        self.replicas_only
    }

    /// Does not propagate the running command.
    pub fn suppress(&mut self) {
        self.suppressed = true;
    }
}

impl Server {
    /// Whether anybody wants to know of changes.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.aof.is_on() || self.repl.wants_stream()
    }

    /// After each call: what it changed goes into the stream. `args` is the command as it was sent.
    pub(super) fn propagate_call(&mut self, db: u32, args: Args<'_>, changed: bool) {
        self.propagate_expired();
        if self.unit.replicas_only && self.repl.wants_stream() {
            if self.unit.collecting {
                self.unit.collected.push(Change { db, argv: args.to_argv(), replicas_only: true });
            } else {
                self.emit(db, args, true);
            }
        }
        if !changed || self.unit.suppressed || !self.has_stream() {
            return;
        }
        if self.unit.replaced.is_empty() {
            self.propagate(db, args);
        } else {
            for argv in std::mem::take(&mut self.unit.replaced) {
                self.propagate(db, argv.args());
            }
        }
    }

    /// Keys that a lookup found expired are deleted in the stream as well.
    pub(super) fn propagate_expired(&mut self) {
        for (db, key) in self.keyspace.take_expired() {
            if self.has_stream() {
                let verb: &[u8] = if self.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
                self.propagate(db, Argv::of(&[verb, &key]).args());
            }
        }
    }

    /// Adds one change to the unit, or to the stream when there is no unit.
    pub fn propagate(&mut self, db: u32, args: Args<'_>) {
        if self.unit.collecting {
            self.unit.collected.push(Change { db, argv: args.to_argv(), replicas_only: false });
        } else {
            self.emit(db, args, false);
        }
    }

    /// EXEC begins: its changes are one unit.
    pub(super) fn begin_unit(&mut self) {
        self.unit.collecting = true;
    }

    /// EXEC ends: the unit leaves.
    pub(super) fn end_unit(&mut self) {
        self.unit.collecting = false;
        let collected = std::mem::take(&mut self.unit.collected);
        let (Some(first), Some(last)) = (collected.first(), collected.last()) else { return };
        let wrap = collected.len() > 1;
        let replicas_only = collected.iter().all(|change| change.replicas_only);
        if wrap {
            self.emit(first.db, Argv::of(&[b"MULTI"]).args(), replicas_only);
        }
        for change in &collected {
            self.emit(change.db, change.argv.args(), change.replicas_only);
        }
        if wrap {
            self.emit(last.db, Argv::of(&[b"EXEC"]).args(), replicas_only);
        }
    }

    fn emit(&mut self, db: u32, args: Args<'_>, replicas_only: bool) {
        if self.client_is_primary_stream {
            if replicas_only {
                return;
            }
            // The replicas of a replica get its primary's bytes as they are.
            self.aof.append(db, |out| push_command(out, args));
            return;
        }
        self.scratch.clear();
        push_command(&mut self.scratch, args);
        let scratch = &self.scratch;
        if !replicas_only {
            self.aof.append(db, |out| out.extend_from_slice(scratch));
        }
        // MULTI and EXEC belong to the database of what they wrap.
        let now = Millis((self.stopwatch.micros() / 1000) as i64);
        self.repl.propagate(now, Some(db), scratch);
    }
}

/// The AOF's side of the stream: bytes waiting to be written, with its own notion of the selected database.
#[derive(Debug, Default)]
pub struct AofBuffer {
    on: bool,
    selected: Option<u32>,
    buf: Vec<u8>,
    /// Bytes ever appended.
    pub offset: u64,
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
        if !on {
            self.buf.clear();
        }
    }

    /// The next file begins with a SELECT again.
    pub fn reselect(&mut self) {
        self.selected = None;
    }

    fn append(&mut self, db: u32, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.on {
            return;
        }
        let before = self.buf.len();
        if self.selected != Some(db) {
            self.selected = Some(db);
            let mut text = Vec::with_capacity(4);
            num::push_u64(&mut text, u64::from(db));
            push_command(&mut self.buf, Argv::of(&[b"SELECT", &text]).args());
        }
        write(&mut self.buf);
        self.offset += (self.buf.len() - before) as u64;
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
}
