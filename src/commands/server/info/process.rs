//! INFO server, clients, cpu and cluster: the process and who is connected to it.

use super::Info;
use crate::base::Millis;
use crate::exec::client::{Client, ClientFlags};
use crate::exec::state::COMPAT_VERSION;

pub(super) fn server(info: &mut Info<'_>) {
    let server = info.server;
    let facts = &server.facts;
    let uptime_secs = server.now.since(server.started).max(0) / 1000;
    info.field("redis_version", COMPAT_VERSION);
    info.field("redis_git_sha1", "00000000");
    info.field("redis_git_dirty", 0);
    info.field("redis_build_id", format_args!("node-{}", env!("CARGO_PKG_VERSION")));
    info.field("redis_mode", server.mode_name());
    info.field("server_mode", server.mode_name());
    info.field("server_name", &facts.server_name);
    info.field("node_version", env!("CARGO_PKG_VERSION"));
    info.field("os", &facts.os);
    info.field("arch_bits", usize::BITS);
    info.field("monotonic_clock", "POSIX clock_gettime");
    info.field("multiplexing_api", "epoll");
    info.field("process_id", facts.pid);
    info.field("process_supervised", facts.supervised);
    info.field("run_id", server.run_id);
    info.field("tcp_port", server.config.port);
    info.field("server_time_usec", server.wall_micros());
    info.field("uptime_in_seconds", uptime_secs);
    info.field("uptime_in_days", uptime_secs / 86_400);
    info.field("hz", server.hz());
    info.field("configured_hz", server.config.hz);
    info.field("lru_clock", server.now.secs() & 0x00ff_ffff);
    info.field("executable", &facts.executable);
    info.field("config_file", facts.config_file.as_deref().unwrap_or_default());
    info.flag("io_threads_active", server.config.io_threads > 1);
    info.field("availability_zone", String::from_utf8_lossy(&server.config.availability_zone));
    if let Some(left_ms) = server.ends_in_ms() {
        info.field("shutdown_in_milliseconds", left_ms);
    }
    if server.config.port > 0 {
        let addresses: String = server.config.bind.iter().map(|address| format!(",bind={address}")).collect();
        info.field("listener0", format_args!("name=tcp{addresses},port={}", server.config.port));
    }
}

pub(super) fn clients(info: &mut Info<'_>) {
    let server = info.server;
    let follows = ClientFlags::REPLICA | ClientFlags::MONITOR;
    let connected = info.clients().filter(|c| !c.flags.intersects(follows)).count();
    let input = info.clients().map(|c| c.query_bytes).max().unwrap_or(0);
    let output = info.clients().map(Client::unwritten_bytes).max().unwrap_or(0);
    let links = server.cluster.as_ref().map_or(0, |engine| engine.links().count());
    info.field("connected_clients", connected);
    info.field("cluster_connections", links);
    info.field("maxclients", server.config.maxclients);
    info.field("client_recent_max_input_buffer", input);
    info.field("client_recent_max_output_buffer", output);
    let (keys, keys_on_nokey) = server.blocked.keys();
    info.field("blocked_clients", server.blocked_clients());
    info.field("total_blocking_keys", keys);
    info.field("total_blocking_keys_on_nokey", keys_on_nokey);
    info.field("tracking_clients", server.tracking_clients);
    info.field("pubsub_clients", info.clients().filter(|c| c.is(ClientFlags::PUBSUB)).count());
    info.field("watching_clients", info.clients().filter(|c| !c.watched.is_empty()).count());
    info.field("clients_in_timeout_table", server.alarms.waits());
    info.field("total_watched_keys", server.watches.len());
    paused(info);
}

/// Who holds commands back, which of them, and for how long still.
fn paused(info: &mut Info<'_>) {
    let (pause, clock) = (&info.server.pause, info.server.clock());
    let (writes_wait, all_wait) = info.server.paused();
    let left = |until: Millis, now: Millis| Some(until.since(now)).filter(|left| *left > 0);
    let asked = pause.asked.and_then(|(until, _)| left(until, clock.wall));
    let failover = pause.failover.and_then(|until| left(until, clock.mono));
    let reason = match (asked, failover) {
        (Some(_), _) => "client_pause",
        (None, Some(_)) => "failover_in_progress",
        (None, None) if pause.shutdown => "shutdown_in_progress",
        (None, None) => "none",
    };
    let actions = if all_wait {
        "all"
    } else if writes_wait {
        "write"
    } else {
        "none"
    };
    let left = asked.into_iter().chain(failover).max();
    info.field("paused_reason", reason);
    info.field("paused_actions", actions);
    info.field("paused_timeout_milliseconds", left.unwrap_or(0));
}

pub(super) fn cpu(info: &mut Info<'_>) {
    let gauges = info.server.gauges;
    for (name, usec) in [
        ("used_cpu_sys", gauges.cpu_sys_us),
        ("used_cpu_user", gauges.cpu_user_us),
        ("used_cpu_sys_main_thread", gauges.main_sys_us),
        ("used_cpu_user_main_thread", gauges.main_user_us),
    ] {
        info.field(name, format_args!("{}.{:06}", usec / 1_000_000, usec % 1_000_000));
    }
}

/// The same as CLUSTER INFO.
pub(super) fn cluster_info(info: &mut Info<'_>) {
    if let Some(engine) = &info.server.cluster {
        info.out.push_str(&engine.info_text());
    }
}

pub(super) fn cluster(info: &mut Info<'_>) {
    info.flag("cluster_enabled", info.server.config.cluster_enabled);
    if let Some(engine) = &info.server.cluster {
        info.out.push_str("\r\n# Cluster Info\r\n");
        info.out.push_str(&engine.info_text());
    }
}
