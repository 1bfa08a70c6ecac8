//! Readings of the process: memory and CPU time.

use std::sync::OnceLock;

use crate::exec::server::Gauges;

/// Reads everything; what cannot be read keeps its old value.
#[must_use]
pub fn read(old: &Gauges) -> Gauges {
    let mut gauges = *old;
    // The statistics of the allocator are cached until its epoch advances.
    let _ = tikv_jemalloc_ctl::epoch::advance();
    if let Ok(n) = tikv_jemalloc_ctl::stats::allocated::read() {
        gauges.used_memory_bytes = n as u64;
    }
    if let Ok(n) = tikv_jemalloc_ctl::stats::active::read() {
        gauges.allocator_active_bytes = n as u64;
    }
    if let Ok(n) = tikv_jemalloc_ctl::stats::resident::read() {
        gauges.allocator_resident_bytes = n as u64;
    }
    if gauges.startup_memory_bytes == 0 {
        gauges.startup_memory_bytes = gauges.used_memory_bytes;
    }
    if let Some(bytes) = resident_bytes() {
        gauges.rss_bytes = bytes;
    }
    gauges
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Memory of the machine in bytes; 0 when it cannot be read.
#[must_use]
pub fn total_system_memory() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib =
            text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    })
}
