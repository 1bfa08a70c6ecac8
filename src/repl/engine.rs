//! The engine: one struct, fed with inputs and requests, drained of outputs.

use std::collections::VecDeque;

use super::config::Config;
use super::event::{Endpoint, Input, LinkId, Output, ReplicaId, SavedHistory};
use super::failover::Failover;
use super::follower::{Follower, Turn};
use super::history::{History, Previous};
use super::primary::Primary;
use super::psync::{SyncError, SyncKind, SyncRequest, Synced};
use super::replconf::{self, ReplconfError, ReplconfReply, Told};
use crate::base::{Millis, NodeId, Rng};

/// What became of REPLICAOF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followed {
    Started,
    /// It is this primary already: `+OK Already connected to specified master`.
    AlreadyFollowing,
    /// Refused: `REPLICAOF not allowed while failing over.`
    FailingOver,
}

/// Replication of one node. `now` is monotonic time throughout.
pub struct Engine {
    pub(super) config: Config,
    pub(super) primary: Primary,
    pub(super) follower: Option<Follower>,
    pub(super) failover: Option<Failover>,
    pub(super) out: VecDeque<Output>,
    last_link: LinkId,
    booted: bool,
    pub(super) fsynced: Option<u64>,
}

/// Splits the engine into the context of a step and the side that takes it.
macro_rules! cx {
    ($engine:ident, $now:expr) => {
        &mut $crate::repl::primary::Cx { now: $now, config: &$engine.config, out: &mut $engine.out }
    };
}
pub(super) use cx;

impl Engine {
    /// A node that has not loaded its data yet, a replica if `primary` is given. `rng` makes replication ids and marks.
    #[must_use]
    pub fn new(config: Config, rng: Rng, primary: Option<Endpoint>) -> Engine {
        let mut serving = Primary::new(rng);
        serving.following = primary.is_some();
        Engine {
            config,
            primary: serving,
            follower: primary.map(|endpoint| Follower::new(endpoint, LinkId(0), false)),
            failover: None,
            out: VecDeque::new(),
            last_link: LinkId(0),
            booted: false,
            fsynced: None,
        }
    }

    /// What is to be done next. To be called until there is nothing more after every call that may cause outputs.
    pub fn next_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Takes notice of something that happened.
    pub fn handle(&mut self, now: Millis, input: Input) {
        self.take(now, input);
        self.advance_failover(now);
    }

    fn take(&mut self, now: Millis, input: Input) {
        let cx = cx!(self, now);
        match input {
            Input::Tick => {
                if let Some(follower) = &mut self.follower {
                    follower.tick(cx, &self.primary.stream.history);
                }
                self.primary.tick(cx);
            }
            Input::Reconfigure(config) => {
                self.config = *config;
                if let Some(backlog) = &mut self.primary.stream.backlog {
                    backlog.resize(self.config.backlog_size_bytes);
                }
            }
            Input::Booted { saved } => self.boot(now, saved),
            Input::ClientGone(id) => self.primary.client_gone(cx, id),
            Input::SnapshotStarted(id) => self.primary.snapshot_started(cx, id),
            Input::SnapshotPostponed(id) => self.primary.snapshot_postponed(cx, id),
            Input::SnapshotProgress(id) => self.primary.snapshot_progress(now, id),
            Input::SnapshotDone { snapshot, len } => self.primary.snapshot_done(cx, snapshot, len),
            Input::SnapshotFailed(id) => self.primary.snapshot_failed(cx, id),
            Input::FileSent(id) => self.primary.file_sent(cx, id),
            Input::LinkUp(link) => {
                if let Some(follower) = &mut self.follower {
                    if follower.link == link {
                        follower.link_up(cx);
                    } else if follower.second_link() == link {
                        follower.second_up(cx);
                    }
                }
            }
            Input::LinkDown(link) => {
                if let Some(follower) = &mut self.follower {
                    if follower.link == link {
                        follower.link_down(cx);
                    } else if follower.second_link() == link {
                        follower.second_down(cx);
                    }
                }
            }
            Input::FromPrimary { link, mut bytes } => {
                while !bytes.is_empty() {
                    let Some(follower) = &mut self.follower else { return };
                    let turn = if follower.link == link {
                        follower.step(cx!(self, now), &self.primary.stream.history, &mut bytes)
                    } else if follower.second_link() == link {
                        follower.dual_second(cx!(self, now), &mut bytes)
                    } else {
                        return;
                    };
                    if let Some(turn) = turn {
                        self.turn(now, turn);
                    }
                }
            }
            Input::StreamBroken => {
                if let Some(follower) = &mut self.follower {
                    follower.stream_broken(cx);
                }
            }
            Input::LoadDone { ok } => self.load_done(now, ok),
            Input::Fsynced(offset) => {
                self.fsynced = offset;
                if let Some(follower) = &mut self.follower {
                    follower.fsynced = offset;
                    if follower.owed.take_if(|owed| offset.is_some_and(|offset| offset >= *owed)).is_some() {
                        follower.acknowledge(cx!(self, now), self.primary.stream.history.offset);
                    }
                }
            }
        }
    }

    /// Start-up is over. A replica goes on from its file; a primary lets former replicas go on from it.
    fn boot(&mut self, now: Millis, saved: Option<SavedHistory>) {
        if self.booted {
            return;
        }
        self.booted = true;
        let stream = &mut self.primary.stream;
        if let Some(saved) = saved {
            if let Some(follower) = &mut self.follower {
                stream.history = History { id: saved.id, offset: saved.offset, previous: None };
                follower.can_resume = true;
            } else {
                stream.history.previous = Some(Previous { id: saved.id, until: saved.offset + 1 });
                stream.history.offset += saved.offset;
            }
            // One that was made before the file was read (by whoever was told to follow before that) began elsewhere.
            self.primary.rebase(&self.config);
            self.primary.start_aging(now);
        }
        if let Some(follower) = &mut self.follower {
            follower.connect(cx!(self, now));
        }
    }

    /// Whether the dataset that was there at the start is loaded.
    #[must_use]
    pub fn is_booted(&self) -> bool {
        self.booted
    }

    /// What is here is nothing of the primary's: until its data come, nothing is here that could be served in its place. To
    /// be said before [`Input::Booted`], or when it is followed.
    pub fn disown_data(&mut self) {
        if let Some(follower) = &mut self.follower {
            follower.foreign = true;
        }
    }

    /// The link changed what the own data are.
    fn turn(&mut self, now: Millis, turn: Turn) {
        let cx = cx!(self, now);
        match turn {
            Turn::Detach => {
                self.primary.close_all(cx);
                self.primary.stream.backlog = None;
            }
            Turn::Continue(id) => {
                if let Some(id) = id.filter(|id| *id != self.primary.stream.history.id) {
                    self.primary.stream.history.shift(id);
                    cx.notice(format!("Master replication ID changed to {id}"));
                    self.primary.close_all(cx);
                }
                self.primary.stream.ensure_backlog(self.config.backlog_size_bytes);
            }
        }
    }

    fn load_done(&mut self, now: Millis, ok: bool) {
        let Some(follower) = &mut self.follower else { return };
        let cx = cx!(self, now);
        let Some(loaded) = follower.load_done(cx, ok) else { return };
        match loaded {
            Some(saved) => {
                self.primary.stream.history = History { id: saved.id, offset: saved.offset, previous: None };
            }
            None => self.primary.stream.history.restart(&mut self.primary.rng),
        }
        self.primary.rebase(&self.config);
        follower.start_stream(cx, &self.primary.stream.history);
    }

    // --- Role ---

    /// Becomes a replica of `to`, or changes the primary. A primary offers its own history to the new one, so that it need not
    /// load everything if that one followed it before.
    pub fn follow(&mut self, now: Millis, to: Endpoint) -> Followed {
        if self.failover.is_some() {
            return Followed::FailingOver;
        }
        if self.followed().is_some_and(|followed| followed.is_same(&to)) {
            return Followed::AlreadyFollowing;
        }
        self.begin_following(now, to, false);
        Followed::Started
    }

    /// As [`Engine::follow`], but without offering a history: the data of `to` are other data than ours, so all of them are
    /// needed.
    pub fn follow_unrelated(&mut self, now: Millis, to: Endpoint) -> Followed {
        let followed = self.follow(now, to);
        if followed == Followed::Started
            && let Some(follower) = &mut self.follower
        {
            (follower.can_resume, follower.foreign) = (false, true);
            follower.down_since = None;
        }
        followed
    }

    /// Follows `to`, asking it to take over the role if `failover`.
    pub(super) fn begin_following(&mut self, now: Millis, to: Endpoint, failover: bool) {
        let cx = cx!(self, now);
        let (can_resume, foreign) = match &mut self.follower {
            Some(follower) => {
                follower.leave(cx);
                self.last_link = follower.link;
                (follower.can_resume, follower.foreign)
            }
            None => {
                self.primary.stream.ensure_backlog(self.config.backlog_size_bytes);
                self.primary.stream.select.reset();
                (self.booted, false)
            }
        };
        self.primary.following = true;
        let mut follower = Follower::new(to, self.last_link, can_resume);
        // How old what is read from a file is cannot be told.
        follower.down_since = self.booted.then_some(now);
        follower.foreign = foreign;
        follower.fsynced = self.fsynced;
        follower.asks_failover = failover;
        if self.booted {
            follower.connect(cx);
        }
        self.follower = Some(follower);
    }

    /// Becomes a primary. The old id stays valid up to here, so that siblings and own replicas, which are disconnected, can go on.
    /// Says whether it was a replica.
    pub fn promote(&mut self, now: Millis) -> bool {
        let Some(mut follower) = self.follower.take() else { return false };
        let cx = cx!(self, now);
        follower.leave(cx);
        self.last_link = follower.link;
        let id = NodeId::random(&mut self.primary.rng);
        let old = self.primary.stream.history.id;
        self.primary.stream.history.shift(id);
        // Nothing is selected in a stream that came from elsewhere, so the next write is preceded by a SELECT.
        self.primary.following = false;
        cx.notice(format!("Setting secondary replication ID to {old}, new replication ID is {id}"));
        self.primary.close_all(cx);
        self.primary.start_aging(now);
        self.end_failover(now);
        true
    }

    // --- Requests of clients ---

    /// REPLCONF, without the command's name. The node's own client for the primary may send `GETACK` here too.
    ///
    /// # Errors
    /// With the text for the client.
    pub fn replconf(&mut self, now: Millis, client: ReplicaId, args: &[&[u8]]) -> Result<ReplconfReply, ReplconfError> {
        match replconf::read(self.primary.replicas.traits_mut(client), args)? {
            Told::Traits => return Ok(ReplconfReply::Ok),
            Told::Ack { offset, fsynced } => {
                self.primary.acknowledged(cx!(self, now), client, offset, fsynced);
                self.advance_failover(now);
            }
            Told::GetAck => self.on_getack(now),
            Told::RdbClient(id) => {
                let id = ReplicaId(id);
                if self.primary.replicas.get(id).is_none_or(|replica| !replica.traits.rdb_channel) {
                    return Err(ReplconfError::UnknownRdbClient(id.0.to_string()));
                }
                self.primary.replicas.traits_mut(client).snapshot_link = Some(id);
                return Ok(ReplconfReply::Ok);
            }
            Told::Nothing => {}
        }
        Ok(ReplconfReply::Silent)
    }

    /// SYNC or PSYNC of a client. On success the client is a replica from here on; the answers come as outputs.
    ///
    /// # Errors
    /// With the text for the client, which stays an ordinary one.
    pub fn sync(&mut self, now: Millis, client: ReplicaId, request: SyncRequest<'_>) -> Result<Synced, SyncError> {
        if self.primary.replicas.get(client).is_some() {
            return Ok(Synced::Already);
        }
        if let SyncKind::Psync { id, failover: true, .. } = request.kind {
            if self.is_primary() {
                return Err(SyncError::FailoverToPrimary);
            }
            if !self.primary.stream.history.id.as_bytes().eq_ignore_ascii_case(id) {
                return Err(SyncError::FailoverOtherHistory);
            }
            self.promote(now);
        }
        if self.failover.is_some() {
            return Err(SyncError::FailingOver);
        }
        if self.follower.as_ref().is_some_and(|f| !f.is_connected()) {
            return Err(SyncError::NoPrimaryLink);
        }
        self.primary.sync(cx!(self, now), client, request)
    }

    // --- The stream, serving side ---

    /// Streams a write: `bytes` is one or more commands encoded as arrays of bulk strings, to be executed in database `db`.
    /// `None` for MULTI and EXEC, which need no database. Ignored on a replica.
    pub fn propagate(&mut self, now: Millis, db: Option<u32>, bytes: &[u8]) {
        self.primary.propagate(cx!(self, now), db, bytes);
    }

    /// Whether writes are to be encoded for the stream at all.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        !self.primary.following && self.primary.stream.backlog.is_some()
    }

    /// Online replicas for which [`Engine::pending`] has something.
    pub fn ready(&self) -> impl Iterator<Item = ReplicaId> {
        let end = self.primary.stream.history.offset;
        self.primary.replicas.iter().filter(move |(_, r)| r.is_fed() && r.sent < end).map(|(id, _)| id)
    }

    /// The stream's next bytes for a replica, at most `max`, in at most two pieces: to be written as they are.
    #[must_use]
    pub fn pending(&self, replica: ReplicaId, max: usize) -> [&[u8]; 2] {
        self.primary.pending(replica, max)
    }

    /// `count` bytes of those were written (or queued where they will not be lost).
    pub fn advance(&mut self, replica: ReplicaId, count: usize) {
        self.primary.advance(replica, count);
    }

    /// Asks all replicas for an acknowledgement, once for however many clients wait.
    pub fn request_acks(&mut self, now: Millis) {
        self.primary.request_acks(cx!(self, now));
    }

    /// Keeps PING and GETACK out of the stream, or lets them in again.
    pub fn pause_stream(&mut self, now: Millis, paused: bool) {
        self.primary.pause(cx!(self, now), paused);
    }

    // --- The stream, following side ---

    /// `unit`, bytes of [`Output::Apply`], was executed completely: a command, or all from MULTI to EXEC. It is passed on to own
    /// replicas as it is.
    pub fn applied(&mut self, now: Millis, unit: &[u8]) {
        if let Some(follower) = &mut self.follower
            && follower.is_connected()
        {
            follower.unapplied = follower.unapplied.saturating_sub(unit.len() as u64);
            self.primary.feed(cx!(self, now), unit);
        }
    }

    /// The primary asked how far we are. To be called before the request itself is reported as applied.
    pub fn on_getack(&mut self, now: Millis) {
        if let Some(follower) = &mut self.follower {
            let offset = self.primary.stream.history.offset;
            follower.acknowledge(cx!(self, now), offset);
            follower.owed = follower.fsynced.filter(|fsynced| *fsynced < offset).map(|_| offset);
        }
    }

    /// Takes a fresh id: nobody can go on from the old one.
    pub fn restart_history(&mut self) {
        self.primary.stream.history.restart(&mut self.primary.rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::bench::{Bench, upstream};

    fn id(seed: u64) -> NodeId {
        NodeId::random(&mut Rng::seeded(seed))
    }

    fn saved() -> Option<SavedHistory> {
        Some(SavedHistory { id: id(7), offset: 1000 })
    }

    #[test]
    fn a_replica_restarted_from_its_file_goes_on() {
        let mut bench = Bench::boot(Config::default(), Some(upstream()), saved());
        bench.handshake(1);
        assert_eq!(bench.said().last().unwrap(), "up 1: *3|$5|PSYNC|$40|ID|$4|1001|");
        assert_eq!(bench.engine.save_info(3), Some((saved().unwrap(), 3)));
    }

    #[test]
    fn a_primary_restarted_from_its_file_lets_replicas_go_on() {
        let mut bench = Bench::boot(Config::default(), None, saved());
        assert_eq!(bench.engine.offset(), 1000);
        bench.write("DEL expired");
        assert_eq!(bench.psync(1, id(7).as_str(), 1001), Ok(Synced::Partial));
        assert_eq!(bench.stream(1), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nDEL expired");
        assert_eq!(bench.psync(2, id(7).as_str(), 1002), Ok(Synced::Full));
    }

    #[test]
    fn nothing_is_connected_before_the_start_up_is_over() {
        let mut engine = Engine::new(Config::default(), Rng::seeded(1), Some(upstream()));
        engine.handle(Millis(100_000), Input::Tick);
        assert_eq!(engine.next_output(), None);
        assert!(!engine.is_primary());
        engine.handle(Millis(100_000), Input::Booted { saved: None });
        engine.next_output();
        assert!(matches!(engine.next_output(), Some(Output::Connect { .. })));
    }

    #[test]
    fn a_replica_that_was_told_whom_to_follow_before_its_file_was_read_keeps_the_stream_where_it_belongs() {
        let mut bench = Bench::starting(Config::default(), None);
        let now = bench.now;
        bench.engine.follow(now, upstream());
        bench.input(Input::Booted { saved: saved() });
        bench.engine.promote(now);
        bench.write("x");
        let id = bench.engine.history().id;
        assert_eq!(bench.psync(1, id.as_str(), 1001), Ok(Synced::Partial));
        assert_eq!(bench.stream(1), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nx");
        assert_eq!(bench.psync(2, id.as_str(), 1000), Ok(Synced::Full));
    }

    #[test]
    fn a_demoted_primary_offers_its_own_history() {
        let mut bench = Bench::primary(Config { diskless_sync_delay_secs: 0, ..Config::default() });
        bench.attach_online(1);
        bench.write("x");
        let own = bench.engine.history().id;
        let now = bench.now;
        assert_eq!(bench.engine.follow(now, upstream()), Followed::Started);
        let same = Endpoint { host: "PRIMARY".into(), port: 6000 };
        assert_eq!(bench.engine.follow(now, same), Followed::AlreadyFollowing);
        bench.handshake(1);
        let next = (bench.engine.offset() + 1).to_string();
        assert_eq!(bench.said().last().unwrap(), &format!("up 1: *3|$5|PSYNC|$40|ID|${}|{next}|", next.len()));
        assert_eq!(bench.engine.history().id, own);
        // Its replicas stay until the history turns out to be another. Its own writes are not streamed any more.
        assert_eq!(bench.engine.replicas().count(), 1);
        let offset = bench.engine.offset();
        bench.write("local");
        assert_eq!(bench.engine.offset(), offset);
        bench.receive(1, &format!("+FULLRESYNC {} 50\r\n$1\r\nX", id(1)));
        assert!(bench.said().contains(&"close 1 HistoryChanged".into()));
        bench.input(Input::LoadDone { ok: true });
        assert_eq!((bench.engine.offset(), bench.engine.history().previous), (50, None));
    }

    #[test]
    fn unrelated_data_are_asked_for_whole() {
        let mut bench = Bench::replica(Config::default(), id(1));
        let now = bench.now;
        let other = Endpoint { host: "other".into(), port: 6000 };
        assert_eq!(bench.engine.follow_unrelated(now, other), Followed::Started);
        bench.handshake(2);
        assert_eq!(bench.said().last().unwrap(), "up 2: *3|$5|PSYNC|$1|?|$2|-1|");
        // Until they are here, what is here is not the primary's, whoever that is by then.
        assert!(bench.engine.is_data_foreign());
        assert_eq!(bench.engine.data_age_ms(now), None);
        bench.engine.follow(now, upstream());
        bench.handshake(3);
        bench.receive(3, &format!("+FULLRESYNC {} 50\r\n$1\r\nX", id(2)));
        assert!(bench.engine.is_data_foreign());
        bench.input(Input::LoadDone { ok: true });
        assert!(!bench.engine.is_data_foreign());
        assert_eq!(bench.engine.data_age_ms(now), Some(0));
    }

    #[test]
    fn a_promotion_starts_a_new_history_that_remembers_the_old() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.attach_online_below(5);
        let now = bench.now;
        assert!(bench.engine.promote(now));
        assert_eq!(bench.said(), ["StreamEnds", "close link 1", "close 5 HistoryChanged"]);
        assert_eq!(bench.psync(6, id(1).as_str(), 101), Ok(Synced::Partial));
        bench.write("x");
        assert_eq!(bench.stream(6), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nx");
        assert_eq!(bench.engine.data_age_ms(bench.now), None);
    }

    #[test]
    fn a_role_lost_and_regained_forgets_the_selected_database() {
        let mut bench = Bench::primary(Config { diskless_sync_delay_secs: 0, ..Config::default() });
        bench.attach_online(1);
        bench.write("x");
        bench.stream(1);
        let now = bench.now;
        bench.engine.follow(now, upstream());
        bench.engine.promote(now);
        bench.psync(2, bench.engine.history().id.to_string().as_str(), bench.engine.offset() as i64 + 1).unwrap();
        bench.write("x");
        assert_eq!(bench.stream(2), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nx");
    }

    #[test]
    fn bytes_pass_through_a_chain_unchanged() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.attach_online_below(5);
        bench.receive(1, "*1\r\n$4\r\nPING\r\nrest");
        assert_eq!(bench.stream(5), "");
        let now = bench.now;
        bench.engine.applied(now, b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(bench.stream(5), "*1\r\n$4\r\nPING\r\n");
        bench.wait(30_000);
        bench.engine.request_acks(now);
        assert_eq!(bench.stream(5), "");
    }

    #[test]
    fn a_replica_takes_the_role_when_asked_by_its_primary() {
        let own = id(1);
        let mut bench = Bench::replica(Config::default(), own);
        let failover = SyncKind::Psync { id: own.as_bytes(), offset: 101, failover: true };
        bench.replconf(9, "capa psync2");
        assert_eq!(bench.sync(9, failover), Ok(Synced::Partial));
        assert!(bench.engine.is_primary());
        assert_eq!(bench.said(), ["StreamEnds", "close link 1", "to 9: +CONTINUE ID|"]);
    }
}
