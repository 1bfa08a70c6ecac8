//! The one table of directives.
//!
//! It holds every directive of Redis 7.0 and Valkey 9.1 with its default; where the two differ the newer one
//! wins. The canonical name is one that Redis 7.0 knows wherever there is one, so that a rewritten file can be
//! read by it. Ranges and the order of enumerations follow Redis, because refusals show them.

use super::choice::{
    AclPubsubDefault, AppendFsync, ClusterAuth, ConfigSaveBehavior, DisklessLoad, EndpointType, EvictionPolicy, Guard,
    LogFormat, LogLevel, LogTimestamp, OomScoreAdj, PropagationError, RdbVersionCheck, SanitizePayload, Supervised,
    SyslogFacility, TlsAuthClients, TlsAuthUser,
};
use super::directive::{Directive, Flags, directives};
use super::kind::{Kind, Octal, YesNo, int, memory, one_of, text, text_where};
use super::lines::ExtraLines;
use super::special::{
    ClientsMemory, MemoryOrNoLimit, MemoryOrPercent, Notify, OomScores, OutputLimits, OutputLimitsKind, Percentiles,
    PrimaryAddr, ReplicaOf, SavePoint, SavePoints, Shutdown, ShutdownFlags, Words, check_announced,
    check_appenddirname, check_appendfilename, check_auth_keys, check_dbfilename, check_hostname, check_ipv4,
    check_ipv6,
};
use super::title::check_template;
use crate::data::Limits;
use crate::keyspace::EventClass;

const I32: i64 = i32::MAX as i64;
const I64: i64 = i64::MAX;
/// The largest size that fits a signed number.
const SIZE: u64 = i64::MAX as u64;

const BIND: Words = Words { max: 16, too_many: "Too many bind addresses specified." };

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

directives! {
    // The process.
    "daemonize" => daemonize: bool = false, YesNo, IMMUTABLE;
    "supervised" => supervised: Supervised = Supervised::No, one_of(), IMMUTABLE;
    "pidfile" => pidfile: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "dir" => dir: Vec<u8> = bytes("."), text(), PROTECTED, NOT_LOADING;
    "set-proc-title" => set_proc_title: bool = true, YesNo, IMMUTABLE;
    "proc-title-template" => proc_title_template: Vec<u8> = bytes("{title} {listen-addr} {server-mode}"),
        text_where(check_template);
    "databases" => databases: usize = 16, int(1, I32), IMMUTABLE;
    "hz" => hz: u32 = 10, int(0, I32).clamped(1, 500);
    "dynamic-hz" => dynamic_hz: bool = true, YesNo;
    "io-threads" => io_threads: usize = 1, int(1, 128), IMMUTABLE;
    // I/O threads always read.
    "io-threads-do-reads" => io_threads_do_reads: bool = false, YesNo, IMMUTABLE, MOOT;
    "prefetch-batch-max-size" => prefetch_batch_max_size: u32 = 16, int(0, 128);
    "always-show-logo" => always_show_logo: bool = false, YesNo, IMMUTABLE;
    // The one warning that it can silence is of a fork, and nothing forks here.
    "ignore-warnings" => ignore_warnings: Vec<u8> = Vec::new(), text(), MOOT;
    "disable-thp" => disable_thp: bool = true, YesNo, IMMUTABLE;
    "locale-collate" => locale_collate: Vec<u8> = Vec::new(), text();
    "hash-seed" => hash_seed: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    // The server always answers as Redis does.
    "extended-redis-compatibility" => extended_redis_compatibility: bool = false, YesNo, MOOT;
    "availability-zone" => availability_zone: Vec<u8> = Vec::new(), text_where(check_announced);
    "shutdown-timeout" => shutdown_timeout_secs: i64 = 10, int(0, I32);
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownFlags = ShutdownFlags::empty(), Shutdown, MULTI;
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::empty(), Shutdown, MULTI;
    "crash-log-enabled" => crash_log_enabled: bool = true, YesNo;
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, YesNo, NOT_YET;
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, one_of();
    "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800], OomScores, MULTI;
    "server_cpulist" / "server-cpulist" => server_cpulist: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "bio_cpulist" / "bio-cpulist" => bio_cpulist: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "aof_rewrite_cpulist" / "aof-rewrite-cpulist" => aof_rewrite_cpulist: Vec<u8> = Vec::new(), text(), IMMUTABLE,
        NOT_YET;
    "bgsave_cpulist" / "bgsave-cpulist" => bgsave_cpulist: Vec<u8> = Vec::new(), text(), IMMUTABLE, NOT_YET;
    "enable-protected-configs" => enable_protected_configs: Guard = Guard::No, one_of(), IMMUTABLE;
    "enable-debug-command" => enable_debug_command: Guard = Guard::No, one_of(), IMMUTABLE;
    "enable-module-command" => enable_module_command: Guard = Guard::No, one_of(), IMMUTABLE, NOT_YET;

    // Listening.
    "bind" => bind: Vec<String> = words("* -::*"), BIND, MULTI;
    "port" => port: u16 = 6379, int(0, 65535);
    "tcp-backlog" => tcp_backlog: i32 = 511, int(0, I32), IMMUTABLE;
    "tcp-keepalive" => tcp_keepalive_secs: u32 = 300, int(0, I32);
    "socket-mark-id" => socket_mark_id: u32 = 0, int(0, u32::MAX as i64), IMMUTABLE;
    "mptcp" => mptcp: bool = false, YesNo, IMMUTABLE;
    "unixsocket" => unixsocket: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "unixsocketperm" => unixsocketperm: u32 = 0, Octal, IMMUTABLE;
    "unixsocketgroup" => unixsocketgroup: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "bind-source-addr" => bind_source_addr: Vec<u8> = Vec::new(), text();
    "protected-mode" => protected_mode: bool = true, YesNo;
    "max-new-connections-per-cycle" => max_new_connections_per_cycle: u32 = 10, int(1, 1000);
    "max-new-tls-connections-per-cycle" => max_new_tls_connections_per_cycle: u32 = 1, int(1, 1000), NOT_YET;

    // Clients.
    "requirepass" => requirepass: Vec<u8> = Vec::new(), text(), SENSITIVE;
    "maxclients" => maxclients: usize = 10_000, int(1, u32::MAX as i64);
    "timeout" => timeout_secs: i64 = 0, int(0, I32);
    "client-query-buffer-limit" => client_query_buffer_limit: usize = 1 << 30, memory(1 << 20, SIZE);
    "proto-max-bulk-len" => proto_max_bulk_len: usize = 512 << 20, memory(1 << 20, SIZE);
    "client-output-buffer-limit" => client_output_buffer_limit: OutputLimits = OutputLimits::default(),
        OutputLimitsKind, MULTI;
    "maxmemory-clients" => maxmemory_clients: ClientsMemory = ClientsMemory::Bytes(0), MemoryOrPercent;
    "tracking-table-max-keys" => tracking_table_max_keys: usize = 1_000_000, int(0, I64);
    "notify-keyspace-events" => notify_keyspace_events: EventClass = EventClass::empty(), Notify;
    "busy-reply-threshold" / "lua-time-limit" => busy_reply_threshold_ms: i64 = 5000, int(0, I64), NOT_YET;
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels, one_of(),
        NOT_YET;
    "aclfile" => aclfile: Vec<u8> = Vec::new(), text(), IMMUTABLE, NOT_YET;
    "acllog-max-len" => acllog_max_len: usize = 128, int(0, I64), NOT_YET;

    // The log and the statistics.
    "loglevel" => loglevel: LogLevel = LogLevel::Notice, one_of();
    "logfile" => logfile: Vec<u8> = Vec::new(), text(), IMMUTABLE;
    "log-format" => log_format: LogFormat = LogFormat::Legacy, one_of();
    "log-timestamp-format" => log_timestamp_format: LogTimestamp = LogTimestamp::Legacy, one_of();
    "hide-user-data-from-log" => hide_user_data_from_log: bool = true, YesNo, NOT_YET;
    "syslog-enabled" => syslog_enabled: bool = false, YesNo, IMMUTABLE;
    "syslog-ident" => syslog_ident: Vec<u8> = bytes("redis"), text(), IMMUTABLE;
    "syslog-facility" => syslog_facility: SyslogFacility = SyslogFacility::Local0, one_of(), IMMUTABLE;
    "slowlog-log-slower-than" / "commandlog-execution-slower-than" => slowlog_log_slower_than_us: i64 = 10_000,
        int(-1, I64);
    "slowlog-max-len" / "commandlog-slow-execution-max-len" => slowlog_max_len: usize = 128, int(0, I64);
    "commandlog-request-larger-than" => commandlog_request_larger_than: i64 = 1 << 20, int(-1, I64);
    "commandlog-large-request-max-len" => commandlog_large_request_max_len: usize = 128, int(0, I64);
    "commandlog-reply-larger-than" => commandlog_reply_larger_than: i64 = 1 << 20, int(-1, I64);
    "commandlog-large-reply-max-len" => commandlog_large_reply_max_len: usize = 128, int(0, I64);
    "latency-monitor-threshold" => latency_monitor_threshold_ms: i64 = 0, int(0, I64);
    "latency-tracking" => latency_tracking: bool = true, YesNo;
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],
        Percentiles, MULTI;

    // Memory, eviction and expiry.
    "maxmemory" => maxmemory: u64 = 0, memory(0, u64::MAX);
    "maxmemory-policy" => maxmemory_policy: EvictionPolicy = EvictionPolicy::NoEviction, one_of();
    "maxmemory-samples" => maxmemory_samples: usize = 5, int(1, I32);
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: u32 = 10, int(0, 100);
    "lfu-log-factor" => lfu_log_factor: u32 = 10, int(0, I32);
    "lfu-decay-time" => lfu_decay_time_mins: u32 = 1, int(0, I32);
    "active-expire-effort" => active_expire_effort: u32 = 1, int(1, 10);
    "activerehashing" => activerehashing: bool = true, YesNo;
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = true, YesNo;
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = true, YesNo;
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = true, YesNo;
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = true, YesNo;
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = true, YesNo;
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, YesNo;
    "activedefrag" => activedefrag: bool = false, YesNo, NOT_YET;
    "active-defrag-cycle-min" => active_defrag_cycle_min: u32 = 1, int(1, 99), NOT_YET;
    "active-defrag-cycle-max" => active_defrag_cycle_max: u32 = 25, int(1, 99), NOT_YET;
    "active-defrag-cycle-us" => active_defrag_cycle_us: u32 = 500, int(0, 100_000), NOT_YET;
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: u32 = 10, int(0, 1000), NOT_YET;
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: u32 = 100, int(0, 1000), NOT_YET;
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 << 20, memory(1, SIZE), NOT_YET;
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: usize = 1000, int(1, I64), NOT_YET;
    "import-mode" => import_mode: bool = false, YesNo;
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: usize = 3000, memory(0, SIZE);
    "stream-node-max-bytes" => stream_node_max_bytes: usize = 4096, memory(0, SIZE);
    "stream-node-max-entries" => stream_node_max_entries: usize = 100, int(0, I64);

    // Snapshots.
    "save" => save: Vec<SavePoint> = [(3600, 1), (300, 100), (60, 10_000)]
        .map(|(secs, changes)| SavePoint { secs, changes }).to_vec(), SavePoints, MULTI;
    "dbfilename" => dbfilename: Vec<u8> = bytes("dump.rdb"), text_where(check_dbfilename), PROTECTED;
    "rdbcompression" => rdbcompression: bool = true, YesNo;
    "rdbchecksum" => rdbchecksum: bool = true, YesNo, IMMUTABLE;
    "rdb-version-check" => rdb_version_check: RdbVersionCheck = RdbVersionCheck::Strict, one_of();
    "rdb-key-save-delay" => rdb_key_save_delay_usec: i64 = 0, int(-I32 - 1, I32), HIDDEN;
    "key-load-delay" => key_load_delay_usec: i64 = 0, int(-I32 - 1, I32), HIDDEN;
    // While a file is read clients are served by the clock, however many bytes that are.
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: i64 = 2 << 20, int(1024, I32),
        HIDDEN, MOOT;
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, YesNo;
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, YesNo;
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, YesNo;
    // Payloads and files are always checked in full.
    "sanitize-dump-payload" => sanitize_dump_payload: SanitizePayload = SanitizePayload::No, one_of(), MOOT;

    // The append-only file.
    "appendonly" => appendonly: bool = false, YesNo, NOT_LOADING;
    "appendfilename" => appendfilename: Vec<u8> = bytes("appendonly.aof"), text_where(check_appendfilename), IMMUTABLE;
    "appenddirname" => appenddirname: Vec<u8> = bytes("appendonlydir"), text_where(check_appenddirname), IMMUTABLE;
    "appendfsync" => appendfsync: AppendFsync = AppendFsync::EverySecond, one_of();
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, YesNo;
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: u32 = 100, int(0, I32);
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20, memory(0, SIZE);
    "aof-load-truncated" => aof_load_truncated: bool = true, YesNo;
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, YesNo;
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, YesNo;
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, YesNo;
    "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, YesNo;

    // Replication.
    "replicaof" / "slaveof" => replicaof: Option<PrimaryAddr> = None, ReplicaOf, IMMUTABLE, MULTI;
    "masteruser" / "primaryuser" => masteruser: Vec<u8> = Vec::new(), text(), SENSITIVE;
    "masterauth" / "primaryauth" => masterauth: Vec<u8> = Vec::new(), text(), SENSITIVE;
    "replica-priority" / "slave-priority" => replica_priority: u32 = 100, int(0, I32);
    "replica-announced" => replica_announced: bool = true, YesNo;
    "replica-announce-ip" / "slave-announce-ip" => replica_announce_ip: Vec<u8> = Vec::new(), text();
    "replica-announce-port" / "slave-announce-port" => replica_announce_port: u16 = 0, int(0, 65535);
    "replica-read-only" / "slave-read-only" => replica_read_only: bool = true, YesNo;
    "replica-serve-stale-data" / "slave-serve-stale-data" => replica_serve_stale_data: bool = true, YesNo;
    "replica-ignore-maxmemory" / "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true, YesNo;
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, YesNo;
    "replica-lazy-flush" / "slave-lazy-flush" => replica_lazy_flush: bool = true, YesNo;
    "repl-timeout" => repl_timeout_secs: i64 = 60, int(1, I32);
    "repl-ping-replica-period" / "repl-ping-slave-period" => repl_ping_replica_period_secs: i64 = 10, int(1, I32);
    "repl-backlog-size" => repl_backlog_size: usize = 10 << 20, memory(1, SIZE).at_least(16 << 10);
    "repl-backlog-ttl" => repl_backlog_ttl_secs: i64 = 3600, int(0, I64);
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, YesNo;
    "repl-mptcp" => repl_mptcp: bool = false, YesNo, NOT_YET;
    "repl-diskless-load" => repl_diskless_load: DisklessLoad = DisklessLoad::Disabled, one_of(),
        NOT_LOADING;
    "repl-diskless-sync" => repl_diskless_sync: bool = true, YesNo;
    "repl-diskless-sync-delay" => repl_diskless_sync_delay_secs: i64 = 5, int(0, I32);
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: usize = 0, int(0, I32);
    "dual-channel-replication-enabled" => dual_channel_replication_enabled: bool = false, YesNo;
    "min-replicas-to-write" / "min-slaves-to-write" => min_replicas_to_write: usize = 0, int(0, I32);
    "min-replicas-max-lag" / "min-slaves-max-lag" => min_replicas_max_lag_secs: i64 = 10, int(0, I32);
    "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore, one_of(),
        NOT_YET;

    // The cluster.
    "cluster-auth-key" => cluster_auth_key: Vec<u8> = Vec::new(), text_where(check_auth_keys), SENSITIVE;
    "cluster-auth-mode" => cluster_auth_mode: ClusterAuth = ClusterAuth::Off, one_of();
    "cluster-enabled" => cluster_enabled: bool = false, YesNo, IMMUTABLE;
    "cluster-config-file" => cluster_config_file: Vec<u8> = bytes("nodes.conf"), text(), IMMUTABLE;
    "cluster-config-save-behavior" => cluster_config_save_behavior: ConfigSaveBehavior = ConfigSaveBehavior::Sync,
        one_of();
    "cluster-node-timeout" => cluster_node_timeout_ms: i64 = 15_000, int(0, I64);
    "cluster-port" => cluster_port: u16 = 0, int(0, 65535), IMMUTABLE;
    "cluster-databases" => cluster_databases: usize = 1, int(1, I32), IMMUTABLE;
    "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, YesNo;
    "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, YesNo;
    "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, YesNo;
    "cluster-replica-validity-factor" / "cluster-slave-validity-factor" => cluster_replica_validity_factor: u32 = 10,
        int(0, I32);
    "cluster-replica-no-failover" / "cluster-slave-no-failover" => cluster_replica_no_failover: bool = false, YesNo;
    "cluster-migration-barrier" => cluster_migration_barrier: u32 = 1, int(0, I32);
    "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, YesNo;
    "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, memory(0, u64::MAX);
    "cluster-manual-failover-timeout" => cluster_manual_failover_timeout_ms: i64 = 5000, int(1, I32);
    "cluster-blacklist-ttl" => cluster_blacklist_ttl_secs: i64 = 60, int(0, I64);
    "cluster-message-gossip-perc" => cluster_message_gossip_perc: u32 = 10, int(0, 100), HIDDEN;
    "cluster-ping-interval" => cluster_ping_interval_ms: i64 = 0, int(0, I32), HIDDEN;
    "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: EndpointType = EndpointType::Ip, one_of();
    "cluster-announce-ip" => cluster_announce_ip: Vec<u8> = Vec::new(), text();
    "cluster-announce-hostname" => cluster_announce_hostname: Vec<u8> = Vec::new(), text_where(check_hostname);
    "cluster-announce-human-nodename" => cluster_announce_human_nodename: Vec<u8> = Vec::new(),
        text_where(check_hostname);
    "cluster-announce-port" => cluster_announce_port: u16 = 0, int(0, 65535);
    "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, int(0, 65535);
    "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, int(0, 65535);
    "cluster-announce-client-ipv4" => cluster_announce_client_ipv4: Vec<u8> = Vec::new(), text_where(check_ipv4);
    "cluster-announce-client-ipv6" => cluster_announce_client_ipv6: Vec<u8> = Vec::new(), text_where(check_ipv6);
    "cluster-announce-client-port" => cluster_announce_client_port: u16 = 0, int(0, 65535);
    "cluster-announce-client-tls-port" => cluster_announce_client_tls_port: u16 = 0, int(0, 65535);
    "cluster-slot-stats-enabled" => cluster_slot_stats_enabled: bool = false, YesNo;
    "cluster-slot-migration-log-max-len" => cluster_slot_migration_log_max_len: usize = 1000, int(0, I64);
    "slot-migration-max-failover-repl-bytes" => slot_migration_max_failover_repl_bytes: Option<u64> = Some(0),
        MemoryOrNoLimit;

    // TLS and RDMA.
    "tls-port" => tls_port: u16 = 0, int(0, 65535), NOT_YET;
    "tls-cluster" => tls_cluster: bool = false, YesNo, NOT_YET;
    "tls-replication" => tls_replication: bool = false, YesNo, NOT_YET;
    "tls-auth-clients" => tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, one_of(), NOT_YET;
    "tls-auth-clients-user" => tls_auth_clients_user: TlsAuthUser = TlsAuthUser::Off, one_of(), NOT_YET;
    "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, YesNo, NOT_YET;
    "tls-session-caching" => tls_session_caching: bool = true, YesNo, NOT_YET;
    "tls-session-cache-size" => tls_session_cache_size: u32 = 20 * 1024, int(0, I32), NOT_YET;
    "tls-session-cache-timeout" => tls_session_cache_timeout_secs: u32 = 300, int(0, I32), NOT_YET;
    "tls-auto-reload-interval" => tls_auto_reload_interval_secs: u32 = 0, int(0, I32), NOT_YET;
    "tls-cert-file" => tls_cert_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-key-file" => tls_key_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-key-file-pass" => tls_key_file_pass: Vec<u8> = Vec::new(), text(), NOT_YET, SENSITIVE;
    "tls-client-cert-file" => tls_client_cert_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-client-key-file" => tls_client_key_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-client-key-file-pass" => tls_client_key_file_pass: Vec<u8> = Vec::new(), text(), NOT_YET, SENSITIVE;
    "tls-dh-params-file" => tls_dh_params_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-ca-cert-file" => tls_ca_cert_file: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-ca-cert-dir" => tls_ca_cert_dir: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-protocols" => tls_protocols: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-ciphers" => tls_ciphers: Vec<u8> = Vec::new(), text(), NOT_YET;
    "tls-ciphersuites" => tls_ciphersuites: Vec<u8> = Vec::new(), text(), NOT_YET;
    "rdma-bind" => rdma_bind: Vec<String> = Vec::new(), BIND, IMMUTABLE, MULTI, NOT_YET;
    "rdma-port" => rdma_port: u16 = 0, int(0, 65535), IMMUTABLE, NOT_YET;
    "rdma-rx-size" => rdma_rx_size: u64 = 1 << 20, memory(64 << 10, 16 << 20), IMMUTABLE, NOT_YET;
    "rdma-completion-vector" => rdma_completion_vector: i32 = -1, int(-1, 1024), IMMUTABLE, NOT_YET;

    limits:
    "hash-max-listpack-entries" / "hash-max-ziplist-entries" => hash_max_listpack_entries, int(0, I64);
    "hash-max-listpack-value" / "hash-max-ziplist-value" => hash_max_listpack_value, memory(0, SIZE);
    "list-max-listpack-size" / "list-max-ziplist-size" => list_max_listpack_size, int(i32::MIN as i64, I32);
    "list-compress-depth" => list_compress_depth, int(0, I32);
    "set-max-intset-entries" => set_max_intset_entries, int(0, I64);
    "set-max-listpack-entries" => set_max_listpack_entries, int(0, I64);
    "set-max-listpack-value" => set_max_listpack_value, memory(0, SIZE);
    "zset-max-listpack-entries" / "zset-max-ziplist-entries" => zset_max_listpack_entries, int(0, I64);
    "zset-max-listpack-value" / "zset-max-ziplist-value" => zset_max_listpack_value, memory(0, SIZE);
}
