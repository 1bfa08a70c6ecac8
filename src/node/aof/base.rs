//! The change from one base of the log to the next, and what is deleted thereafter.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use super::{Aof, Inner, Order, take};
use crate::config::{AppendFsync, Config};
use crate::exec::snapshot::Purpose;
use crate::node::disk::{self, RealDisk};
use crate::node::log::Logger;
use crate::node::shared::{Shared, lock, now};
use crate::node::startup::plain;
use crate::persist::aof::{BaseFormat, Begun, Log, Place};
use crate::persist::disk::Disk;

/// Where the log of this configuration is.
#[must_use]
pub fn place(config: &Config) -> Place {
    Place {
        dir: disk::data_path(config, &config.appenddirname),
        name: String::from_utf8_lossy(&config.appendfilename).into_owned(),
        keep_history: config.aof_disable_auto_gc,
    }
}

impl Aof {
    /// The increment so far must be on disk before the next one begins, and those who write wait for that: so most of it
    /// is brought there while they do not. False when that is not worth while.
    pub(super) fn sync_ahead(&self, shared: &Shared, inner: &mut Inner) -> bool {
        if !inner.log.has_base() {
            return false;
        }
        let taken = take(shared, inner);
        let offset = taken.offset;
        // What the disk refuses it refuses again when the base is begun.
        let begun = taken.policy != AppendFsync::Always
            && inner.log.write().is_ok()
            && inner.log.is_unsynced()
            && self.begin_sync(shared, inner, taken).is_ok();
        self.tell_written(offset);
        begun
    }

    /// Begins a base; `None` when the disk refuses it.
    pub(super) fn begin(&self, shared: &Arc<Shared>, inner: &mut Inner, switch_on: bool) -> Option<Begun> {
        let config = shared.server().config.clone();
        let first = !inner.log.has_base();
        let begun = if inner.log.is_on() {
            inner.log.begin_rewrite(|before| begin_snapshot(shared, Some(before)))
        } else {
            let log = &mut inner.log;
            log.find(place(&config)).and_then(|()| {
                if switch_on {
                    log.begin_rewrite(|before| begin_snapshot(shared, Some(before)))
                } else {
                    Ok(log.begin_base_only(|| begin_snapshot(shared, None)))
                }
            })
        };
        match &begun {
            Ok(Begun::Yes) => {
                inner.rewriting = self.dataset.load(Ordering::Relaxed);
                if first && switch_on {
                    inner.based_on = None;
                    shared.server().log_growth.lacks_base();
                }
                if !first {
                    let name = last_name(&inner.log);
                    shared.logger.notice(format_args!("Creating AOF incr file {name} on background rewrite"));
                    // Before the new increment began all of the old one was made durable.
                    let offset = shared.server().log_growth.begun_at();
                    self.advance(offset);
                }
            }
            Ok(Begun::NotNow) => {}
            Err(error) => {
                let text = plain(error);
                shared.logger.warning(format_args!("Can't begin a new base of the AOF: {text}"));
                shared.with(|server| {
                    server.cancel_rewrite();
                    server.note_failed_rewrite(now());
                });
            }
        }
        begun.ok()
    }

    /// Deletes what is not needed any more, which may take long, on another thread.
    pub(super) fn delete_beside(&self, inner: &Inner) {
        let files = inner.log.garbage();
        if files.is_empty() {
            return;
        }
        let paths: Vec<PathBuf> = files.iter().map(|file| inner.log.place().path(&file.name)).collect();
        // The order is given at once: a file that stays, because the process ends first, is not known to anybody.
        let spawned = thread::Builder::new().name("aof-delete".to_owned()).spawn(move || {
            for path in paths {
                let _ = std::fs::remove_file(path);
            }
        });
        if spawned.is_ok() {
            lock(&self.orders).push_back(Order::Forget(files));
        }
    }
}

/// Begins the snapshot that becomes a base, unless another one is under way. `before` takes what belongs to the
/// increments before: the log is on from here. The form of the base, or `None` if there is none.
fn begin_snapshot(shared: &Shared, before: Option<&mut Vec<u8>>) -> Option<BaseFormat> {
    let mut server = shared.server();
    let server = &mut *server;
    if !server.may_snapshot() || server.is_loading() {
        return None;
    }
    if let Some(before) = before {
        server.aof.take(before);
        server.keyspace.log_taken();
        server.aof.switch(true);
    }
    server.log_growth.begun(server.aof.offset);
    server.now = now();
    server.start_snapshot(Purpose::AofBase);
    shared.collect(server);
    Some(if server.config.aof_use_rdb_preamble { BaseFormat::Rdb } else { BaseFormat::Commands })
}

/// The file that is appended to.
pub(super) fn last_name(log: &Log<RealDisk>) -> String {
    log.manifest().to_load().last().map(|file| String::from_utf8_lossy(&file.name).into_owned()).unwrap_or_default()
}

/// Says that the log has a new base, and what that has replaced.
pub(super) fn tell_of_new(logger: &Logger, log: &Log<RealDisk>) {
    if let Some(base) = &log.manifest().base {
        let name = String::from_utf8_lossy(&base.name);
        logger.notice(format_args!("Successfully renamed the temporary AOF base file into {name}"));
    }
    for file in log.garbage() {
        let name = String::from_utf8_lossy(&file.name);
        logger.notice(format_args!("Removing the history file {name} in the background"));
    }
}

/// Deletes the files that nobody needs any more.
pub(super) fn delete(log: &mut Log<RealDisk>) {
    let files = log.garbage();
    for file in &files {
        // One that cannot be deleted does no harm.
        let _ = log.disk().remove(&log.place().path(&file.name));
    }
    log.forget(&files);
}
