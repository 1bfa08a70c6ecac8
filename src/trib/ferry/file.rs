//! From snapshot files and quarantines: threads read them, workers RESTORE what they find, or compare it with what the
//! cluster has.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc};

use super::landing::Landing;
use super::{Cargo, Conflict, hash_of};
use crate::base::{Millis, SLOTS, glob, key_slot};
use crate::persist::payload::read_payload;
use crate::persist::rdb::records::{KeyRecord, Record, RecordReader};
use crate::persist::rdb::{RdbError, ReadOptions, VersionCheck};
use crate::trib::client::{Pool, command, join_all};
use crate::trib::dial::without_number;
use crate::trib::error::{Error, Failure};
use crate::trib::journal::store::now_ms;
use crate::trib::quarantine::Kept;
use crate::trib::slots::SlotSet;
use crate::trib::view::ClusterView;

/// A batch is sent when it has so many bytes of payload, or as many keys as were asked for.
const BATCH_BYTES: usize = 1 << 20;
const BUFFER: usize = 1 << 20;
/// Files of any server are read: what a value is sent as is decided by who takes it.
pub const ANY: ReadOptions = ReadOptions { version_check: VersionCheck::Any, verify_checksum: true };

/// What a file tells.
enum Found {
    Keys {
        database: u32,
        cargo: Vec<Cargo>,
    },
    /// The code of a library of functions.
    Library(Vec<u8>),
    /// Keys that are past their time: so many.
    Expired(u64),
    /// A file cannot be read on.
    Damaged(Error),
    /// A thread has read all that it was to read.
    Done,
}

/// What is done with the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    Restore,
    Compare,
}

/// A source of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    File(PathBuf),
    Stdin,
}

impl Snapshot {
    /// How it is named in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Snapshot::File(path) => path.display().to_string(),
            Snapshot::Stdin => "stdin".to_owned(),
        }
    }

    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Ok(match self {
            Snapshot::File(path) => Box::new(std::fs::File::open(path)?),
            Snapshot::Stdin => Box::new(std::io::stdin()),
        })
    }
}

/// Snapshots on their way into a cluster.
pub struct Load<'a> {
    pub landing: &'a Landing<'a>,
    pub pool: &'a Pool,
    pub view: &'a ClusterView,
    pub snapshots: Vec<Snapshot>,
    pub purpose: Purpose,
    /// How many databases the cluster has; keys of others go into the first.
    pub rooms: u32,
    /// Only this database of the snapshots.
    pub database: Option<u32>,
    /// Libraries that were loaded, since every file of a backup has the same ones.
    pub loaded: RefCell<HashSet<u64>>,
}

impl Load<'_> {
    /// Reads all snapshots to their ends.
    pub async fn run(&self) -> Result<(), Error> {
        let settings = self.landing.settings;
        let jobs = settings.jobs;
        let (sender, receiver) = mpsc::channel::<Found>(jobs * 2);
        let next = Arc::new(AtomicUsize::new(0));
        let readers = jobs.min(self.snapshots.len());
        for _ in 0..readers {
            let (sender, next, snapshots) = (sender.clone(), next.clone(), self.snapshots.clone());
            let (pattern, batch, only) = (settings.pattern.clone(), settings.batch, self.database);
            // Not of the runtime, which would wait at its end for a thread that waits for input.
            std::thread::spawn(move || {
                let reading = Reading { sender: &sender, pattern: pattern.as_deref(), batch, only };
                let mut last = Found::Done;
                while let Some(snapshot) = snapshots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = reading.file(snapshot) {
                        last = Found::Damaged(damaged(snapshot, &error));
                        break;
                    }
                }
                let _ = sender.blocking_send(last);
            });
        }
        drop(sender);
        let (receiver, done) = (Mutex::new(receiver), Cell::new(0));
        try_join_all((0..jobs).map(|_| self.work(&receiver, &done))).await?;
        match done.get() == readers {
            true => Ok(()),
            false => Err(Error::failed("[ERR] The snapshots were not read to their ends.")),
        }
    }

    async fn work(&self, receiver: &Mutex<mpsc::Receiver<Found>>, done: &Cell<usize>) -> Result<(), Error> {
        let mut lane = self.landing.lane();
        loop {
            let found = receiver.lock().await.recv().await;
            match found {
                None => return Ok(()),
                Some(Found::Done) => done.set(done.get() + 1),
                Some(Found::Damaged(error)) => return Err(error),
                Some(Found::Expired(keys)) => (0..keys).for_each(|_| self.landing.tally.expire()),
                Some(Found::Library(code)) => self.library(&code).await?,
                Some(Found::Keys { database, cargo }) => {
                    let into = if database < self.rooms { database } else { 0 };
                    if self.purpose == Purpose::Restore {
                        lane.land(into, &cargo, false).await?;
                        continue;
                    }
                    let sent: Vec<&Cargo> = cargo.iter().collect();
                    for (one, why) in cargo.iter().zip(lane.compare(into, &sent).await?) {
                        match why {
                            None => {
                                let node = self.landing.owner(&one.key);
                                self.landing.tally.arrive([(one.key.as_slice(), &node)].into_iter());
                            }
                            Some(why) => self.landing.tally.differ(&one.key, &why),
                        }
                    }
                }
            }
        }
    }

    /// Libraries belong to every primary.
    async fn library(&self, code: &[u8]) -> Result<(), Error> {
        if self.purpose == Purpose::Compare || !self.loaded.borrow_mut().insert(hash_of(code)) {
            return Ok(());
        }
        let conflict = self.landing.settings.conflict;
        let mut load = command("FUNCTION LOAD");
        if conflict == Conflict::Replace {
            load.arg("REPLACE");
        }
        load.arg(code);
        let primaries: Vec<_> = self.view.primaries().map(|node| &node.addr).collect();
        for reply in join_all(primaries.iter().map(|addr| self.pool.call(addr, &load))).await {
            match reply {
                Err(Failure::Reply { text, .. }) if conflict == Conflict::Skip && text.contains("already exists") => {}
                Err(Failure::Reply { node, text }) if text.contains("unknown command") => {
                    let why = format!("{node} has no functions, which came with Redis 7.0");
                    self.landing.tally.refuse(b"a library of functions", &why);
                }
                Err(failure @ Failure::Reply { .. }) => {
                    self.landing.tally.refuse(b"a library of functions", &failure.to_string());
                }
                other => _ = other?,
            }
        }
        Ok(())
    }
}

/// Whether there is a file, and whether it begins as one that can be brought in.
pub fn probe(path: &Path) -> Result<(), Error> {
    let file = std::fs::File::open(path).map_err(|e| {
        let why = without_number(&e.to_string()).to_owned();
        Error::failed(format!("[ERR] The file {} cannot be read: {why}", path.display()))
    })?;
    let mut source = BufReader::new(file);
    let mut begins = || match source.fill_buf()?.first() {
        Some(b'{') => Ok(()),
        _ => Ok(RecordReader::open(&mut source, ANY).map(drop)?),
    };
    begins().map_err(|error| damaged(&Snapshot::File(path.to_owned()), &error))
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Rdb(#[from] RdbError),
    /// A line of a quarantine.
    #[error("line {number} is no value that was saved: {why}")]
    Line { number: u64, why: String },
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Unreadable {
        Unreadable::Rdb(error.into())
    }
}

fn damaged(snapshot: &Snapshot, error: &Unreadable) -> Error {
    let text = Error::failed(format!("[ERR] {}: {error}", snapshot.name()));
    match (snapshot, error) {
        (_, Unreadable::Rdb(RdbError::BadMagic(_))) => {
            text.hint("what can be brought in are RDB files, and what --quarantine has saved")
        }
        (Snapshot::File(path), Unreadable::Rdb(_)) => {
            text.hint(format!("node --check-rdb {} says where it is damaged", path.display()))
        }
        (Snapshot::File(_), Unreadable::Line { .. }) => {
            text.hint("each line is one value: without this one the others can be brought in")
        }
        (Snapshot::Stdin, _) => text.hint("it is to come from a file, as in: trib import --from - < dump.rdb"),
    }
}

/// A thread that reads.
struct Reading<'a> {
    sender: &'a mpsc::Sender<Found>,
    pattern: Option<&'a str>,
    batch: usize,
    only: Option<u32>,
}

impl Reading<'_> {
    fn file(&self, snapshot: &Snapshot) -> Result<(), Unreadable> {
        let mut source = BufReader::with_capacity(BUFFER, snapshot.open()?);
        match source.fill_buf()?.first() {
            Some(b'{') => self.quarantine(source),
            _ => Ok(self.rdb(source)?),
        }
    }

    fn wants(&self, database: u32, key: &[u8]) -> bool {
        self.pattern.is_none_or(|p| glob::matches(p.as_bytes(), key, false))
            && self.only.is_none_or(|only| only == database)
    }

    /// Values that gave way. A last line without its end was cut off, and then the value stayed where it was.
    fn quarantine(&self, mut source: impl BufRead) -> Result<(), Unreadable> {
        let (mut line, mut number, mut expired) = (Vec::new(), 0, 0);
        while source.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            number += 1;
            let read = || {
                let kept = Kept::parse(&line)?;
                Ok((kept.database, kept.cargo(now_ms())?))
            };
            let (database, cargo) = read().map_err(|why| Unreadable::Line { number, why })?;
            match cargo {
                None => expired += 1,
                Some(one) if self.wants(database, &one.key) => {
                    // One at a time: they are few, and may be large.
                    if self.sender.blocking_send(Found::Keys { database, cargo: vec![one] }).is_err() {
                        return Ok(());
                    }
                }
                Some(_) => {}
            }
            line.clear();
        }
        let _ = self.sender.blocking_send(Found::Expired(expired));
        Ok(())
    }

    fn rdb(&self, source: impl BufRead) -> Result<(), RdbError> {
        let mut records = RecordReader::open(source, ANY)?;
        let now = now();
        let (mut database, mut expired) = (0, 0);
        let (mut cargo, mut bytes) = (Vec::new(), 0);
        loop {
            let record = records.next()?;
            let full = bytes >= BATCH_BYTES || cargo.len() >= self.batch;
            if full || matches!(record, Record::SelectDb(_) | Record::End { .. }) {
                bytes = 0;
                let cargo = std::mem::take(&mut cargo);
                // Nobody listens any more when the workers have failed, and they say why.
                if !cargo.is_empty() && self.sender.blocking_send(Found::Keys { database, cargo }).is_err() {
                    return Ok(());
                }
            }
            match record {
                Record::SelectDb(selected) => database = u32::try_from(selected).unwrap_or(u32::MAX),
                Record::Function(code) => _ = self.sender.blocking_send(Found::Library(code)),
                Record::Key(head) => {
                    let payload = value(&mut records, &head)?;
                    let Some(payload) = payload.filter(|_| self.wants(database, &head.key)) else { continue };
                    let ttl_ms = match head.expire {
                        Some(at) if at <= now => {
                            expired += 1;
                            continue;
                        }
                        Some(at) => at.since(now).unsigned_abs(),
                        None => 0,
                    };
                    bytes += payload.len();
                    cargo.push(Cargo { key: head.key, payload, ttl_ms });
                }
                Record::End { .. } => {
                    let _ = self.sender.blocking_send(Found::Expired(expired));
                    return Ok(());
                }
                Record::Aux { .. } | Record::ResizeDb { .. } | Record::SlotImport { .. } => {}
            }
        }
    }
}

/// The value of a key as a payload; an error names the key.
fn value<R: std::io::BufRead>(records: &mut RecordReader<R>, head: &KeyRecord) -> Result<Option<Vec<u8>>, RdbError> {
    read_payload(records, head.value_type).map_err(|error| match error {
        RdbError::Unsupported { what, .. } => RdbError::Unsupported { what, key: Some(head.key.clone()) },
        other => other,
    })
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What is in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub keys: u64,
    pub expires: u64,
    pub libraries: u64,
    /// Slots that have keys.
    pub slots: SlotSet,
}

/// Reads a snapshot to its end: every record, every value, and the checksum.
///
/// # Errors
/// What is wrong with it, for people.
pub fn examine(path: &Path) -> Result<Contents, String> {
    let read = || -> Result<Contents, RdbError> {
        let source = BufReader::with_capacity(BUFFER, std::fs::File::open(path)?);
        let mut records = RecordReader::open(source, ANY)?;
        let mut contents = Contents::default();
        let mut seen = vec![false; SLOTS];
        loop {
            match records.next()? {
                Record::Key(head) => {
                    value(&mut records, &head)?;
                    contents.keys += 1;
                    contents.expires += u64::from(head.expire.is_some());
                    seen[key_slot(&head.key).index()] = true;
                }
                Record::Function(_) => contents.libraries += 1,
                Record::End { .. } => break,
                _ => {}
            }
        }
        contents.slots = crate::base::Slot::all().filter(|slot| seen[slot.index()]).collect();
        Ok(contents)
    };
    read().map_err(|e| e.to_string())
}
