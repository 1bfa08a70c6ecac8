//! INFO memory.

use super::Info;
use crate::commands::server::memory::overview::{self, Overview, ratio};

pub(super) fn memory(info: &mut Info<'_>) {
    let server = info.server;
    let gauges = server.gauges;
    let sums = Overview::of(server, info.clients());
    let Overview { used, peak, replicas, normal, backlog, overhead, dataset, .. } = sums;
    size(info, "used_memory", used);
    size(info, "used_memory_rss", gauges.rss_bytes);
    size(info, "used_memory_peak", peak);
    info.field("used_memory_peak_perc", percent(used, peak));
    info.field("used_memory_overhead", overhead);
    info.field("used_memory_startup", server.startup_memory_bytes);
    info.field("used_memory_dataset", dataset);
    info.field("used_memory_dataset_perc", format!("{:.2}%", sums.dataset_percent()));
    info.field("allocator_allocated", used);
    info.field("allocator_active", gauges.allocator_active_bytes);
    info.field("allocator_resident", gauges.allocator_resident_bytes);
    info.field("allocator_muzzy", gauges.allocator_muzzy_bytes);
    size(info, "total_system_memory", server.facts.total_system_memory_bytes);
    size(info, "maxmemory", server.config.maxmemory);
    info.field("maxmemory_policy", String::from_utf8_lossy(&directive(info, "maxmemory-policy")).into_owned());
    excess(info, ["allocator_frag_ratio", "allocator_frag_bytes"], gauges.allocator_active_bytes, used);
    let (resident, active) = (gauges.allocator_resident_bytes, gauges.allocator_active_bytes);
    excess(info, ["allocator_rss_ratio", "allocator_rss_bytes"], resident, active);
    excess(info, ["rss_overhead_ratio", "rss_overhead_bytes"], gauges.rss_bytes, resident);
    excess(info, ["mem_fragmentation_ratio", "mem_fragmentation_bytes"], gauges.rss_bytes, used);
    info.field("mem_not_counted_for_evict", server.uncounted_bytes());
    info.field("mem_replication_backlog", backlog);
    info.field("mem_total_replication_buffers", backlog + replicas);
    info.field("mem_replicas_repl_buffer", server.backlog_excess_bytes());
    info.field("mem_clients_slaves", replicas);
    info.field("mem_clients_normal", normal);
    info.field("mem_cluster_links", server.cluster.as_ref().map_or(0, |engine| engine.links_bytes()));
    info.field("mem_aof_buffer", server.aof.unwritten());
    info.field("mem_allocator", &server.facts.allocator);
    info.field("active_defrag_running", 0);
    info.field("lazyfree_pending_objects", gauges.lazy_free_pending);
    info.field("lazyfreed_objects", gauges.lazy_freed);
}

/// The value of a directive as CONFIG GET shows it.
fn directive(info: &Info<'_>, name: &str) -> Vec<u8> {
    crate::config::find(name.as_bytes()).map(|d| d.get(&info.server.config)).unwrap_or_default()
}

/// A size in bytes, and once more for people.
fn size(info: &mut Info<'_>, name: &str, bytes: u64) {
    info.field(name, bytes);
    info.field(&format!("{name}_human"), human(bytes));
}

/// By how much `whole` is more than `part`: as a ratio and in bytes.
fn excess(info: &mut Info<'_>, [times, bytes]: [&str; 2], whole: u64, part: u64) {
    info.field(times, format_args!("{:.2}", ratio(whole, part)));
    info.field(bytes, whole as i64 - part as i64);
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", overview::percent(part, whole))
}

/// With the largest unit that leaves at least one before the point.
fn human(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut unit = 'B';
    for next in ['K', 'M', 'G', 'T', 'P'] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    format!("{scaled:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (916_128, "894.66K"),
            (12_288_000, "11.72M"),
            (25_276_518_400, "23.54G"),
            (3 << 50, "3.00P"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(percent(1, 0), "0.00%");
        assert_eq!(percent(1, 8), "12.50%");
    }
}
