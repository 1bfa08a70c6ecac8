//! The target's end of migrations: the client that imports, what replicas and the log are told, and what the state
//! machine asks for.
//!
//! Replicas get what the importing client sends by the way of all changes, with ESTABLISH in front and FINISH behind, so
//! that they know which keys are not to be shown.

use super::import::{self, Action, Event, Ownership};
use super::message::{Establish, Finish, Message};
use super::ranges::SlotRanges;
use super::{Job, JobName, Operation, State, why};
use crate::base::{Millis, NodeId, Slot};
use crate::config::AppendFsync;
use crate::exec::client::{Client, ClientFlags, ClientId, ReplyMode};
use crate::exec::effect::Effect;
use crate::exec::server::Server;
use crate::repl::ReplicaState;
use crate::resp::{Args, ErrorReply};

/// How long replicas and disk are waited for, at most: while writes are held back, and before. `appendfsync everysec` has
/// its turn in the latter.
const PAUSED_COPY_MAX_MS: i64 = 1000;
const COPY_MAX_MS: i64 = 2500;

/// A wait for replicas and disk.
#[derive(Clone, Copy, Debug)]
struct Copying {
    /// Of the replication stream.
    offset: u64,
    /// Monotonic: when it ends anyway.
    until: Millis,
    /// The log has to be on disk as well.
    disk: bool,
}

/// One import's client and what it is to be told.
#[derive(Debug)]
pub(super) struct Receiving {
    /// None where this node only follows, or has dropped it.
    client: Option<ClientId>,
    out: Vec<u8>,
    copying: Option<Copying>,
}

impl Server {
    /// Begins an import for `client`, or notes one that its stream tells of.
    ///
    /// # Errors
    /// With the words that the source is told.
    pub fn establish_import(&mut self, client: &mut Client, establish: Establish) -> Result<(), ErrorReply> {
        if client.is_obeyed() {
            self.announce(establish.to_argv().args());
            self.follow_import(establish.name, establish.ranges);
            return Ok(());
        }
        let me = self.check_import(&establish)?;
        let now = self.clock();
        self.finish_sweep_of(establish.ranges.slots());
        self.hide(&establish.ranges);
        self.announce(establish.to_argv().args());
        let Establish { source, name, ranges } = establish;
        let mut job = Job::new(name, Operation::Import, ranges, State::WaitingForAck, now);
        (job.source, job.target) = (Some(source), Some(me));
        self.new_job(job);
        client.flags |= ClientFlags::SLOT_IMPORT;
        // This is the only answer it gets. What it is told later are messages.
        client.reply_mode = ReplyMode::Off;
        let receiving = Receiving { client: Some(client.id), out: b"+OK\r\n".to_vec(), copying: None };
        self.migrations.imports.insert(name, receiving);
        Ok(())
    }

    /// Whether an import may begin. Returns this node's id.
    fn check_import(&self, establish: &Establish) -> Result<NodeId, ErrorReply> {
        let error = |text: &'static str| Err(ErrorReply::Static(text));
        let Some(engine) = self.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
        if !engine.am_primary() {
            return error("ERR Slot migration can only be used on primary nodes.");
        }
        match engine.has_open_slots() {
            (true, _) => return error("ERR Slots are being manually imported"),
            (_, true) => return error("ERR Slots are being manually migrated"),
            _ => {}
        }
        let me = engine.my_id();
        let Some(source) = engine.find_id(&establish.source) else {
            return error("ERR Target node does not know the source node");
        };
        if establish.source == me {
            return error("ERR Source node is target node itself");
        }
        if self
            .migrations
            .active()
            .any(|job| job.name == establish.name || job.ranges.common(&establish.ranges).is_some())
        {
            return error("ERR Slot is already being imported on the target by a different migration");
        }
        if establish.ranges.slots().any(|slot| engine.slot_owner(slot) != Some(source)) {
            return error("ERR Target node does not agree about current slot ownership");
        }
        Ok(me)
    }

    /// A file or the primary's stream tells of an import: keeps in mind which slots are not to be shown.
    pub fn follow_import(&mut self, name: JobName, ranges: SlotRanges) {
        if self.migrations.active().any(|job| job.name == name) {
            return;
        }
        let now = self.clock();
        self.hide(&ranges);
        self.new_job(Job::new(name, Operation::Import, ranges, State::OccurringOnPrimary, now));
        self.migrations.imports.insert(name, Receiving { client: None, out: Vec::new(), copying: None });
    }

    /// The primary's stream, or the log, tells how an import ended.
    ///
    /// # Errors
    /// There is no such import.
    pub fn finish_followed(&mut self, finish: &Finish) -> Result<(), ErrorReply> {
        if self.migrations.active_mut(finish.name).is_none() {
            return Err(ErrorReply::Static("ERR No such slot migration job"));
        }
        self.announce(finish.to_argv().args());
        self.import_event(finish.name, Event::Finished { success: finish.success, message: &finish.message });
        Ok(())
    }

    /// A message of an importing client.
    pub fn import_message(&mut self, client: &Client, message: Option<Message>) {
        let Some(name) = self.import_of(client.id) else { return };
        match message {
            Some(message) => self.import_event(name, Event::Heard(message)),
            None => self.import_event(name, Event::Failed(why::BAD_COMMAND)),
        }
    }

    /// What an importing client sent could not be done.
    pub(in crate::exec) fn import_failed(&mut self, client: &Client, why: &str) {
        if let Some(name) = self.import_of(client.id) {
            self.import_event(name, Event::Failed(why));
        }
    }

    /// The connection of an importing client is gone.
    pub(in crate::exec) fn import_lost(&mut self, id: ClientId) {
        if let Some(name) = self.import_of(id) {
            self.import_event(name, Event::LinkLost);
        }
    }

    /// After a command of an importing client: hands it what it is to be told, or ends it when its import is over.
    pub(in crate::exec) fn tell_import_client(&mut self, client: &mut Client) {
        let receiving = self.migrations.imports.values_mut().find(|receiving| receiving.client == Some(client.id));
        match receiving {
            Some(receiving) => client.reply.raw(&std::mem::take(&mut receiving.out)),
            None => client.flags |= ClientFlags::CLOSE_AFTER_REPLY,
        }
    }

    fn import_of(&self, id: ClientId) -> Option<JobName> {
        let mut imports = self.migrations.imports.iter();
        imports.find(|(_, receiving)| receiving.client == Some(id)).map(|(name, _)| *name)
    }

    /// What was under way when the process ended last goes no further.
    pub(in crate::exec) fn imports_restarted(&mut self) {
        let is_primary = self.cluster.as_deref().is_none_or(crate::cluster::Engine::am_primary);
        self.migrations.was_primary = is_primary;
        if is_primary {
            for name in self.migrations.names(Operation::Import) {
                self.import_event(name, Event::Failed(why::RESTARTED));
            }
        }
    }

    pub(super) fn tick_imports(&mut self) {
        for name in self.migrations.names(Operation::Import) {
            let receiving = self.migrations.imports.get(&name);
            let client = receiving.and_then(|receiving| self.clients.get(receiving.client?));
            let idle_ms = client.map_or(0, |client| self.now.since(client.last_interaction));
            self.import_event(name, Event::Tick { idle_ms });
        }
        self.look_at_copies();
        self.tell_cleaned();
        self.hand_messages_over();
    }

    /// Messages for clients that run no command now.
    fn hand_messages_over(&mut self) {
        for receiving in self.migrations.imports.values_mut().filter(|receiving| !receiving.out.is_empty()) {
            let client = receiving.client.and_then(|id| self.clients.get_mut(id));
            if let Some(client) = client {
                client.reply.raw(&std::mem::take(&mut receiving.out));
                self.outbox.push(Effect::Wake(client.id));
            }
        }
    }

    pub(super) fn import_ownership(&self, name: JobName) -> Ownership {
        let job = self.migrations.active().find(|job| job.name == name);
        let (Some(job), Some(engine)) = (job, self.cluster.as_deref()) else { return Ownership::Other };
        let source = job.source.and_then(|id| engine.find_id(&id));
        if job.ranges.slots().any(|slot| engine.owns(slot)) {
            Ownership::Mine
        } else if source.is_some() && job.ranges.slots().all(|slot| engine.slot_owner(slot) == source) {
            Ownership::Sources
        } else {
            Ownership::Other
        }
    }

    /// Tells an import what has happened and does what follows.
    pub(super) fn import_event(&mut self, name: JobName, event: Event<'_>) {
        let (now, silence_ms) = (self.clock(), self.config.repl_timeout_secs * 1000);
        let Some(job) = self.migrations.active_mut(name) else { return };
        let ranges = job.ranges.clone();
        for action in import::step(job, now, silence_ms, event) {
            self.perform_import(name, &ranges, action);
        }
    }

    fn perform_import(&mut self, name: JobName, ranges: &SlotRanges, action: Action) {
        match action {
            Action::Send(message) => {
                if let Some(receiving) = self.migrations.imports.get_mut(&name) {
                    message.push(&mut receiving.out);
                }
            }
            Action::Copy { paused } => {
                let until = self.mono() + if paused { PAUSED_COPY_MAX_MS } else { COPY_MAX_MS };
                let disk = match self.config.appendfsync {
                    AppendFsync::Always => true,
                    AppendFsync::EverySecond => !paused,
                    AppendFsync::Never => false,
                };
                let copying = Copying { offset: self.repl.offset(), until, disk: disk && self.aof.is_on() };
                if let Some(receiving) = self.migrations.imports.get_mut(&name) {
                    receiving.copying = Some(copying);
                }
                self.repl.request_acks(self.mono());
                self.drain_repl();
                self.look_at_copies();
            }
            Action::TakeOver => {
                let now = self.clock();
                if let Some(engine) = &mut self.cluster {
                    engine.take_over(now, ranges.slots());
                    self.drain_cluster();
                }
            }
            Action::Clean => {
                let engine = self.cluster.as_deref();
                let foreign: Vec<Slot> =
                    ranges.slots().filter(|slot| engine.is_some_and(|engine| !engine.owns(*slot))).collect();
                self.sweep_slots(foreign);
            }
            Action::Announce => {
                let job = self.migrations.jobs.iter().find(|job| job.name == name);
                let finish =
                    job.map(|job| Finish { name, success: job.state == State::Success, message: job.message.clone() });
                if let Some(finish) = finish {
                    self.announce(finish.to_argv().args());
                    self.wake_replicas();
                }
            }
            Action::Show => {
                for slot in ranges.slots().filter(|slot| !self.migrations.sweeping.contains(slot)) {
                    self.keyspace.set_hidden(slot, false);
                }
                self.migrations.imports.remove(&name);
                self.note_end(name);
            }
            Action::Drop => {
                let client = self.migrations.imports.get_mut(&name).and_then(|receiving| receiving.client.take());
                if let Some(id) = client {
                    // It sees that nobody knows it any more if it is running a command now.
                    self.close(id, ClientFlags::CLOSE_AFTER_REPLY);
                }
            }
        }
    }

    /// Whether replicas and disk have what was imported, so that whoever is promoted or started again has it.
    pub(in crate::exec) fn look_at_copies(&mut self) {
        let now = self.mono();
        let repl = &self.repl;
        let online = repl.replicas().filter(|(_, replica)| replica.state == ReplicaState::Online).count();
        let is_ready = |Copying { offset, until, disk }: &mut Copying| {
            let on_disk = !*disk || repl.fsynced().is_some_and(|fsynced| fsynced >= *offset);
            now >= *until || (on_disk && repl.acked_by(*offset) >= online)
        };
        let imports = self.migrations.imports.iter_mut();
        let ready: Vec<JobName> =
            imports.filter_map(|(name, receiving)| receiving.copying.take_if(is_ready).map(|_| *name)).collect();
        for name in &ready {
            self.import_event(*name, Event::Copied);
        }
        if !ready.is_empty() {
            self.hand_messages_over();
        }
    }

    fn hide(&mut self, ranges: &SlotRanges) {
        ranges.slots().for_each(|slot| self.keyspace.set_hidden(slot, true));
    }

    /// Tells replicas and the log.
    fn announce(&mut self, args: Args<'_>) {
        if self.has_stream() {
            self.emit(None, args, false);
        }
    }
}
