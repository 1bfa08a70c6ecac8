//! The log between two turns of the clients: without `appendfsync always` the threads that serve them write it.
//!
//! A write takes but a moment as long as nobody else has to do with the file, and it is over sooner than another thread
//! would be awake. While the log is being made durable, or changes its base, a write may take long: then it is left to
//! the log's own thread, and nobody waits for it but those who are to be told of their own changes.

use std::future::poll_fn;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::{Aof, Failing, Inner, take, write};
use crate::config::AppendFsync;
use crate::node::shared::Shared;

impl Aof {
    /// Waits until the system has the log up to `offset`, or has refused it. What tells of no changes of its own client
    /// does not wait for a busy disk.
    pub async fn wait_written(&self, shared: &Shared, offset: u64, tells_changes: bool) {
        if self.written.is_at(offset) {
            return;
        }
        // Whoever else has sent something has it run first: then one write is enough for all.
        after_others().await;
        if self.written.is_at(offset) || self.write_at_once(shared) {
            return;
        }
        self.wake();
        if tells_changes {
            self.written.wait(offset).await;
        }
    }

    /// Writes what is waiting, unless that may take long.
    fn write_at_once(&self, shared: &Shared) -> bool {
        loop {
            match self.inner.try_lock() {
                Ok(mut inner) => return self.write_now(shared, &mut inner),
                Err(TryLockError::Poisoned(poisoned)) => return self.write_now(shared, &mut poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if self.at_work.load(Ordering::Acquire) => return false,
                // Another thread is at this very place.
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    fn write_now(&self, shared: &Shared, inner: &mut Inner) -> bool {
        if inner.syncing.is_some() || !inner.log.is_on() {
            return false;
        }
        let taken = take(shared, inner);
        if let Err(error) = write(shared, inner) {
            self.refused(shared, inner, taken.policy, Failing::Write, &error);
            // It tries again, from time to time.
            self.wake();
        } else if inner.failing == Some(Failing::Write) {
            self.solved(shared, inner);
        }
        if taken.policy == AppendFsync::Always {
            // The policy has just changed.
            self.wake();
        }
        self.written.raise_here(taken.offset);
        true
    }
}

/// Lets everything run that is ready to.
async fn after_others() {
    let mut over = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut over, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
