complete -c node -l check-rdb -d 'Check an RDB file, and end. A program called redis-check-rdb does that without the option' -r -F
complete -c node -l check-aof -d 'Check an append-only log, by its manifest or a single file of it, and end; cut off what is damaged, or later than a second since 1970. A program called redis-check-aof does that without the option' -r -F
complete -c node -l daemonize -d 'Default: no. At start only' -r
complete -c node -l supervised -d 'Default: no. At start only' -r
complete -c node -l pidfile -d 'Empty by default. At start only' -r
complete -c node -l dir -d 'Default: .' -r
complete -c node -l set-proc-title -d 'Default: yes. At start only' -r
complete -c node -l proc-title-template -d 'Default: {title} {listen-addr} {server-mode}' -r
complete -c node -l databases -d 'Default: 16. At start only' -r
complete -c node -l hz -d 'Default: 10' -r
complete -c node -l dynamic-hz -d 'Default: yes' -r
complete -c node -l io-threads -d 'Default: 1. At start only' -r
complete -c node -l io-threads-do-reads -d 'Default: no. At start only' -r
complete -c node -l prefetch-batch-max-size -d 'Default: 16' -r
complete -c node -l always-show-logo -d 'Default: no. At start only' -r
complete -c node -l ignore-warnings -d 'Empty by default' -r
complete -c node -l disable-thp -d 'Default: yes. At start only' -r
complete -c node -l locale-collate -d 'Empty by default' -r
complete -c node -l hash-seed -d 'Empty by default. At start only' -r
complete -c node -l extended-redis-compatibility -d 'Default: no' -r
complete -c node -l availability-zone -d 'Empty by default' -r
complete -c node -l shutdown-timeout -d 'Default: 10' -r
complete -c node -l shutdown-on-sigint -d 'Default: default' -r
complete -c node -l shutdown-on-sigterm -d 'Default: default' -r
complete -c node -l crash-log-enabled -d 'Default: yes' -r
complete -c node -l crash-memcheck-enabled -d 'Default: yes' -r
complete -c node -l oom-score-adj -d 'Default: no' -r
complete -c node -l oom-score-adj-values -d 'Default: 0 200 800' -r
complete -c node -l server_cpulist -l server-cpulist -d 'Empty by default. At start only' -r
complete -c node -l bio_cpulist -l bio-cpulist -d 'Empty by default. At start only' -r
complete -c node -l aof_rewrite_cpulist -l aof-rewrite-cpulist -d 'Empty by default. At start only' -r
complete -c node -l bgsave_cpulist -l bgsave-cpulist -d 'Empty by default. At start only' -r
complete -c node -l enable-protected-configs -d 'Default: no. At start only' -r
complete -c node -l enable-debug-command -d 'Default: no. At start only' -r
complete -c node -l enable-module-command -d 'Default: no. At start only' -r
complete -c node -l bind -d 'Default: * -::*' -r
complete -c node -l port -d 'Default: 6379' -r
complete -c node -l tcp-backlog -d 'Default: 511. At start only' -r
complete -c node -l tcp-keepalive -d 'Default: 300' -r
complete -c node -l socket-mark-id -d 'Default: 0. At start only' -r
complete -c node -l mptcp -d 'Default: no. At start only' -r
complete -c node -l unixsocket -d 'Empty by default. At start only' -r
complete -c node -l unixsocketperm -d 'Default: 0. At start only' -r
complete -c node -l unixsocketgroup -d 'Empty by default. At start only' -r
complete -c node -l bind-source-addr -d 'Empty by default' -r
complete -c node -l protected-mode -d 'Default: yes' -r
complete -c node -l max-new-connections-per-cycle -d 'Default: 10' -r
complete -c node -l max-new-tls-connections-per-cycle -d 'Default: 1' -r
complete -c node -l requirepass -d 'Empty by default' -r
complete -c node -l maxclients -d 'Default: 10000' -r
complete -c node -l timeout -d 'Default: 0' -r
complete -c node -l client-query-buffer-limit -d 'Default: 1073741824' -r
complete -c node -l proto-max-bulk-len -d 'Default: 536870912' -r
complete -c node -l client-output-buffer-limit -d 'Default: normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60' -r
complete -c node -l maxmemory-clients -d 'Default: 0' -r
complete -c node -l tracking-table-max-keys -d 'Default: 1000000' -r
complete -c node -l notify-keyspace-events -d 'Empty by default' -r
complete -c node -l busy-reply-threshold -l lua-time-limit -d 'Default: 5000' -r
complete -c node -l acl-pubsub-default -d 'Default: resetchannels' -r
complete -c node -l aclfile -d 'Empty by default. At start only' -r
complete -c node -l acllog-max-len -d 'Default: 128' -r
complete -c node -l loglevel -d 'Default: notice' -r
complete -c node -l logfile -d 'Empty by default. At start only' -r
complete -c node -l log-format -d 'Default: legacy' -r
complete -c node -l log-timestamp-format -d 'Default: legacy' -r
complete -c node -l hide-user-data-from-log -d 'Default: yes' -r
complete -c node -l syslog-enabled -d 'Default: no. At start only' -r
complete -c node -l syslog-ident -d 'Default: redis. At start only' -r
complete -c node -l syslog-facility -d 'Default: local0. At start only' -r
complete -c node -l slowlog-log-slower-than -l commandlog-execution-slower-than -d 'Default: 10000' -r
complete -c node -l slowlog-max-len -l commandlog-slow-execution-max-len -d 'Default: 128' -r
complete -c node -l commandlog-request-larger-than -d 'Default: 1048576' -r
complete -c node -l commandlog-large-request-max-len -d 'Default: 128' -r
complete -c node -l commandlog-reply-larger-than -d 'Default: 1048576' -r
complete -c node -l commandlog-large-reply-max-len -d 'Default: 128' -r
complete -c node -l latency-monitor-threshold -d 'Default: 0' -r
complete -c node -l latency-tracking -d 'Default: yes' -r
complete -c node -l latency-tracking-info-percentiles -d 'Default: 50 99 99.9' -r
complete -c node -l maxmemory -d 'Default: 0' -r
complete -c node -l maxmemory-policy -d 'Default: noeviction' -r
complete -c node -l maxmemory-samples -d 'Default: 5' -r
complete -c node -l maxmemory-eviction-tenacity -d 'Default: 10' -r
complete -c node -l lfu-log-factor -d 'Default: 10' -r
complete -c node -l lfu-decay-time -d 'Default: 1' -r
complete -c node -l active-expire-effort -d 'Default: 1' -r
complete -c node -l activerehashing -d 'Default: yes' -r
complete -c node -l lazyfree-lazy-eviction -d 'Default: yes' -r
complete -c node -l lazyfree-lazy-expire -d 'Default: yes' -r
complete -c node -l lazyfree-lazy-server-del -d 'Default: yes' -r
complete -c node -l lazyfree-lazy-user-del -d 'Default: yes' -r
complete -c node -l lazyfree-lazy-user-flush -d 'Default: yes' -r
complete -c node -l jemalloc-bg-thread -d 'Default: yes' -r
complete -c node -l activedefrag -d 'Default: no' -r
complete -c node -l active-defrag-cycle-min -d 'Default: 1' -r
complete -c node -l active-defrag-cycle-max -d 'Default: 25' -r
complete -c node -l active-defrag-cycle-us -d 'Default: 500' -r
complete -c node -l active-defrag-threshold-lower -d 'Default: 10' -r
complete -c node -l active-defrag-threshold-upper -d 'Default: 100' -r
complete -c node -l active-defrag-ignore-bytes -d 'Default: 104857600' -r
complete -c node -l active-defrag-max-scan-fields -d 'Default: 1000' -r
complete -c node -l import-mode -d 'Default: no' -r
complete -c node -l hll-sparse-max-bytes -d 'Default: 3000' -r
complete -c node -l stream-node-max-bytes -d 'Default: 4096' -r
complete -c node -l stream-node-max-entries -d 'Default: 100' -r
complete -c node -l save -d 'Default: 3600 1 300 100 60 10000' -r
complete -c node -l dbfilename -d 'Default: dump.rdb' -r
complete -c node -l rdbcompression -d 'Default: yes' -r
complete -c node -l rdbchecksum -d 'Default: yes. At start only' -r
complete -c node -l rdb-version-check -d 'Default: strict' -r
complete -c node -l rdb-key-save-delay -d 'Default: 0' -r
complete -c node -l key-load-delay -d 'Default: 0' -r
complete -c node -l loading-process-events-interval-bytes -d 'Default: 2097152' -r
complete -c node -l rdb-save-incremental-fsync -d 'Default: yes' -r
complete -c node -l rdb-del-sync-files -d 'Default: no' -r
complete -c node -l stop-writes-on-bgsave-error -d 'Default: yes' -r
complete -c node -l sanitize-dump-payload -d 'Default: no' -r
complete -c node -l appendonly -d 'Default: no' -r
complete -c node -l appendfilename -d 'Default: appendonly.aof. At start only' -r
complete -c node -l appenddirname -d 'Default: appendonlydir. At start only' -r
complete -c node -l appendfsync -d 'Default: everysec' -r
complete -c node -l no-appendfsync-on-rewrite -d 'Default: no' -r
complete -c node -l auto-aof-rewrite-percentage -d 'Default: 100' -r
complete -c node -l auto-aof-rewrite-min-size -d 'Default: 67108864' -r
complete -c node -l aof-load-truncated -d 'Default: yes' -r
complete -c node -l aof-use-rdb-preamble -d 'Default: yes' -r
complete -c node -l aof-timestamp-enabled -d 'Default: no' -r
complete -c node -l aof-rewrite-incremental-fsync -d 'Default: yes' -r
complete -c node -l aof-disable-auto-gc -d 'Default: no' -r
complete -c node -l replicaof -l slaveof -d 'Empty by default. At start only' -r
complete -c node -l masteruser -l primaryuser -d 'Empty by default' -r
complete -c node -l masterauth -l primaryauth -d 'Empty by default' -r
complete -c node -l replica-priority -l slave-priority -d 'Default: 100' -r
complete -c node -l replica-announced -d 'Default: yes' -r
complete -c node -l replica-announce-ip -l slave-announce-ip -d 'Empty by default' -r
complete -c node -l replica-announce-port -l slave-announce-port -d 'Default: 0' -r
complete -c node -l replica-read-only -l slave-read-only -d 'Default: yes' -r
complete -c node -l replica-serve-stale-data -l slave-serve-stale-data -d 'Default: yes' -r
complete -c node -l replica-ignore-maxmemory -l slave-ignore-maxmemory -d 'Default: yes' -r
complete -c node -l replica-ignore-disk-write-errors -d 'Default: no' -r
complete -c node -l replica-lazy-flush -l slave-lazy-flush -d 'Default: yes' -r
complete -c node -l repl-timeout -d 'Default: 60' -r
complete -c node -l repl-ping-replica-period -l repl-ping-slave-period -d 'Default: 10' -r
complete -c node -l repl-backlog-size -d 'Default: 10485760' -r
complete -c node -l repl-backlog-ttl -d 'Default: 3600' -r
complete -c node -l repl-disable-tcp-nodelay -d 'Default: no' -r
complete -c node -l repl-mptcp -d 'Default: no' -r
complete -c node -l repl-diskless-load -d 'Default: disabled' -r
complete -c node -l repl-diskless-sync -d 'Default: yes' -r
complete -c node -l repl-diskless-sync-delay -d 'Default: 5' -r
complete -c node -l repl-diskless-sync-max-replicas -d 'Default: 0' -r
complete -c node -l dual-channel-replication-enabled -d 'Default: no' -r
complete -c node -l min-replicas-to-write -l min-slaves-to-write -d 'Default: 0' -r
complete -c node -l min-replicas-max-lag -l min-slaves-max-lag -d 'Default: 10' -r
complete -c node -l propagation-error-behavior -d 'Default: ignore' -r
complete -c node -l cluster-auth-key -d 'Empty by default' -r
complete -c node -l cluster-auth-mode -d 'Default: off' -r
complete -c node -l cluster-enabled -d 'Default: no. At start only' -r
complete -c node -l cluster-config-file -d 'Default: nodes.conf. At start only' -r
complete -c node -l cluster-config-save-behavior -d 'Default: sync' -r
complete -c node -l cluster-node-timeout -d 'Default: 15000' -r
complete -c node -l cluster-port -d 'Default: 0. At start only' -r
complete -c node -l cluster-databases -d 'Default: 1. At start only' -r
complete -c node -l cluster-require-full-coverage -d 'Default: yes' -r
complete -c node -l cluster-allow-reads-when-down -d 'Default: no' -r
complete -c node -l cluster-allow-pubsubshard-when-down -d 'Default: yes' -r
complete -c node -l cluster-replica-validity-factor -l cluster-slave-validity-factor -d 'Default: 10' -r
complete -c node -l cluster-replica-no-failover -l cluster-slave-no-failover -d 'Default: no' -r
complete -c node -l cluster-migration-barrier -d 'Default: 1' -r
complete -c node -l cluster-allow-replica-migration -d 'Default: yes' -r
complete -c node -l cluster-link-sendbuf-limit -d 'Default: 0' -r
complete -c node -l cluster-manual-failover-timeout -d 'Default: 5000' -r
complete -c node -l cluster-blacklist-ttl -d 'Default: 60' -r
complete -c node -l cluster-message-gossip-perc -d 'Default: 10' -r
complete -c node -l cluster-ping-interval -d 'Default: 0' -r
complete -c node -l cluster-preferred-endpoint-type -d 'Default: ip' -r
complete -c node -l cluster-announce-ip -d 'Empty by default' -r
complete -c node -l cluster-announce-hostname -d 'Empty by default' -r
complete -c node -l cluster-announce-human-nodename -d 'Empty by default' -r
complete -c node -l cluster-announce-port -d 'Default: 0' -r
complete -c node -l cluster-announce-tls-port -d 'Default: 0' -r
complete -c node -l cluster-announce-bus-port -d 'Default: 0' -r
complete -c node -l cluster-announce-client-ipv4 -d 'Empty by default' -r
complete -c node -l cluster-announce-client-ipv6 -d 'Empty by default' -r
complete -c node -l cluster-announce-client-port -d 'Default: 0' -r
complete -c node -l cluster-announce-client-tls-port -d 'Default: 0' -r
complete -c node -l cluster-slot-stats-enabled -d 'Default: no' -r
complete -c node -l cluster-slot-migration-log-max-len -d 'Default: 1000' -r
complete -c node -l slot-migration-max-failover-repl-bytes -d 'Default: 0' -r
complete -c node -l tls-port -d 'Default: 0' -r
complete -c node -l tls-cluster -d 'Default: no' -r
complete -c node -l tls-replication -d 'Default: no' -r
complete -c node -l tls-auth-clients -d 'Default: yes' -r
complete -c node -l tls-auth-clients-user -d 'Default: off' -r
complete -c node -l tls-prefer-server-ciphers -d 'Default: no' -r
complete -c node -l tls-session-caching -d 'Default: yes' -r
complete -c node -l tls-session-cache-size -d 'Default: 20480' -r
complete -c node -l tls-session-cache-timeout -d 'Default: 300' -r
complete -c node -l tls-auto-reload-interval -d 'Default: 0' -r
complete -c node -l tls-cert-file -d 'Empty by default' -r
complete -c node -l tls-key-file -d 'Empty by default' -r
complete -c node -l tls-key-file-pass -d 'Empty by default' -r
complete -c node -l tls-client-cert-file -d 'Empty by default' -r
complete -c node -l tls-client-key-file -d 'Empty by default' -r
complete -c node -l tls-client-key-file-pass -d 'Empty by default' -r
complete -c node -l tls-dh-params-file -d 'Empty by default' -r
complete -c node -l tls-ca-cert-file -d 'Empty by default' -r
complete -c node -l tls-ca-cert-dir -d 'Empty by default' -r
complete -c node -l tls-protocols -d 'Empty by default' -r
complete -c node -l tls-ciphers -d 'Empty by default' -r
complete -c node -l tls-ciphersuites -d 'Empty by default' -r
complete -c node -l rdma-bind -d 'Empty by default. At start only' -r
complete -c node -l rdma-port -d 'Default: 0. At start only' -r
complete -c node -l rdma-rx-size -d 'Default: 1048576. At start only' -r
complete -c node -l rdma-completion-vector -d 'Default: -1. At start only' -r
complete -c node -l hash-max-listpack-entries -l hash-max-ziplist-entries -d 'Default: 512' -r
complete -c node -l hash-max-listpack-value -l hash-max-ziplist-value -d 'Default: 64' -r
complete -c node -l list-max-listpack-size -l list-max-ziplist-size -d 'Default: -2' -r
complete -c node -l list-compress-depth -d 'Default: 0' -r
complete -c node -l set-max-intset-entries -d 'Default: 512' -r
complete -c node -l set-max-listpack-entries -d 'Default: 128' -r
complete -c node -l set-max-listpack-value -d 'Default: 64' -r
complete -c node -l zset-max-listpack-entries -l zset-max-ziplist-entries -d 'Default: 128' -r
complete -c node -l zset-max-listpack-value -l zset-max-ziplist-value -d 'Default: 64' -r
complete -c node -s h -l help -d 'Print help (see more with \'--help\')'
complete -c node -s V -l version -d 'Print version'
