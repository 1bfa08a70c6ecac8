//! The source's end of migrations: the link to the target, the walk over the keys, and what the state machine asks for.

use super::export::{self, Action, Event, Ownership};
use super::large::{LargeValues, is_large};
use super::message::{Establish, Message};
use super::ranges::SlotRanges;
use super::{ExportLink, Job, JobName, Operation, State, why};
use crate::base::{Millis, NodeId, Slot};
use crate::exec::effect::{Effect, LogLevel};
use crate::exec::server::Server;
use crate::keyspace::SlotWalk;
use crate::persist::aof::CommandWriter;
use crate::resp::args::push_command;
use crate::resp::request::{Batch, RequestLimits, RequestParser};
use crate::resp::{Args, Argv};

/// How long one slice of a walk may take, in microseconds.
const SLICE_USEC: u64 = 1000;

/// The walk waits while this much is to be sent.
const CHUNK_BYTES: usize = 256 << 10;

/// The longest line that may answer to AUTH or ESTABLISH.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// The longest message that a target may send.
const MESSAGE_MAX_BYTES: u64 = 64 << 10;

/// What the owner of a link does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pull {
    /// Write the bytes, then ask again.
    More,
    /// There is more, but not now: ask again in a few milliseconds.
    Later,
    /// Ask again when woken.
    Wait,
    /// The link is of no use any more.
    Over,
}

/// One export's link and what goes over it.
#[derive(Debug)]
pub(super) struct Sending {
    pub link: ExportLink,
    /// One mark for each slot: whether it moves.
    pub moves: Box<[bool]>,
    /// Bytes to be sent.
    pub out: Vec<u8>,
    /// Bytes that the owner of the link has taken and is writing.
    in_flight: usize,
    pub writer: CommandWriter,
    /// The walk under way, large values included.
    pub walk: Option<SlotWalk>,
    /// Those that it has met and that are not sent yet.
    pub large: LargeValues,
    /// What is written to keys that the walk has passed is to be forwarded.
    pub forwards: bool,
    received: Vec<u8>,
    parser: RequestParser,
    /// Wall time.
    heard: Millis,
    /// The owner has been told that there is something to send.
    woken: bool,
}

impl Sending {
    /// Whether the owner of the link has been told that there is something to send; now it is.
    pub(super) fn woken(&mut self) -> bool {
        std::mem::replace(&mut self.woken, true)
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.out.len() + self.in_flight
    }
}

impl Server {
    /// Begins to move slots to another node.
    pub fn start_export(&mut self, ranges: SlotRanges, target: NodeId) {
        let Some(engine) = self.cluster.as_deref() else { return };
        let Some(node) = engine.find_id(&target) else { return };
        let (host, port) = (engine.node(node).node.addr.ip.clone(), engine.node(node).node.addr.tcp_port);
        let me = engine.my_id();
        let (now, name) = self.fresh_job();
        self.migrations.last_link += 1;
        let link = ExportLink(self.migrations.last_link);
        let sending = Sending {
            link,
            moves: ranges.marks(),
            out: Vec::new(),
            in_flight: 0,
            writer: CommandWriter::default(),
            walk: None,
            large: LargeValues::default(),
            forwards: false,
            received: Vec::new(),
            parser: RequestParser::default(),
            heard: now.wall,
            woken: false,
        };
        self.migrations.exports.insert(name, sending);
        let mut job = Job::new(name, Operation::Export, ranges, State::Connecting, now);
        (job.source, job.target) = (Some(me), Some(target));
        self.new_job(job);
        self.outbox.push(Effect::OpenExport { link, host, port });
    }

    /// Ends all exports that can be ended. False when there is none.
    pub fn cancel_exports(&mut self) -> bool {
        let names = self.migrations.names(Operation::Export);
        for name in &names {
            self.export_event(*name, Event::Cancelled);
        }
        !names.is_empty()
    }

    fn export_of(&self, link: ExportLink) -> Option<JobName> {
        self.migrations.exports.iter().find(|(_, sending)| sending.link == link).map(|(name, _)| *name)
    }

    /// The connection that was asked for is there, or could not be made.
    pub fn export_connected(&mut self, link: ExportLink, now: Millis, result: Result<(), String>) {
        self.now = now;
        let Some(name) = self.export_of(link) else { return };
        let authenticates = !self.config.masterauth.is_empty();
        match result {
            Ok(()) => self.export_event(name, Event::Connected { authenticates }),
            Err(error) => self.export_event(name, Event::ConnectFailed(&error)),
        }
    }

    /// The connection is gone.
    pub fn export_lost(&mut self, link: ExportLink, now: Millis) {
        self.now = now;
        if let Some(name) = self.export_of(link) {
            self.export_event(name, Event::LinkLost);
        }
    }

    /// The target has sent something.
    pub fn export_received(&mut self, link: ExportLink, now: Millis, bytes: &[u8]) {
        self.now = now;
        let Some(name) = self.export_of(link) else { return };
        if let Some(sending) = self.migrations.exports.get_mut(&name) {
            sending.heard = now;
            sending.received.extend_from_slice(bytes);
        }
        while self.take_answer(name) {}
        self.take_messages(name);
    }

    /// Takes the answer to AUTH or ESTABLISH out of what was received. False when there is none.
    fn take_answer(&mut self, name: JobName) -> bool {
        let Some(job) = self.migrations.active_mut(name) else { return false };
        if !matches!(job.state, State::ReadingAuth | State::ReadingEstablish) {
            return false;
        }
        let Some(sending) = self.migrations.exports.get_mut(&name) else { return false };
        let Some(end) = sending.received.windows(2).position(|pair| pair == b"\r\n") else {
            if sending.received.len() > ANSWER_MAX_BYTES {
                self.export_event(name, Event::Failed(why::BAD_COMMAND));
            }
            return false;
        };
        let line: Vec<u8> = sending.received.drain(..end + 2).take(end).collect();
        let text = String::from_utf8_lossy(line.get(1..).unwrap_or_default()).into_owned();
        let answer = match line.first() {
            Some(b'+') => Ok(()),
            _ => Err(text.strip_prefix("ERR ").unwrap_or(&text)),
        };
        self.export_event(name, Event::Answered(answer));
        true
    }

    /// Runs the target's messages.
    fn take_messages(&mut self, name: JobName) {
        let Some(sending) = self.migrations.exports.get_mut(&name) else { return };
        let mut buf = std::mem::take(&mut sending.received);
        let mut batch = Batch::default();
        let limits = RequestLimits { bulk_max_bytes: MESSAGE_MAX_BYTES, authenticated: true, inline: false };
        let parsed = sending.parser.parse(&mut buf, limits, &mut batch);
        let done = batch.done_bytes(batch.len());
        for i in 0..batch.len() {
            let args = batch.command(&buf, i);
            let is_ours = args.is(0, "CLUSTER") && args.is(1, "SYNCSLOTS") && args.len() >= 3;
            let event = match Message::parse(args.get(2).unwrap_or_default()).filter(|_| is_ours) {
                Some(message) => Event::Heard(message),
                None => Event::Failed(why::BAD_COMMAND),
            };
            self.export_event(name, event);
        }
        if parsed.is_err() {
            self.export_event(name, Event::Failed(why::BAD_COMMAND));
        }
        if let Some(sending) = self.migrations.exports.get_mut(&name) {
            buf.drain(..done);
            sending.parser.shift(done);
            sending.received = buf;
        }
    }

    /// Moves bytes for the target into `chunk`, which is empty: what was taken before has been written. Walks on first.
    pub fn export_pull(&mut self, link: ExportLink, now: Millis, chunk: &mut Vec<u8>) -> Pull {
        self.now = now;
        let Some(name) = self.export_of(link) else { return Pull::Over };
        if let Some(sending) = self.migrations.exports.get_mut(&name) {
            sending.woken = false;
            sending.in_flight = 0;
        }
        self.walk_on(name);
        let pending = self.migrations.pending_bytes(&name) as u64;
        self.export_event(name, Event::Pending(pending));
        let suspended = self.suspended.is_some();
        let Some(sending) = self.migrations.exports.get_mut(&name) else { return Pull::Over };
        std::mem::swap(&mut sending.out, chunk);
        sending.in_flight = chunk.len();
        match (chunk.is_empty(), &sending.walk) {
            (false, _) => Pull::More,
            (true, Some(_)) if suspended => Pull::Later,
            (true, Some(_)) => Pull::More,
            (true, None) => Pull::Wait,
        }
    }

    /// Walks over keys for a short while. Not in the middle of an EXEC: what it has changed is not in the stream yet.
    fn walk_on(&mut self, name: JobName) {
        if self.suspended.is_some() {
            return;
        }
        let Some(sending) = self.migrations.exports.get_mut(&name) else { return };
        let Some(walk) = &mut sending.walk else { return };
        let (out, writer, large) = (&mut sending.out, &mut sending.writer, &mut sending.large);
        let started = self.stopwatch.micros();
        let mut left = true;
        while left && out.len() < CHUNK_BYTES && self.stopwatch.micros().saturating_sub(started) < SLICE_USEC {
            if !large.is_empty() {
                large.send_piece(&self.keyspace, writer, out);
                continue;
            }
            left = self.keyspace.walk_slots(walk, &mut |db, entry| {
                if is_large(entry.value()) {
                    large.push(db, entry.key());
                } else {
                    writer.entry(out, db as usize, entry.key(), entry.value(), entry.expire_at());
                }
            });
        }
        if !left {
            sending.walk = None;
            self.export_event(name, Event::Walked);
        }
    }

    pub(super) fn tick_exports(&mut self) {
        for name in self.migrations.names(Operation::Export) {
            let idle_ms = self.migrations.exports.get(&name).map_or(0, |sending| self.now.since(sending.heard));
            self.export_event(name, Event::Tick { idle_ms });
        }
    }

    pub(super) fn export_ownership(&self, name: JobName) -> Ownership {
        let job = self.migrations.active().find(|job| job.name == name);
        let (Some(job), Some(engine)) = (job, self.cluster.as_deref()) else { return Ownership::Other };
        let target = job.target.unwrap_or_else(|| engine.my_id());
        if job.ranges.slots().all(|slot| engine.owns(slot)) {
            Ownership::Mine
        } else if job.ranges.slots().all(|slot| engine.is_owned_by_shard_of(slot, &target)) {
            Ownership::Targets
        } else {
            Ownership::Other
        }
    }

    /// Tells an export what has happened and does what follows.
    pub(super) fn export_event(&mut self, name: JobName, event: Event<'_>) {
        let (now, limits) = (self.clock(), self.export_limits());
        let Some(job) = self.migrations.active_mut(name) else { return };
        for action in export::step(job, now, limits, event) {
            self.perform_export(name, action);
        }
        // Who says how much is pending has come to take it.
        if !matches!(event, Event::Pending(_)) {
            self.wake_export(name);
        }
    }

    fn perform_export(&mut self, name: JobName, action: Action) {
        match action {
            Action::SendAuth => {
                let mut argv = Argv::of(&[b"AUTH"]);
                if !self.config.masteruser.is_empty() {
                    argv.push(&self.config.masteruser);
                }
                argv.push(&self.config.masterauth);
                self.send_to_target(name, argv.args());
            }
            Action::SendEstablish => {
                let job = self.migrations.active().find(|job| job.name == name);
                let Some((source, ranges)) = job.and_then(|job| Some((job.source?, job.ranges.clone()))) else {
                    return;
                };
                self.send_to_target(name, Establish { source, name, ranges }.to_argv().args());
            }
            Action::Send(message) => {
                if let Some(sending) = self.migrations.exports.get_mut(&name) {
                    message.push(&mut sending.out);
                }
            }
            Action::Walk => {
                let slots: Option<Vec<Slot>> = self.migrations.active_mut(name).map(|job| job.ranges.slots().collect());
                if let (Some(sending), Some(slots)) = (self.migrations.exports.get_mut(&name), slots) {
                    sending.walk = Some(SlotWalk::new(slots));
                    sending.forwards = true;
                }
            }
            Action::Pause => {
                if let Some(sending) = self.migrations.exports.get_mut(&name) {
                    sending.forwards = false;
                }
                self.hold_paused_slots();
            }
            Action::Grant => self.tell_granted_slots(),
            Action::Keep => {
                self.log(
                    LogLevel::Warning,
                    format!("The target of slot export {name} has not taken its slots in time"),
                );
                self.tell_granted_slots();
                let now = self.clock();
                if let Some(engine) = &mut self.cluster {
                    engine.keep_granted(now);
                    self.drain_cluster();
                }
            }
            Action::End => self.end_export(name),
        }
    }

    fn end_export(&mut self, name: JobName) {
        if let Some(sending) = self.migrations.exports.remove(&name) {
            self.outbox.push(Effect::CloseExport(sending.link));
        }
        self.tell_granted_slots();
        self.hold_paused_slots();
        self.note_end(name);
    }

    /// Brings the slots whose writes wait up to date; who waits for another slot goes on.
    fn hold_paused_slots(&mut self) {
        let held = self.migrations.active().filter(|job| job.holds_writes());
        let paused = held.flat_map(|job| job.ranges.slots()).collect();
        let before = std::mem::replace(&mut self.migrations.paused, paused);
        if before.iter().any(|slot| !self.migrations.paused.contains(slot)) {
            self.retry_parked();
        }
    }

    fn tell_granted_slots(&mut self) {
        let granted = self.migrations.active().filter(|job| job.is_granted());
        let granted = granted.filter_map(|job| Some((job, job.target?)));
        let slots: Vec<(Slot, NodeId)> =
            granted.flat_map(|(job, target)| job.ranges.slots().map(move |slot| (slot, target))).collect();
        if let Some(engine) = &mut self.cluster {
            engine.grant(slots);
        }
    }

    fn send_to_target(&mut self, name: JobName, args: Args<'_>) {
        if let Some(sending) = self.migrations.exports.get_mut(&name) {
            push_command(&mut sending.out, args);
        }
    }

    /// Lets the owner of the link know that there is something to send.
    pub(super) fn wake_export(&mut self, name: JobName) {
        let Some(job) = self.migrations.active().find(|job| job.name == name) else { return };
        let waits = job.state == State::WaitingToPause;
        let Some(sending) = self.migrations.exports.get_mut(&name) else { return };
        if (waits || !sending.out.is_empty() || sending.walk.is_some()) && !sending.woken() {
            self.outbox.push(Effect::WakeExport(sending.link));
        }
    }
}
