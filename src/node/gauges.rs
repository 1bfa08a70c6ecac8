//! Readings of the process: memory and CPU time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::migrate::Targets;
use super::os;
use crate::exec::server::Gauges;

/// A server that does nothing reads no oftener than this: reading costs more than all else that it does.
const IDLE_PERIOD: Duration = Duration::from_secs(1);

/// Tells when a reading is due.
#[derive(Debug, Default)]
pub struct Cadence {
    read_at: Option<Instant>,
    commands: u64,
}

impl Cadence {
    /// Whether to read now, given how many commands have run so far: at once when some have since the last reading, and
    /// else once in a while.
    pub fn is_due(&mut self, now: Instant, commands: u64) -> bool {
        let busy = std::mem::replace(&mut self.commands, commands) != commands;
        let due = busy || self.read_at.is_none_or(|at| now.duration_since(at) >= IDLE_PERIOD);
        if due {
            self.read_at = Some(now);
        }
        due
    }
}

/// Reads everything; what cannot be read keeps its old value. To be called on the main thread.
#[must_use]
pub fn read(old: &Gauges, memory: &Memory, targets: &Targets) -> Gauges {
    let mut gauges = *old;
    memory.read();
    (gauges.lazy_free_pending, gauges.lazy_freed) = memory.lazy_free_counts();
    if let Ok(n) = tikv_jemalloc_ctl::stats::active::read() {
        gauges.allocator_active_bytes = n as u64;
    }
    if let Ok(n) = tikv_jemalloc_ctl::stats::resident::read() {
        gauges.allocator_resident_bytes = n as u64;
    }
    if let Some(bytes) = resident_bytes() {
        gauges.rss_bytes = bytes;
    }
    static PROCESS: KernelFile = KernelFile::at("/proc/self/stat");
    static THREAD: KernelFile = KernelFile::at("/proc/thread-self/stat");
    if let Some((user_us, sys_us)) = PROCESS.read(cpu_times) {
        (gauges.cpu_user_us, gauges.cpu_sys_us) = (user_us, sys_us);
    }
    if let Some((user_us, sys_us)) = THREAD.read(cpu_times) {
        (gauges.main_user_us, gauges.main_sys_us) = (user_us, sys_us);
    }
    // 4096 stands for all arenas.
    if let Ok(pages) = os::allocator_number(b"stats.arenas.4096.pmuzzy", None) {
        gauges.allocator_muzzy_bytes = pages * rustix::param::page_size() as u64;
    }
    gauges.migrate_connections = targets.idle_count(gauges.migrate_connections);
    gauges
}

/// A short file that the kernel makes up whenever it is read: opened once, since it is read ten times a second for as
/// long as the server lives, and opening it costs more than reading.
struct KernelFile {
    path: &'static str,
    file: OnceLock<Option<File>>,
}

impl KernelFile {
    const fn at(path: &'static str) -> KernelFile {
        KernelFile { path, file: OnceLock::new() }
    }

    fn read<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let file = self.file.get_or_init(|| File::open(self.path).ok()).as_ref()?;
        let mut text = [0; 1024];
        let len = file.read_at(&mut text, 0).ok()?;
        parse(std::str::from_utf8(&text[..len]).ok()?)
    }
}

/// CPU time of a process or thread in user mode and in the kernel, in microseconds.
fn cpu_times(stat: &str) -> Option<(u64, u64)> {
    // The program's name is in parentheses and may hold anything, so the numbers are counted from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let mut next = || fields.next()?.parse::<u64>().ok().map(|ticks| ticks * tick_us);
    Some((next()?, next()?))
}

fn resident_bytes() -> Option<u64> {
    static STATM: KernelFile = KernelFile::at("/proc/self/statm");
    let pages: u64 = STATM.read(|statm| statm.split(' ').nth(1)?.parse().ok())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_server_is_read_now_and_then() {
        let (mut cadence, start) = (Cadence::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(cadence.is_due(at(0), 0));
        assert!(!cadence.is_due(at(100), 0));
        assert!(cadence.is_due(at(200), 3));
        assert!(!cadence.is_due(at(300), 3));
        assert!(!cadence.is_due(at(1199), 3));
        assert!(cadence.is_due(at(1200), 3));
    }
}
