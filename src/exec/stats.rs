//! Counters of INFO: per command, and for the whole server.

use std::collections::BTreeMap;

use crate::base::Millis;

/// What INFO commandstats says of one command. Times are microseconds of CPU inside the handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandStats {
    pub calls: u64,
    pub usec: u64,
    /// Refused before the handler ran.
    pub rejected: u64,
    /// The handler answered with an error.
    pub failed: u64,
}

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Stats {
    pub connections: u64,
    pub rejected_connections: u64,
    pub commands: u64,
    pub net_input_bytes: u64,
    pub net_output_bytes: u64,
    pub repl_input_bytes: u64,
    pub repl_output_bytes: u64,
    pub sync_full: u64,
    pub sync_partial_ok: u64,
    pub sync_partial_err: u64,
    pub errors: u64,
    /// Errors by their first word.
    pub errors_by_code: BTreeMap<String, u64>,
    pub unexpected_errors: u64,
    /// Clients closed for output that they did not read.
    pub closed_for_output: u64,
    pub reads_processed: u64,
    pub writes_processed: u64,
    pub peak_memory_bytes: u64,
    pub evicted_keys: u64,
    /// The search for expired keys: its time, and how often that was over before everything was found.
    pub expire_cycle_us: u64,
    pub expire_cycles_cut: u64,
    /// How long memory has been over its limit, all in all.
    pub over_limit_ms: u64,
    /// Connections closed because they sent more than `client-query-buffer-limit`.
    pub closed_for_input: u64,
    pub evicted_clients: u64,
    /// Passwords that were wrong.
    pub auth_failures: u64,
    /// Payloads of RESTORE, each of which is checked in full.
    pub payloads_checked: u64,
    /// Batches of pipelined commands whose keys were asked for ahead, and how many commands were in them.
    pub prefetch_batches: u64,
    pub prefetch_entries: u64,
    /// What further I/O threads read and wrote.
    pub threaded_reads: u64,
    pub threaded_writes: u64,
    /// Turns of clients: each a batch of commands run in one go. And the time that their commands took.
    pub turns: u64,
    pub turns_usec: u64,
    /// Times that making the log durable took so long that what came next was written without waiting for it any more.
    pub delayed_syncs: u64,
    pub rate: Rate,
}

impl Stats {
    pub fn count_error(&mut self, code: &str) {
        /// Beyond this many kinds, a script could fill the memory with made-up codes.
        const KINDS_MAX: usize = 128;
        self.errors += 1;
        if let Some(n) = self.errors_by_code.get_mut(code) {
            *n += 1;
        } else if self.errors_by_code.len() < KINDS_MAX {
            self.errors_by_code.insert(code.to_owned(), 1);
        }
    }

    /// CONFIG RESETSTAT: all but what describes the present.
    pub fn reset(&mut self) {
        *self = Stats { peak_memory_bytes: self.peak_memory_bytes, ..Stats::default() };
    }
}

/// Commands, input and output bytes, those of replication alone, and turns of clients.
const RATES: usize = 6;

/// The instantaneous rates of INFO stats: the mean of the last samples.
#[derive(Debug, Default)]
pub struct Rate {
    last: Option<(Millis, [u64; RATES])>,
    samples: [[u64; RATES]; 16],
    next: usize,
}

impl Rate {
    /// Takes a sample of the totals, about ten times a second.
    pub fn sample(&mut self, now: Millis, totals: [u64; RATES]) {
        if let Some((then, before)) = self.last {
            let elapsed_ms = now.since(then) as u64;
            if elapsed_ms == 0 {
                return;
            }
            for (i, sample) in self.samples[self.next].iter_mut().enumerate() {
                *sample = totals[i].saturating_sub(before[i]) * 1000 / elapsed_ms;
            }
            self.next = (self.next + 1) % self.samples.len();
        }
        self.last = Some((now, totals));
    }

    /// Each per second.
    #[must_use]
    pub fn per_second(&self) -> [u64; RATES] {
        let mut sum = [0; RATES];
        for sample in &self.samples {
            for (total, n) in sum.iter_mut().zip(sample) {
                *total += n;
            }
        }
        sum.map(|total| total / self.samples.len() as u64)
    }
}
