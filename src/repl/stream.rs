//! The stream of writes: its history, its tail, and the database it has selected.

use super::backlog::Backlog;
use super::history::History;
use super::select::SelectTracker;
use crate::base::Rng;

/// What a node's replicas are fed from.
pub(super) struct Stream {
    pub history: History,
    /// There from the first replica on, on a replica from its first synchronisation on.
    pub backlog: Option<Backlog>,
    pub select: SelectTracker,
}

impl Stream {
    pub fn new(rng: &mut Rng) -> Stream {
        Stream { history: History::new(rng), backlog: None, select: SelectTracker::default() }
    }

    /// Counts `bytes`, and keeps them if there is a backlog. Says whether it is time to trim.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        self.history.offset += bytes.len() as u64;
        self.backlog.as_mut().is_some_and(|backlog| backlog.append(bytes))
    }

    /// Makes sure that what comes next is kept.
    pub fn ensure_backlog(&mut self, size: u64) {
        let at = self.history.offset;
        self.backlog.get_or_insert_with(|| Backlog::new(size, at));
    }
}
