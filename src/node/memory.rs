//! How much memory is in use, and the thread that frees what takes long to free.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

use tikv_jemalloc_ctl::{epoch, stats, stats_print, thread};

use super::os;
use super::startup::plain;
use crate::exec::memory::MemoryMeter;
use crate::keyspace::Garbage;

/// What the allocator said last.
///
/// Its statistics are exact but cost a walk over its arenas, so they are read now and then; in between each thread adds
/// what its own counters have moved since, which costs two loads.
#[derive(Debug, Default)]
pub struct Memory {
    allocated_bytes: AtomicU64,
    /// How often the allocator was asked.
    reading: AtomicU64,
    pending_bytes: AtomicU64,
    pending_objects: AtomicU64,
    freed_objects: AtomicU64,
}

thread_local! {
    /// This thread's counters at the first use after a reading, and the number of that reading.
    static SINCE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Bytes this thread has allocated and not freed; wraps below zero when it frees what others allocated.
fn thread_balance() -> u64 {
    thread_local! {
        static COUNTERS: Option<(thread::ThreadLocal<u64>, thread::ThreadLocal<u64>)> =
            thread::allocatedp::read().ok().zip(thread::deallocatedp::read().ok());
    }
    COUNTERS.with(|counters| counters.map_or(0, |(allocated, freed)| allocated.get().wrapping_sub(freed.get())))
}

impl Memory {
    /// Asks the allocator. Its cached statistics advance for all readers.
    pub fn read(&self) {
        let _ = epoch::advance();
        if let Ok(bytes) = stats::allocated::read() {
            self.allocated_bytes.store(bytes as u64, Relaxed);
            let reading = self.reading.fetch_add(1, Relaxed) + 1;
            SINCE.set((thread_balance(), reading));
        }
    }

    /// Keys that wait for being freed, and those that have been.
    #[must_use]
    pub fn lazy_free_counts(&self) -> (u64, u64) {
        (self.pending_objects.load(Relaxed), self.freed_objects.load(Relaxed))
    }
}

/// A [`Memory`] as the state machine sees it.
#[derive(Debug)]
pub struct Meter(pub Arc<Memory>);

impl MemoryMeter for Meter {
    fn used_bytes(&self) -> u64 {
        let memory = &*self.0;
        let (balance, reading) = (thread_balance(), memory.reading.load(Relaxed));
        let (then, of_reading) = SINCE.get();
        let moved = if of_reading == reading {
            balance.wrapping_sub(then) as i64
        } else {
            SINCE.set((balance, reading));
            0
        };
        let allocated = memory.allocated_bytes.load(Relaxed).saturating_add_signed(moved);
        allocated.saturating_sub(memory.pending_bytes.load(Relaxed))
    }

    fn purge(&self) {
        os::purge_allocator();
    }

    fn control(&self, name: &[u8], value: Option<u64>) -> Result<u64, String> {
        os::allocator_number(name, value).map_err(|error| plain(&error))
    }

    fn control_text(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        os::allocator_text(name).map_err(|error| plain(&error))
    }

    fn report(&self) -> String {
        let mut report = Vec::new();
        match stats_print::stats_print(&mut report, stats_print::Options::default()) {
            Ok(()) => String::from_utf8_lossy(&report).into_owned(),
            Err(error) => format!("The allocator's statistics cannot be read: {error}"),
        }
    }
}

/// The thread that frees large values.
#[derive(Debug)]
pub struct Reaper {
    queue: Sender<Box<Garbage>>,
    memory: Arc<Memory>,
}

impl Reaper {
    /// Starts the thread. It ends with the process, or when this handle goes.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(memory: Arc<Memory>) -> std::io::Result<Reaper> {
        let (queue, garbage) = channel::<Box<Garbage>>();
        let counters = Arc::clone(&memory);
        std::thread::Builder::new().name("lazy-free".to_owned()).spawn(move || {
            for garbage in garbage {
                let (bytes, objects) = (garbage.bytes() as u64, garbage.objects() as u64);
                drop(garbage);
                counters.pending_bytes.fetch_sub(bytes, Relaxed);
                counters.pending_objects.fetch_sub(objects, Relaxed);
                counters.freed_objects.fetch_add(objects, Relaxed);
                // What this thread freed is not in the counters of those who make room.
                counters.read();
            }
        })?;
        Ok(Reaper { queue, memory })
    }

    /// Frees `garbage` beside everything else.
    pub fn free(&self, garbage: Box<Garbage>) {
        self.memory.pending_bytes.fetch_add(garbage.bytes() as u64, Relaxed);
        self.memory.pending_objects.fetch_add(garbage.objects() as u64, Relaxed);
        // When the thread is gone the garbage comes back in the error, and is freed here.
        drop(self.queue.send(garbage));
    }
}
