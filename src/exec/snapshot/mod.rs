//! Saving the dataset: what a snapshot is taken for, and its slices.
//!
//! The keyspace walks, the RDB writer encodes, and this file decides where the bytes go. The owner of the disk calls
//! [`Server::snapshot_slice`] again and again between batches, and [`Server::snapshot_ended`] at the end.

mod sinks;

use std::collections::VecDeque;

use super::client::{Client, ClientFlags, ClientId};
use super::effect::{Effect, LogLevel, Token};
use super::keys::visit_keys;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::Millis;
use crate::keyspace::EntrySink;
use crate::persist::rdb::Reader;
use crate::repl::{Input, RdbFilter, ReplicaId, SnapshotId, SnapshotRequest, SnapshotTarget, Version};
use crate::resp::{Args, ErrorReply};

/// How long one slice may take, in microseconds.
const SLICE_USEC: u64 = 1000;

/// A sink that holds more than this many bytes makes the walk wait.
const PENDING_MAX_BYTES: usize = 1 << 20;

/// A replica that has this much to read yet makes the walk wait.
const REPLICA_BACKLOG_MAX_BYTES: usize = 4 << 20;

/// What a replica of this version reads.
fn reader_with(version: Option<Version>) -> Reader {
    match version {
        Some(version) if version >= (Version { major: 9, minor: 0, patch: 0 }) => Reader::Valkey9,
        Some(version) if version >= (Version { major: 7, minor: 2, patch: 0 }) => Reader::Redis72,
        _ => Reader::Redis7,
    }
}

/// Who wants the RDB file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// A save point or BGSAVE.
    InBackground,
    /// SAVE, whose client waits.
    Awaited(Token),
    /// FLUSHALL, whose client waits, and is told +OK whatever becomes of it.
    Flushed(Token),
    /// The server, before it ends.
    Final,
}

/// What a snapshot is taken for.
#[derive(Debug)]
pub enum Purpose {
    /// The RDB file.
    File(Save),
    /// A full synchronisation.
    Replicas(SnapshotRequest),
    /// A new base of the AOF.
    AofBase,
}

impl Purpose {
    /// Whether the bytes go into a file (else to replicas).
    #[must_use]
    pub fn is_file(&self) -> bool {
        !matches!(self, Purpose::Replicas(SnapshotRequest { target: SnapshotTarget::Socket { .. }, .. }))
    }
}

/// The snapshot under way.
#[derive(Debug)]
pub struct Job {
    pub purpose: Purpose,
    pub started: Millis,
    dirty_at_start: u64,
    pub(super) cancelled: bool,
    finished_walk: bool,
}

/// What INFO persistence tells of saves.
#[derive(Debug, Default)]
pub struct Saves {
    /// The last save in the background failed, and none of any kind was done since.
    pub last_failed: bool,
    pub last_try: Option<Millis>,
    pub last_success: Millis,
    /// How long the last save in the background took.
    pub last_seconds: Option<i64>,
    /// How many were begun.
    pub count: u64,
    pub dirty_at_last_save: u64,
    /// A save that was asked for while another snapshot was under way.
    pub scheduled: bool,
    /// Those who wait for a save of their own, which comes when the snapshot under way is over.
    pub(super) awaited: VecDeque<Save>,
}

/// What a slice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// Go on soon.
    More,
    /// The receivers are behind: go on in a few milliseconds.
    Behind,
    /// All is written out.
    Complete,
    /// Nobody wants it any more.
    Cancelled,
}

/// What was handed over before its turn, and is not written yet, may take so much memory: then writers wait.
const HANDED_OVER_MAX_BYTES: usize = 32 << 20;

impl Server {
    /// Saves the dataset for somebody who waits for it.
    pub fn save_for(&mut self, save: Save) {
        if self.may_snapshot() && !self.log_growth.beginning {
            self.start_snapshot(Purpose::File(save));
        } else {
            self.saves.awaited.push_back(save);
        }
    }

    /// Everything was deleted: what is kept of it in the file must not come back with a restart. So the save under way ends, and
    /// where there are save points the file is written anew before `client` is told. Who cannot wait, or would have to for a
    /// snapshot of another kind, is told at once, and the file follows as soon as can be.
    pub fn save_nothing(&mut self, client: &mut Client) {
        if self.is_loading() {
            return;
        }
        let other = match self.job.as_ref().map(|job| &job.purpose) {
            Some(Purpose::File(Save::InBackground)) => {
                self.cancel_save();
                false
            }
            Some(Purpose::File(_)) | None => self.log_growth.beginning,
            Some(Purpose::Replicas(_) | Purpose::AofBase) => true,
        };
        if self.config.save.is_empty() {
            return;
        }
        if other || self.unit.is_nested() || client.is_obeyed() {
            self.saves.scheduled = true;
        } else {
            let token = self.park(client);
            self.save_for(Save::Flushed(token));
        }
    }

    /// Whether a snapshot may begin: there is none under way, and no EXEC stands still half done.
    #[must_use]
    pub fn may_snapshot(&self) -> bool {
        self.job.is_none() && self.suspended.is_none()
    }

    /// Begins a snapshot, or says that it may not begin now.
    pub fn start_snapshot(&mut self, purpose: Purpose) {
        if !self.may_snapshot() {
            match purpose {
                Purpose::Replicas(request) => self.repl_input(Input::SnapshotPostponed(request.snapshot)),
                Purpose::File(Save::InBackground) => self.saves.scheduled = true,
                Purpose::File(_) | Purpose::AofBase => {}
            }
            return;
        }
        if let Purpose::Replicas(request) = &purpose {
            let started = Input::SnapshotStarted(request.snapshot);
            self.repl_input(started);
        }
        let pid = self.facts.pid;
        match purpose {
            Purpose::File(Save::InBackground) => {
                self.log(LogLevel::Notice, format!("Background saving started by pid {pid}"));
            }
            Purpose::AofBase => {
                self.log(LogLevel::Notice, format!("Background append only file rewriting started by pid {pid}"));
            }
            Purpose::File(_) | Purpose::Replicas(_) => {}
        }
        let reader = self.reader_of(&purpose);
        let sink: Box<dyn EntrySink> = match purpose {
            Purpose::AofBase if !self.config.aof_use_rdb_preamble => Box::new(self.command_sink()),
            _ => {
                let mut sink = self.rdb_sink(matches!(purpose, Purpose::AofBase), reader);
                if matches!(purpose, Purpose::Replicas(_)) {
                    self.tell_open_slots(&mut sink);
                }
                Box::new(sink)
            }
        };
        let is_empty = matches!(&purpose, Purpose::Replicas(request) if request.filter != RdbFilter::Everything);
        if is_empty {
            self.keyspace.begin_empty_snapshot(sink);
        } else {
            self.keyspace.begin_snapshot(sink);
        }
        self.saves.last_try = Some(self.now);
        self.saves.count += u64::from(matches!(purpose, Purpose::File(_)));
        self.job = Some(Job {
            purpose,
            started: self.now,
            dirty_at_start: self.keyspace.dirty(),
            cancelled: false,
            finished_walk: false,
        });
        self.outbox.push(Effect::SnapshotStarted);
    }

    /// Writes the whole dataset at once, while everything else waits. No other snapshot may be under way.
    ///
    /// # Errors
    /// That of `write`.
    pub fn write_dataset<E>(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let reader = self.reader_of(&Purpose::File(Save::InBackground));
        let sink = self.rdb_sink(false, reader);
        self.keyspace.begin_snapshot(Box::new(sink));
        let mut chunk = Vec::new();
        let result = loop {
            let complete = self.keyspace.snapshot_step(PENDING_MAX_BYTES, || true);
            self.keyspace.snapshot_sink(|sink| {
                if complete {
                    sink.finish();
                }
                sink.take(&mut chunk);
            });
            match write(&chunk) {
                Ok(()) if !complete => chunk.clear(),
                result => break result,
            }
        };
        drop(self.keyspace.end_snapshot());
        result
    }

    /// Whom to write for: the oldest, but for fields that expire and slots on their way here, which can only be told to those
    /// who know them. Replicas that told their version get what it reads then.
    fn reader_of(&mut self, purpose: &Purpose) -> Reader {
        let hashes: usize = (0..self.keyspace.databases()).map(|db| self.keyspace.keys_with_expiring_fields(db)).sum();
        let imports = !self.migrations.importing().is_empty();
        let reader = match purpose {
            // A replica keeps what it is sent as its file, and Redis 7.0 in its place has to read that.
            _ if hashes == 0 && !imports => Reader::Redis7,
            Purpose::Replicas(request) => reader_with(request.version),
            Purpose::File(_) | Purpose::AofBase => Reader::Valkey9,
        };
        let is_file = !matches!(purpose, Purpose::Replicas(_));
        if hashes > 0 && is_file {
            self.log(
                LogLevel::Warning,
                format!(
                    "Hashes with fields that expire: {hashes}. The file tells of that in the form of Valkey 9, which Redis \
                     does not read"
                ),
            );
        } else if hashes > 0 && reader < Reader::Valkey9 {
            self.log(
                LogLevel::Warning,
                format!(
                    "Hashes with fields that expire: {hashes}. The replica's version cannot be told of that: there the \
                     fields stay until they are deleted here"
                ),
            );
        } else if imports && reader < Reader::Valkey9 {
            self.log(
                LogLevel::Warning,
                "A replica's version cannot be told of slots that are on their way here: it shows their keys",
            );
        }
        reader
    }

    /// How many keys the snapshot under way has behind it; `None` when nobody wants it any more.
    #[must_use]
    pub fn snapshot_keys(&self) -> Option<u64> {
        self.job.as_ref().filter(|job| !job.cancelled)?;
        self.keyspace.snapshot().map(|snapshot| snapshot.progress().0 as u64)
    }

    /// Walks on for a short while. Bytes for a file are appended to `chunk`; bytes for replicas go to their connections.
    pub fn snapshot_slice(&mut self, now: Millis, chunk: &mut Vec<u8>) -> Slice {
        self.now = now;
        let Some(job) = &self.job else { return Slice::Cancelled };
        if job.cancelled {
            return Slice::Cancelled;
        }
        let finished_walk = job.finished_walk;
        let receivers = self.receivers();
        let behind: Vec<ReplicaId> = receivers.iter().copied().filter(|id| self.is_behind(*id)).collect();
        if !behind.is_empty() {
            // Only who holds up the others may be found to be stuck.
            for id in receivers.into_iter().filter(|id| !behind.contains(id)) {
                self.repl_input(Input::SnapshotProgress(id));
            }
            return Slice::Behind;
        }
        if !finished_walk {
            let started = self.stopwatch.micros();
            let stopwatch = &self.stopwatch;
            // Where keys take their time they come one after the other.
            let at_once = self.config.rdb_key_save_delay_usec == 0;
            let more = || at_once && stopwatch.micros().saturating_sub(started) < SLICE_USEC;
            if self.keyspace.snapshot_step(PENDING_MAX_BYTES, more) {
                if let Some(job) = &mut self.job {
                    job.finished_walk = true;
                }
                self.keyspace.snapshot_sink(|sink| sink.finish());
            }
        }
        self.keyspace.snapshot_sink(|sink| sink.take(chunk));
        if self.keyspace.snapshot_released() {
            self.retry_parked();
            self.resume_stream();
        }
        let to_replicas = self.job.as_ref().is_some_and(|job| !job.purpose.is_file());
        if to_replicas {
            for id in receivers {
                if let Some(client) = self.clients.get_mut(ClientId(id.0)) {
                    client.reply.raw(chunk);
                    self.outbox.push(Effect::Wake(ClientId(id.0)));
                }
                self.repl_input(Input::SnapshotProgress(id));
            }
            chunk.clear();
        }
        if self.job.as_ref().is_some_and(|job| job.finished_walk) { Slice::Complete } else { Slice::More }
    }

    /// Whether a command that writes has to wait for the snapshot under way: for a large value that it is about to change,
    /// or because a file takes what is handed over early more slowly than it comes.
    pub(super) fn waits_for_snapshot(&mut self, client: &Client, command: &Command, args: Args<'_>) -> bool {
        let Some(job) = &self.job else { return false };
        // A primary that has to wait for a disk gives its replica up in the end.
        let bounded = job.purpose.is_file() && !client.is(ClientFlags::PRIMARY);
        let pending_max = if bounded { HANDED_OVER_MAX_BYTES } else { usize::MAX };
        let Server { keyspace, commands, .. } = self;
        let mut waits = |command: &Command, args: Args<'_>| {
            let mut found = false;
            if command.flags.contains(Flags::WRITE) {
                visit_keys(command, args, |key| {
                    found |= args
                        .get(key.position)
                        .is_some_and(|key| keyspace.waits_for_snapshot(client.db, key, pending_max));
                });
            }
            found
        };
        match &client.transaction {
            None => waits(command, args),
            Some(transaction) if command.name == "exec" => {
                transaction.queued.iter().any(|(index, argv)| waits(commands.command(*index), argv.args()))
            }
            Some(_) => false,
        }
    }

    /// Whether a command of the primary's stream has to wait for the snapshot under way. It does not wait for replicas:
    /// they may be slow.
    pub(super) fn stalls_stream(&mut self, client: &mut Client, args: Args<'_>) -> bool {
        if !self.job.as_ref().is_some_and(|job| job.purpose.is_file()) {
            return false;
        }
        let Ok(index) = self.find_command(client, args) else { return false };
        let command = self.commands.command(index);
        self.waits_for_snapshot(client, command, args)
    }

    fn receivers(&self) -> Vec<ReplicaId> {
        match self.job.as_ref().map(|job| &job.purpose) {
            Some(Purpose::Replicas(SnapshotRequest { target: SnapshotTarget::Socket { .. }, replicas, .. })) => {
                replicas.iter().copied().filter(|id| self.clients.get(ClientId(id.0)).is_some()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a replica has so much to read yet that the walk has to wait.
    fn is_behind(&self, id: ReplicaId) -> bool {
        let unread = self.clients.get(ClientId(id.0)).map_or(0, |c| c.reply.buf.len() + c.unwritten_bytes());
        unread > REPLICA_BACKLOG_MAX_BYTES
    }

    /// The snapshot is where it belongs (`len` bytes of file), or failed.
    pub fn snapshot_ended(&mut self, now: Millis, result: Result<u64, String>) {
        self.now = now;
        drop(self.keyspace.end_snapshot());
        self.retry_parked();
        self.resume_stream();
        let Some(job) = self.job.take() else { return };
        match job.purpose {
            Purpose::File(save) => {
                if job.cancelled {
                    self.log(LogLevel::Notice, "Background saving cancelled");
                } else {
                    self.count_save(save, job.started, job.dirty_at_start, &result);
                }
                match save {
                    Save::Awaited(token) => {
                        let result = result.map(drop).map_err(|_| ErrorReply::Static("ERR"));
                        self.finish_ok(token, result);
                    }
                    Save::Flushed(token) => self.finish_ok(token, Ok(())),
                    Save::InBackground | Save::Final => {}
                }
            }
            Purpose::Replicas(request) => {
                let input = match result {
                    Ok(len) => Input::SnapshotDone { snapshot: request.snapshot, len },
                    Err(_) => Input::SnapshotFailed(request.snapshot),
                };
                self.repl_input(input);
            }
            Purpose::AofBase if job.cancelled => self.log(LogLevel::Notice, "Background AOF rewrite cancelled"),
            Purpose::AofBase => self.count_rewrite(job.started, &result),
        }
        if self.ending.is_some() {
            // What waits for its turn would only put the end off.
        } else if let Some(save) = self.saves.awaited.pop_front() {
            self.save_for(save);
        } else if std::mem::take(&mut self.log_growth.scheduled) {
            self.ask_for_rewrite(None);
        } else if std::mem::take(&mut self.saves.scheduled) {
            self.start_snapshot(Purpose::File(Save::InBackground));
        }
    }

    fn count_save(&mut self, save: Save, started: Millis, dirty_at_start: u64, result: &Result<u64, String>) {
        let in_background = save == Save::InBackground;
        if in_background {
            self.saves.last_seconds = Some(self.now.since(started) / 1000);
        }
        match result {
            Ok(_) => {
                self.saves.last_success = self.now;
                self.saves.dirty_at_last_save = dirty_at_start;
                self.saves.last_failed = false;
                self.log(LogLevel::Notice, "DB saved on disk");
                if in_background {
                    self.log(LogLevel::Notice, "Background saving terminated with success");
                }
            }
            Err(error) => {
                self.log(LogLevel::Warning, format!("Write error saving DB on disk: {error}"));
                // Whoever asked for any other save is told, and nobody relies on that.
                if in_background {
                    self.saves.last_failed = true;
                    self.log(LogLevel::Warning, "Background saving error");
                }
            }
        }
    }

    /// Gives up the save under way. False when there is none.
    pub fn cancel_save(&mut self) -> bool {
        match &mut self.job {
            Some(Job { purpose: Purpose::File(_), cancelled, .. }) => {
                *cancelled = true;
                true
            }
            _ => false,
        }
    }

    /// Gives up the snapshot under way, whatever it is for: the server ends.
    pub fn give_up_snapshot(&mut self) {
        if let Some(job) = &mut self.job {
            job.cancelled = true;
        }
    }

    /// Nobody waits for this full synchronisation any more.
    pub(super) fn cancel_replica_snapshot(&mut self, id: SnapshotId) {
        if let Some(Job { purpose: Purpose::Replicas(request), cancelled, .. }) = &mut self.job
            && request.snapshot == id
        {
            *cancelled = true;
        }
    }

    /// Starts a save when a save point is reached.
    pub(super) fn save_when_due(&mut self) {
        /// After a failed save the next try waits this long.
        const RETRY_MS: i64 = 5000;
        if !self.may_snapshot() || self.log_growth.beginning || self.is_loading() {
            return;
        }
        if let Some(save) = self.saves.awaited.pop_front() {
            return self.save_for(save);
        }
        if std::mem::take(&mut self.saves.scheduled) {
            return self.start_snapshot(Purpose::File(Save::InBackground));
        }
        let changes = self.keyspace.dirty() - self.saves.dirty_at_last_save;
        let elapsed_secs = self.now.since(self.saves.last_success) / 1000;
        let changes = i64::try_from(changes).unwrap_or(i64::MAX);
        let may_retry =
            !self.saves.last_failed || self.saves.last_try.is_none_or(|last| self.now.since(last) > RETRY_MS);
        let due = self.config.save.iter().find(|p| changes >= p.changes && elapsed_secs > p.secs);
        if let Some(point) = due.copied()
            && may_retry
        {
            self.log(LogLevel::Notice, format!("{} changes in {} seconds. Saving...", point.changes, point.secs));
            self.start_snapshot(Purpose::File(Save::InBackground));
        }
    }
}
