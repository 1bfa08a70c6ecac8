//! MULTI, EXEC, DISCARD, WATCH: commands queued to run as one, unless a watched key changed.

use std::collections::HashMap;

use super::client::{Client, ClientId};
use super::server::Server;
use super::table::CommandIndex;
use crate::resp::{Args, Argv, ErrorReply};

/// The commands of an open MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    pub queued: Vec<(CommandIndex, Argv)>,
    /// A command was refused while queueing: EXEC must refuse as well.
    pub broken: bool,
    pub queued_bytes: usize,
}

/// Who watches which key.
#[derive(Debug, Default)]
pub struct Watches {
    by_key: HashMap<(u32, Box<[u8]>), Vec<ClientId>>,
}

impl Watches {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    fn add(&mut self, db: u32, key: &[u8], client: ClientId) {
        self.by_key.entry((db, key.into())).or_default().push(client);
    }

    fn remove(&mut self, db: u32, key: &[u8], client: ClientId) {
        let at = (db, Box::from(key));
        if let Some(watchers) = self.by_key.get_mut(&at) {
            watchers.retain(|c| *c != client);
            if watchers.is_empty() {
                self.by_key.remove(&at);
            }
        }
    }
}

impl Server {
    /// Adds a command to the client's open transaction.
    pub(super) fn queue(&mut self, client: &mut Client, index: CommandIndex, args: Args<'_>) {
        let Some(transaction) = &mut client.transaction else { return };
        // A transaction that cannot run any more needs no memory.
        if !transaction.broken && !client.watch_broken {
            let argv = args.to_argv();
            transaction.queued_bytes += argv.mem_bytes();
            transaction.queued.push((index, argv));
        }
        client.reply.simple("QUEUED");
    }

    /// Watches `key` until the next EXEC, DISCARD or UNWATCH.
    pub fn watch(&mut self, client: &mut Client, key: &[u8]) {
        let db = client.db;
        if client.watched.iter().any(|(d, k)| *d == db && **k == *key) {
            return;
        }
        client.watched.push((db, key.into()));
        self.watches.add(db, key, client.id);
        self.update_observed();
    }

    /// Forgets every watched key of `client`.
    pub fn unwatch(&mut self, client: &mut Client) {
        for (db, key) in std::mem::take(&mut client.watched) {
            self.watches.remove(db, &key, client.id);
        }
        client.watch_broken = false;
        self.update_observed();
    }

    /// Ends the client's transaction without running it.
    pub fn discard(&mut self, client: &mut Client) {
        client.transaction = None;
        self.unwatch(client);
    }

    /// Runs the queued commands as one unit.
    ///
    /// # Errors
    /// EXECABORT when a command was refused while queueing, or may not run any more.
    pub fn exec(&mut self, client: &mut Client) -> Result<(), ErrorReply> {
        let Some(transaction) = client.transaction.take() else {
            return Err(ErrorReply::Static("ERR EXEC without MULTI"));
        };
        if transaction.broken {
            self.unwatch(client);
            return Err(ErrorReply::ExecAbort);
        }
        if client.watch_broken {
            self.unwatch(client);
            client.reply.null_array();
            return Ok(());
        }
        self.unwatch(client);
        let reply_from = client.reply.buf.len();
        client.reply.array(transaction.queued.len());
        self.run_queued(client, transaction.queued.into(), reply_from);
        Ok(())
    }

    /// Keys that this call changed break the transactions that watch them.
    pub(super) fn break_watches(&mut self, mut current: Option<&mut Client>, touched: &[(u32, Box<[u8]>)]) {
        for at in touched {
            for id in self.watches.by_key.get(at).into_iter().flatten() {
                if let Some(current) = current.as_deref_mut().filter(|c| c.id == *id) {
                    current.watch_broken = true;
                } else if let Some(client) = self.clients.get_mut(*id) {
                    client.watch_broken = true;
                }
            }
        }
    }

    /// A flush, a swap or a load changes every key of `db` (of all of them when `None`), which database `replaced_by` is
    /// to take the place of. Called before that happens: transactions break that watch a key that exists in either.
    pub fn break_watches_of_db(&mut self, current: Option<&mut Client>, db: Option<u32>, replaced_by: Option<u32>) {
        let Server { watches, keyspace, .. } = self;
        let mut broken: Vec<ClientId> = Vec::new();
        for ((watched_db, key), watchers) in &watches.by_key {
            if db.is_none_or(|db| db == *watched_db)
                && (keyspace.db(*watched_db).exists(key) || replaced_by.is_some_and(|db| keyspace.db(db).exists(key)))
            {
                broken.extend(watchers);
            }
        }
        if let Some(current) = current {
            current.watch_broken |= broken.contains(&current.id);
        }
        for id in broken {
            if let Some(client) = self.clients.get_mut(id) {
                client.watch_broken = true;
            }
        }
    }

    /// The keyspace notes the keys opened for writing only while somebody wants to know them.
    pub(super) fn update_observed(&mut self) {
        let observed = !(self.watches.is_empty() && self.blocked.is_empty() && self.tracking_clients == 0);
        self.keyspace.set_observed(observed && !self.is_loading());
    }
}
