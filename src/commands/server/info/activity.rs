//! INFO persistence, stats, replication, commandstats, errorstats and keyspace: what the server has done and holds.

use super::Info;
use crate::exec::snapshot::Purpose;
use crate::keyspace::Snapshot;

pub(super) fn persistence(info: &mut Info<'_>) {
    let server = info.server;
    let saves = &server.saves;
    let running_secs = |of: fn(&Purpose) -> bool| {
        server.job.as_ref().filter(|job| of(&job.purpose)).map(|job| server.now.since(job.started) / 1000)
    };
    let saving = running_secs(|p| !matches!(p, Purpose::AofBase));
    let rewriting = running_secs(|p| matches!(p, Purpose::AofBase));
    let ok = |failed: bool| if failed { "err" } else { "ok" };
    info.flag("loading", server.is_loading());
    info.flag("async_loading", server.is_loading_aside());
    // Nothing is copied for a snapshot.
    info.field("current_cow_peak", 0);
    info.field("current_cow_size", 0);
    info.field("current_cow_size_age", 0);
    info.field("current_fork_perc", "0.00");
    let (written, total) = server.keyspace.snapshot().map_or((0, 0), Snapshot::progress);
    info.field("current_save_keys_processed", written);
    info.field("current_save_keys_total", total);
    info.field("rdb_changes_since_last_save", server.keyspace.dirty().saturating_sub(saves.dirty_at_last_save));
    info.flag("rdb_bgsave_in_progress", saving.is_some());
    info.field("rdb_last_save_time", saves.last_success.secs());
    info.field("rdb_last_bgsave_status", ok(saves.last_failed));
    info.field("rdb_last_bgsave_time_sec", saves.last_seconds.unwrap_or(-1));
    info.field("rdb_current_bgsave_time_sec", saving.unwrap_or(-1));
    info.field("rdb_saves", saves.count);
    info.field("rdb_last_cow_size", 0);
    let (loaded, expired) = server.last_load;
    info.field("rdb_last_load_keys_expired", expired);
    info.field("rdb_last_load_keys_loaded", loaded);
    info.flag("aof_enabled", server.config.appendonly);
    let growth = &server.log_growth;
    info.flag("aof_rewrite_in_progress", rewriting.is_some() || growth.beginning);
    info.flag("aof_rewrite_scheduled", growth.scheduled);
    info.field("aof_last_rewrite_time_sec", growth.last_seconds.unwrap_or(-1));
    info.field("aof_current_rewrite_time_sec", rewriting.unwrap_or(-1));
    info.field("aof_last_bgrewrite_status", ok(growth.last_failed));
    info.field("aof_rewrites", growth.rewrites);
    info.field("aof_rewrites_consecutive_failures", growth.failures);
    info.field("aof_last_write_status", ok(server.aof_error.is_some()));
    // Nothing is forked for it, but keys are being sent as they are.
    info.flag("slot_migration_fork_in_progress", server.migrations.is_walking());
    info.field("aof_last_cow_size", 0);
    if server.aof.is_on() {
        info.field(
            "aof_current_size",
            growth.current_bytes(server.aof.offset).saturating_sub(server.aof.unwritten() as u64),
        );
        info.field("aof_base_size", growth.base_bytes());
        info.flag("aof_pending_rewrite", growth.scheduled);
        info.field("aof_buffer_length", server.aof.unwritten());
        info.flag("aof_pending_bio_fsync", server.aof.syncing);
        info.field("aof_delayed_fsync", server.stats.delayed_syncs);
    }
    if let Some(loading) = &server.loading {
        let total = loading.total_bytes;
        let percent = if total > 0 { loading.loaded_bytes as f64 / total as f64 * 100.0 } else { 0.0 };
        info.field("loading_start_time", loading.started.secs());
        info.field("loading_total_bytes", total);
        info.field("loading_rdb_used_mem", loading.used_mem);
        info.field("loading_loaded_bytes", loading.loaded_bytes);
        info.field("loading_loaded_perc", format_args!("{percent:.2}"));
        info.field("loading_eta_seconds", loading.eta_secs(server.now));
    }
}

pub(super) fn stats(info: &mut Info<'_>) {
    let server = info.server;
    let stats = &server.stats;
    let (hits, misses, expired) = server.keyspace.lookup_stats();
    let [commands, input, output, repl_input, repl_output, turns] = stats.rate.per_second();
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    info.field("total_connections_received", stats.connections);
    info.field("total_commands_processed", stats.commands);
    info.field("instantaneous_ops_per_sec", commands);
    info.field("total_net_input_bytes", stats.net_input_bytes);
    info.field("total_net_output_bytes", stats.net_output_bytes);
    info.field("total_net_repl_input_bytes", stats.repl_input_bytes);
    info.field("total_net_repl_output_bytes", stats.repl_output_bytes);
    info.field("instantaneous_input_kbps", kib(input));
    info.field("instantaneous_output_kbps", kib(output));
    info.field("instantaneous_input_repl_kbps", kib(repl_input));
    info.field("instantaneous_output_repl_kbps", kib(repl_output));
    info.field("rejected_connections", stats.rejected_connections);
    info.field("sync_full", stats.sync_full);
    info.field("sync_partial_ok", stats.sync_partial_ok);
    info.field("sync_partial_err", stats.sync_partial_err);
    info.field("expired_keys", expired);
    info.field("expired_fields", server.keyspace.expired_fields());
    info.field("expired_stale_perc", format_args!("{:.2}", server.stale_percent()));
    info.field("expired_time_cap_reached_count", stats.expire_cycles_cut);
    info.field("expire_cycle_cpu_milliseconds", stats.expire_cycle_us / 1000);
    info.field("evicted_keys", stats.evicted_keys);
    info.field("evicted_clients", stats.evicted_clients);
    let over_limit_ms = server.over_limit_since.map_or(0, |since| server.now.since(since).max(0) as u64);
    info.field("total_eviction_exceeded_time", stats.over_limit_ms + over_limit_ms);
    info.field("current_eviction_exceeded_time", over_limit_ms);
    info.field("keyspace_hits", hits);
    info.field("keyspace_misses", misses);
    let subscriptions = server.pubsub.totals();
    info.field("pubsub_channels", subscriptions.channels);
    info.field("pubsub_patterns", subscriptions.patterns);
    info.field("pubsubshard_channels", subscriptions.shard_channels);
    let (keys, items, prefixes) = server.tracking.sizes();
    info.field("tracking_total_keys", keys);
    info.field("tracking_total_items", items);
    info.field("tracking_total_prefixes", prefixes);
    info.field("latest_fork_usec", 0);
    info.field("total_forks", 0);
    info.field("migrate_cached_sockets", server.gauges.migrate_connections);
    info.field("unexpected_error_replies", stats.unexpected_errors);
    info.field("total_error_replies", stats.errors);
    info.field("dump_payload_sanitizations", stats.payloads_checked);
    info.field("client_query_buffer_limit_disconnections", stats.closed_for_input);
    info.field("client_output_buffer_limit_disconnections", stats.closed_for_output);
    info.field("total_reads_processed", stats.reads_processed);
    info.field("total_writes_processed", stats.writes_processed);
    info.field("io_threaded_reads_processed", stats.threaded_reads);
    info.field("io_threaded_writes_processed", stats.threaded_writes);
    info.field("io_threaded_total_prefetch_batches", stats.prefetch_batches);
    info.field("io_threaded_total_prefetch_entries", stats.prefetch_entries);
    info.field("eventloop_cycles", stats.turns);
    info.field("eventloop_duration_cmd_sum", stats.turns_usec);
    info.field("instantaneous_eventloop_cycles_per_sec", turns);
    info.field("acl_access_denied_auth", stats.auth_failures);
}

pub(super) fn replication(info: &mut Info<'_>) {
    info.server.repl.push_info(&mut info.out, info.server.mono());
}

pub(super) fn commandstats(info: &mut Info<'_>) {
    for entry in info.server.commands.iter() {
        let stats = entry.stats;
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let per_call = if stats.calls > 0 { stats.usec as f64 / stats.calls as f64 } else { 0.0 };
        info.field(
            &format!("cmdstat_{}", entry.command.name),
            format_args!(
                "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.usec, stats.rejected, stats.failed
            ),
        );
    }
}

pub(super) fn latencystats(info: &mut Info<'_>) {
    let server = info.server;
    if !server.config.latency_tracking {
        return;
    }
    for entry in server.commands.iter() {
        let Some(histogram) = &entry.latency else { continue };
        let shown: Vec<String> = server
            .config
            .latency_tracking_info_percentiles
            .iter()
            .map(|percent| format!("p{percent}={:.3}", histogram.percentile_ns(*percent) as f64 / 1000.0))
            .collect();
        info.field(&format!("latency_percentiles_usec_{}", entry.command.name), shown.join(","));
    }
}

pub(super) fn errorstats(info: &mut Info<'_>) {
    for (code, count) in &info.server.stats.errors_by_code {
        info.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn keyspace(info: &mut Info<'_>) {
    for db in 0..info.server.keyspace.databases() {
        let (keys, expires) = info.server.keyspace.sizes(db);
        if keys > 0 {
            let avg_ttl = info.server.average_ttl_ms(db);
            let volatile_items = info.server.keyspace.keys_with_expiring_fields(db);
            let numbers =
                format!("keys={keys},expires={expires},avg_ttl={avg_ttl},keys_with_volatile_items={volatile_items}");
            info.field(&format!("db{db}"), numbers);
        }
    }
}
