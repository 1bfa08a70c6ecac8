//! From a server: SCAN lists its keys, workers DUMP them there and RESTORE them here.
//!
//! When keys are moved, a key is deleted at the source only if nobody has written to it since it was read (WATCH), and
//! carried again otherwise. That is why a batch is short: a server compares every key that is watched with all others.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use super::landing::{Landing, Lane};
use super::wire::{Commands, Wire};
use super::{Cargo, hash_of};
use crate::resp::client::ReplyValue;
use crate::trib::access::Access;
use crate::trib::addr::Addr;
use crate::trib::error::{Error, Failure};

const SCAN_PAGE: &[u8] = b"1000";
/// How often a batch is carried again because a client has written to it meanwhile.
const TRIES: usize = 100;
/// About so many bytes of payload are on their way in one batch.
const BATCH_BYTES: usize = 4 << 20;
/// The first batch, before anything is known of the sizes.
const FIRST_BATCH: usize = 32;

/// One database of one server, on its way.
pub struct Live<'a> {
    pub landing: &'a Landing<'a>,
    pub addr: &'a Addr,
    pub access: &'a Access,
    pub database: u32,
    /// Where the keys go.
    pub into: u32,
    /// The keys stay at the source.
    pub copy: bool,
    /// UNLINK, or DEL where there is none.
    pub delete: &'static str,
    /// Keys of databases before this one that went into the same; more are added where that is wanted.
    pub earlier: &'a RefCell<HashSet<u64>>,
    pub remembers: bool,
}

/// Lists the keys of the source for all workers.
struct Lister {
    wire: Wire,
    cursor: Vec<u8>,
    ended: bool,
    waiting: VecDeque<Vec<u8>>,
}

/// What the workers of one database share.
struct Shared {
    lister: Mutex<Lister>,
    /// SCAN may show a key twice: with copies all that were met, otherwise those on their way. Hashes, to keep the memory
    /// of large imports small.
    met: RefCell<HashSet<u64>>,
    here: RefCell<HashSet<u64>>,
    batch: Cell<usize>,
}

impl Live<'_> {
    /// Carries all keys.
    pub async fn run(&self) -> Result<(), Error> {
        let wire = Wire::open(self.addr, self.access, self.database).await?;
        let lister = Lister { wire, cursor: b"0".to_vec(), ended: false, waiting: VecDeque::new() };
        let shared = Shared {
            lister: Mutex::new(lister),
            met: RefCell::default(),
            here: RefCell::default(),
            batch: Cell::new(FIRST_BATCH.min(self.landing.settings.batch)),
        };
        try_join_all((0..self.landing.settings.jobs).map(|_| self.work(&shared))).await?;
        self.earlier.borrow_mut().extend(shared.here.take());
        Ok(())
    }

    async fn work(&self, shared: &Shared) -> Result<(), Error> {
        let mut source: Option<Wire> = None;
        let mut lane = self.landing.lane();
        loop {
            let keys = self.next_batch(shared).await?;
            if keys.is_empty() {
                return Ok(());
            }
            if source.is_none() {
                source = Some(Wire::open(self.addr, self.access, self.database).await?);
            }
            let Some(source) = &mut source else { return Ok(()) };
            let hashes: Vec<u64> = keys.iter().map(|key| hash_of(key)).collect();
            self.carry(source, &mut lane, keys, shared).await?;
            if !self.copy {
                let mut met = shared.met.borrow_mut();
                hashes.iter().for_each(|hash| _ = met.remove(hash));
            }
        }
    }

    /// Some keys that nobody carries yet; none at the end.
    async fn next_batch(&self, shared: &Shared) -> Result<Vec<Vec<u8>>, Failure> {
        let mut lister = shared.lister.lock().await;
        let size = shared.batch.get();
        while lister.waiting.len() < size && !lister.ended {
            let page = self.scan(&mut lister).await?;
            for key in page {
                let hash = hash_of(&key);
                if self.into == 0 && self.earlier.borrow().contains(&hash) {
                    self.landing.tally.refuse(&key, "a key of the same name came from another database");
                } else if shared.met.borrow_mut().insert(hash) {
                    lister.waiting.push_back(key);
                }
                if self.remembers {
                    shared.here.borrow_mut().insert(hash);
                }
            }
        }
        let take = lister.waiting.len().min(size);
        Ok(lister.waiting.drain(..take).collect())
    }

    async fn scan(&self, lister: &mut Lister) -> Result<Vec<Vec<u8>>, Failure> {
        let mut words: Vec<&[u8]> = vec![b"SCAN", &lister.cursor, b"COUNT", SCAN_PAGE];
        if let Some(pattern) = &self.landing.settings.pattern {
            words.extend([&b"MATCH"[..], pattern.as_bytes()]);
        }
        let reply = lister.wire.call(self.access.timeouts.reply, &words).await?;
        let page = match reply {
            ReplyValue::Array(parts) => <[ReplyValue; 2]>::try_from(parts).ok(),
            _ => None,
        };
        let Some([ReplyValue::Bulk(cursor), ReplyValue::Array(keys)]) = page else {
            return Err(lister.wire.unexpected("no SCAN page"));
        };
        lister.ended = cursor == b"0";
        lister.cursor = cursor;
        let key = |item| if let ReplyValue::Bulk(key) = item { Some(key) } else { None };
        Ok(keys.into_iter().filter_map(key).collect())
    }

    /// Brings a batch into the cluster and, unless it is a copy, deletes it at the source.
    async fn carry(
        &self,
        source: &mut Wire,
        lane: &mut Lane<'_>,
        keys: Vec<Vec<u8>>,
        shared: &Shared,
    ) -> Result<(), Error> {
        let mut left = keys;
        for round in 0..TRIES {
            let cargo = self.read(source, &left).await?;
            let bytes: usize = cargo.iter().map(|one| one.payload.len()).sum();
            let fitting = cargo.len().max(1) * BATCH_BYTES / bytes.max(1);
            shared.batch.set(fitting.min(shared.batch.get() * 2).clamp(1, self.landing.settings.batch));
            // What arrived before is ours to overwrite, and counted.
            let there = match round {
                0 => lane.land(self.into, &cargo, false).await?,
                _ => lane.land_again(self.into, &cargo).await?,
            };
            let arrived: Vec<&Cargo> =
                cargo.iter().zip(there).filter_map(|(one, there)| there.then_some(one)).collect();
            if self.copy {
                return Ok(());
            }
            if arrived.is_empty() {
                source.call(self.access.timeouts.reply, &[b"UNWATCH"]).await?;
                return Ok(());
            }
            let words: Vec<&[u8]> =
                [self.delete.as_bytes()].into_iter().chain(arrived.iter().map(|one| one.key.as_slice())).collect();
            let mut commands = Commands::new();
            commands.add(&[b"MULTI"]).add(&words).add(&[b"EXEC"]);
            let mut done = source.exchange(self.limit(), &commands).await?;
            match done.pop().map(|reply| source.accept(reply)).transpose()? {
                Some(ReplyValue::Null) => left = arrived.into_iter().map(|one| one.key.clone()).collect(),
                _ => return Ok(()),
            }
        }
        Err(Error::failed("[ERR] Clients of the source write to its keys faster than they can be moved.")
            .hint("stop the writers, or import with --copy first"))
    }

    /// The keys with their values; those that have gone meanwhile are left out.
    async fn read(&self, source: &mut Wire, keys: &[Vec<u8>]) -> Result<Vec<Cargo>, Failure> {
        let mut commands = Commands::new();
        if !self.copy {
            let words: Vec<&[u8]> = [&b"WATCH"[..]].into_iter().chain(keys.iter().map(Vec::as_slice)).collect();
            commands.add(&words);
        }
        for key in keys {
            commands.add(&[b"DUMP", key]).add(&[b"PTTL", key]);
        }
        let mut replies = source.exchange(self.limit(), &commands).await?.into_iter();
        if !self.copy {
            replies.next().map(|reply| source.accept(reply)).transpose()?;
        }
        let mut cargo = Vec::with_capacity(keys.len());
        for key in keys {
            let mut next = || replies.next().map(|reply| source.accept(reply)).transpose();
            let (payload, ttl) = (next()?, next()?);
            let Some(ReplyValue::Bulk(payload)) = payload else {
                self.landing.tally.expire();
                continue;
            };
            let ttl_ms = match ttl {
                Some(ReplyValue::Integer(ttl @ 0..)) => ttl.unsigned_abs().max(1),
                _ => 0,
            };
            cargo.push(Cargo { key: key.clone(), payload, ttl_ms });
        }
        Ok(cargo)
    }

    fn limit(&self) -> Duration {
        self.landing.settings.limit
    }
}
