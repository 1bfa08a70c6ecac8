//! What INFO and ROLE tell about replication.

use std::fmt::Write;

use super::engine::Engine;
use super::failover::Failover;
use super::follower::{Follower, Phase};
use super::history::NO_ID;
use super::replica_set::ReplicaState;
use super::transfer::Framing;
use crate::base::Millis;

/// A replica in ROLE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleReplica {
    pub ip: String,
    pub port: u16,
    pub ack: u64,
}

/// ROLE, in the order of its reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoleView {
    /// `master`, the offset, and `[ip, port, ack]` of the online replicas, all as bulk strings.
    Primary { offset: u64, replicas: Vec<RoleReplica> },
    /// `slave`, host, port, state word, and the offset, or −1 before the first synchronisation.
    Replica { host: String, port: u16, state: &'static str, offset: i64 },
}

impl Engine {
    /// What ROLE answers.
    #[must_use]
    pub fn role_view(&self) -> RoleView {
        match &self.follower {
            None => RoleView::Primary {
                offset: self.offset(),
                replicas: self
                    .replicas()
                    .filter(|(_, r)| r.state == ReplicaState::Online)
                    .map(|(_, r)| RoleReplica { ip: r.ip().to_owned(), port: r.traits.listening_port, ack: r.ack })
                    .collect(),
            },
            Some(follower) => RoleView::Replica {
                host: follower.endpoint.host.clone(),
                port: follower.endpoint.port,
                state: follower.state_name(),
                offset: if follower.is_connected() { self.offset() as i64 } else { -1 },
            },
        }
    }

    /// The lines of INFO's replication section behind its title, each ended by `\r\n`.
    pub fn push_info(&self, out: &mut String, now: Millis) {
        // Writing to a string cannot fail.
        let _ = self.write_info(out, now);
    }

    fn write_info(&self, out: &mut String, now: Millis) -> std::fmt::Result {
        let flag = u8::from;
        match &self.follower {
            None => out.write_str("role:master\r\n")?,
            Some(follower) => {
                out.write_str("role:slave\r\n")?;
                self.write_following(out, follower, now)?;
                write!(out, "slave_priority:{}\r\n", self.config.replica_priority)?;
                write!(out, "slave_read_only:{}\r\n", flag(self.config.replica_read_only))?;
                write!(out, "replica_announced:{}\r\n", flag(self.config.replica_announced))?;
            }
        }
        write!(out, "connected_slaves:{}\r\n", self.primary.replicas.len())?;
        if self.config.min_replicas_to_write > 0 && self.config.min_replicas_max_lag_secs > 0 {
            let good = self.primary.good(now, self.config.min_replicas_max_lag_secs);
            write!(out, "min_slaves_good_slaves:{good}\r\n")?;
        }
        for (n, (_, replica)) in self.replicas().enumerate() {
            write!(
                out,
                "slave{n}:ip={},port={},state={},offset={},lag={},type={}\r\n",
                replica.ip(),
                replica.traits.listening_port,
                replica.state.name(),
                replica.ack,
                replica.lag_secs(now),
                replica.link_name(),
            )?;
        }
        let history = self.history();
        let waiting = self.replicas().filter(|(_, replica)| replica.pins).count();
        write!(out, "replicas_waiting_psync:{waiting}\r\n")?;
        write!(out, "master_failover_state:{}\r\n", Failover::name(self.failover.as_ref()))?;
        write!(out, "master_replid:{}\r\n", history.id)?;
        match &history.previous {
            Some(previous) => write!(out, "master_replid2:{}\r\n", previous.id)?,
            None => write!(out, "master_replid2:{NO_ID}\r\n")?,
        }
        write!(out, "master_repl_offset:{}\r\n", history.offset)?;
        match &history.previous {
            Some(previous) => write!(out, "second_repl_offset:{}\r\n", previous.until)?,
            None => out.write_str("second_repl_offset:-1\r\n")?,
        }
        let backlog = self.primary.stream.backlog.as_ref();
        write!(out, "repl_backlog_active:{}\r\n", flag(backlog.is_some()))?;
        let size = backlog.map_or(self.config.backlog_size_bytes, super::backlog::Backlog::size);
        write!(out, "repl_backlog_size:{size}\r\n")?;
        write!(out, "repl_backlog_first_byte_offset:{}\r\n", backlog.map_or(0, |b| b.start() + 1))?;
        write!(out, "repl_backlog_histlen:{}\r\n", backlog.map_or(0, super::backlog::Backlog::histlen))
    }

    fn write_following(&self, out: &mut String, follower: &Follower, now: Millis) -> std::fmt::Result {
        let up = follower.is_connected();
        let secs_since = |at: Millis| now.since(at) / 1000;
        write!(out, "master_host:{}\r\n", follower.endpoint.host)?;
        write!(out, "master_port:{}\r\n", follower.endpoint.port)?;
        write!(out, "master_link_status:{}\r\n", if up { "up" } else { "down" })?;
        let last_io = if up { secs_since(follower.last_io) } else { -1 };
        write!(out, "master_last_io_seconds_ago:{last_io}\r\n")?;
        write!(out, "master_sync_in_progress:{}\r\n", u8::from(self.is_syncing()))?;
        // Without a shared history there is nothing that an offset could be compared with.
        let applied = if follower.can_resume || up { self.offset() } else { 1 };
        write!(out, "slave_read_repl_offset:{}\r\n", applied + follower.unapplied)?;
        write!(out, "slave_repl_offset:{applied}\r\n")?;
        write!(out, "replicas_repl_buffer_size:{}\r\n", follower.held_bytes)?;
        write!(out, "replicas_repl_buffer_peak:{}\r\n", follower.held_peak)?;
        if let (Some(incoming), Phase::Transfer { .. } | Phase::Dual(_) | Phase::Loading { .. }) =
            (follower.incoming(), &follower.phase)
        {
            let total = match incoming.framing {
                Some(Framing::Length(len)) => len,
                _ => 0,
            };
            write!(out, "master_sync_total_bytes:{total}\r\n")?;
            write!(out, "master_sync_read_bytes:{}\r\n", incoming.read)?;
            write!(out, "master_sync_left_bytes:{}\r\n", total as i64 - incoming.read as i64)?;
            let percent = if total > 0 { incoming.read as f64 / total as f64 * 100.0 } else { 0.0 };
            write!(out, "master_sync_perc:{percent:.2}\r\n")?;
            write!(out, "master_sync_last_io_seconds_ago:{}\r\n", secs_since(follower.last_io))?;
        }
        if !up {
            let down = follower.down_since.map_or(-1, secs_since);
            write!(out, "master_link_down_since_seconds:{down}\r\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Rng;
    use crate::repl::bench::{Bench, upstream};
    use crate::repl::*;

    fn names(info: &str) -> Vec<&str> {
        info.lines().map(|line| line.split_once(':').expect("a name and a value").0).collect()
    }

    const COMMON: [&str; 10] = [
        "replicas_waiting_psync",
        "master_failover_state",
        "master_replid",
        "master_replid2",
        "master_repl_offset",
        "second_repl_offset",
        "repl_backlog_active",
        "repl_backlog_size",
        "repl_backlog_first_byte_offset",
        "repl_backlog_histlen",
    ];

    #[test]
    fn a_primary() {
        let mut bench = Bench::primary(Config { diskless_sync_delay_secs: 0, ..Config::default() });
        assert_eq!(names(&bench.info()), [&["role", "connected_slaves"][..], &COMMON].concat());
        bench.replconf(1, "ip-address 1.2.3.4");
        bench.attach_online(1);
        bench.wait(2000);
        let info = bench.info();
        assert!(
            info.starts_with("role:master\r\nconnected_slaves:1\r\nslave0:ip=1.2.3.4,port=7001,state=online,offset=")
        );
        assert!(info.contains(",lag=2,type=replica\r\n"));
        assert!(info.contains("\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_size:10485760\r\n"));
        let offset = bench.engine.offset();
        let replicas = vec![RoleReplica { ip: "1.2.3.4".into(), port: 7001, ack: offset }];
        assert_eq!(bench.engine.role_view(), RoleView::Primary { offset, replicas });
    }

    #[test]
    fn a_replica_before_within_and_after_its_synchronisation() {
        let id = ReplId::random(&mut Rng::seeded(1));
        let mut bench = Bench::boot(Config::default(), Some(upstream()), None);
        let following = [
            "role",
            "master_host",
            "master_port",
            "master_link_status",
            "master_last_io_seconds_ago",
            "master_sync_in_progress",
            "slave_read_repl_offset",
            "slave_repl_offset",
            "replicas_repl_buffer_size",
            "replicas_repl_buffer_peak",
        ];
        let own = ["slave_priority", "slave_read_only", "replica_announced", "connected_slaves"];
        let down = ["master_link_down_since_seconds"];
        assert_eq!(names(&bench.info()), [&following[..], &down, &own, &COMMON].concat());
        assert!(bench.info().contains("master_link_down_since_seconds:-1\r\n"));

        bench.handshake(1);
        bench.receive(1, &format!("+FULLRESYNC {id} 100\r\n$8\r\nR"));
        let transfer = [
            "master_sync_total_bytes",
            "master_sync_read_bytes",
            "master_sync_left_bytes",
            "master_sync_perc",
            "master_sync_last_io_seconds_ago",
        ];
        assert_eq!(names(&bench.info()), [&following[..], &transfer, &down, &own, &COMMON].concat());
        assert!(bench.info().contains("master_sync_left_bytes:7\r\nmaster_sync_perc:12.50\r\n"));

        bench.receive(1, "DBDBDBD");
        bench.input(Input::LoadDone { ok: true });
        bench.wait(3000);
        assert_eq!(names(&bench.info()), [&following[..], &own, &COMMON].concat());
        assert!(bench.info().contains("master_link_status:up\r\nmaster_last_io_seconds_ago:3\r\n"));
    }
}
