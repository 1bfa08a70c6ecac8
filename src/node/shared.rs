//! What the threads of the server share: the state machine behind one mutex, and the bells of its connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, watch};

use super::aof::Aof;
use super::log::Logger;
use super::world::log_level;
use crate::base::Millis;
use crate::cluster;
use crate::exec::effect::Token;
use crate::exec::server::Stopwatch;
use crate::exec::{ClientId, Effect, Server};

/// Rung when a connection has something to do that its socket does not tell.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        if let Some(waker) = lock(&self.waker).as_ref() {
            waker.wake_by_ref();
        }
    }

    /// True once after each ring; otherwise the task is woken by the next. `hung` is the listener's copy of the waker
    /// that hangs on the bell: while it is the task's own there is nothing to lock, since this is asked at every step.
    pub fn poll(&self, cx: &Context<'_>, hung: &mut Option<Waker>) -> bool {
        if self.take() {
            return true;
        }
        if hung.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        *lock(&self.waker) = Some(cx.waker().clone());
        *hung = Some(cx.waker().clone());
        self.take()
    }

    fn take(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }
}

/// Locks a mutex. A panic while it was held has already been reported; the state machine is consistent between
/// commands, so the others go on.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state shared by all threads.
pub struct Shared {
    server: Mutex<Server>,
    bells: Mutex<HashMap<ClientId, Arc<Bell>>>,
    /// Effects that only the main thread performs.
    outbox: Mutex<Vec<Effect>>,
    pub outbox_filled: Notify,
    /// How many times nodes.conf was to be made durable, and how many of them are done.
    nodes_conf_wanted: AtomicU64,
    nodes_conf_saved: watch::Sender<u64>,
    pub logger: Logger,
    pub aof: Arc<Aof>,
}

impl Shared {
    #[must_use]
    pub fn new(server: Server, logger: Logger, aof: Arc<Aof>) -> Shared {
        Shared {
            server: Mutex::new(server),
            bells: Mutex::default(),
            outbox: Mutex::default(),
            outbox_filled: Notify::new(),
            nodes_conf_wanted: AtomicU64::new(0),
            nodes_conf_saved: watch::channel(0).0,
            logger,
            aof,
        }
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        lock(&self.server)
    }

    /// Runs `f` with the server, then sends its effects on their way.
    pub fn with<T>(&self, f: impl FnOnce(&mut Server) -> T) -> T {
        let mut server = self.server();
        let result = f(&mut server);
        self.collect(&mut server);
        result
    }

    /// Writes what the server has to say into the log, where that is not to wait for the main thread.
    pub fn log_now(&self, server: &mut Server) {
        server.outbox.retain(|effect| {
            let Effect::Log(level, text) = effect else { return true };
            self.logger.log(log_level(*level), format_args!("{text}"));
            false
        });
    }

    /// The whole server is meant to stand still: that is what DEBUG SLEEP is for.
    pub fn stand_still(&self, micros: u64, token: Token) {
        let mut server = self.server();
        std::thread::sleep(Duration::from_micros(micros));
        server.now = now();
        server.finish_ok(token, Ok(()));
        self.collect(&mut server);
    }

    /// Stands still where that has been asked for, and leaves all else that waits for the main thread.
    pub fn stand_still_if_asked(&self) {
        let asked: Vec<(u64, Token)> = {
            let mut outbox = lock(&self.outbox);
            let asked = outbox.extract_if(.., |effect| matches!(effect, Effect::Sleep { .. }));
            asked
                .filter_map(|e| if let Effect::Sleep { micros, token } = e { Some((micros, token)) } else { None })
                .collect()
        };
        asked.into_iter().for_each(|(micros, token)| self.stand_still(micros, token));
    }

    /// Sends on their way what the server has appended to the log, and its effects.
    pub fn collect(&self, server: &mut Server) {
        if server.aof.pending() > 0 {
            self.aof.ring();
        }
        self.send_effects(server);
    }

    /// Takes the effects out of the server: bells are rung here, the rest waits for the main thread. Called with the
    /// server locked, so that effects of two threads keep their order.
    pub fn send_effects(&self, server: &mut Server) {
        if server.outbox.is_empty() {
            return;
        }
        let mut for_main = lock(&self.outbox);
        let before = for_main.len();
        for effect in server.outbox.drain(..) {
            if matches!(effect, Effect::Bus(cluster::Output::SaveConfig { fsync: true, .. })) {
                self.nodes_conf_wanted.fetch_add(1, Ordering::Release);
            }
            match effect {
                Effect::Wake(id) => self.ring(id),
                other => for_main.push(other),
            }
        }
        if for_main.len() > before {
            self.outbox_filled.notify_one();
        }
    }

    /// How many savings of nodes.conf have been asked for: what was said after the last of them waits for it.
    pub fn nodes_conf_wanted(&self) -> u64 {
        self.nodes_conf_wanted.load(Ordering::Acquire)
    }

    /// One of them is done.
    pub fn nodes_conf_is_saved(&self) {
        self.nodes_conf_saved.send_modify(|saved| *saved += 1);
    }

    /// Waits until so many of them are done.
    pub async fn wait_for_nodes_conf(&self, wanted: u64) {
        let mut saved = self.nodes_conf_saved.subscribe();
        // The sender lives as long as this.
        let _ = saved.wait_for(|saved| *saved >= wanted).await;
    }

    /// The effects that wait for the main thread.
    pub fn take_outbox(&self) -> Vec<Effect> {
        std::mem::take(&mut *lock(&self.outbox))
    }

    pub fn add_bell(&self, id: ClientId) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        lock(&self.bells).insert(id, Arc::clone(&bell));
        bell
    }

    pub fn remove_bell(&self, id: ClientId) {
        lock(&self.bells).remove(&id);
    }

    pub fn ring(&self, id: ClientId) {
        if let Some(bell) = lock(&self.bells).get(&id) {
            bell.ring();
        }
    }
}

/// Wall time.
#[must_use]
pub fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
}

/// Nanoseconds of a clock that is never set.
fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The stopwatch of the real machine: when it was started, in nanoseconds.
#[derive(Debug)]
pub struct MachineStopwatch(u64);

impl Default for MachineStopwatch {
    fn default() -> MachineStopwatch {
        MachineStopwatch(monotonic_ns())
    }
}

impl Stopwatch for MachineStopwatch {
    fn micros(&self) -> u64 {
        (monotonic_ns() - self.0) / 1000
    }

    fn wall_micros(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
    }
}
