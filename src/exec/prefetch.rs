//! Looking ahead in a batch of pipelined commands: the memory of their keys is asked for before it is needed.

use super::client::Client;
use super::server::Server;
use crate::resp::request::Batch;

impl Server {
    /// Asks for the keys of the commands from number `from` on, and returns the number of the first command that was
    /// left out. Nearly every command has its key, or its first one, in the first argument; where that is something
    /// else nothing is gained, and nothing is lost.
    pub(super) fn prefetch(&self, client: &Client, buf: &[u8], batch: &Batch, from: usize) -> usize {
        let to = batch.len().min(from + self.config.prefetch_batch_max_size as usize);
        if to - from > 1 {
            let keys = (from..to).filter_map(|i| batch.command(buf, i).get(1));
            self.keyspace.prefetch(client.db, keys);
        }
        to
    }
}
