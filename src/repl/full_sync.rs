//! Full synchronisation, serving side: which replicas share a snapshot, when it starts, and what they get around it.
//!
//! Nothing is lost between the snapshot's point in time and the moment a replica is online, because the replica's position
//! in the shared backlog is set at that point, and the backlog is not trimmed past any replica's position.

use super::event::{CloseReason, Output, ReplicaId, SnapshotId, SnapshotRequest, SnapshotTarget};
use super::primary::{Cx, Primary};
use super::replconf::{RdbFilter, Version};
use super::replica_set::{Replica, ReplicaState};
use super::select::command;
use super::transfer::MARK_LEN;
use crate::base::{Millis, NodeId};

/// What all receivers of one snapshot have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wish {
    filter: RdbFilter,
    version: Option<Version>,
}

impl Wish {
    fn of(replica: &Replica) -> Wish {
        Wish { filter: replica.traits.filter, version: replica.traits.version }
    }
}

/// The snapshot that was asked for or is being written.
struct Current {
    id: SnapshotId,
    target: SnapshotTarget,
    wish: Wish,
    /// Offset at its point in time; `None` before.
    offset: Option<u64>,
    /// Whom it was asked for.
    members: Vec<ReplicaId>,
}

/// Snapshots for replicas: one at a time.
#[derive(Default)]
pub(super) struct Snapshots {
    last: u64,
    current: Option<Current>,
    not_before: Millis,
}

impl Snapshots {
    /// Whether a snapshot goes straight to the replicas now.
    pub fn is_socket(&self) -> bool {
        matches!(&self.current, Some(Current { target: SnapshotTarget::Socket { .. }, .. }))
    }

    fn current(&self, id: SnapshotId) -> Option<&Current> {
        self.current.as_ref().filter(|c| c.id == id)
    }
}

impl Primary {
    /// A new waiter: shares the file that is being written, or starts a snapshot, or waits for the next.
    pub(super) fn join_or_start_snapshot(&mut self, cx: &mut Cx<'_>, id: ReplicaId) {
        match self.joinable(id) {
            Some((snapshot, offset)) => {
                self.begin_waiting(cx, id, snapshot, offset);
                cx.notice("Waiting for end of BGSAVE for SYNC".to_owned());
            }
            None => self.start_due_snapshot(cx),
        }
    }

    /// A file being written for a replica that can do no more than this one, and wants the same.
    fn joinable(&self, id: ReplicaId) -> Option<(SnapshotId, u64)> {
        let current = self.snapshots.current.as_ref()?;
        let offset = current.offset?;
        let replica = self.replicas.get(id)?;
        let backlog = self.stream.backlog.as_ref()?;
        let fits =
            current.target == SnapshotTarget::Disk && current.wish == Wish::of(replica) && backlog.covers(offset);
        let no_more_able = |other: &Replica| {
            other.state == ReplicaState::WaitEnd(current.id)
                && (replica.traits.eof || !other.traits.eof)
                && (replica.traits.psync2 || !other.traits.psync2)
        };
        (fits && self.replicas.iter().any(|(_, other)| no_more_able(other))).then_some((current.id, offset))
    }

    /// Starts a snapshot for the longest waiter and all who want the same, unless it pays to wait for more of them.
    pub(super) fn start_due_snapshot(&mut self, cx: &mut Cx<'_>) {
        if self.snapshots.current.is_some() || cx.now < self.snapshots.not_before {
            return;
        }
        let waiting = || self.replicas.iter().filter(|(_, r)| r.state == ReplicaState::WaitStart);
        let Some((_, oldest)) = waiting().min_by_key(|(_, r)| r.attached_at) else { return };
        let wish = Wish::of(oldest);
        let members: Vec<ReplicaId> = waiting().filter(|(_, r)| Wish::of(r) == wish).map(|(id, _)| id).collect();
        let eof = members.iter().all(|id| self.replicas.get(*id).is_some_and(|r| r.traits.eof));
        let socket = eof && (cx.config.diskless_sync || wish.filter != RdbFilter::Everything);

        // Others may come while one waits, and a socket snapshot cannot be joined once it runs.
        let waited_ms = cx.now.since(oldest.attached_at);
        let enough = cx.config.diskless_sync_max_replicas;
        let delayed = socket
            && cx.config.diskless_sync
            && waited_ms < super::config::ms(cx.config.diskless_sync_delay_secs)
            && (enough == 0 || members.len() < enough);
        if delayed {
            return;
        }
        let target = if socket {
            let mark: [u8; MARK_LEN] = *NodeId::random(&mut self.rng).as_bytes();
            SnapshotTarget::Socket { mark }
        } else {
            SnapshotTarget::Disk
        };
        self.snapshots.last += 1;
        let id = SnapshotId(self.snapshots.last);
        cx.notice(format!(
            "Starting BGSAVE for SYNC with target: {}",
            if socket { "replicas sockets" } else { "disk" }
        ));
        let request = SnapshotRequest {
            snapshot: id,
            target: target.clone(),
            replicas: members.clone(),
            filter: wish.filter,
            version: wish.version,
        };
        self.snapshots.current = Some(Current { id, target, wish, offset: None, members });
        cx.out.push_back(Output::StartSnapshot(request));
    }

    /// The point in time: from here on the stream accumulates for the members.
    pub(super) fn snapshot_started(&mut self, cx: &mut Cx<'_>, id: SnapshotId) {
        let Some(current) = self.snapshots.current(id) else { return };
        let (members, target) = (current.members.clone(), current.target.clone());
        if !self.following {
            // A receiver of the snapshot alone would not know which database the stream has selected.
            self.stream.select.reset();
            if self.stream.history.offset == 0 && matches!(target, SnapshotTarget::Socket { .. }) {
                self.feed(cx, &command(&[b"PING"]));
            }
        }
        let offset = self.stream.history.offset;
        if let Some(current) = &mut self.snapshots.current {
            current.offset = Some(offset);
        }
        for member in members {
            self.begin_waiting(cx, member, id, offset);
            if let SnapshotTarget::Socket { mark } = target
                && self.replicas.get(member).is_some()
            {
                cx.queue(member, [b"$EOF:", &mark[..], b"\r\n"].concat());
            }
        }
    }

    /// Gives a waiter its place in the stream, and tells it.
    fn begin_waiting(&mut self, cx: &mut Cx<'_>, replica: ReplicaId, snapshot: SnapshotId, offset: u64) {
        let history = self.stream.history.id;
        let Some(waiter) = self.replicas.get_mut(replica).filter(|r| r.state == ReplicaState::WaitStart) else {
            return;
        };
        waiter.state = ReplicaState::WaitEnd(snapshot);
        waiter.sent = offset;
        waiter.progress_at = cx.now;
        if waiter.traits.rdb_channel {
            waiter.pins = true;
            let db = self.stream.select.db().map_or(-1, i64::from);
            cx.queue(replica, format!("$ENDOFF:{offset} {history} {db} {}\r\n", replica.0));
        } else if !waiter.legacy {
            cx.queue(replica, format!("+FULLRESYNC {history} {offset}\r\n"));
        }
    }

    /// It could not be started now.
    pub(super) fn snapshot_postponed(&mut self, cx: &Cx<'_>, id: SnapshotId) {
        if self.snapshots.current(id).is_some() {
            self.snapshots.current = None;
            self.snapshots.not_before = cx.now + 1000;
        }
    }

    pub(super) fn snapshot_progress(&mut self, now: Millis, replica: ReplicaId) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.progress_at = now;
        }
    }

    /// The snapshot is complete: on the replicas' connections, or in a file that is now sent to each.
    pub(super) fn snapshot_done(&mut self, cx: &mut Cx<'_>, id: SnapshotId, len: u64) {
        if self.snapshots.current(id).is_none() {
            return;
        }
        let Some(current) = self.snapshots.current.take() else { return };
        for member in self.replicas.ids(|r| r.state == ReplicaState::WaitEnd(id)) {
            match &current.target {
                SnapshotTarget::Socket { mark } => {
                    cx.queue(member, mark.to_vec());
                    // It still loads; its first acknowledgement says that it can take the stream.
                    self.put_online(cx, member, true);
                }
                SnapshotTarget::Disk => {
                    if let Some(replica) = self.replicas.get_mut(member) {
                        replica.state = ReplicaState::SendBulk(id);
                        replica.progress_at = cx.now;
                    }
                    cx.queue(member, format!("${len}\r\n"));
                    cx.out.push_back(Output::SendSnapshotFile { snapshot: id, replica: member });
                }
            }
        }
        self.start_due_snapshot(cx);
    }

    /// The file is queued for this replica; the stream follows it at once.
    pub(super) fn file_sent(&mut self, cx: &mut Cx<'_>, replica: ReplicaId) {
        if self.replicas.get(replica).is_some_and(|r| matches!(r.state, ReplicaState::SendBulk(_))) {
            self.put_online(cx, replica, false);
        }
    }

    fn put_online(&mut self, cx: &mut Cx<'_>, id: ReplicaId, held: bool) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        if replica.pins {
            (replica.state, replica.progress_at) = (ReplicaState::Transmitted, cx.now);
            return;
        }
        if replica.traits.rdb_only {
            self.close(cx, id, true, CloseReason::SnapshotOnly);
            return;
        }
        replica.state = ReplicaState::Online;
        replica.held = held;
        replica.ack_at = cx.now;
        if !held {
            let text = format!("Synchronization with replica {} succeeded", replica.name());
            cx.notice(text);
        }
    }

    /// Without a snapshot the members cannot go on. One that was told an offset already can only be cut off.
    pub(super) fn snapshot_failed(&mut self, cx: &mut Cx<'_>, id: SnapshotId) {
        if self.snapshots.current(id).is_none() {
            return;
        }
        let Some(current) = self.snapshots.current.take() else { return };
        for member in current.members {
            if self.replicas.get(member).is_some_and(|r| r.state == ReplicaState::WaitStart) {
                cx.queue(member, &b"-ERR BGSAVE failed, replication can't continue\r\n"[..]);
                self.close(cx, member, true, CloseReason::SnapshotFailed);
            }
        }
        for member in self.replicas.ids(|r| r.state == ReplicaState::WaitEnd(id)) {
            self.close(cx, member, false, CloseReason::SnapshotFailed);
        }
        self.snapshots.not_before = cx.now + 1000;
    }

    /// Gives up a snapshot that nobody waits for any more.
    pub(super) fn cancel_unwanted_snapshot(&mut self, cx: &mut Cx<'_>) {
        let Some(current) = &self.snapshots.current else { return };
        let wanted = if current.offset.is_some() {
            self.replicas.iter().any(|(_, r)| r.state == ReplicaState::WaitEnd(current.id))
        } else {
            current.members.iter().any(|id| self.replicas.get(*id).is_some())
        };
        if !wanted {
            cx.out.push_back(Output::CancelSnapshot(current.id));
            self.snapshots.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::repl::bench::Bench;
    use crate::repl::*;

    fn config(diskless_sync: bool, delay: u64) -> Config {
        Config { diskless_sync, diskless_sync_delay_secs: delay, ..Config::default() }
    }

    #[test]
    fn by_socket_the_stream_waits_for_the_first_acknowledgement() {
        let mut bench = Bench::primary(config(true, 0));
        bench.attach(1);
        assert_eq!(bench.said(), ["snapshot 1 socket [1]"]);
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        // A history at offset 0 is begun with a PING, which is before the snapshot.
        assert_eq!(bench.said(), ["to 1: +FULLRESYNC ID 14|", "to 1: $EOF:ID|"]);
        bench.write("abc");
        bench.input(Input::SnapshotDone { snapshot: SnapshotId(1), len: 0 });
        assert_eq!(bench.said(), ["to 1: ID"]);
        assert!(bench.info().contains("slave0:ip=10.1.1.1,port=7001,state=online,offset=0,lag=0,type=replica\r\n"));
        assert_eq!(bench.stream(1), "");
        bench.replconf(1, "ack 14");
        assert_eq!(bench.stream(1), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nabc");
    }

    #[test]
    fn the_stream_behind_a_snapshot_begins_with_a_select() {
        let mut bench = Bench::primary(config(true, 0));
        bench.attach_online(1);
        bench.write("abc");
        bench.stream(1);
        bench.attach_online(2);
        bench.write("def");
        assert_eq!(bench.stream(2), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\ndef");
    }

    #[test]
    fn by_disk_the_stream_follows_the_file() {
        let mut bench = Bench::primary(config(false, 0));
        bench.attach(1);
        assert_eq!(bench.said(), ["snapshot 1 disk [1]"]);
        bench.wait(1000);
        assert_eq!(bench.said(), ["to 1: ~"]);
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        assert_eq!(bench.said(), ["to 1: +FULLRESYNC ID 0|"]);
        assert!(bench.info().contains("state=wait_bgsave"));
        bench.wait(1000);
        assert_eq!(bench.said(), ["to 1: ~"]);
        bench.write("abc");
        bench.input(Input::SnapshotDone { snapshot: SnapshotId(1), len: 9 });
        assert_eq!(bench.said(), ["to 1: $9|", "file 1 to 1"]);
        assert!(bench.info().contains("state=send_bulk"));
        assert_eq!(bench.stream(1), "");
        bench.input(Input::FileSent(ReplicaId(1)));
        assert!(bench.stream(1).ends_with("abc"));
    }

    #[test]
    fn replicas_share_a_snapshot_if_they_want_the_same() {
        let mut bench = Bench::primary(config(true, 5));
        bench.attach(1);
        bench.wait(3000);
        bench.attach(2);
        bench.replconf(3, "rdb-filter-only functions");
        bench.attach(3);
        assert_eq!(bench.said().iter().filter(|line| line.starts_with("snapshot")).count(), 0);
        bench.wait(3000);
        assert!(bench.said().contains(&"snapshot 1 socket [1, 2]".into()));
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        // A socket snapshot cannot be joined.
        bench.attach(4);
        bench.wait(5000);
        bench.said();
        bench.input(Input::SnapshotDone { snapshot: SnapshotId(1), len: 0 });
        assert!(bench.said().contains(&"snapshot 2 socket [3]".into()));
    }

    #[test]
    fn one_that_cannot_read_marks_takes_all_to_the_disk_at_once() {
        let mut bench = Bench::primary(config(true, 5));
        bench.attach(1);
        assert_eq!(bench.said(), Vec::<String>::new());
        bench.psync(2, "?", -1).unwrap();
        assert_eq!(bench.said(), ["snapshot 1 disk [1, 2]"]);
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        bench.said();
        // A late one can join, since somebody no abler than it is among the receivers.
        bench.write("abc");
        bench.attach(3);
        assert_eq!(bench.said(), ["to 3: +FULLRESYNC ID 0|"]);
    }

    #[test]
    fn a_less_able_one_cannot_join() {
        let mut bench = Bench::primary(config(false, 0));
        bench.attach(1);
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        bench.said();
        bench.replconf(2, "capa psync2");
        bench.psync(2, "?", -1).unwrap();
        assert_eq!(bench.said(), Vec::<String>::new());
    }

    #[test]
    fn a_snapshot_for_itself_ends_with_the_connection() {
        let mut bench = Bench::primary(config(false, 0));
        bench.replconf(1, "rdb-only 1");
        bench.attach(1);
        bench.input(Input::SnapshotStarted(SnapshotId(1)));
        bench.input(Input::SnapshotDone { snapshot: SnapshotId(1), len: 9 });
        bench.said();
        bench.input(Input::FileSent(ReplicaId(1)));
        assert_eq!(bench.said(), ["close 1 after flush SnapshotOnly"]);
    }

    /// A replica whose first link is `client`, and the second one `client + 1`; its snapshot has begun.
    fn attach_by_two_links(bench: &mut Bench, client: u64) {
        bench.replconf(client, "capa eof capa psync2 capa dual-channel");
        assert_eq!(bench.psync(client, "?", -1), Ok(Synced::Dual));
        assert_eq!(bench.said(), [format!("to {client}: +DUALCHANNELSYNC|")]);
        assert_eq!(bench.replconf(client + 1, "capa eof rdb-only 1 rdb-channel 1"), "+OK");
        assert_eq!(bench.sync(client + 1, SyncKind::Sync), Ok(Synced::Full));
        let snapshot = bench.snapshot_asked();
        bench.input(Input::SnapshotStarted(snapshot));
    }

    #[test]
    fn a_second_link_brings_the_snapshot_while_the_first_streams() {
        for psync_first in [true, false] {
            let mut bench = Bench::primary(Config { dual_channel: true, ..config(true, 0) });
            attach_by_two_links(&mut bench, 1);
            assert_eq!(bench.said(), ["to 2: $ENDOFF:14 ID -1 2|", "to 2: $EOF:ID|"]);
            assert!(bench.info().contains("replicas_waiting_psync:1\r\n"));
            assert!(bench.info().contains("state=wait_bgsave,offset=0,lag=0,type=rdb-channel\r\n"));
            bench.write("abc");
            let done = Input::SnapshotDone { snapshot: SnapshotId(1), len: 0 };
            if !psync_first {
                bench.input(done.clone());
                assert_eq!(bench.said(), ["to 2: ID"]);
                assert!(bench.info().contains("state=rdb_transmitted"));
            }
            assert_eq!(bench.replconf(1, "set-rdb-client-id 9"), "-ERR Unrecognized RDB client id 9");
            assert_eq!(bench.replconf(1, "set-rdb-client-id 2"), "+OK");
            let id = bench.engine.history().id;
            assert_eq!(bench.psync(1, id.as_str(), 15), Ok(Synced::Partial));
            assert!(bench.info().contains("type=main-channel\r\n") && bench.info().contains("state=bg_transfer"));
            assert!(bench.info().contains("replicas_waiting_psync:0\r\n"));
            let mut said = bench.said();
            assert_eq!(said.remove(0), "to 1: +CONTINUE ID|");
            if psync_first {
                bench.input(done);
                said.extend(bench.said().split_off(1));
            }
            assert_eq!(said, ["close 2 after flush SnapshotOnly"]);
            // It has the stream already, but nothing that WAIT could count.
            assert_eq!(bench.stream(1), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nabc");
            bench.wait(100_000);
            assert_eq!(bench.engine.acked_by(0), 0);
            bench.replconf(1, "ack 40");
            assert!(bench.info().contains("state=online,offset=40,lag=0,type=replica\r\n"));
        }
    }

    #[test]
    fn the_stream_behind_a_snapshot_is_kept_for_the_first_link() {
        let mut bench = Bench::primary(Config { dual_channel: true, backlog_size_bytes: 16 << 10, ..config(true, 0) });
        attach_by_two_links(&mut bench, 1);
        for _ in 0..40 {
            bench.write(&"x".repeat(10_000));
        }
        bench.wait(1000);
        bench.replconf(1, "set-rdb-client-id 2");
        let id = bench.engine.history().id;
        assert_eq!(bench.psync(1, id.as_str(), 15), Ok(Synced::Partial));
        let streamed: usize = std::iter::from_fn(|| Some(bench.stream(1).len()).filter(|len| *len > 0)).sum();
        assert!(streamed > 400_000, "{streamed}");
        // Where it is not wanted there is one link.
        let mut bench = Bench::primary(config(true, 0));
        bench.replconf(1, "capa eof capa psync2 capa dual-channel");
        assert_eq!(bench.psync(1, "?", -1), Ok(Synced::Full));
    }

    #[test]
    fn failures() {
        let mut bench = Bench::primary(config(true, 0));
        bench.attach(1);
        bench.input(Input::SnapshotPostponed(SnapshotId(1)));
        bench.said();
        bench.wait(900);
        assert!(!bench.said().iter().any(|line| line.starts_with("snapshot")));
        bench.wait(1200);
        assert!(bench.said().contains(&"snapshot 2 socket [1]".into()));

        // Not begun: it is told. Begun: it was told an offset and can only be cut off.
        bench.input(Input::SnapshotFailed(SnapshotId(2)));
        assert_eq!(
            bench.said(),
            ["to 1: -ERR BGSAVE failed, replication can't continue|", "close 1 after flush SnapshotFailed"]
        );
        bench.wait(2000);
        bench.attach(2);
        bench.input(Input::SnapshotStarted(SnapshotId(3)));
        bench.said();
        bench.input(Input::SnapshotFailed(SnapshotId(3)));
        assert_eq!(bench.said(), ["close 2 SnapshotFailed"]);
    }

    #[test]
    fn a_snapshot_nobody_waits_for_is_cancelled() {
        let mut bench = Bench::primary(config(true, 0));
        bench.attach(1);
        bench.said();
        bench.input(Input::ClientGone(ReplicaId(1)));
        assert_eq!(bench.said(), ["cancel 1"]);
        bench.attach(2);
        bench.attach(3);
        bench.input(Input::SnapshotStarted(SnapshotId(2)));
        bench.said();
        // Replica 2 is stuck. 3 was not among those asked for, and comes next.
        bench.wait(59_000);
        bench.input(Input::SnapshotProgress(ReplicaId(2)));
        bench.wait(59_000);
        bench.said();
        bench.wait(3000);
        let said = bench.said();
        assert!(said.contains(&"close 2 TransferTimeout".into()) && said.contains(&"cancel 2".into()));
        assert!(said.contains(&"snapshot 3 socket [3]".into()));
        // Late news of the old one changes nothing.
        bench.input(Input::SnapshotDone { snapshot: SnapshotId(2), len: 0 });
        bench.input(Input::SnapshotStarted(SnapshotId(2)));
        assert_eq!(bench.said(), Vec::<String>::new());
    }
}
