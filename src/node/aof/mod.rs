//! The append-only log on the real disk: one thread that looks after it and changes its base.
//!
//! Whatever waits for the disk waits on that thread, or on the one beside it ([`sync`]), and the server's threads never
//! do: they ring it when there is something to write, and ask it for the rest by orders. With `appendfsync always` it
//! writes everything: while one batch is written and made durable the next one gathers. Else whoever has run commands
//! writes ([`turn`]), unless the disk is busy.
//!
//! Lock order: the log's own mutex, then the server's. Whoever holds the log's mutex decides in which order bytes reach
//! the file.

mod base;
mod mark;
mod pace;
mod sync;
mod turn;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::disk::RealDisk;
use super::os;
use super::shared::{Shared, lock};
use super::startup::plain;
use crate::config::{AppendFsync, Config};
use crate::exec::Token;
use crate::exec::latency::LatencyEvent;
use crate::persist::aof::{Log, LogFile, Manifest};
use crate::persist::disk::Disk;
pub use base::place;
use mark::Mark;
use pace::Pace;
use sync::Syncing;

/// How often `everysec` makes the log durable.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// What the disk refused is tried again after this long.
const RETRY_PERIOD: Duration = Duration::from_millis(100);

/// Quicker writes are below every `latency-monitor-threshold`.
const NOTED_USEC: u64 = 1000;

/// The log of one server.
pub struct Aof {
    inner: Mutex<Inner>,
    /// The log's own thread holds `inner`, which may take long.
    at_work: AtomicBool,
    orders: Mutex<VecDeque<Order>>,
    thread: OnceLock<Thread>,
    syncs: Mutex<Option<sync::Orders>>,
    /// The system has been given the log up to this offset.
    written: Mark,
    /// The log is durable up to this offset.
    durable: Mark,
    /// How often connections have had to wait for that, ever, ...
    arrivals: AtomicU64,
    /// ... and the number of them that the thread waits for before its next round, while it does.
    wanted: AtomicU64,
    gathering: AtomicBool,
    /// Counts how often the whole dataset was replaced (by a primary's).
    dataset: AtomicU64,
}

struct Inner {
    log: Log<RealDisk>,
    /// The disk has refused something, and has been told to try again since.
    failing: Option<Failing>,
    /// The dataset of which the last complete base is. What is appended behind that of another counts for nothing.
    based_on: Option<u64>,
    /// The dataset of which the base under way is.
    rewriting: u64,
    /// What is written belongs to this offset of the replication stream.
    stream_offset: u64,
    /// When it was last begun to make the log durable.
    synced_at: Instant,
    /// What is being made durable just now.
    syncing: Option<Syncing>,
    /// The arrivals that are answered.
    released: u64,
    pace: Pace,
}

/// What the disk has refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failing {
    Write,
    Sync,
}

enum Order {
    /// Begin a new base; with `switch_on` the log is switched on thereby.
    BeginBase {
        switch_on: bool,
        /// What the increment so far has not on disk has been made durable already, as far as possible.
        synced: bool,
        asker: Asker,
    },
    /// The base is complete in this file.
    FinishBase { temp: PathBuf, done: oneshot::Sender<std::io::Result<()>> },
    /// The base under way has failed.
    AbandonBase,
    /// These files have been deleted.
    Forget(Vec<LogFile>),
    /// Write everything, durably if so asked.
    Settle { fsync: bool, done: oneshot::Sender<std::io::Result<()>> },
    /// Stop appending; who has given a sender waits for it.
    Close(Option<oneshot::Sender<()>>),
}

/// Who is told how the beginning of a base went.
enum Asker {
    /// The server, and whoever waits there.
    Server(Option<Token>),
    /// Whoever switches the log on: whether it may be called on.
    Switch(oneshot::Sender<bool>),
}

impl Default for Aof {
    fn default() -> Aof {
        Aof {
            inner: Mutex::new(Inner {
                log: Log::new(RealDisk),
                failing: None,
                based_on: None,
                rewriting: 0,
                stream_offset: 0,
                synced_at: Instant::now(),
                syncing: None,
                released: 0,
                pace: Pace::default(),
            }),
            at_work: AtomicBool::new(false),
            orders: Mutex::default(),
            thread: OnceLock::new(),
            syncs: Mutex::default(),
            written: Mark::default(),
            durable: Mark::default(),
            arrivals: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            gathering: AtomicBool::new(false),
            dataset: AtomicU64::new(0),
        }
    }
}

impl Aof {
    /// Opens the last increment of a log that was loaded (or a new one) and lets the server append to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self, shared: &Shared, config: &Config, manifest: Manifest) -> std::io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.log.open(place(config), manifest)?;
        shared.logger.notice(format_args!("Opening AOF incr file {} on server start", base::last_name(&inner.log)));
        base::delete(&mut inner.log);
        let log = &inner.log;
        let size = |file: &LogFile| log.disk().len(&log.place().path(&file.name)).unwrap_or(0);
        let bytes = log.manifest().to_load().map(size).sum();
        inner.based_on = Some(self.dataset.load(Ordering::Relaxed));
        let server = &mut *shared.server();
        server.aof.switch(true);
        server.log_growth.opened(bytes, server.aof.offset);
        Ok(())
    }

    /// Starts the threads, and lets the runtime wake those who wait for them.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self: &Arc<Aof>, shared: &Arc<Shared>) -> std::io::Result<()> {
        self.start_syncs(shared)?;
        let (aof, shared) = (Arc::clone(self), Arc::clone(shared));
        let handle = thread::Builder::new().name("aof".to_owned()).spawn(move || {
            os::prepare_for_signals();
            aof.run(&shared);
        })?;
        let _ = self.thread.set(handle.thread().clone());
        let aof = Arc::clone(self);
        tokio::spawn(async move { tokio::join!(aof.written.relay(), aof.durable.relay()) });
        Ok(())
    }

    /// There is something to write.
    pub fn ring(&self) {
        if !self.gathering.load(Ordering::Acquire) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn order(&self, order: Order) {
        lock(&self.orders).push_back(order);
        self.wake();
    }

    /// Begins a new base: what is appended from now on goes to a new increment, and a snapshot of the dataset as it is
    /// becomes the base. With `switch_on` a log that is off is switched on thereby; without, it gets a base only. The
    /// server is told how that went.
    pub fn begin_base(&self, switch_on: bool, token: Option<Token>) {
        self.order(Order::BeginBase { switch_on, synced: false, asker: Asker::Server(token) });
    }

    /// Switches the log on: at once, or as soon as another snapshot allows it. False when it cannot be written.
    pub async fn switch_on(&self) -> bool {
        let (done, result) = oneshot::channel();
        self.order(Order::BeginBase { switch_on: true, synced: false, asker: Asker::Switch(done) });
        result.await.unwrap_or(false)
    }

    /// The base that was begun is complete and durable in the file `temp`: it takes its name, and what it replaces is
    /// deleted.
    ///
    /// # Errors
    /// What the system says; the old base and all increments stay.
    pub async fn finish_base(&self, temp: PathBuf) -> std::io::Result<()> {
        let (done, result) = oneshot::channel();
        self.order(Order::FinishBase { temp, done });
        result.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    /// The base that was begun has failed.
    pub fn abandon_base(&self) {
        self.order(Order::AbandonBase);
    }

    /// Writes what is waiting. With `fsync` it is durable then.
    ///
    /// # Errors
    /// What the system says.
    pub async fn settle(&self, fsync: bool) -> std::io::Result<()> {
        let (done, result) = oneshot::channel();
        self.order(Order::Settle { fsync, done });
        result.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    /// Stops appending.
    pub fn close(&self) {
        self.order(Order::Close(None));
    }

    /// Stops appending, and waits until what came before is on disk and nothing more goes there.
    pub async fn switch_off(&self) {
        let (done, closed) = oneshot::channel();
        self.order(Order::Close(Some(done)));
        // Without its thread there is nothing that would append.
        let _ = closed.await;
    }

    /// The dataset is replaced by another one: the log says nothing of it before its next base is complete.
    pub fn dataset_replaced(&self) {
        self.dataset.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the log is durable up to `offset`.
    pub async fn wait_durable(&self, offset: u64) {
        if self.durable.is_at(offset) {
            return;
        }
        if self.arrivals.fetch_add(1, Ordering::AcqRel) + 1 >= self.wanted.load(Ordering::Acquire) {
            self.wake();
        }
        self.durable.wait(offset).await;
    }

    /// The files that hold the log, in order, with their paths.
    pub fn files(&self) -> Vec<PathBuf> {
        let inner = lock(&self.inner);
        inner.log.manifest().to_load().map(|file| inner.log.place().path(&file.name)).collect()
    }

    fn run(&self, shared: &Arc<Shared>) {
        loop {
            let mut inner = lock(&self.inner);
            self.at_work.store(true, Ordering::Release);
            while let Some(order) = self.next_order(&inner) {
                self.perform(shared, &mut inner, order);
            }
            let pause = self.pass(shared, &mut inner);
            self.at_work.store(false, Ordering::Release);
            drop(inner);
            if let Some(pause) = pause {
                thread::park_timeout(pause);
            }
        }
    }

    /// While something is being made durable the log is written to, and all else waits.
    fn next_order(&self, inner: &Inner) -> Option<Order> {
        if inner.syncing.is_some() { None } else { lock(&self.orders).pop_front() }
    }

    fn perform(&self, shared: &Arc<Shared>, inner: &mut Inner, order: Order) {
        match order {
            Order::BeginBase { switch_on, synced, asker } => {
                if !synced && self.sync_ahead(shared, inner) {
                    lock(&self.orders).push_front(Order::BeginBase { switch_on, synced: true, asker });
                    return;
                }
                let begun = self.begin(shared, inner, switch_on);
                match asker {
                    Asker::Server(token) => shared.with(|server| server.rewrite_begun(token, begun)),
                    Asker::Switch(done) => {
                        shared.server().rewrite_begun(None, begun);
                        // A server that has ended meanwhile need not know.
                        let _ = done.send(begun.is_some());
                    }
                }
            }
            Order::FinishBase { temp, done } => {
                let result = inner.log.finish_rewrite(&temp);
                if result.is_ok() {
                    base::tell_of_new(&shared.logger, &inner.log);
                    inner.based_on = Some(inner.rewriting);
                    self.delete_beside(inner);
                }
                let _ = done.send(result);
            }
            Order::AbandonBase => inner.log.abandon_rewrite(),
            Order::Forget(files) => inner.log.forget(&files),
            Order::Settle { fsync, done } => {
                let taken = take(shared, inner);
                let result = inner.log.write().and_then(|()| if fsync { inner.log.sync() } else { Ok(()) });
                if fsync && result.is_ok() {
                    self.tell_durable(shared, inner, &taken);
                }
                let _ = done.send(result);
            }
            Order::Close(done) => {
                let taken = take(shared, inner);
                match inner.log.write().and_then(|()| inner.log.sync()) {
                    Ok(()) => self.tell_durable(shared, inner, &taken),
                    Err(error) => {
                        let text = plain(&error);
                        shared.logger.warning(format_args!("Fail to fsync the AOF file: {text}."));
                    }
                }
                inner.log.close();
                inner.failing = None;
                let end = shared.with(|server| {
                    server.aof.switch(false);
                    server.aof_error = None;
                    server.cancel_rewrite();
                    if server.config.appendonly {
                        // It is being switched off, or has been switched on again meanwhile and is about to begin anew.
                        server.log_tells_nothing();
                    } else {
                        server.log_is_off();
                    }
                    server.aof.offset
                });
                // Nobody is to wait for a log that there is not: neither who wrote before the last sync, nor during it.
                self.tell_written(end);
                self.advance(end);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Writes what there is, makes it durable when that is due, and says how long to rest then; `None` for not at all.
    fn pass(&self, shared: &Arc<Shared>, inner: &mut Inner) -> Option<Duration> {
        if !inner.log.is_on() {
            return Some(SYNC_PERIOD);
        }
        // Whoever waits now waits for no more than what is taken next.
        let answered = self.arrivals.load(Ordering::Acquire);
        let taken = take(shared, inner);
        let policy = taken.policy;
        if let Some(syncing) = inner.syncing.as_mut().filter(|_| inner.log.waiting_bytes() > 0) {
            Aof::note_delay(shared, syncing);
        }
        let written = write(shared, inner);
        self.tell_written(taken.offset);
        if let Err(error) = written {
            return self.refused(shared, inner, policy, Failing::Write, &error);
        }
        if inner.failing == Some(Failing::Write) {
            self.solved(shared, inner);
        }
        if inner.syncing.is_some() {
            // Its end wakes this thread.
            return Some(SYNC_PERIOD);
        }
        let unsynced = inner.log.is_unsynced();
        match policy {
            AppendFsync::Always if unsynced => return self.sync_now(shared, inner, &taken, answered),
            AppendFsync::EverySecond if unsynced && inner.synced_at.elapsed() >= SYNC_PERIOD => {
                if let Err(error) = self.begin_sync(shared, inner, taken) {
                    return self.refused(shared, inner, policy, Failing::Sync, &error);
                }
            }
            _ if !unsynced => self.tell_durable(shared, inner, &taken),
            _ => {}
        }
        Some(SYNC_PERIOD.saturating_sub(inner.synced_at.elapsed()).max(Duration::from_millis(1)))
    }

    /// Makes durable what was `taken` while replies wait for it.
    fn sync_now(&self, shared: &Shared, inner: &mut Inner, taken: &Taken, answered: u64) -> Option<Duration> {
        let started = Instant::now();
        let synced = inner.log.sync();
        note(shared, &[LatencyEvent::AofFsyncAlways], started);
        inner.synced_at = Instant::now();
        if let Err(error) = synced {
            return self.refused(shared, inner, taken.policy, Failing::Sync, &error);
        }
        let took = started.elapsed();
        self.synced(shared, inner, taken);
        inner.pace.synced(took);
        let released = answered - std::mem::replace(&mut inner.released, answered);
        let writers = released + (self.arrivals.load(Ordering::Acquire) - answered);
        if writers <= 1 {
            return Some(SYNC_PERIOD);
        }
        let wanted = inner.pace.wanted(writers);
        let patience = inner.pace.patience(wanted, took);
        self.gather(&mut inner.pace, answered + wanted, patience);
        None
    }

    /// Waits until so many have arrived, ever, or for so long.
    fn gather(&self, pace: &mut Pace, wanted: u64, patience: Duration) {
        let arrived = || self.arrivals.load(Ordering::Acquire);
        let (started, before) = (Instant::now(), arrived());
        self.wanted.store(wanted, Ordering::Release);
        self.gathering.store(true, Ordering::Release);
        loop {
            let left = patience.saturating_sub(started.elapsed());
            if left.is_zero() || arrived() >= wanted || !lock(&self.orders).is_empty() {
                break;
            }
            thread::park_timeout(left);
        }
        self.gathering.store(false, Ordering::Release);
        self.wanted.store(u64::MAX, Ordering::Release);
        pace.came(arrived() - before, started.elapsed());
    }

    /// The disk has refused something. Under `always` the process ends: it may neither answer nor go on without. Else
    /// writes are refused until the disk takes it.
    fn refused(
        &self,
        shared: &Shared,
        inner: &mut Inner,
        policy: AppendFsync,
        what: Failing,
        error: &std::io::Error,
    ) -> Option<Duration> {
        let text = plain(error);
        let logger = &shared.logger;
        let is_new = inner.failing.replace(what) != Some(what);
        match what {
            Failing::Write if is_new => logger.warning(format_args!("Error writing to the AOF file: {text}")),
            Failing::Sync if is_new => logger.warning(format_args!("Fail to fsync the AOF file: {text}")),
            _ => {}
        }
        if policy == AppendFsync::Always {
            match what {
                Failing::Write => logger.warning(format_args!(
                    "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
                )),
                Failing::Sync => logger.warning(format_args!(
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {text}. Exiting..."
                )),
            }
            std::process::exit(1);
        }
        let mut server = shared.server();
        server.aof_error = Some(text);
        server.aof.refused = inner.log.waiting_bytes();
        Some(RETRY_PERIOD)
    }

    fn solved(&self, shared: &Shared, inner: &mut Inner) {
        inner.failing = None;
        let mut server = shared.server();
        server.aof_error = None;
        server.aof.refused = 0;
        drop(server);
        shared.logger.warning(format_args!("AOF write error looks solved. The server can write again."));
    }

    fn advance(&self, offset: u64) {
        self.durable.raise(offset);
    }

    /// The system has been given the log up to `offset`. What it has refused is kept, and nobody waits for it: writes are
    /// refused meanwhile.
    fn tell_written(&self, offset: u64) {
        self.written.raise(offset);
    }

    fn tell_durable(&self, shared: &Shared, inner: &Inner, taken: &Taken) {
        let counts = inner.log.has_base() && inner.based_on == Some(self.dataset.load(Ordering::Relaxed));
        shared.with(|server| {
            server.keyspace.log_settled();
            if counts {
                server.log_is_durable(taken.stream_offset);
            }
        });
        self.advance(taken.offset);
    }
}

/// What has been taken from the server: up to this offset of the log and of the replication stream.
struct Taken {
    offset: u64,
    stream_offset: u64,
    policy: AppendFsync,
}

/// Takes what the server has appended.
fn take(shared: &Shared, inner: &mut Inner) -> Taken {
    let mut server = shared.server();
    inner.log.fill(|buf| server.aof.take(buf));
    server.keyspace.log_taken();
    inner.stream_offset = server.repl.offset();
    let yields = server.config.no_appendfsync_on_rewrite && server.job.is_some();
    let policy = if yields && server.config.appendfsync == AppendFsync::EverySecond {
        AppendFsync::Never
    } else {
        server.config.appendfsync
    };
    Taken { offset: server.aof.offset, stream_offset: inner.stream_offset, policy }
}

/// Writes what has been taken.
fn write(shared: &Shared, inner: &mut Inner) -> std::io::Result<()> {
    if inner.log.waiting_bytes() == 0 {
        return Ok(());
    }
    let started = Instant::now();
    let written = inner.log.write();
    let circumstance = if inner.syncing.is_some() {
        LatencyEvent::AofWritePendingFsync
    } else if inner.log.is_rewriting() {
        LatencyEvent::AofWriteActiveChild
    } else {
        LatencyEvent::AofWriteAlone
    };
    note(shared, &[LatencyEvent::AofWrite, circumstance], started);
    written
}

fn note(shared: &Shared, events: &[LatencyEvent], started: Instant) {
    let usec = started.elapsed().as_micros() as u64;
    if usec >= NOTED_USEC {
        let mut server = shared.server();
        for event in events {
            server.note_latency(*event, usec);
        }
    }
}
