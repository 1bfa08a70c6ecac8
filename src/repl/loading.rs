//! The following side while it takes a snapshot: from the answer to PSYNC to the first acknowledgement.

use bytes::Bytes;

use super::config::DisklessLoad;
use super::event::{Output, SavedHistory};
use super::follower::{Follower, Phase, RETRY_MS, Turn};
use super::history::History;
use super::primary::Cx;
use super::transfer::{Framing, Piece, Transfer, TransferError};

/// The snapshot that is arriving.
#[derive(Clone, Copy)]
pub(super) struct Incoming {
    /// What the data will be; `None` from a primary without PSYNC.
    pub history: Option<SavedHistory>,
    pub framing: Option<Framing>,
    pub read: u64,
}

/// What bytes of a snapshot brought.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    /// Its header.
    pub begun: bool,
    /// Its end.
    pub ended: bool,
}

/// Gives the snapshot's bytes out. What follows its end stays in `data`.
pub(super) fn take(
    cx: &mut Cx<'_>,
    transfer: &mut Transfer,
    incoming: &mut Incoming,
    data: &mut Bytes,
) -> Result<Taken, TransferError> {
    let mut taken = Taken::default();
    while let Some(piece) = transfer.next(data)? {
        match piece {
            Piece::Header(framing) => {
                taken.begun = true;
                incoming.framing = Some(framing);
                cx.notice(match framing {
                    Framing::Length(len) => format!("MASTER <-> REPLICA sync: receiving {len} bytes from master"),
                    Framing::Mark(_) => "MASTER <-> REPLICA sync: receiving streamed RDB from master".to_owned(),
                });
                cx.out.push_back(Output::BeginLoad { history: incoming.history, framing });
            }
            Piece::Data(bytes) => {
                incoming.read += bytes.len() as u64;
                cx.out.push_back(Output::LoadChunk(bytes));
            }
            Piece::End => {
                taken.ended = true;
                break;
            }
        }
    }
    Ok(taken)
}

/// Whether the data that is there is given up before the new data is.
pub(super) fn old_data_goes_first(cx: &Cx<'_>) -> bool {
    matches!(cx.config.diskless_load, DisklessLoad::WhenDbEmpty | DisklessLoad::FlushBeforeLoad)
}

impl Follower {
    /// From here on the own data are given up: a broken transfer cannot be followed by a partial resynchronisation.
    pub(super) fn expect_snapshot(&mut self, history: Option<SavedHistory>) {
        self.can_resume = false;
        let incoming = Incoming { history, framing: None, read: 0 };
        self.phase = Phase::Transfer { transfer: Box::default(), incoming };
    }

    /// Takes bytes of the snapshot.
    pub(super) fn transfer(&mut self, cx: &mut Cx<'_>, data: &mut Bytes) -> Option<Turn> {
        let Phase::Transfer { transfer, incoming } = &mut self.phase else { return None };
        match take(cx, transfer, incoming, data) {
            Ok(taken) if taken.ended => {
                let incoming = *incoming;
                self.phase = Phase::Loading { incoming, held: Vec::new(), link_gone: false };
                cx.out.push_back(Output::EndLoad);
                Some(self.give_data_up())
            }
            Ok(taken) => (taken.begun && old_data_goes_first(cx)).then(|| self.give_data_up()),
            Err(error) => {
                self.fail(cx, format!("MASTER <-> REPLICA sync: {error}"));
                data.clear();
                None
            }
        }
    }

    /// What is here does not belong to any history any more.
    pub(super) fn give_data_up(&mut self) -> Turn {
        self.foreign = true;
        Turn::Detach
    }

    /// The load ended: what the data are now (`Some(None)` from a primary without PSYNC), or `None` if it failed.
    /// The caller sets its history, then calls [`Follower::start_stream`].
    pub fn load_done(&mut self, cx: &mut Cx<'_>, ok: bool) -> Option<Option<SavedHistory>> {
        let Phase::Loading { incoming, .. } = &self.phase else { return None };
        let history = incoming.history;
        if ok {
            self.can_resume = history.is_some();
            cx.notice("MASTER <-> REPLICA sync: Finished with success".to_owned());
            return Some(history);
        }
        cx.warn("Failed trying to load the MASTER synchronization DB".to_owned());
        // Nothing to abort outside: it was the load itself that failed.
        self.held_bytes = 0;
        let gone = matches!(self.phase, Phase::Loading { link_gone: true, .. });
        self.phase = Phase::Idle { retry_at: Some(cx.now + RETRY_MS) };
        if !gone {
            cx.out.push_back(Output::CloseLink(self.link));
        }
        None
    }

    /// Goes online after a load, with what the link brought meanwhile. If the link broke, the stream is resumed on a new one.
    pub fn start_stream(&mut self, cx: &mut Cx<'_>, history: &History) {
        let idle = Phase::Idle { retry_at: Some(cx.now) };
        let Phase::Loading { incoming, held, link_gone } = std::mem::replace(&mut self.phase, idle) else { return };
        self.held_bytes = 0;
        self.last_io = cx.now;
        self.foreign = false;
        self.phase = Phase::Connected { legacy: incoming.history.is_none() };
        cx.out.push_back(Output::StreamBegins { resumed: false });
        if link_gone {
            self.link_down(cx);
            return;
        }
        self.down_since = None;
        self.acknowledge(cx, history.offset);
        for data in held {
            self.apply(cx, data);
        }
    }
}
