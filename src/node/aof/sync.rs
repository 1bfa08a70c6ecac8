//! Makes the log durable beside everything else, as `everysec` asks for.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{Aof, Failing, Inner, Taken};
use crate::node::shared::{Shared, lock};
use crate::persist::disk::DiskFile;

/// A sync that takes longer than this holds up those who write, for all that they can see.
const LONG: Duration = Duration::from_secs(2);

/// A sync under way.
pub(super) struct Syncing {
    taken: Taken,
    /// When it began, or was last said to take long.
    since: Instant,
}

/// The file of a sync that is to be done.
pub(super) type Orders = mpsc::Sender<File>;

impl Aof {
    /// Starts the thread that waits for the disk.
    pub(super) fn start_syncs(self: &Arc<Aof>, shared: &Arc<Shared>) -> io::Result<()> {
        let (orders, files) = mpsc::channel::<File>();
        let (aof, shared) = (Arc::clone(self), Arc::clone(shared));
        thread::Builder::new().name("aof-sync".to_owned()).spawn(move || {
            for mut file in files {
                let result = file.sync();
                aof.sync_ended(&shared, &result);
            }
        })?;
        *lock(&self.syncs) = Some(orders);
        Ok(())
    }

    /// Begins to make durable what has been written.
    pub(super) fn begin_sync(&self, shared: &Shared, inner: &mut Inner, taken: Taken) -> io::Result<()> {
        inner.synced_at = Instant::now();
        let Some(file) = inner.log.begin_sync()? else {
            self.tell_durable(shared, inner, &taken);
            return Ok(());
        };
        inner.syncing = Some(Syncing { taken, since: inner.synced_at });
        shared.server().aof.syncing = true;
        if lock(&self.syncs).as_ref().is_none_or(|orders| orders.send(file).is_err()) {
            inner.syncing = None;
            inner.log.end_sync(false);
            shared.server().aof.syncing = false;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn sync_ended(&self, shared: &Shared, result: &io::Result<()>) {
        let mut inner = lock(&self.inner);
        self.at_work.store(true, Ordering::Release);
        inner.log.end_sync(result.is_ok());
        let policy = {
            let mut server = shared.server();
            server.aof.syncing = false;
            server.config.appendfsync
        };
        if let Some(syncing) = inner.syncing.take() {
            match result {
                Ok(()) => self.synced(shared, &mut inner, &syncing.taken),
                Err(error) => drop(self.refused(shared, &mut inner, policy, Failing::Sync, error)),
            }
        }
        self.at_work.store(false, Ordering::Release);
        drop(inner);
        self.wake();
    }

    /// All that was `taken` is durable.
    pub(super) fn synced(&self, shared: &Shared, inner: &mut Inner, taken: &Taken) {
        if inner.failing == Some(Failing::Sync) {
            // What the disk has lost when it failed it may call durable now: a new base holds all of it.
            self.solved(shared, inner);
            shared.with(|server| server.ask_for_rewrite(None));
        }
        self.tell_durable(shared, inner, taken);
    }

    /// Something is written while a sync is under way.
    pub(super) fn note_delay(shared: &Shared, syncing: &mut Syncing) {
        if syncing.since.elapsed() < LONG {
            return;
        }
        syncing.since = Instant::now();
        shared.server().stats.delayed_syncs += 1;
        shared.logger.notice(format_args!(
            "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for fsync to \
             complete, this may slow down Redis."
        ));
    }
}
