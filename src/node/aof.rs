//! The append-only log on disk: appended to, made durable, begun anew with a base of the dataset.
//!
//! Lock order: the log's own mutex, then the server's. Whoever holds the log's mutex decides in which order bytes reach
//! the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

use super::disk;
use super::shared::{Shared, lock, now};
use super::startup::plain;
use crate::config::{AppendFsync, Config};
use crate::exec::latency::LatencyEvent;
use crate::exec::snapshot::Purpose;
use crate::persist::aof::{BaseFormat, LogFile, Manifest, names};

/// How often `everysec` makes the log durable.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// Quicker writes are below every `latency-monitor-threshold`.
const NOTED_USEC: u64 = 1000;

/// The log of one server.
pub struct Aof {
    inner: Mutex<Inner>,
    /// The log is durable up to this offset.
    durable: watch::Sender<u64>,
    /// Rung when bytes wait to be written.
    pub filled: Notify,
}

#[derive(Default)]
struct Inner {
    /// The increment being appended to; none while the log is off.
    file: Option<File>,
    manifest: Manifest,
    buf: Vec<u8>,
    /// Bytes of `buf` are waiting for a disk that refused them.
    stuck: bool,
    /// The base being written.
    base: Option<Base>,
    unsynced: bool,
    /// An fsync is under way.
    syncing: bool,
    /// Counts how often the whole dataset was replaced (by a primary's), ...
    dataset: u64,
    /// ... and which one the last complete base is of. What is appended behind that of another counts for nothing.
    based_on: Option<u64>,
    /// What is written belongs to this offset of the replication stream.
    stream_offset: u64,
}

impl Inner {
    /// The log is on disk up to this offset of the replication stream.
    fn tell_durable(&self, shared: &Shared, stream_offset: u64) {
        if self.based_on == Some(self.dataset) {
            shared.with(|server| server.log_is_durable(stream_offset));
        }
    }

    /// Where nothing waits for the disk, everything is on it; also what the stream has and the log does not need.
    fn tell_if_idle(&self, shared: &Shared) {
        let waits = self.unsynced || self.syncing || self.stuck;
        if self.file.is_some() && !waits && self.based_on == Some(self.dataset) {
            shared.with(|server| {
                if server.aof.pending() == 0 {
                    server.log_is_durable(server.repl.offset());
                }
            });
        }
    }
}

#[derive(Clone, Copy)]
struct Base {
    format: BaseFormat,
    /// It began together with an increment, which stays when it is finished.
    opened: bool,
    dataset: u64,
}

impl Default for Aof {
    fn default() -> Aof {
        Aof { inner: Mutex::default(), durable: watch::channel(0).0, filled: Notify::new() }
    }
}

/// The log's directory.
#[must_use]
pub fn directory(config: &Config) -> PathBuf {
    disk::data_path(config, &config.appenddirname)
}

fn file_name(config: &Config) -> String {
    String::from_utf8_lossy(&config.appendfilename).into_owned()
}

/// Writes the manifest, durably.
///
/// # Errors
/// What the system says.
pub fn write_manifest(config: &Config, manifest: &Manifest) -> io::Result<()> {
    let dir = directory(config);
    fs::create_dir_all(&dir)?;
    disk::replace_file(&dir.join(names::manifest(&file_name(config))), &manifest.format(), true)
}

impl Aof {
    /// Opens the last increment of a log that was loaded (or a new one) and lets the server append to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self, shared: &Shared, config: &Config, mut manifest: Manifest) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let dir = directory(config);
        fs::create_dir_all(&dir)?;
        let is_new = manifest.increments.is_empty();
        if is_new {
            manifest.open_increment(&file_name(config));
        }
        let name = &manifest.increments[manifest.increments.len() - 1].name;
        inner.file = Some(append_to(&dir, name)?);
        delete_history(config, &dir, &mut manifest);
        write_manifest(config, &manifest)?;
        let size = |file: &LogFile| fs::metadata(path_in(&dir, &file.name)).map_or(0, |meta| meta.len());
        let bytes = manifest.to_load().map(size).sum();
        inner.manifest = manifest;
        inner.based_on = Some(inner.dataset);
        let server = &mut *shared.server();
        server.aof.switch(true);
        server.log_growth.opened(bytes, server.aof.offset);
        Ok(())
    }

    /// Writes what is waiting. With `fsync` it is durable on return. What the disk refuses is kept and tried again.
    pub fn flush(&self, shared: &Shared, fsync: bool) {
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        let Some(file) = &mut inner.file else { return };
        let (offset, stream_offset) = {
            let mut server = shared.server();
            if inner.stuck {
                let mut more = Vec::new();
                server.aof.take(&mut more);
                inner.buf.append(&mut more);
            } else {
                server.aof.take(&mut inner.buf);
            }
            (server.aof.offset, server.repl.offset())
        };
        let started = Instant::now();
        let result = write_whole(file, &inner.buf).and_then(|()| if fsync { file.sync_data() } else { Ok(()) });
        let event = if fsync { LatencyEvent::AofFsyncAlways } else { LatencyEvent::AofWrite };
        let usec = started.elapsed().as_micros() as u64;
        if usec >= NOTED_USEC {
            shared.server().note_latency(event, usec);
        }
        match result {
            Ok(()) => {
                inner.unsynced = !fsync && (inner.unsynced || !inner.buf.is_empty());
                inner.buf.clear();
                if std::mem::take(&mut inner.stuck) {
                    shared.server().aof_error = None;
                    shared.logger.warning(format_args!("AOF write error looks solved. The server can write again."));
                }
                inner.stream_offset = stream_offset;
                if fsync {
                    self.durable.send_replace(offset);
                    inner.tell_durable(shared, stream_offset);
                }
            }
            Err(error) => {
                let text = plain(&error);
                if !std::mem::replace(&mut inner.stuck, true) {
                    shared.logger.warning(format_args!("Error writing to the AOF file: {text}"));
                }
                shared.server().aof_error = Some(text);
            }
        }
    }

    /// The dataset is replaced by another one: the log says nothing of it before its next base is complete.
    pub fn dataset_replaced(&self) {
        lock(&self.inner).dataset += 1;
    }

    /// Waits until the log is durable up to `offset`.
    pub async fn wait_durable(&self, offset: u64) {
        let mut durable = self.durable.subscribe();
        // The sender lives as long as the log.
        let _ = durable.wait_for(|at| *at >= offset).await;
    }

    /// The files that hold the log, in order.
    pub fn files(&self) -> Vec<LogFile> {
        lock(&self.inner).manifest.to_load().cloned().collect()
    }

    /// Stops appending.
    pub fn close(&self, shared: &Shared) {
        self.flush(shared, true);
        let mut inner = lock(&self.inner);
        inner.file = None;
        shared.with(|server| {
            server.aof.switch(false);
            server.log_is_off();
        });
    }

    /// Begins a new base: what is appended from now on goes to a new increment, and a snapshot of the dataset as it is
    /// becomes the base. With `switch_on` the log is switched on thereby; without, a log that is off gets a base only.
    /// False when another snapshot is under way: try again later.
    ///
    /// # Errors
    /// What the system says; the old log goes on.
    pub fn begin_base(&self, shared: &Shared, switch_on: bool) -> io::Result<bool> {
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        let config = shared.server().config.clone();
        let dir = directory(&config);
        fs::create_dir_all(&dir)?;
        if inner.file.is_none() {
            inner.manifest = read_manifest(&config)?;
            if !switch_on {
                let begun = begin_snapshot(shared, None);
                inner.base = begun.map(|format| Base { format, opened: false, dataset: inner.dataset });
                return Ok(begun.is_some());
            }
        }
        let mut manifest = inner.manifest.clone();
        let name = manifest.open_increment(&file_name(&config)).name.clone();
        let file = append_to(&dir, &name)?;
        if inner.file.is_some() {
            // A crash before the base is complete loads the old base and both increments.
            write_manifest(&config, &manifest)?;
        }
        let Some(format) = begin_snapshot(shared, Some(&mut inner.buf)) else {
            let _ = fs::remove_file(path_in(&dir, &name));
            return Ok(false);
        };
        if let Some(old) = &mut inner.file {
            write_whole(old, &inner.buf)?;
            old.sync_data()?;
        }
        inner.buf.clear();
        if inner.file.is_none() {
            inner.based_on = None;
        }
        inner.file = Some(file);
        inner.manifest = manifest;
        inner.base = Some(Base { format, opened: true, dataset: inner.dataset });
        Ok(true)
    }

    /// The base that was begun is complete in the file `temp`: it takes its name, and what it replaces is deleted.
    ///
    /// # Errors
    /// What the system says; the old base and all increments stay.
    pub fn finish_base(&self, shared: &Shared, temp: &Path) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let config = shared.server().config.clone();
        let dir = directory(&config);
        let Base { format, opened, dataset } = inner.base.take().ok_or(io::ErrorKind::NotFound)?;
        let base = inner.manifest.next_base(&file_name(&config), format);
        fs::rename(temp, path_in(&dir, &base.name))?;
        disk::sync_dir(&path_in(&dir, &base.name))?;
        let mut manifest = inner.manifest.clone();
        manifest.replace_base(base, opened);
        write_manifest(&config, &manifest)?;
        delete_history(&config, &dir, &mut manifest);
        write_manifest(&config, &manifest)?;
        inner.manifest = manifest;
        inner.based_on = Some(dataset);
        Ok(())
    }
}

/// Begins the snapshot that becomes a base, unless another one is under way. `waiting` takes what is not yet in the
/// increments before: the log is on from here. The form of the base, or `None` if there is none.
fn begin_snapshot(shared: &Shared, waiting: Option<&mut Vec<u8>>) -> Option<BaseFormat> {
    let mut server = shared.server();
    let server = &mut *server;
    if !server.may_snapshot() {
        return None;
    }
    if let Some(waiting) = waiting {
        server.aof.take(waiting);
        server.aof.switch(true);
    }
    server.log_growth.begun(server.aof.offset);
    server.now = now();
    server.start_snapshot(Purpose::AofBase);
    shared.collect(server);
    Some(if server.config.aof_use_rdb_preamble { BaseFormat::Rdb } else { BaseFormat::Commands })
}

/// Deletes the files that nobody needs any more, unless they are to be kept.
fn delete_history(config: &Config, dir: &Path, manifest: &mut Manifest) {
    if config.aof_disable_auto_gc {
        return;
    }
    for old in manifest.take_history() {
        // One that cannot be deleted does no harm.
        let _ = fs::remove_file(path_in(dir, &old.name));
    }
}

/// The manifest on disk; an empty one if there is none.
fn read_manifest(config: &Config) -> io::Result<Manifest> {
    match fs::read(directory(config).join(names::manifest(&file_name(config)))) {
        Ok(text) => Manifest::parse(&text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Manifest::default()),
        Err(error) => Err(error),
    }
}

/// Appends all of `bytes`; a part that was written before an error is taken back, so that no torn command stays.
fn write_whole(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let len = file.metadata()?.len();
    file.write_all(bytes).inspect_err(|_| {
        let _ = file.set_len(len);
    })
}

fn append_to(dir: &Path, name: &[u8]) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path_in(dir, name))
}

pub(super) fn path_in(dir: &Path, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    dir.join(std::ffi::OsStr::from_bytes(name))
}

/// Writes the log for ever: as soon as there is something, durable as `appendfsync` asks.
pub async fn run(shared: Arc<Shared>, aof: Arc<Aof>) {
    let mut second = tokio::time::interval(SYNC_PERIOD);
    loop {
        tokio::select! {
            () = aof.filled.notified() => {
                if shared.server().config.appendfsync == AppendFsync::Always {
                    let (shared, aof) = (Arc::clone(&shared), Arc::clone(&aof));
                    let _ = spawn_blocking(move || aof.flush(&shared, true)).await;
                } else {
                    aof.flush(&shared, false);
                }
            }
            _ = second.tick() => {
                let policy = sync_policy(&shared);
                let due = { let inner = lock(&aof.inner); (inner.unsynced || inner.stuck) && !inner.syncing };
                if due && policy != AppendFsync::Never {
                    let (shared, aof) = (Arc::clone(&shared), Arc::clone(&aof));
                    tokio::spawn(async move { sync_in_background(shared, aof).await });
                } else if due {
                    aof.flush(&shared, false);
                } else {
                    lock(&aof.inner).tell_if_idle(&shared);
                }
            }
        }
    }
}

/// What is due every second; nothing but writing while a snapshot needs the disk, if that is wanted.
fn sync_policy(shared: &Shared) -> AppendFsync {
    let server = shared.server();
    let yields = server.config.no_appendfsync_on_rewrite && server.job.is_some();
    if yields { AppendFsync::Never } else { server.config.appendfsync }
}

/// One fsync away from the main thread; appending goes on meanwhile.
async fn sync_in_background(shared: Arc<Shared>, aof: Arc<Aof>) {
    aof.flush(&shared, false);
    let (file, stream_offset) = {
        let mut inner = lock(&aof.inner);
        let Some(file) = inner.file.as_ref().and_then(|f| f.try_clone().ok()) else { return };
        inner.unsynced = false;
        inner.syncing = true;
        (file, inner.stream_offset)
    };
    let result = spawn_blocking(move || file.sync_data()).await;
    lock(&aof.inner).syncing = false;
    match result {
        Ok(Ok(())) => lock(&aof.inner).tell_durable(&shared, stream_offset),
        Ok(Err(error)) => {
            let text = plain(&error);
            shared.logger.warning(format_args!("Error making the AOF file durable: {text}"));
            lock(&aof.inner).unsynced = true;
        }
        Err(_) => {}
    }
}
