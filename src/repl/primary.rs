//! The serving side: attaches replicas, feeds them the stream and watches over them. A replica serves its own replicas
//! with it too. How snapshots are shared is in `full_sync.rs`.

use std::collections::VecDeque;

use bytes::Bytes;

use super::backlog::Backlog;
use super::config::{Config, ms};
use super::event::{CloseReason, LogLevel, Output, ReplicaId};
use super::full_sync::Snapshots;
use super::psync::{self, Decision, SyncError, SyncKind, SyncRequest, Synced};
use super::replica_set::{ReplicaSet, ReplicaState};
use super::select::command;
use super::stream::Stream;
use crate::base::{Millis, Rng};

/// What every step of the engine is given.
pub(super) struct Cx<'a> {
    pub now: Millis,
    pub config: &'a Config,
    pub out: &'a mut VecDeque<Output>,
}

impl Cx<'_> {
    pub fn queue(&mut self, replica: ReplicaId, bytes: impl Into<Bytes>) {
        self.out.push_back(Output::ToReplica { replica, bytes: bytes.into() });
    }

    pub fn notice(&mut self, text: String) {
        self.out.push_back(Output::Log { level: LogLevel::Notice, text });
    }

    pub fn warn(&mut self, text: String) {
        self.out.push_back(Output::Log { level: LogLevel::Warning, text });
    }
}

/// The serving side.
pub(super) struct Primary {
    pub stream: Stream,
    pub replicas: ReplicaSet,
    pub snapshots: Snapshots,
    pub rng: Rng,
    /// Whether the stream comes from elsewhere: then nothing of our own may be put into it.
    pub following: bool,
    /// Whether nothing may be added to the stream for a moment (a manual failover waits for equal offsets).
    pub paused: bool,
    acks_wanted: bool,
    /// Offset behind the last GETACK: asking twice in a row is of no use.
    asked_at: u64,
    last_ping: Millis,
    last_second: Millis,
    no_replicas_since: Option<Millis>,
}

impl Primary {
    pub fn new(mut rng: Rng) -> Primary {
        Primary {
            stream: Stream::new(&mut rng),
            replicas: ReplicaSet::default(),
            snapshots: Snapshots::default(),
            rng,
            following: false,
            paused: false,
            acks_wanted: false,
            asked_at: 0,
            last_ping: Millis::ZERO,
            last_second: Millis::ZERO,
            no_replicas_since: None,
        }
    }

    /// Streams a write of this node. Nothing happens on a replica: its own writes stay its own.
    pub fn propagate(&mut self, cx: &mut Cx<'_>, db: Option<u32>, bytes: &[u8]) {
        if self.following {
            return;
        }
        if self.stream.backlog.is_none() {
            // Nobody listens, but WAITAOF still tells writes apart by their offsets.
            self.stream.history.offset += u64::from(cx.config.append_only);
            return;
        }
        if let Some(db) = db
            && self.stream.select.needs_select(db)
        {
            let select = self.stream.select.select(db);
            self.feed(cx, &select);
        }
        self.feed(cx, bytes);
    }

    /// Puts bytes into the stream as they are.
    pub fn feed(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        if self.stream.put(bytes) {
            self.drop_laggards(cx);
            self.trim();
        }
    }

    /// SYNC or PSYNC. The engine has checked what concerns its own primary.
    pub fn sync(&mut self, cx: &mut Cx<'_>, id: ReplicaId, request: SyncRequest<'_>) -> Result<Synced, SyncError> {
        if request.output_pending {
            return Err(SyncError::PendingOutput);
        }
        let traits = self.replicas.traits_mut(id);
        if traits.filter != Default::default() && !traits.eof {
            return Err(SyncError::FilterWithoutEof);
        }
        let (legacy, decision) = match request.kind {
            SyncKind::Sync => (true, Decision::Full(psync::FullReason::Requested)),
            SyncKind::Psync { id, offset, .. } => {
                (false, psync::decide(&self.stream.history, self.stream.backlog.as_ref(), id, offset))
            }
        };
        let traits = self.replicas.traits_mut(id);
        let dual = traits.dual_channel && cx.config.dual_channel && cx.config.diskless_sync;
        if dual && !legacy && matches!(decision, Decision::Full(_)) {
            cx.queue(id, &b"+DUALCHANNELSYNC\r\n"[..]);
            return Ok(Synced::Dual);
        }
        let snapshot_link = traits.snapshot_link.take();
        if self.replicas.is_empty() {
            self.last_ping = cx.now;
        }
        self.no_replicas_since = None;
        let replica = self.replicas.attach(id, request.peer_ip.to_owned(), legacy, cx.now);
        let name = replica.name();
        match decision {
            Decision::Continue { position } => {
                let loads = snapshot_link.is_some();
                replica.state = if loads { ReplicaState::BgTransfer } else { ReplicaState::Online };
                replica.sent = position;
                let mut line = b"+CONTINUE".to_vec();
                if replica.traits.psync2 {
                    line.push(b' ');
                    line.extend_from_slice(self.stream.history.id.as_bytes());
                }
                line.extend_from_slice(b"\r\n");
                cx.queue(id, line);
                let missed = self.stream.history.offset - position;
                cx.notice(format!(
                    "Partial resynchronization request from {name} accepted. Sending {missed} bytes of backlog."
                ));
                if let Some(link) = snapshot_link {
                    self.release(cx, link);
                }
                Ok(Synced::Partial)
            }
            Decision::Full(reason) => {
                cx.notice(format!("Full resync requested by replica {name} ({reason})"));
                if self.stream.backlog.is_none() {
                    // A history that nobody could follow until now: no older id is worth keeping.
                    if !self.following {
                        self.stream.history.restart(&mut self.rng);
                    }
                    self.stream.ensure_backlog(cx.config.backlog_size_bytes);
                }
                self.join_or_start_snapshot(cx, id);
                Ok(Synced::Full)
            }
        }
    }

    /// An acknowledgement. The first one of a replica that loaded a snapshot from its socket opens the stream to it.
    pub fn acknowledged(&mut self, cx: &mut Cx<'_>, id: ReplicaId, offset: u64, fsynced: Option<u64>) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let before = (replica.ack, replica.fsynced);
        replica.ack = replica.ack.max(offset);
        replica.fsynced = replica.fsynced.max(fsynced.unwrap_or(0));
        replica.ack_at = cx.now;
        if replica.state == ReplicaState::Online && replica.held || replica.state == ReplicaState::BgTransfer {
            (replica.held, replica.state) = (false, ReplicaState::Online);
            cx.notice(format!("Synchronization with replica {} succeeded", replica.name()));
        }
        if (replica.ack, replica.fsynced) != before {
            cx.out.push_back(Output::AcksAdvanced);
        }
    }

    /// The first link reads the stream from here on: the second need not keep it any more.
    fn release(&mut self, cx: &mut Cx<'_>, link: ReplicaId) {
        if let Some(second) = self.replicas.get_mut(link) {
            second.pins = false;
            if second.state == ReplicaState::Transmitted {
                self.close(cx, link, true, CloseReason::SnapshotOnly);
            }
        }
    }

    /// Asks all replicas, through the stream, how far they are.
    pub fn request_acks(&mut self, cx: &mut Cx<'_>) {
        self.acks_wanted = true;
        if self.following || self.paused || self.replicas.is_empty() {
            return;
        }
        self.acks_wanted = false;
        if self.asked_at != self.stream.history.offset {
            self.feed(cx, &command(&[b"REPLCONF", b"GETACK", b"*"]));
            self.asked_at = self.stream.history.offset;
        }
    }

    /// Holds PING and GETACK back, or lets them go again.
    pub fn pause(&mut self, cx: &mut Cx<'_>, paused: bool) {
        self.paused = paused;
        if self.acks_wanted {
            self.request_acks(cx);
        }
    }

    /// A connection is gone.
    pub fn client_gone(&mut self, cx: &mut Cx<'_>, id: ReplicaId) {
        if let Some(replica) = self.replicas.remove(id) {
            cx.notice(format!("Connection with replica {} lost.", replica.name()));
            self.after_leaving(cx);
        }
    }

    /// Lets go of a replica.
    pub fn close(&mut self, cx: &mut Cx<'_>, id: ReplicaId, after_flush: bool, reason: CloseReason) {
        if let Some(replica) = self.replicas.remove(id) {
            if reason != CloseReason::SnapshotOnly {
                cx.warn(format!("Disconnecting replica {}: {reason}", replica.name()));
            }
            cx.out.push_back(Output::CloseReplica { replica: id, after_flush, reason });
            self.after_leaving(cx);
        }
    }

    /// Lets go of all replicas: what they have may not be what comes next.
    pub fn close_all(&mut self, cx: &mut Cx<'_>) {
        for id in self.replicas.ids(|_| true) {
            self.close(cx, id, false, CloseReason::HistoryChanged);
        }
    }

    fn after_leaving(&mut self, cx: &mut Cx<'_>) {
        if self.replicas.is_empty() {
            self.no_replicas_since = Some(cx.now);
        }
        self.cancel_unwanted_snapshot(cx);
    }

    /// Starts a new tail behind the current offset, for nobody: the data were replaced.
    pub fn rebase(&mut self, config: &Config) {
        self.stream.backlog = Some(Backlog::new(config.backlog_size_bytes, self.stream.history.offset));
        self.asked_at = 0;
    }

    /// The periodic work.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        self.ping(cx);
        self.trim();
        if cx.now.since(self.last_second) < 1000 {
            return;
        }
        self.last_second = cx.now;
        self.start_due_snapshot(cx);
        self.keep_waiters_alive(cx);
        self.drop_silent(cx);
        self.drop_laggards(cx);
        self.expire_backlog(cx);
    }

    fn ping(&mut self, cx: &mut Cx<'_>) {
        if self.following || self.paused || self.replicas.is_empty() {
            return;
        }
        if cx.now.since(self.last_ping) >= ms(cx.config.ping_period_secs) {
            self.last_ping = cx.now;
            self.feed(cx, &command(&[b"PING"]));
        }
    }

    /// An empty line for those who wait for a snapshot that is not on its way yet.
    fn keep_waiters_alive(&mut self, cx: &mut Cx<'_>) {
        for id in self.replicas.ids(|r| r.state == ReplicaState::WaitStart) {
            cx.queue(id, &b"\n"[..]);
        }
        for id in self.replicas.ids(|r| matches!(r.state, ReplicaState::WaitEnd(_))) {
            if !self.snapshots.is_socket() {
                cx.queue(id, &b"\n"[..]);
            }
        }
    }

    fn drop_silent(&mut self, cx: &mut Cx<'_>) {
        let (now, limit) = (cx.now, cx.config.timeout_ms());
        for id in self.replicas.ids(|r| r.state == ReplicaState::Online && !r.legacy && now.since(r.ack_at) > limit) {
            self.close(cx, id, false, CloseReason::AckTimeout);
        }
        for id in self.replicas.ids(|r| r.state == ReplicaState::Transmitted && now.since(r.progress_at) > limit) {
            self.close(cx, id, false, CloseReason::TransferTimeout);
        }
        if self.snapshots.is_socket() {
            let stuck = |r: &super::replica_set::Replica| {
                matches!(r.state, ReplicaState::WaitEnd(_)) && now.since(r.progress_at) > limit
            };
            for id in self.replicas.ids(stuck) {
                self.close(cx, id, false, CloseReason::TransferTimeout);
            }
        }
    }

    /// Drops replicas that are further behind than their output limit allows.
    fn drop_laggards(&mut self, cx: &mut Cx<'_>) {
        let end = self.stream.history.offset;
        let (hard, soft) = (cx.config.hard_limit(), cx.config.soft_limit());
        let soft_ms = ms(cx.config.output_soft_limit_secs);
        let mut over = Vec::new();
        for (id, replica) in self.replicas.iter_mut() {
            let Some(lag) = replica.needs().map(|from| end - from) else { continue };
            if soft.is_none_or(|soft| lag <= soft) {
                replica.over_soft_since = None;
            }
            let too_long = soft.is_some_and(|soft| {
                lag > soft && cx.now.since(*replica.over_soft_since.get_or_insert(cx.now)) > soft_ms
            });
            if too_long || hard.is_some_and(|hard| lag > hard) {
                over.push(id);
            }
        }
        for id in over {
            self.close(cx, id, false, CloseReason::OutputLimit);
        }
    }

    fn trim(&mut self) {
        if let Some(backlog) = &mut self.stream.backlog {
            backlog.trim(self.replicas.iter().filter_map(|(_, r)| r.needs()).min());
        }
    }

    fn expire_backlog(&mut self, cx: &mut Cx<'_>) {
        let ttl_ms = ms(cx.config.backlog_ttl_secs);
        let due = self.no_replicas_since.is_some_and(|since| cx.now.since(since) > ttl_ms);
        if due && ttl_ms > 0 && !self.following && self.replicas.is_empty() && self.stream.backlog.is_some() {
            // Writes from here on are not kept, so nobody may go on from this history.
            self.stream.backlog = None;
            self.stream.history.restart(&mut self.rng);
            let secs = cx.config.backlog_ttl_secs;
            cx.notice(format!("Replication backlog freed after {secs} seconds without connected replicas."));
        }
    }

    /// Marks the moment from which the backlog ages.
    pub fn start_aging(&mut self, now: Millis) {
        if self.replicas.is_empty() {
            self.no_replicas_since = Some(now);
        }
    }

    /// What is to be written next to a replica: at most `max` bytes in at most two pieces.
    pub fn pending(&self, id: ReplicaId, max: usize) -> [&[u8]; 2] {
        match (self.replicas.get(id), &self.stream.backlog) {
            (Some(replica), Some(backlog)) if replica.is_fed() => backlog.read(replica.sent, max),
            _ => [&[], &[]],
        }
    }

    /// `count` of the pending bytes were written.
    pub fn advance(&mut self, id: ReplicaId, count: usize) {
        let end = self.stream.history.offset;
        if let Some(replica) = self.replicas.get_mut(id) {
            replica.sent = (replica.sent + count as u64).min(end);
        }
    }

    /// Online replicas that acknowledged in time.
    pub fn good(&self, now: Millis, max_lag_secs: u64) -> usize {
        let max_lag = i64::try_from(max_lag_secs).unwrap_or(i64::MAX);
        self.replicas.online().filter(|(_, r)| r.lag_secs(now) <= max_lag).count()
    }
}

#[cfg(test)]
mod tests {
    use crate::repl::bench::Bench;
    use crate::repl::*;

    fn quick() -> Config {
        Config { diskless_sync_delay_secs: 0, ..Config::default() }
    }

    const PING: &str = "*1\r\n$4\r\nPING\r\n";
    const GETACK: &str = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

    #[test]
    fn refusals() {
        let mut bench = Bench::primary(quick());
        let own = bench.engine.history().id;
        let failover = SyncKind::Psync { id: own.as_bytes(), offset: 1, failover: true };
        let texts = |error: SyncError| error.to_string();
        assert_eq!(texts(bench.sync(1, failover).unwrap_err()), "ERR PSYNC FAILOVER can't be sent to a master.");
        let request = SyncRequest { kind: SyncKind::Sync, peer_ip: "::1", output_pending: true };
        let error = bench.engine.sync(bench.now, ReplicaId(1), request).unwrap_err();
        assert_eq!(texts(error), "ERR SYNC and PSYNC are invalid with pending output");
        bench.replconf(1, "rdb-filter-only functions");
        assert_eq!(texts(bench.sync(1, SyncKind::Sync).unwrap_err()), "ERR Filtered replica requires EOF capability");
        assert!(bench.engine.replica(ReplicaId(1)).is_none());
        bench.attach(2);
        bench.said();
        assert_eq!(bench.psync(2, "?", -1), Ok(Synced::Already));
        assert_eq!(bench.said(), Vec::<String>::new());

        let mut replica = Bench::boot(quick(), Some(bench::upstream()), None);
        let error = replica.psync(1, "?", -1).unwrap_err();
        assert_eq!(texts(error), "NOMASTERLINK Can't SYNC while not connected with my master");
        let mut replica = Bench::replica(quick(), own);
        let error = replica.sync(1, SyncKind::Psync { id: &[b'0'; 40], offset: 1, failover: true }).unwrap_err();
        assert_eq!(texts(error), "ERR PSYNC FAILOVER replid must match my replid.");
    }

    #[test]
    fn the_first_replica_begins_a_history() {
        let mut bench = Bench::primary(Config { append_only: true, ..quick() });
        let unshared = bench.engine.history().id;
        assert!(!bench.engine.wants_stream());
        bench.write("SET");
        bench.write("SET");
        assert_eq!(bench.engine.offset(), 2);
        bench.attach(1);
        assert_ne!(bench.engine.history().id, unshared);
        bench.write("SET");
        assert_eq!(bench.engine.offset(), 2 + 23 + 3);
    }

    #[test]
    fn a_reconnect_is_answered_with_the_missing_bytes() {
        let mut bench = Bench::primary(quick());
        bench.attach_online(1);
        let id = bench.engine.history().id.to_string();
        bench.stream(1);
        let at = bench.engine.offset();
        bench.write("abc");
        let missed = bench.stream(1);
        bench.input(Input::ClientGone(ReplicaId(1)));

        // No SELECT is forced: the replica remembers the database.
        assert_eq!(bench.psync(2, &id, at as i64 + 1), Ok(Synced::Partial));
        assert_eq!(bench.said(), ["to 2: +CONTINUE|"]);
        assert_eq!(bench.stream(2), missed);
        bench.replconf(3, "capa psync2");
        assert_eq!(bench.psync(3, &id.to_uppercase(), bench.engine.offset() as i64 + 1), Ok(Synced::Partial));
        assert_eq!(bench.said(), ["to 3: +CONTINUE ID|"]);
        assert_eq!(bench.psync(4, &id, bench.engine.offset() as i64 + 2), Ok(Synced::Full));
    }

    #[test]
    fn the_stream_selects_databases_and_leaves_transactions_whole() {
        let mut bench = Bench::primary(quick());
        bench.attach_online(1);
        bench.stream(1);
        let now = bench.now;
        for (db, bytes) in [(None, "multi "), (Some(2), "a "), (Some(2), "b "), (None, "exec "), (Some(0), "c ")] {
            bench.engine.propagate(now, db, bytes.as_bytes());
        }
        let select = |db| format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{db}\r\n");
        assert_eq!(bench.stream(1), format!("multi {}a b exec {}c ", select(2), select(0)));
    }

    #[test]
    fn pings_keep_their_period_and_stop_during_a_pause() {
        let mut bench = Bench::primary(quick());
        bench.attach_online(1);
        bench.stream(1);
        bench.wait(9900);
        assert_eq!(bench.stream(1), "");
        bench.replconf(1, "ack 0");
        bench.wait(10_000);
        assert_eq!(bench.stream(1), PING);
        let now = bench.now;
        bench.engine.pause_stream(now, true);
        bench.engine.request_acks(now);
        bench.wait(30_000);
        assert_eq!(bench.stream(1), "");
        bench.engine.pause_stream(now, false);
        assert_eq!(bench.stream(1), GETACK);
    }

    #[test]
    fn acknowledgements_count_for_wait_and_never_go_back() {
        let mut bench = Bench::primary(quick());
        bench.attach_online(1);
        bench.attach_online(2);
        bench.attach(3);
        bench.write("abc");
        let target = bench.engine.offset();
        let now = bench.now;
        bench.engine.request_acks(now);
        bench.engine.request_acks(now);
        assert!(bench.stream(1).ends_with(&format!("abc{GETACK}")));
        bench.said();
        bench.replconf(1, &format!("ack {target} fack {}", target - 1));
        assert_eq!(bench.said(), ["AcksAdvanced"]);
        assert_eq!((bench.engine.acked_by(target), bench.engine.fsynced_by(target)), (1, 0));
        bench.replconf(1, "ack 5 fack 5");
        assert_eq!(bench.said(), Vec::<String>::new());
        assert_eq!((bench.engine.acked_by(target), bench.engine.fsynced_by(target - 1)), (1, 1));
        assert_eq!(bench.engine.lagging().count(), 2);
        // One that is not online does not count, nor does a client that is no replica.
        bench.replconf(3, &format!("ack {target}"));
        bench.replconf(9, &format!("ack {target}"));
        assert_eq!(bench.engine.acked_by(target), 1);
    }

    #[test]
    fn good_replicas_are_online_and_answered_lately() {
        let config = Config { min_replicas_to_write: 1, min_replicas_max_lag_secs: 2, ..quick() };
        let mut bench = Bench::primary(config);
        assert!(!bench.engine.has_enough_good_replicas(bench.now));
        bench.attach_online(1);
        assert!(bench.engine.has_enough_good_replicas(bench.now));
        bench.wait(2900);
        assert!(bench.engine.has_enough_good_replicas(bench.now));
        bench.wait(200);
        assert!(!bench.engine.has_enough_good_replicas(bench.now));
        assert!(bench.info().contains("min_slaves_good_slaves:0\r\nslave0:"));
        bench.replconf(1, "ack 0");
        assert!(bench.engine.has_enough_good_replicas(bench.now));
    }

    #[test]
    fn silent_replicas_are_dropped_but_not_those_that_never_speak() {
        let mut bench = Bench::primary(Config { diskless_sync: false, ..quick() });
        bench.attach_online(1);
        bench.sync(2, SyncKind::Sync).unwrap();
        let snapshot = bench.snapshot_asked();
        bench.input(Input::SnapshotStarted(snapshot));
        bench.input(Input::SnapshotDone { snapshot, len: 3 });
        bench.input(Input::FileSent(ReplicaId(2)));
        // Neither an offset nor a mark is told to a client of the old kind.
        assert_eq!(bench.said(), ["to 2: $3|", "file 2 to 2"]);
        bench.wait(59_000);
        assert_eq!(bench.said(), Vec::<String>::new());
        bench.wait(3000);
        assert_eq!(bench.said(), ["close 1 AckTimeout"]);
        assert_eq!(bench.engine.replicas().count(), 1);
    }

    #[test]
    fn the_soft_limit_allows_a_lag_for_its_time() {
        let config = Config {
            backlog_size_bytes: 16 << 10,
            output_soft_limit_bytes: 32 << 10,
            output_soft_limit_secs: 3,
            ..quick()
        };
        let mut bench = Bench::primary(config);
        bench.attach_online(1);
        bench.stream(1);
        let big = "x".repeat(40 << 10);
        bench.write(&big);
        bench.wait(2000);
        bench.stream(1);
        bench.wait(2000);
        bench.write(&big);
        bench.wait(2900);
        assert_eq!(bench.said(), Vec::<String>::new());
        bench.wait(2000);
        assert_eq!(bench.said(), ["close 1 OutputLimit"]);
    }

    #[test]
    fn an_unused_backlog_is_freed_and_with_it_the_history() {
        let mut bench = Bench::primary(Config { backlog_ttl_secs: 10, ..quick() });
        bench.attach_online(1);
        let id = bench.engine.history().id;
        bench.input(Input::ClientGone(ReplicaId(1)));
        bench.wait(10_000);
        assert!(bench.info().contains("repl_backlog_active:1"));
        bench.wait(2000);
        assert!(bench.info().contains("repl_backlog_active:0"));
        assert_ne!(bench.engine.history().id, id);
        assert_eq!(bench.psync(2, id.as_str(), bench.engine.offset() as i64 + 1), Ok(Synced::Full));

        let mut bench = Bench::primary(Config { backlog_ttl_secs: 0, ..quick() });
        bench.attach_online(1);
        bench.input(Input::ClientGone(ReplicaId(1)));
        bench.wait(100_000);
        assert!(bench.info().contains("repl_backlog_active:1"));
    }
}
