//! How far the log has come, and those who wait for it to come further.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use tokio::sync::Notify;

use crate::node::shared::lock;

/// An offset of the log that only grows.
#[derive(Default)]
pub(super) struct Mark {
    at: AtomicU64,
    /// Who waits, and for which offset, in the order of these.
    waiting: Mutex<VecDeque<(u64, Waker)>>,
    moved: Notify,
}

impl Mark {
    pub fn is_at(&self, offset: u64) -> bool {
        self.at.load(Ordering::Acquire) >= offset
    }

    /// Moves the mark, and lets [`Mark::relay`] wake whoever has waited for that: to wake a task of another thread is a
    /// call of the system each time, and so it is one for all of them.
    pub fn raise(&self, offset: u64) {
        if self.at.fetch_max(offset, Ordering::AcqRel) < offset && self.is_awaited(offset) {
            self.moved.notify_one();
        }
    }

    fn is_awaited(&self, offset: u64) -> bool {
        lock(&self.waiting).front().is_some_and(|(wanted, _)| *wanted <= offset)
    }

    /// Moves the mark on a thread that serves clients.
    pub fn raise_here(&self, offset: u64) {
        if self.at.fetch_max(offset, Ordering::AcqRel) < offset {
            self.wake_served();
        }
    }

    fn wake_served(&self) {
        let at = self.at.load(Ordering::Acquire);
        let served: Vec<Waker> = {
            let mut waiting = lock(&self.waiting);
            let count = waiting.partition_point(|(offset, _)| *offset <= at);
            waiting.drain(..count).map(|(_, waker)| waker).collect()
        };
        served.into_iter().for_each(Waker::wake);
    }

    /// Wakes those who wait, for ever.
    pub async fn relay(&self) {
        loop {
            self.moved.notified().await;
            self.wake_served();
        }
    }

    /// Waits until the mark is at `offset`.
    pub async fn wait(&self, offset: u64) {
        let mut hung: Option<Waker> = None;
        poll_fn(|cx| {
            if self.is_at(offset) {
                return Poll::Ready(());
            }
            if hung.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let mut waiting = lock(&self.waiting);
            // The mark may have moved just before the lock was taken.
            if self.is_at(offset) {
                return Poll::Ready(());
            }
            let place = waiting.partition_point(|(other, _)| *other <= offset);
            waiting.insert(place, (offset, cx.waker().clone()));
            hung = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Count>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_those_are_woken_whose_offset_is_reached() {
        let mark = Mark::default();
        let wakes: [Arc<Count>; 3] = Default::default();
        let mut waits: Vec<_> = [30, 10, 20].map(|offset| Box::pin(mark.wait(offset))).into();
        for (wait, count) in waits.iter_mut().zip(&wakes) {
            let waker = Waker::from(Arc::clone(count));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "it hangs there once");
        }
        let woken = || [0, 1, 2].map(|i| wakes[i].0.load(Ordering::Relaxed));
        mark.raise_here(9);
        assert_eq!(woken(), [0, 0, 0]);
        mark.raise_here(25);
        assert_eq!(woken(), [0, 1, 1]);
        mark.raise_here(24);
        assert!(mark.is_at(25), "it never goes back");
        mark.raise_here(30);
        assert_eq!(woken(), [1, 1, 1]);
        let waker = Waker::noop();
        assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut Context::from_waker(waker)).is_ready()));
    }

    #[test]
    fn the_relay_wakes_for_another_thread() {
        let mark = Mark::default();
        let count = Arc::new(Count::default());
        let mut wait = pin!(mark.wait(5));
        let mut relay = pin!(mark.relay());
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(relay.as_mut().poll(noop).is_pending());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
        mark.raise(5);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(relay.as_mut().poll(noop).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(wait.as_mut().poll(noop).is_ready());
        let mut late = pin!(mark.wait(4));
        assert!(late.as_mut().poll(noop).is_ready());
    }
}
