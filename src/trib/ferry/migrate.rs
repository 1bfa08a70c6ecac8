//! From a server that moves its keys itself, with MIGRATE: it has to reach the cluster, and to speak TLS just as the
//! cluster does. No key is lost or doubled when clients write to it meanwhile.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use redis::Value;

use super::landing::Landing;
use super::{Conflict, hash_of};
use crate::base::{SLOTS, key_slot};
use crate::trib::addr::Addr;
use crate::trib::client::{Client, Pool, add_migrate_auth, command};
use crate::trib::error::{Error, Failure, is_unread_text};
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};

const SCAN_PAGE: usize = 1000;
/// Keys in one MIGRATE, which blocks the source.
const BATCH_MAX: usize = 100;

/// One database of the source, on its way.
pub struct Migrate<'a> {
    pub landing: &'a Landing<'a>,
    pub pool: &'a Pool,
    pub view: &'a ClusterView,
    pub source: &'a Client,
    pub database: u32,
    pub into: u32,
    pub copy: bool,
    pub timeout_ms: u64,
    /// Keys of databases before this one that went into the same; more are added where that is wanted.
    pub earlier: &'a RefCell<HashSet<u64>>,
    pub remembers: bool,
}

impl<'a> Migrate<'a> {
    /// Carries all keys.
    pub async fn run(&self) -> Result<(), Error> {
        let owners = self.owners();
        // With copies all keys that were met, otherwise those of one page.
        let mut met = HashSet::new();
        self.source.call(command("SELECT").arg(self.database)).await?;
        let mut here = HashSet::new();
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = command("SCAN");
            scan.arg(&cursor).arg("COUNT").arg(SCAN_PAGE);
            if let Some(pattern) = &self.landing.settings.pattern {
                scan.arg("MATCH").arg(pattern);
            }
            let page = self.source.call(&scan).await?;
            if !self.copy {
                met.clear();
            }
            let (next, keys) = self.read_page(page, &mut met)?;
            if self.remembers {
                here.extend(keys.iter().map(|key| hash_of(key)));
            }
            self.move_page(&owners, keys).await?;
            if next == b"0" {
                self.earlier.borrow_mut().extend(here);
                return Ok(());
            }
            cursor = next;
        }
    }

    fn owners(&self) -> Vec<&'a Node> {
        let mut owners = vec![self.view.seed(); SLOTS];
        for node in self.view.primaries() {
            node.slots.iter().for_each(|slot| owners[slot.index()] = node);
        }
        owners
    }

    fn read_page(&self, page: Value, met: &mut HashSet<u64>) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
        let node = self.source.addr().clone();
        let unexpected = || Failure::Unexpected { node: node.clone(), reason: "no SCAN page".to_owned() };
        let Value::Array(parts) = page else { return Err(unexpected()) };
        let Ok([Value::BulkString(cursor), Value::Array(items)]) = <[Value; 2]>::try_from(parts) else {
            return Err(unexpected());
        };
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            let Value::BulkString(key) = item else { return Err(unexpected()) };
            let hash = hash_of(&key);
            if self.into == 0 && self.earlier.borrow().contains(&hash) {
                self.landing.tally.refuse(&key, "a key of the same name came from another database");
            } else if met.insert(hash) {
                keys.push(key);
            }
        }
        Ok((cursor, keys))
    }

    async fn move_page(&self, owners: &[&'a Node], keys: Vec<Vec<u8>>) -> Result<(), Error> {
        let mut by_owner: BTreeMap<&Addr, (&Node, Vec<Vec<u8>>)> = BTreeMap::new();
        for key in keys {
            let node = owners[key_slot(&key).index()];
            by_owner.entry(&node.announced).or_insert((node, Vec::new())).1.push(key);
        }
        for (node, keys) in by_owner.into_values() {
            let replaces = self.landing.settings.conflict == Conflict::Replace;
            let keys = if replaces { keys } else { self.leave_existing(node, keys).await? };
            for batch in keys.chunks(self.landing.settings.batch.min(BATCH_MAX)) {
                self.migrate(node, batch).await?;
                self.landing.tally.arrive(batch.iter().map(|key| (key.as_slice(), &node.addr)));
            }
        }
        Ok(())
    }

    /// The keys that the cluster does not have already.
    async fn leave_existing(&self, node: &Node, keys: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let ask = |key: &Vec<u8>| command("EXISTS").arg(key).to_owned();
        let client = self.pool.client_in(&node.addr, self.into).await?;
        let replies = client.pipeline(client.timeouts().reply, &keys.iter().map(ask).collect::<Vec<_>>()).await?;
        let mut absent = Vec::with_capacity(keys.len());
        for (key, reply) in keys.into_iter().zip(replies) {
            if reply? == Value::Int(0) {
                absent.push(key);
                continue;
            }
            match self.landing.settings.conflict {
                Conflict::Skip => self.landing.tally.skip(),
                Conflict::Fail => return Err(self.landing.conflict(&key)),
                _ => self.landing.tally.refuse(&key, &format!("it exists already on {}", node.addr)),
            }
        }
        Ok(absent)
    }

    async fn migrate(&self, node: &Node, batch: &[Vec<u8>]) -> Result<(), Error> {
        let mut cmd = command("MIGRATE");
        cmd.arg(&node.announced.host).arg(node.announced.port).arg("").arg(self.into).arg(self.timeout_ms);
        if self.copy {
            cmd.arg("COPY");
        }
        if self.landing.settings.conflict == Conflict::Replace {
            cmd.arg("REPLACE");
        }
        add_migrate_auth(&mut cmd, self.pool.access(), &node.announced);
        cmd.arg("KEYS").arg(batch);
        // The source connects, sends and waits within its own limit, each; this one is for a dead source.
        let limit = Duration::from_millis(self.timeout_ms.saturating_mul(3)) + self.source.timeouts().reply;
        match self.source.call_within(limit, &cmd).await {
            Err(Failure::Reply { text, .. }) => {
                if self.landing.ui.wording() == Wording::RedisCli {
                    let key = String::from_utf8_lossy(&batch[0]).into_owned();
                    self.landing.ui.part(format!("Migrating {key} to {}: ", node.addr));
                }
                let error = Error::failed(format!("Source {} replied with error:\n{text}", self.source.addr()));
                Err(if text.starts_with("IOERR") {
                    error.hint(
                        "the source itself connects to the nodes of the cluster and does not reach them; \
                         --via dump has this program carry the keys",
                    )
                } else if is_unread_text(&text) {
                    error.hint(
                        "the cluster is older than the source and does not read what it sends; --via dump has this \
                         program write the values anew",
                    )
                } else {
                    error
                })
            }
            other => Ok(other.map(drop)?),
        }
    }
}
