//! The wish to become a replica (SYNC, PSYNC), and the decision on it: may the replica go on where it was, or does it need a
//! snapshot? Pure.

use super::backlog::Backlog;
use super::history::History;

/// A client's wish to become a replica.
#[derive(Clone, Copy, Debug)]
pub struct SyncRequest<'a> {
    pub kind: SyncKind<'a>,
    /// Address of the client's connection.
    pub peer_ip: &'a str,
    /// Whether replies to the client are not yet written.
    pub output_pending: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncKind<'a> {
    Sync,
    /// `offset` is the number of the first byte wanted; `failover` if the word FAILOVER follows.
    Psync {
        id: &'a [u8],
        offset: i64,
        failover: bool,
    },
}

/// What became of a SYNC or PSYNC. All answers go through [`Output::ToReplica`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Synced {
    /// It is a replica already: nothing happens.
    Already,
    /// It goes on where it was, and is online.
    Partial,
    /// It waits for a snapshot.
    Full,
    /// It is to ask for the snapshot over a second link, and is no replica yet.
    Dual,
}

/// Texts as on the wire, behind the `-`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyncError {
    #[error("ERR PSYNC FAILOVER can't be sent to a master.")]
    FailoverToPrimary,
    #[error("ERR PSYNC FAILOVER replid must match my replid.")]
    FailoverOtherHistory,
    #[error("NOMASTERLINK Can't SYNC while failing over")]
    FailingOver,
    #[error("NOMASTERLINK Can't SYNC while not connected with my master")]
    NoPrimaryLink,
    #[error("ERR SYNC and PSYNC are invalid with pending output")]
    PendingOutput,
    #[error("ERR Filtered replica requires EOF capability")]
    FilterWithoutEof,
}

/// Why a replica cannot go on. For the log; the answer on the wire is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FullReason {
    /// It asked for one: `PSYNC ? -1`, or SYNC.
    #[error("it has no past to go on from")]
    Requested,
    /// It comes from another history, or went past the point where the histories parted.
    #[error("it followed another history")]
    OtherHistory,
    /// There is no backlog.
    #[error("there is no backlog")]
    NoBacklog,
    /// The bytes it misses are not kept any more, or it claims to be ahead.
    #[error("the backlog does not hold what it misses")]
    OutOfBacklog,
}

/// The answer to a PSYNC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Go on: the stream is sent from this position.
    Continue {
        position: u64,
    },
    Full(FullReason),
}

/// Decides on `PSYNC <id> <offset>`. `offset` is the number of the first byte wanted.
#[must_use]
pub fn decide(history: &History, backlog: Option<&Backlog>, id: &[u8], offset: i64) -> Decision {
    if id == b"?" {
        return Decision::Full(FullReason::Requested);
    }
    let Some(position) = u64::try_from(offset).ok().and_then(|o| o.checked_sub(1)) else {
        return Decision::Full(FullReason::OtherHistory);
    };
    if !history.shares(id, position + 1) {
        return Decision::Full(FullReason::OtherHistory);
    }
    match backlog {
        None => Decision::Full(FullReason::NoBacklog),
        Some(backlog) if backlog.covers(position) => Decision::Continue { position },
        Some(_) => Decision::Full(FullReason::OutOfBacklog),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::repl::history::ReplId;

    #[test]
    fn every_branch() {
        let mut rng = Rng::seeded(3);
        let mut history = History::new(&mut rng);
        history.offset = 1000;
        let old = history.id;
        history.shift(ReplId::random(&mut rng));
        history.offset = 1500;
        let mut backlog = Backlog::new(1 << 20, 900);
        backlog.append(&[b'x'; 600]);
        let ask = |id: &[u8], offset| decide(&history, Some(&backlog), id, offset);
        let own = history.id.as_bytes();

        assert_eq!(ask(b"?", -1), Decision::Full(FullReason::Requested));
        assert_eq!(ask(own, 901), Decision::Continue { position: 900 });
        assert_eq!(ask(own, 1501), Decision::Continue { position: 1500 });
        assert_eq!(ask(own, 1502), Decision::Full(FullReason::OutOfBacklog));
        assert_eq!(ask(own, 900), Decision::Full(FullReason::OutOfBacklog));
        assert_eq!(ask(own, 0), Decision::Full(FullReason::OtherHistory));
        assert_eq!(ask(own, -5), Decision::Full(FullReason::OtherHistory));
        assert_eq!(ask(own, i64::MAX), Decision::Full(FullReason::OutOfBacklog));
        assert_eq!(ask(old.as_bytes(), 1001), Decision::Continue { position: 1000 });
        assert_eq!(ask(old.as_bytes(), 1002), Decision::Full(FullReason::OtherHistory));
        assert_eq!(ask(&[b'f'; 40], 1000), Decision::Full(FullReason::OtherHistory));
        assert_eq!(decide(&history, None, own, 1000), Decision::Full(FullReason::NoBacklog));
    }
}
