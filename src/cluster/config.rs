//! The directives that steer the engine, with their defaults, and the periods that follow from them.

/// What clients are told to connect to (`cluster-preferred-endpoint-type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EndpointType {
    #[default]
    Ip,
    Hostname,
    /// "The host you already use": an empty (SHARDS) or null (SLOTS) endpoint.
    Unknown,
}

/// Engine configuration. Everything may change at run time through `Engine::set_config`; what a stock
/// server fixes at start (ports, TLS) is the caller's to keep fixed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `cluster-node-timeout`, called T below.
    pub node_timeout_ms: i64,
    /// `cluster-replica-validity-factor`; 0: data is never too old.
    pub replica_validity_factor: i64,
    /// `cluster-replica-no-failover`
    pub replica_no_failover: bool,
    /// `cluster-migration-barrier`
    pub migration_barrier: usize,
    /// `cluster-allow-replica-migration`
    pub allow_replica_migration: bool,
    /// `cluster-require-full-coverage`
    pub require_full_coverage: bool,
    /// `cluster-allow-reads-when-down`
    pub allow_reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`
    pub allow_pubsubshard_when_down: bool,
    /// `cluster-link-sendbuf-limit` in bytes; 0: no limit.
    pub link_sendbuf_limit: u64,
    /// `cluster-manual-failover-timeout`
    pub manual_failover_timeout_ms: i64,
    /// `cluster-blacklist-ttl`
    pub blacklist_ttl_s: i64,
    /// `cluster-message-gossip-perc`
    pub gossip_percent: usize,
    /// `cluster-ping-interval`; 0: T/2.
    pub ping_interval_ms: i64,
    /// `cluster-preferred-endpoint-type`
    pub preferred_endpoint: EndpointType,
    /// `repl-ping-replica-period`, part of the bound on a candidate's data age.
    pub repl_ping_period_s: i64,
    /// `tls-cluster`: the bus speaks TLS, and the TLS port leads in packets.
    pub tls_cluster: bool,
    /// The client port for plain TCP; 0: none.
    pub port: u16,
    /// The client port for TLS; 0: none.
    pub tls_port: u16,
    /// `cluster-port`, the bus port; 0: client port + 10000.
    pub cluster_port: u16,
    /// `cluster-announce-ip`; empty: found out from MEET.
    pub announce_ip: String,
    /// `cluster-announce-port`; 0: `port`.
    pub announce_port: u16,
    /// `cluster-announce-tls-port`; 0: `tls_port`.
    pub announce_tls_port: u16,
    /// `cluster-announce-bus-port`; 0: the bus port.
    pub announce_bus_port: u16,
    /// `cluster-announce-hostname`
    pub announce_hostname: String,
    /// `cluster-announce-human-nodename`
    pub announce_nodename: String,
    /// `cluster-announce-client-ipv4`
    pub announce_client_ipv4: String,
    /// `cluster-announce-client-ipv6`
    pub announce_client_ipv6: String,
    /// `cluster-announce-client-port`
    pub announce_client_port: u16,
    /// `cluster-announce-client-tls-port`
    pub announce_client_tls_port: u16,
    /// `availability-zone`
    pub availability_zone: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            node_timeout_ms: 15_000,
            replica_validity_factor: 10,
            replica_no_failover: false,
            migration_barrier: 1,
            allow_replica_migration: true,
            require_full_coverage: true,
            allow_reads_when_down: false,
            allow_pubsubshard_when_down: true,
            link_sendbuf_limit: 0,
            manual_failover_timeout_ms: 5_000,
            blacklist_ttl_s: 60,
            gossip_percent: 10,
            ping_interval_ms: 0,
            preferred_endpoint: EndpointType::Ip,
            repl_ping_period_s: 10,
            tls_cluster: false,
            port: 6379,
            tls_port: 0,
            cluster_port: 0,
            announce_ip: String::new(),
            announce_port: 0,
            announce_tls_port: 0,
            announce_bus_port: 0,
            announce_hostname: String::new(),
            announce_nodename: String::new(),
            announce_client_ipv4: String::new(),
            announce_client_ipv6: String::new(),
            announce_client_port: 0,
            announce_client_tls_port: 0,
            availability_zone: String::new(),
        }
    }
}

impl Config {
    /// The port the bus listens on.
    #[must_use]
    pub fn bus_port(&self) -> u16 {
        let client = if self.tls_cluster { self.tls_port } else { self.port };
        if self.cluster_port != 0 { self.cluster_port } else { client.saturating_add(10_000) }
    }

    /// The bus port others are told.
    #[must_use]
    pub fn announced_bus_port(&self) -> u16 {
        if self.announce_bus_port != 0 { self.announce_bus_port } else { self.bus_port() }
    }

    #[must_use]
    pub fn announced_tcp_port(&self) -> u16 {
        if self.announce_port != 0 { self.announce_port } else { self.port }
    }

    #[must_use]
    pub fn announced_tls_port(&self) -> u16 {
        if self.announce_tls_port != 0 { self.announce_tls_port } else { self.tls_port }
    }

    /// How long a handshake may take.
    pub(super) fn handshake_timeout_ms(&self) -> i64 {
        self.node_timeout_ms.max(1000)
    }

    /// The age of the last PONG at which a node is pinged again.
    pub(super) fn ping_interval_ms(&self) -> i64 {
        if self.ping_interval_ms > 0 { self.ping_interval_ms } else { self.node_timeout_ms / 2 }
    }

    /// The unit of an election's delays.
    pub(super) fn election_delay_ms(&self) -> i64 {
        (self.node_timeout_ms / 30).clamp(1, 500)
    }

    /// How long a candidate waits for votes.
    pub(super) fn auth_timeout_ms(&self) -> i64 {
        (self.node_timeout_ms * 2).max(2000)
    }

    /// How long after an election was scheduled the next one may be.
    pub(super) fn auth_retry_ms(&self) -> i64 {
        self.auth_timeout_ms() * 2
    }

    /// How long a primary that has been with a minority stays closed after it sees the majority again.
    pub(super) fn rejoin_delay_ms(&self) -> i64 {
        self.node_timeout_ms.clamp(500, 5000)
    }
}
