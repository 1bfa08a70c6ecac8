//! Between the replication engine and the rest of the server: facts in, outputs carried out.

use std::collections::VecDeque;

use bytes::Bytes;

use super::client::{Client, ClientFlags, ClientId};
use super::effect::{Effect, LogLevel};
use super::server::Server;
use super::snapshot::Purpose;
use crate::base::{Millis, NodeId};
use crate::config::{Config, DisklessLoad, PrimaryAddr};
use crate::repl::{self, CloseReason, Endpoint, Followed, Input, Output, ReplicaId, SyncRequest, Synced};
use crate::resp::ErrorReply;
use crate::resp::error::ProtocolError;
use crate::resp::request::{Batch, RequestLimits, RequestParser};

/// The primary's command stream being executed: a client without a connection.
pub struct PrimaryStream {
    pub client: Box<Client>,
    parser: RequestParser,
    batch: Batch,
    buf: Vec<u8>,
    /// The next command of the batch, and where in `buf` what is finished ends.
    next: usize,
    applied: usize,
    /// Its next command changes a large value that a snapshot is about to write.
    stalled: bool,
    /// What was parsed last is no command; those before it may still have to be run.
    broken: Option<ProtocolError>,
    /// Commands are being run, and this only stands in their stream's place: what the engine wants of the stream meanwhile
    /// (a command may ask the primary something, or end the link) comes after what is being run, in order.
    stands_in: bool,
    waiting: VecDeque<Turn>,
}

/// What the engine wants of the stream.
enum Turn {
    Begins { db: Option<u32> },
    Ends,
    Brings(Bytes),
}

impl PrimaryStream {
    #[must_use]
    pub fn new(now: Millis) -> PrimaryStream {
        let mut client = Client::new(ClientId(0), String::new(), String::new(), now);
        client.flags |= ClientFlags::PRIMARY;
        client.authenticated = true;
        PrimaryStream {
            client: Box::new(client),
            parser: RequestParser::default(),
            batch: Batch::default(),
            buf: Vec::new(),
            next: 0,
            applied: 0,
            stalled: false,
            broken: None,
            stands_in: false,
            waiting: VecDeque::new(),
        }
    }

    /// What stands in the place of the stream while its commands run.
    fn stand_in(&self, now: Millis) -> PrimaryStream {
        let mut other = PrimaryStream::new(now);
        other.client.db = self.client.db;
        other.stands_in = true;
        other
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Begins { db } => {
                self.reset();
                self.client.db = db.unwrap_or(self.client.db);
            }
            Turn::Ends => self.reset(),
            Turn::Brings(bytes) => self.buf.extend_from_slice(&bytes),
        }
    }

    /// Forgets what was not applied: half a command, an open MULTI.
    fn reset(&mut self) {
        self.parser = RequestParser::default();
        self.batch.clear();
        self.buf.clear();
        (self.next, self.applied, self.stalled, self.broken) = (0, 0, false, None);
        self.client.transaction = None;
    }

    /// Forgets what is applied. In an open MULTI that is less than what has been run.
    fn forget_applied(&mut self) {
        self.batch.clear();
        self.buf.drain(..self.applied);
        self.parser.shift(self.applied);
        (self.next, self.applied) = (0, 0);
    }
}

impl Server {
    /// Monotonic time, which the engines reckon with.
    #[must_use]
    pub fn mono(&self) -> Millis {
        Millis((self.stopwatch.micros() / 1000) as i64)
    }

    /// Tells the engine something and carries out what it answers.
    pub fn repl_input(&mut self, input: Input) {
        let now = self.mono();
        self.repl.handle(now, input);
        self.drain_repl();
    }

    /// Carries out what the engine asks for.
    pub fn drain_repl(&mut self) {
        while let Some(output) = self.repl.next_output() {
            match output {
                Output::ToReplica { replica, bytes } => self.queue_for_replica(replica, &bytes),
                Output::CloseReplica { replica, after_flush, reason } => {
                    self.log(LogLevel::Warning, format!("Closing the connection of replica {}: {reason}", replica.0));
                    self.stats.closed_for_output += u64::from(reason == CloseReason::OutputLimit);
                    let flag = if after_flush { ClientFlags::CLOSE_AFTER_REPLY } else { ClientFlags::CLOSE_NOW };
                    self.close(ClientId(replica.0), flag);
                }
                Output::StartSnapshot(request) => self.start_snapshot(Purpose::Replicas(request)),
                Output::CancelSnapshot(id) => self.cancel_replica_snapshot(id),
                Output::SendSnapshotFile { snapshot, replica } => {
                    self.outbox.push(Effect::SendSnapshotFile { snapshot, replica });
                }
                Output::AcksAdvanced => {
                    self.finish_ack_waits();
                    self.finish_slot_orders();
                    self.look_at_copies();
                    self.shutdown_when_ready();
                }
                Output::PauseWrites(paused) => self.pause_for_failover(paused),
                Output::StreamBegins { resumed } => {
                    let db = (!resumed).then_some(self.stream_db);
                    self.turn_stream(Turn::Begins { db });
                }
                Output::StreamEnds => self.turn_stream(Turn::Ends),
                Output::Apply(bytes) => {
                    self.stats.repl_input_bytes += bytes.len() as u64;
                    self.turn_stream(Turn::Brings(bytes));
                }
                Output::Log { level, text } => {
                    let level = match level {
                        crate::repl::LogLevel::Debug => LogLevel::Debug,
                        crate::repl::LogLevel::Notice => LogLevel::Notice,
                        crate::repl::LogLevel::Warning => LogLevel::Warning,
                    };
                    self.log(level, text);
                }
                link @ (Output::Connect { .. }
                | Output::SendToPrimary { .. }
                | Output::CloseLink(_)
                | Output::BeginLoad { .. }
                | Output::LoadChunk(_)
                | Output::EndLoad
                | Output::AbortLoad) => self.outbox.push(Effect::ToPrimary(link)),
            }
        }
        self.take_role();
    }

    /// The engine may have taken another role, also by itself (a hand-over): what depends on it follows.
    fn take_role(&mut self) {
        let follows = !self.repl.is_primary();
        self.settle_expiry();
        let followed = std::mem::replace(&mut self.follows, follows);
        if follows != followed && self.cluster.is_none() {
            let address = |to: &Endpoint| PrimaryAddr { host: to.host.clone(), port: to.port };
            self.config.replicaof = self.repl.followed().map(address);
        }
        if follows && !followed {
            self.fail_all_waits();
        }
    }

    /// Whether keys whose time is over are deleted here when they are found. A replica leaves that to its primary; while data
    /// is imported nobody but its source decides; and while writes are held back the dataset has to stay as it is.
    pub fn settle_expiry(&mut self) {
        let (writes_wait, _) = self.paused();
        self.keyspace.set_replica(!self.repl.is_primary() || self.config.import_mode || writes_wait);
    }

    /// FAILOVER holds writes back until the hand-over is done or given up.
    fn pause_for_failover(&mut self, paused: bool) {
        self.pause.failover = paused.then_some(Millis(i64::MAX));
        self.settle_expiry();
        if !paused {
            self.retry_parked();
        }
    }

    fn queue_for_replica(&mut self, replica: ReplicaId, bytes: &[u8]) {
        let id = ClientId(replica.0);
        match &mut self.current_replica {
            // The replica whose own command is running: its client is taken out.
            Some((current, out)) if *current == id => out.extend_from_slice(bytes),
            _ => {
                if let Some(client) = self.clients.get_mut(id) {
                    client.reply.raw(bytes);
                    self.outbox.push(Effect::Wake(id));
                }
            }
        }
    }

    /// Does with the stream what the engine wants, and executes what it brings.
    fn turn_stream(&mut self, turn: Turn) {
        if self.primary_stream.stands_in {
            return self.primary_stream.waiting.push_back(turn);
        }
        let brings = matches!(turn, Turn::Brings(_));
        self.primary_stream.take(turn);
        if brings && !self.primary_stream.stalled {
            self.go_on_with_stream();
        }
    }

    /// Whether bytes of the primary can be taken now.
    #[must_use]
    pub fn accepts_bytes(&self, link: crate::repl::LinkId) -> bool {
        !self.primary_stream.stalled && self.repl.accepts_bytes(link)
    }

    /// The snapshot has written what the stream waits for.
    pub(super) fn resume_stream(&mut self) {
        if self.primary_stream.stalled {
            self.go_on_with_stream();
        }
    }

    /// Executes what has come, up to a command that has to wait for a snapshot, and reports every finished unit: a command,
    /// or all from MULTI to EXEC.
    fn go_on_with_stream(&mut self) {
        let stand_in = self.primary_stream.stand_in(self.now);
        let mut stream = std::mem::replace(&mut self.primary_stream, stand_in);
        stream.stalled = false;
        let limits = RequestLimits { bulk_max_bytes: u64::from(u32::MAX), authenticated: true, inline: false };
        while stream.broken.is_none() && !stream.stalled {
            if stream.next == stream.batch.len() {
                stream.broken = stream.parser.parse(&mut stream.buf, limits, &mut stream.batch).err();
                if stream.batch.is_empty() {
                    break;
                }
            }
            while stream.next < stream.batch.len() {
                let args = stream.batch.command(&stream.buf, stream.next);
                if stream.broken.is_none() && self.stalls_stream(&mut stream.client, args) {
                    stream.stalled = true;
                    break;
                }
                self.dispatch(&mut stream.client, args);
                stream.next += 1;
                stream.client.reply.buf.clear();
                if !stream.client.in_transaction() {
                    let end = stream.batch.done_bytes(stream.next);
                    self.repl.applied(self.mono(), &stream.buf[stream.applied..end]);
                    stream.applied = end;
                    self.serve_ready();
                }
                while let Some(turn) = self.primary_stream.waiting.pop_front() {
                    stream.take(turn);
                }
            }
            if !stream.stalled {
                stream.forget_applied();
            }
        }
        let broken = stream.broken.take();
        self.primary_stream = stream;
        self.finish_cluster();
        if let Some(error) = broken {
            self.log(LogLevel::Warning, format!("The stream of the primary cannot be understood: {error}"));
            self.repl_input(Input::StreamBroken);
        }
    }

    /// Makes a client a replica of this server.
    ///
    /// # Errors
    /// With the engine's words; the client stays an ordinary one.
    pub fn sync(&mut self, client: &mut Client, request: SyncRequest<'_>) -> Result<(), ErrorReply> {
        let now = self.mono();
        let id = ReplicaId(client.id.0);
        // The client is not among the others while its command runs: what the engine has for it is caught here.
        self.current_replica = Some((client.id, Vec::new()));
        let result = self.repl.sync(now, id, request);
        self.drain_repl();
        if let Some((_, bytes)) = self.current_replica.take() {
            client.reply.raw(&bytes);
        }
        match result {
            Err(error) => Err(ErrorReply::text_of(error.to_string())),
            Ok(Synced::Dual) => Ok(()),
            Ok(synced) => {
                client.flags |= ClientFlags::REPLICA;
                client.replica = Some(id);
                match synced {
                    Synced::Partial => self.stats.sync_partial_ok += 1,
                    Synced::Full => self.stats.sync_full += 1,
                    Synced::Already | Synced::Dual => {}
                }
                Ok(())
            }
        }
    }

    /// The connection of a replica is gone.
    pub(super) fn replica_gone(&mut self, id: ReplicaId) {
        self.repl_input(Input::ClientGone(id));
    }

    /// Follows another server. `related`: its data and ours may have a history in common, so that only what is
    /// missing need be asked for.
    pub fn follow(&mut self, to: Endpoint, related: bool) -> Followed {
        self.propagate_suspended();
        let now = self.mono();
        let followed = if related { self.repl.follow(now, to) } else { self.repl.follow_unrelated(now, to) };
        if matches!(followed, Followed::Started) {
            self.fail_all_waits();
            // A primary that began without its data, and heard then that another has taken its place.
            if self.repl.is_booted() && self.repl.offset() == 0 && self.has_nothing_of_primary() {
                self.repl.disown_data();
            }
        }
        self.drain_repl();
        followed
    }

    /// Becomes a primary. Says whether it was a replica.
    pub fn promote(&mut self) -> bool {
        let now = self.mono();
        let was_replica = self.repl.promote(now);
        self.drain_repl();
        was_replica
    }

    /// Moves the stream's next bytes to the output of client `id` if it is a replica that is due some: never so many that it
    /// has more than `max` to read, so that what a slow replica misses stays in the backlog, where it is shared and counted.
    /// Says whether there is more for it.
    pub fn feed_replica(&mut self, id: ClientId, max: usize) -> bool {
        let Server { repl, clients, stats, .. } = self;
        let Some(client) = clients.get_mut(id).filter(|c| c.replica.is_some()) else { return false };
        let replica = ReplicaId(id.0);
        let room = max.saturating_sub(client.reply.buf.len() + client.unwritten_bytes());
        let pieces = repl.pending(replica, room);
        let fed: usize = pieces.iter().map(|piece| piece.len()).sum();
        for piece in pieces {
            client.reply.raw(piece);
        }
        if fed > 0 {
            repl.advance(replica, fed);
            stats.repl_output_bytes += fed as u64;
        }
        !repl.pending(replica, 1)[0].is_empty()
    }

    /// The stream has something new: replicas that can take it are woken, once a batch.
    pub(super) fn wake_replicas(&mut self) {
        let Server { repl, outbox, .. } = self;
        outbox.extend(repl.ready().map(|id| Effect::Wake(ClientId(id.0))));
    }

    /// The directives that the engine obeys, as it wants them.
    #[must_use]
    pub fn repl_config(config: &Config, node_id: Option<NodeId>) -> repl::Config {
        let limit = config.client_output_buffer_limit.replica;
        let text = |t: &[u8]| (!t.is_empty()).then(|| t.to_vec());
        repl::Config {
            backlog_size_bytes: config.repl_backlog_size as u64,
            backlog_ttl_secs: config.repl_backlog_ttl_secs as u64,
            diskless_sync: config.repl_diskless_sync,
            diskless_sync_delay_secs: config.repl_diskless_sync_delay_secs as u64,
            diskless_sync_max_replicas: config.repl_diskless_sync_max_replicas,
            diskless_load: match config.repl_diskless_load {
                DisklessLoad::Disabled => repl::DisklessLoad::Disabled,
                DisklessLoad::OnEmptyDb => repl::DisklessLoad::WhenDbEmpty,
                DisklessLoad::SwapDb => repl::DisklessLoad::SwapDb,
                DisklessLoad::FlushBeforeLoad => repl::DisklessLoad::FlushBeforeLoad,
            },
            dual_channel: config.dual_channel_replication_enabled,
            timeout_secs: config.repl_timeout_secs as u64,
            ping_period_secs: config.repl_ping_replica_period_secs as u64,
            min_replicas_to_write: config.min_replicas_to_write,
            min_replicas_max_lag_secs: config.min_replicas_max_lag_secs as u64,
            output_hard_limit_bytes: limit.hard_bytes,
            output_soft_limit_bytes: limit.soft_bytes,
            output_soft_limit_secs: limit.soft_secs as u64,
            primary_user: text(&config.masteruser),
            primary_auth: text(&config.masterauth),
            announce_ip: text(&config.replica_announce_ip).map(|ip| String::from_utf8_lossy(&ip).into_owned()),
            announce_port: if config.replica_announce_port > 0 { config.replica_announce_port } else { config.port },
            cluster_node_id: node_id,
            replica_priority: u64::from(config.replica_priority),
            replica_read_only: config.replica_read_only,
            replica_announced: config.replica_announced,
            append_only: config.appendonly,
            ..repl::Config::default()
        }
    }
}
