//! INFO beside the fields of the stock server.

use std::collections::BTreeSet;

use crate::base::Rng;
use crate::cluster::Engine;
use crate::commands::bench::Bench;
use crate::config::Config;
use crate::exec::Server;

/// Names of sections (with `#`) and fields, in the stock server's order.
const STOCK: &str = include_str!("../../../../tests/data/info-valkey-9.1.2.txt");

/// What is left out, and why.
const LEFT_OUT: &[(&str, &[&str])] = &[
    ("this is another server", &["valkey_version", "valkey_release_stage", "gcc_version"]),
    ("clients are looked after as often as everything else: hz", &["clients_hz"]),
    (
        "there is no TLS yet",
        &[
            "# TLS",
            "tls_server_cert_serial",
            "tls_server_cert_expires_in_seconds",
            "tls_client_cert_serial",
            "tls_client_cert_expires_in_seconds",
            "tls_ca_cert_serial",
            "tls_ca_cert_expires_in_seconds",
            "acl_access_denied_tls_cert",
        ],
    ),
    (
        "there are no scripts yet",
        &[
            "used_memory_lua",
            "used_memory_lua_human",
            "used_memory_vm_eval",
            "used_memory_vm_functions",
            "used_memory_vm_total",
            "used_memory_vm_total_human",
            "used_memory_scripts_eval",
            "used_memory_functions",
            "used_memory_scripts",
            "used_memory_scripts_human",
            "number_of_cached_scripts",
            "number_of_functions",
            "number_of_libraries",
            "evicted_scripts",
            "# Scripting Engines",
            "engines_count",
            "engines_total_used_memory",
            "engines_total_memory_overhead",
            "engine_0",
        ],
    ),
    ("there are no modules", &["module", "module_fork_in_progress", "module_fork_last_cow_size"]),
    (
        "users have no rules yet",
        &["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel", "acl_access_denied_db"],
    ),
    ("nothing forks: there are no children", &["used_cpu_sys_children", "used_cpu_user_children"]),
    (
        "slots on their way are clients and replicas in these sums",
        &[
            "mem_cluster_slot_import",
            "mem_cluster_slot_export",
            "total_net_cluster_slot_import_bytes",
            "total_net_cluster_slot_export_bytes",
        ],
    ),
    (
        "values are not moved to other addresses",
        &[
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
        ],
    ),
    ("tables are counted with their entries, old ones too", &["mem_overhead_db_hashtable_rehashing"]),
    (
        "hashes wait in the order in which their fields expire, none is late",
        &["expired_keys_with_volatile_items_stale_perc"],
    ),
    ("a writable replica hides expired keys as any other server does", &["slave_expires_tracked_keys"]),
    (
        "each I/O thread accepts nothing, polls for itself and frees what it has",
        &["io_threaded_freed_objects", "io_threaded_accept_processed", "io_threaded_poll_processed"],
    ),
    ("a reply's buffer goes to the socket as it is", &["reply_buffer_shrinks", "reply_buffer_expands"]),
    (
        "the threads are not timed while no command runs",
        &["eventloop_duration_sum", "instantaneous_eventloop_duration_usec", "used_active_time_main_thread"],
    ),
];

/// The sections and fields of INFO everything.
fn shown(config: Config) -> BTreeSet<String> {
    let cluster = config.cluster_enabled;
    let mut bench = Bench::start_with(config);
    if cluster {
        let config = Server::cluster_config(&bench.server.config);
        let clock = bench.server.clock();
        bench.server.join(Engine::new(config, Rng::seeded(1), clock));
    }
    let id = bench.client();
    let text = bench.call(id, "info everything");
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    text.split("\r\n").map(name).collect()
}

#[test]
fn every_stock_field_is_there_or_left_out_for_a_reason() {
    let shown = shown(Config { cluster_enabled: true, ..Config::default() });
    let left_out: BTreeSet<&str> = LEFT_OUT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let is_of_a_command = |name: &str| name.starts_with("cmdstat_") || name.starts_with("latency_percentiles_");
    let stock: Vec<&str> = STOCK.lines().filter(|line| !line.is_empty() && !is_of_a_command(line)).collect();
    for name in &stock {
        assert!(
            shown.contains(*name) != left_out.contains(name),
            "{name}: shown {}, left out {}",
            shown.contains(*name),
            left_out.contains(name)
        );
    }
    for name in left_out {
        assert!(stock.contains(&name), "{name} is no stock field");
    }
}

#[test]
fn the_cluster_tells_of_itself_in_cluster_mode_only() {
    assert!(!shown(Config::default()).contains("# Cluster Info"));
}
