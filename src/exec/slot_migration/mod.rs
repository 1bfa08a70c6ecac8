//! Atomic slot migration: slots go from one primary to another with all their keys, and change hands in one moment.
//!
//! The source opens a connection to the target, sends the keys of the slots and then what is written to them meanwhile,
//! holds writes to these slots (and to no others) back for the hand-over, and learns from the bus that the target has
//! claimed them. Until then the keys are hidden on the target, and clients see nothing of it but one -MOVED.
//!
//! - `export`, `import`: the two ends as state machines without IO or clock; `job`, `message`, `ranges`, `why`: their words
//! - `source`: the link, the walk over the keys, and the writes that follow them; `forward`: which of them; `large`: keys
//!   that are too large to be sent at once
//! - `target`: the importing client, its replicas and the log
//! - `sweep`: deleting what is left of slots that belong to others
//!
//! The dialect's source forks, sends the dataset of that moment, and queues what is written meanwhile. Here nothing is
//! forked: a walk sends the keys in slices, and a write goes at once if the walk has passed its key, and not at all if it
//! has not. A target of the other kind cannot tell: to it these are commands in the order in which they have to run, with
//! SNAPSHOT-EOF behind the last key.

pub mod export;
mod forward;
pub mod import;
pub mod job;
mod large;
pub mod message;
pub mod ranges;
#[cfg(test)]
mod scenarios;
mod source;
mod sweep;
mod target;
pub mod why;

use std::collections::{BTreeMap, BTreeSet, HashSet};

pub use job::{Job, JobName, Operation, State};
use message::Establish;
pub use source::Pull;
use source::Sending;
use target::Receiving;

use super::client::Client;
use super::effect::LogLevel;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::{NodeId, Slot};
use crate::cluster::Clock;
use crate::resp::Argv;

/// Names the connection of an export. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportLink(pub u64);

/// All migrations that this node takes part in, and those that are over.
#[derive(Debug, Default)]
pub struct SlotMigrations {
    /// The oldest first.
    jobs: Vec<Job>,
    exports: BTreeMap<JobName, Sending>,
    imports: BTreeMap<JobName, Receiving>,
    /// Slots whose writes wait for the hand-over.
    paused: HashSet<Slot>,
    /// Slots of others whose keys are being deleted.
    sweeping: BTreeSet<Slot>,
    last_link: u64,
    /// What the engines of bus and replication said this node is, when jobs were last told.
    was_primary: bool,
}

impl SlotMigrations {
    /// The newest first.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().rev()
    }

    fn active(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| !job.state.is_finished())
    }

    fn active_mut(&mut self, name: JobName) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.name == name && !job.state.is_finished())
    }

    fn names(&self, operation: Operation) -> Vec<JobName> {
        self.active().filter(|job| job.operation == operation).map(|job| job.name).collect()
    }

    /// Whether changes of keys are of interest to some migration.
    #[must_use]
    pub(super) fn wants_stream(&self) -> bool {
        !self.exports.is_empty() || !self.imports.is_empty()
    }

    /// Slots that are on their way here, as files tell of them.
    #[must_use]
    pub(super) fn importing(&self) -> Vec<(JobName, Vec<(u16, u16)>)> {
        let imports = self.active().filter(|job| job.operation == Operation::Import);
        imports.map(|job| (job.name, job.ranges.pairs())).collect()
    }

    /// The same as commands, for a log in that form.
    pub(super) fn import_commands(&self) -> Vec<Argv> {
        let imports = self.active().filter(|job| job.operation == Operation::Import);
        let establish = |job: &Job| Establish {
            source: job.source.unwrap_or(job.name),
            name: job.name,
            ranges: job.ranges.clone(),
        };
        imports.map(|job| establish(job).to_argv()).collect()
    }

    fn is_importing(&self, slot: Slot) -> bool {
        self.active().any(|job| job.operation == Operation::Import && job.ranges.contains(slot))
    }

    /// Whether a slot is on its way here, or has come: the primary's stream tells of it earlier than the bus, which may not
    /// have told of the new owner yet.
    fn may_have_brought(&self, slot: Slot) -> bool {
        let brings = |job: &&Job| job.operation == Operation::Import && job.ranges.contains(slot);
        self.jobs.iter().filter(brings).any(|job| !job.state.is_finished() || job.state == State::Success)
    }

    /// Whether any slot is moved by an active migration of this kind.
    #[must_use]
    pub fn is_moving(&self, operation: Operation, slot: Slot) -> bool {
        self.active().any(|job| job.operation == operation && job.ranges.contains(slot))
    }

    /// Whether keys are being sent as they are.
    #[must_use]
    pub fn is_walking(&self) -> bool {
        self.active().any(|job| job.state == State::Snapshotting)
    }

    /// Bytes of an export that its target has not got yet.
    #[must_use]
    pub fn pending_bytes(&self, name: &JobName) -> usize {
        self.exports.get(name).map_or(0, Sending::pending_bytes)
    }

    /// Forgets jobs that are over, the oldest first, beyond so many.
    fn trim(&mut self, max: usize) {
        let mut over = self.jobs.iter().filter(|job| job.state.is_finished()).count().saturating_sub(max);
        self.jobs.retain(|job| {
            let forget = over > 0 && job.state.is_finished();
            over -= usize::from(forget);
            !forget
        });
    }
}

impl Server {
    fn export_limits(&self) -> export::Limits {
        export::Limits {
            silence_ms: self.config.repl_timeout_secs * 1000,
            failover_ms: self.config.cluster_manual_failover_timeout_ms,
            pending_max: self.config.slot_migration_max_failover_repl_bytes,
        }
    }

    /// Ten times a second.
    pub(super) fn tick_migrations(&mut self) {
        if self.migrations.jobs.is_empty() || self.is_loading() {
            return;
        }
        self.tell_migrations_of_owners();
        self.tick_exports();
        self.tick_imports();
    }

    /// Slots have changed hands, or this node its role.
    pub(super) fn tell_migrations_of_owners(&mut self) {
        let Some(engine) = self.cluster.as_deref() else { return };
        let is_primary = engine.am_primary();
        self.settle_swept_slots();
        let was_primary = std::mem::replace(&mut self.migrations.was_primary, is_primary);
        if self.is_loading() {
            return;
        }
        for name in self.migrations.names(Operation::Export) {
            let owned = self.export_ownership(name);
            self.export_event(name, export::Event::Owned(owned));
        }
        for name in self.migrations.names(Operation::Import) {
            if is_primary && !was_primary {
                self.import_event(name, import::Event::Promoted);
            } else if !is_primary {
                self.import_event(name, import::Event::Demoted);
            }
            if is_primary {
                let owned = self.import_ownership(name);
                self.import_event(name, import::Event::Owned(owned));
            }
        }
        if is_primary && !was_primary {
            self.sweep_after_promotion();
        }
    }

    /// Something has happened to all keys of some database.
    pub(super) fn fail_migrations(&mut self, why: &str) {
        for name in self.migrations.names(Operation::Export) {
            self.export_event(name, export::Event::Failed(why));
        }
        for name in self.migrations.names(Operation::Import) {
            self.import_event(name, import::Event::Failed(why));
        }
    }

    /// Another dataset takes the place of the one there is.
    pub(super) fn migrations_replaced(&mut self, why: &str) {
        for name in self.migrations.names(Operation::Export) {
            self.export_event(name, export::Event::Failed(why));
        }
        for name in self.migrations.names(Operation::Import) {
            self.import_event(name, import::Event::Replaced(why));
        }
        self.forget_sweep();
    }

    /// Whether slots are paused for their hand-over.
    pub(super) fn hands_slots_over(&self) -> bool {
        !self.migrations.paused.is_empty()
    }

    /// Whether a hand-over holds this command, which writes, back: its slot is changing hands, or it has none in particular.
    pub(super) fn waits_for_hand_over(&self, client: &Client, command: &Command) -> bool {
        client.slot.map_or(command.flags.contains(Flags::WRITE), |slot| self.migrations.paused.contains(&slot))
    }

    fn note_end(&mut self, name: JobName) {
        let Some(job) = self.migrations.jobs.iter().find(|job| job.name == name) else { return };
        let way = if job.operation == Operation::Import { "import" } else { "export" };
        let mut text = format!("Slot {way} {name} of {}: {}", job.ranges.text(), job.state.name());
        let level = if job.state == State::Success { LogLevel::Notice } else { LogLevel::Warning };
        if !job.message.is_empty() {
            text.push_str(". ");
            text.push_str(&job.message);
        }
        self.log(level, text);
        self.migrations.trim(self.config.cluster_slot_migration_log_max_len);
    }

    fn new_job(&mut self, job: Job) {
        let text = format!("Slot migration {} of {}: {}", job.name, job.ranges.text(), job.state.name());
        self.log(LogLevel::Notice, text);
        self.migrations.jobs.push(job);
    }

    /// The time, and a random name.
    fn fresh_job(&mut self) -> (Clock, JobName) {
        (self.clock(), NodeId::random(&mut self.rng))
    }
}
