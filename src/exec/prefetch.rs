//! Looking ahead in a batch of pipelined commands: the memory of their keys is asked for before it is needed.

use super::client::Client;
use super::server::Server;
use super::spec::Group;
use crate::resp::request::Batch;

impl Server {
    /// Asks for the keys of the commands from number `from` on, and returns the number of the first command that was
    /// left out. Nearly every command has its key, or its first one, in the first argument; where that is something
    /// else nothing is gained, and nothing is lost. A client that works on sets or hashes has a member in the second.
    pub(super) fn prefetch(&self, client: &Client, buf: &[u8], batch: &Batch, from: usize) -> usize {
        let to = batch.len().min(from + self.config.prefetch_batch_max_size as usize);
        if to - from > 1 {
            let last = client.last_command.map(|index| self.commands.command(index).group);
            let has_members = matches!(last, Some(Group::Set | Group::Hash));
            let wanted = (from..to).filter_map(|i| {
                let args = batch.command(buf, i);
                Some((args.get(1)?, if has_members { args.get(2) } else { None }))
            });
            self.keyspace.prefetch(client.db, wanted);
        }
        to
    }
}
