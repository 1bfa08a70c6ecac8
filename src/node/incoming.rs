//! The snapshot of a full synchronisation as it arrives: into a file first, or straight into the keyspace
//! (`repl-diskless-load`).
//!
//! What goes straight is read by a thread of its own, so that a value which is not here completely holds up nobody; its keys
//! come in batches to a task that puts them in place. A thread that is behind makes the link wait.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc as blocking};

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, spawn_blocking};

use super::disk;
use super::load::{self, LoadError, Reading};
use super::shared::{Shared, lock, now};
use super::startup::plain;
use crate::config::{Config, DisklessLoad};
use crate::exec::loading::LoadedFacts;
use crate::persist::rdb::Event;
use crate::repl::{Framing, Input, SavedHistory};

/// Batches of keys that wait to be put in place.
const BATCHES: usize = 4;

/// A batch is full with so many keys, or so many bytes.
const BATCH_KEYS: usize = 64;
const BATCH_BYTES: u64 = 256 << 10;

/// Bytes that the thread has not read yet, beyond which the link waits.
const AHEAD_MAX_BYTES: usize = 8 << 20;

/// How far the thread is behind the link.
#[derive(Clone, Default)]
pub struct Ahead(Arc<Mutex<Weak<AtomicUsize>>>);

impl Ahead {
    /// Whether the link has to wait. Bytes that nobody reads any more do not count.
    pub fn is_too_far(&self) -> bool {
        lock(&self.0).upgrade().is_some_and(|bytes| bytes.load(Ordering::Relaxed) > AHEAD_MAX_BYTES)
    }
}

/// The snapshot, while there is one.
pub struct Incoming {
    shared: Arc<Shared>,
    taking: Option<Taking>,
    pub ahead: Ahead,
}

enum Taking {
    File(Arriving),
    Straight {
        bytes: blocking::Sender<Bytes>,
        unread: Weak<AtomicUsize>,
        /// Says that the last byte has been given to the thread.
        ended: oneshot::Sender<()>,
        task: AbortHandle,
    },
}

/// The file that a snapshot is written to.
struct Arriving {
    path: PathBuf,
    file: File,
    error: Option<std::io::Error>,
}

/// What happens to the data that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// It goes when the new data is in a file.
    File,
    /// It goes first.
    Straight,
    /// It goes at the end, and is read meanwhile if `serving`.
    Aside { serving: bool },
}

impl Incoming {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Incoming {
        Incoming { shared, taking: None, ahead: Ahead::default() }
    }

    /// A snapshot begins to arrive.
    pub fn begin(&mut self, history: Option<SavedHistory>, framing: Framing) {
        let (place, config) = {
            let server = self.shared.server();
            let same = history.is_some_and(|history| history.id == server.repl.history().id);
            let place = match server.config.repl_diskless_load {
                DisklessLoad::Disabled => Place::File,
                DisklessLoad::OnEmptyDb if server.keyspace.is_empty() => Place::Straight,
                DisklessLoad::OnEmptyDb => Place::File,
                DisklessLoad::FlushBeforeLoad => Place::Straight,
                DisklessLoad::SwapDb => Place::Aside { serving: same },
            };
            (place, server.config.clone())
        };
        let len = if let Framing::Length(len) = framing { len } else { 0 };
        self.taking =
            if place == Place::File { self.begin_file(&config) } else { self.begin_straight(config, place, len) };
    }

    fn begin_file(&self, config: &Config) -> Option<Taking> {
        let name = format!("temp-{}.{}.rdb", now().secs(), std::process::id());
        let path = disk::data_path(config, name.as_bytes());
        match File::create(&path) {
            Ok(file) => Some(Taking::File(Arriving { path, file, error: None })),
            Err(error) => {
                let text = plain(&error);
                self.shared.logger.warning(format_args!(
                    "Opening the temp file needed for MASTER <-> REPLICA synchronization: {text}"
                ));
                None
            }
        }
    }

    fn begin_straight(&self, config: Config, place: Place, len: u64) -> Option<Taking> {
        let (bytes, from_link) = blocking::channel();
        let (parsed, batches) = mpsc::channel(BATCHES);
        let (ended, end) = oneshot::channel();
        let unread = Arc::new(AtomicUsize::new(0));
        let source = Source { from_link, chunk: Bytes::new(), unread: Arc::clone(&unread) };
        let unread = Arc::downgrade(&unread);
        *lock(&self.ahead.0) = Weak::clone(&unread);
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        if let Err(error) = thread.spawn(move || parse(source, &config, &parsed)) {
            let text = plain(&error);
            self.shared.logger.warning(format_args!("Can't start the thread that reads the snapshot: {text}"));
            return None;
        }
        let task = tokio::spawn(take(Arc::clone(&self.shared), batches, end, place, len));
        Some(Taking::Straight { bytes, unread, ended, task: task.abort_handle() })
    }

    /// The next bytes of it.
    pub fn chunk(&mut self, chunk: Bytes) {
        match &mut self.taking {
            Some(Taking::File(Arriving { file, error, .. })) if error.is_none() => {
                *error = file.write_all(&chunk).err();
            }
            Some(Taking::Straight { bytes, unread, .. }) => {
                if let Some(unread) = unread.upgrade() {
                    unread.fetch_add(chunk.len(), Ordering::Relaxed);
                }
                // A thread that has found something wrong reads no more; the task says so at the end.
                let _ = bytes.send(chunk);
            }
            Some(Taking::File(_)) | None => {}
        }
    }

    /// It is here completely.
    pub fn end(&mut self) {
        match self.taking.take() {
            None => self.shared.with(|server| server.repl_input(Input::LoadDone { ok: false })),
            Some(Taking::File(arriving)) => drop(tokio::spawn(take_over(Arc::clone(&self.shared), arriving))),
            // The task waits for this as long as it lives.
            Some(Taking::Straight { ended, .. }) => _ = ended.send(()),
        }
    }

    /// The rest of it will not come.
    pub fn abort(&mut self) {
        match self.taking.take() {
            None => {}
            Some(Taking::File(arriving)) => _ = fs::remove_file(arriving.path),
            Some(Taking::Straight { task, .. }) => {
                task.abort();
                self.shared.with(|server| {
                    if server.loading.is_some_and(|loading| loading.from_primary) {
                        let error = "the link to the primary broke".to_owned();
                        server.end_loading(now(), &LoadedFacts::default(), Err(error));
                    }
                });
            }
        }
    }
}

/// Replaces the dataset by the snapshot in the file.
async fn take_over(shared: Arc<Shared>, arriving: Arriving) {
    let Arriving { path, file, error } = arriving;
    let len = file.metadata().map_or(0, |m| m.len());
    let config = shared.server().config.clone();
    // It becomes the RDB file: a crash must not leave one with a name and without its end.
    let written = match error {
        Some(error) => Err(error),
        None => spawn_blocking(move || file.sync_all()).await.unwrap_or_else(|failed| Err(failed.into())),
    };
    let opened = written.map_err(LoadError::Io).and_then(|()| load::open_rdb(&path, &config));
    let reader = match opened {
        Ok(reader) => reader,
        Err(error) => {
            // Nothing was touched: the old data stays until a better snapshot comes.
            let _ = fs::remove_file(&path);
            return refuse(&shared, &error);
        }
    };
    shared.aof.dataset_replaced();
    shared.with(|server| server.begin_loading(now(), len, true));
    let loaded = load::load_rdb(&shared, reader, false).await;
    let (facts, result) = match loaded {
        Ok((facts, _)) => (facts, Ok(())),
        Err(error) => (LoadedFacts::default(), Err(error.to_string())),
    };
    // Where nothing is meant to be on disk, what came from the primary shall not stay there either.
    let keep = !(config.rdb_del_sync_files && !config.appendonly && config.save.is_empty());
    if result.is_err() || !keep {
        let _ = fs::remove_file(&path);
    } else {
        let rdb = disk::rdb_path(&config);
        if let Err(error) = fs::rename(&path, &rdb).and_then(|()| disk::sync_dir(&rdb)) {
            // The data is here all the same; what is on the disk is older.
            shared.logger.warning(format_args!(
                "Failed trying to rename the temp DB into {} in MASTER <-> REPLICA synchronization: {}",
                rdb.display(),
                plain(&error)
            ));
            let _ = fs::remove_file(&path);
        }
    }
    finish(&shared, &facts, result);
}

/// A snapshot that cannot be read at all.
fn refuse(shared: &Shared, error: &LoadError) {
    shared.logger.warning(format_args!("Can't read the MASTER synchronization DB: {error}"));
    shared.with(|server| server.repl_input(Input::LoadDone { ok: false }));
}

fn finish(shared: &Shared, facts: &LoadedFacts, result: Result<(), String>) {
    shared.with(|server| {
        server.end_loading(now(), facts, result);
        if server.aof.is_on() {
            // The log described the old data: it begins anew with a base of the new.
            server.ask_for_rewrite(None);
        }
    });
}

/// The bytes of the link as a file.
struct Source {
    from_link: blocking::Receiver<Bytes>,
    chunk: Bytes,
    unread: Arc<AtomicUsize>,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            let Ok(next) = self.from_link.recv() else { return Ok(0) };
            self.chunk = next;
        }
        let n = out.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut out[..n]);
        self.unread.fetch_sub(n, Ordering::Relaxed);
        Ok(n)
    }
}

/// What the thread has read.
enum Parsed {
    /// It is a file that this server can read.
    Opened,
    /// The next keys, and where in the file they end.
    Batch(Vec<Event>, u64),
    Failed(LoadError),
}

/// Reads the snapshot to its end, or as long as somebody wants it.
fn parse(source: Source, config: &Config, out: &mpsc::Sender<Parsed>) {
    if let Err(error) = parse_all(source, config, out) {
        // When nobody hears of it the link is gone already.
        let _ = out.blocking_send(Parsed::Failed(error));
    }
}

fn parse_all(source: Source, config: &Config, out: &mpsc::Sender<Parsed>) -> Result<(), LoadError> {
    let mut reader = load::open(BufReader::with_capacity(256 << 10, source), config)?;
    let (mut next, mut over) = (Parsed::Opened, false);
    while out.blocking_send(next).is_ok() && !over {
        let (mut batch, from) = (Vec::new(), reader.offset());
        while !over && batch.len() < BATCH_KEYS && reader.offset() - from < BATCH_BYTES {
            let event = reader.next()?;
            over = matches!(event, Event::End { .. });
            batch.push(event);
        }
        next = Parsed::Batch(batch, reader.offset());
    }
    Ok(())
}

/// Puts what the thread reads in place.
async fn take(
    shared: Arc<Shared>,
    mut batches: mpsc::Receiver<Parsed>,
    ended: oneshot::Receiver<()>,
    place: Place,
    len: u64,
) {
    let mut reading = Reading::default();
    let mut begun = false;
    let result = loop {
        match batches.recv().await {
            None => break Err(LoadError::Io(std::io::ErrorKind::UnexpectedEof.into())),
            Some(Parsed::Failed(error)) => break Err(error),
            Some(Parsed::Opened) => {
                begun = true;
                if place == Place::Straight {
                    shared.aof.dataset_replaced();
                }
                shared.with(|server| match place {
                    Place::Aside { serving } => server.begin_loading_aside(now(), len, serving),
                    Place::Straight | Place::File => server.begin_loading(now(), len, true),
                });
            }
            Some(Parsed::Batch(events, offset)) => match place_batch(&shared, &mut reading, events, offset) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            },
        }
    };
    // The link is done with it only when the mark behind the last key has come. When it never comes the task is ended.
    if ended.await.is_err() {
        return;
    }
    match result {
        Err(error) if !begun => refuse(&shared, &error),
        Err(error) => finish(&shared, &LoadedFacts::default(), Err(error.to_string())),
        Ok(()) => {
            if place != Place::Straight {
                shared.aof.dataset_replaced();
            }
            finish(&shared, &reading.facts(), Ok(()));
        }
    }
}

/// False at the end of the snapshot.
fn place_batch(shared: &Shared, reading: &mut Reading, events: Vec<Event>, offset: u64) -> Result<bool, LoadError> {
    let mut server = shared.server();
    for event in events {
        if !reading.take(&mut server, event)? {
            return Ok(false);
        }
    }
    if let Some(loading) = &mut server.loading {
        loading.loaded_bytes = offset;
    }
    Ok(true)
}
