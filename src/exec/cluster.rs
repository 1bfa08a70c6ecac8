//! Between the engine of the cluster bus and the rest of the server: facts in, outputs carried out.

use super::effect::{Effect, LogLevel};
use super::server::Server;
use super::slot_migration::why;
use crate::base::{Millis, Slot};
use crate::cluster::{self, Clock, DataAge, Input, LinkId, LocalFacts, Output, SlotKeys, packet};
use crate::config::{self, Config};
use crate::keyspace::Keyspace;
use crate::repl::Endpoint;

impl SlotKeys for Keyspace {
    fn count(&self, slot: Slot) -> usize {
        (0..self.databases()).map(|db| self.slot_len(db, slot)).sum()
    }

    fn is_empty(&self) -> bool {
        Keyspace::is_empty(self)
    }
}

impl Server {
    /// Both clocks, as the engine wants them.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock { wall: self.now, mono: self.mono() }
    }

    /// Tells the engine something from the bus and carries out what it answers. `now` is wall time.
    pub fn bus_input(&mut self, now: Millis, input: Input<'_>) {
        self.now = now;
        // An answer says how far this node is now: a replica that is to take over must not stop before the last write.
        if matches!(input, Input::Packet { .. }) {
            self.tell_facts();
        }
        let clock = self.clock();
        if let Some(engine) = &mut self.cluster {
            engine.handle(clock, input);
            self.drain_cluster();
        }
    }

    /// Takes part in a cluster.
    pub fn join(&mut self, engine: cluster::Engine) {
        self.repl_input(crate::repl::Input::Reconfigure(Box::new(Server::repl_config(
            &self.config,
            Some(engine.my_id()),
        ))));
        self.cluster = Some(Box::new(engine));
        self.switch_slot_stats();
        self.drain_cluster();
    }

    /// The dataset is loaded: links may be opened. `saved` is the replication history that an RDB file told.
    pub fn booted(&mut self, saved: Option<crate::repl::SavedHistory>) {
        // A file that tells a history and has no key at all may be that of a primary which has none.
        if (saved.is_none() || !self.keyspace.is_empty()) && self.has_nothing_of_primary() {
            self.repl.disown_data();
        }
        self.repl_input(crate::repl::Input::Booted { saved });
        self.tell_what_lapsed();
        let clock = self.clock();
        if let Some(engine) = &mut self.cluster {
            engine.verify_keys(clock, &self.keyspace);
            self.drain_cluster();
            self.imports_restarted();
        }
    }

    /// Whether nothing that was read can be the data of the primary that is followed: a replica which was stopped before it
    /// had them, or which saves nothing. As a primary it would take the place of all there is.
    pub(super) fn has_nothing_of_primary(&self) -> bool {
        let Some(engine) = self.cluster.as_deref().filter(|engine| !engine.am_primary()) else { return false };
        let primary = engine.shard_primary();
        !Slot::all().any(|slot| engine.slot_owner(slot) == Some(primary) && self.keyspace.count(slot) > 0)
    }

    /// Ten times a second: the engine's own time, with the facts it needs.
    pub fn bus_tick(&mut self, now: Millis) {
        self.now = now;
        if self.cluster.is_some() {
            self.tell_facts();
            self.bus_input(now, Input::Tick);
            self.tick_migrations();
            self.wake_replicas();
        }
    }

    /// Whether a link of the bus belongs to a known node.
    #[must_use]
    pub fn knows_link(&self, link: LinkId) -> bool {
        self.cluster.as_ref().is_some_and(|engine| engine.knows_link(link))
    }

    /// What the engine has to know of replication.
    pub fn tell_facts(&mut self) {
        let clock = self.clock();
        let data = match self.repl.data_age_ms(clock.mono) {
            _ if self.repl.is_data_foreign() => DataAge::Foreign,
            None => DataAge::Never,
            Some(age) if self.repl.is_link_up() => DataAge::LinkedSince { last_io: clock.mono - age },
            Some(age) => DataAge::DownSince(clock.mono - age),
        };
        // An offset in another history says nothing about who of the replicas is ahead.
        let repl_offset = if data == DataAge::Foreign { 0 } else { self.repl.offset() };
        let facts = LocalFacts { repl_offset, data };
        if let Some(engine) = &mut self.cluster {
            engine.handle(clock, Input::Facts(facts));
            self.drain_cluster();
        }
    }

    /// A batch of commands has ended: what they have changed in the cluster together is saved and told.
    pub fn finish_cluster(&mut self) {
        let clock = self.clock();
        if let Some(engine) = self.cluster.as_mut().filter(|engine| engine.is_unfinished()) {
            engine.finish(clock);
            self.drain_cluster();
        }
    }

    /// Carries out what the engine asks for, in order.
    pub fn drain_cluster(&mut self) {
        let Some(engine) = &mut self.cluster else { return };
        let outputs: Vec<Output> = engine.outputs().collect();
        let moved = |output: &Output| matches!(output, Output::SlotsChanged | Output::Promote | Output::Follow(_));
        let slots_moved = outputs.iter().any(moved);
        for output in outputs {
            match output {
                Output::Promote => {
                    self.promote();
                }
                Output::Follow(target) => {
                    self.follow(Endpoint { host: target.ip, port: target.port }, target.try_partial);
                }
                Output::PauseWrites { until } => {
                    self.pause.failover = Some(until);
                    self.settle_expiry();
                }
                Output::Unpause => {
                    self.pause.failover = None;
                    self.settle_expiry();
                    self.retry_parked();
                }
                Output::SlotsChanged => {
                    self.forget_lost_slot_stats();
                    self.leave_lost_shard_channels();
                    self.retry_parked();
                    self.redirect_blocked();
                }
                Output::StateChanged { .. } => {
                    self.retry_parked();
                    self.redirect_blocked();
                }
                Output::DeleteSlotKeys(slots) => self.sweep_slots(slots),
                Output::PublishLocal { channel, message, sharded: false } => {
                    self.publish_here(&channel, &message);
                }
                Output::PublishLocal { channel, message, sharded: true } => {
                    self.publish_shard_here(&channel, &message);
                }
                Output::FlushAll => {
                    self.migrations_replaced(why::FLUSHED);
                    let old = self.keyspace.flush(None);
                    self.free_tables(old, true);
                    self.invalidate_everything(None);
                }
                Output::Log { level, text } => self.log(log_level(level), text),
                bus @ (Output::SaveConfig { .. }
                | Output::Connect { .. }
                | Output::Send { .. }
                | Output::Close { .. }) => self.outbox.push(Effect::Bus(bus)),
            }
        }
        if slots_moved {
            self.tell_migrations_of_owners();
        }
    }

    /// The directives that the engine obeys, as it wants them.
    #[must_use]
    pub fn cluster_config(config: &Config) -> cluster::Config {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        cluster::Config {
            node_timeout_ms: config.cluster_node_timeout_ms,
            replica_validity_factor: i64::from(config.cluster_replica_validity_factor),
            replica_no_failover: config.cluster_replica_no_failover,
            migration_barrier: config.cluster_migration_barrier as usize,
            allow_replica_migration: config.cluster_allow_replica_migration,
            require_full_coverage: config.cluster_require_full_coverage,
            allow_reads_when_down: config.cluster_allow_reads_when_down,
            allow_pubsubshard_when_down: config.cluster_allow_pubsubshard_when_down,
            link_sendbuf_limit: config.cluster_link_sendbuf_limit,
            manual_failover_timeout_ms: config.cluster_manual_failover_timeout_ms,
            blacklist_ttl_s: config.cluster_blacklist_ttl_secs,
            gossip_percent: config.cluster_message_gossip_perc as usize,
            ping_interval_ms: config.cluster_ping_interval_ms,
            preferred_endpoint: match config.cluster_preferred_endpoint_type {
                config::EndpointType::Ip => cluster::EndpointType::Ip,
                config::EndpointType::Hostname => cluster::EndpointType::Hostname,
                config::EndpointType::Unknown => cluster::EndpointType::Unknown,
            },
            repl_ping_period_s: config.repl_ping_replica_period_secs,
            port: config.port,
            cluster_port: config.cluster_port,
            // Anything may be configured, as in Redis; what cannot be an address would damage nodes.conf.
            announce_ip: Some(text(&config.cluster_announce_ip)).filter(|ip| is_address(ip)).unwrap_or_default(),
            announce_port: config.cluster_announce_port,
            announce_tls_port: config.cluster_announce_tls_port,
            announce_bus_port: config.cluster_announce_bus_port,
            announce_hostname: text(&config.cluster_announce_hostname),
            announce_nodename: text(&config.cluster_announce_human_nodename),
            announce_client_ipv4: text(&config.cluster_announce_client_ipv4),
            announce_client_ipv6: text(&config.cluster_announce_client_ipv6),
            announce_client_port: config.cluster_announce_client_port,
            announce_client_tls_port: config.cluster_announce_client_tls_port,
            availability_zone: text(&config.availability_zone),
            ..cluster::Config::default()
        }
    }
}

/// An IP address or a host name, short enough for a packet.
fn is_address(text: &str) -> bool {
    text.len() < packet::IP_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_%".contains(&b))
}

fn log_level(level: cluster::LogLevel) -> LogLevel {
    match level {
        cluster::LogLevel::Debug => LogLevel::Debug,
        cluster::LogLevel::Verbose => LogLevel::Verbose,
        cluster::LogLevel::Notice => LogLevel::Notice,
        cluster::LogLevel::Warning => LogLevel::Warning,
    }
}
