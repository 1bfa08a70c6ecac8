//! What the memory is used for, summed up: for INFO and for MEMORY.

use crate::exec::Server;
use crate::exec::client::{Client, ClientFlags};

/// Sums in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands::server) struct Overview {
    pub used: u64,
    pub peak: u64,
    pub startup: u64,
    pub backlog: u64,
    /// Buffers of replicas, and of all other clients.
    pub replicas: u64,
    pub normal: u64,
    pub replica_count: u64,
    pub normal_count: u64,
    pub aof_buffer: u64,
    /// All that is not data.
    pub overhead: u64,
    pub dataset: u64,
}

impl Overview {
    /// `clients` are all of them, the one that asks included.
    pub fn of<'a>(server: &Server, clients: impl Iterator<Item = &'a Client>) -> Overview {
        let used = server.memory.used_bytes();
        let (mut replicas, mut normal) = ((0, 0), (0, 0));
        for client in clients {
            let bytes = (client.query_capacity + client.reply_capacity()) as u64;
            let sum = if client.is(ClientFlags::REPLICA) { &mut replicas } else { &mut normal };
            *sum = (sum.0 + bytes, sum.1 + 1);
        }
        let (backlog, aof_buffer) = (server.repl.memory() as u64, server.aof.unwritten() as u64);
        let startup = server.startup_memory_bytes;
        let overhead = startup + backlog + replicas.0 + normal.0 + aof_buffer;
        Overview {
            used,
            peak: server.stats.peak_memory_bytes.max(used),
            startup,
            backlog,
            replicas: replicas.0,
            normal: normal.0,
            replica_count: replicas.1,
            normal_count: normal.1,
            aof_buffer,
            overhead,
            dataset: used.saturating_sub(overhead),
        }
    }

    /// The dataset's share of what was not there at the start.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset, self.used.saturating_sub(self.startup))
    }
}

/// `part` of `whole` in percent; 0 of nothing.
pub(in crate::commands::server) fn percent(part: u64, whole: u64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 * 100.0 } else { 0.0 }
}

/// How many times `part` is in `whole`; 0 when there is no part.
pub(in crate::commands::server) fn ratio(whole: u64, part: u64) -> f64 {
    if part > 0 { whole as f64 / part as f64 } else { 0.0 }
}
