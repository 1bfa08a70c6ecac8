//! Where a command is to be served: here, elsewhere, or nowhere yet.
//!
//! Cross-slot requests are found by the caller, who has the keys. Everything here is about one slot.

use super::engine::Engine;
use super::node::NodeIdx;
use super::view::ClientNet;
use crate::base::Slot;

/// What the decision needs to know about a command with keys in one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// It (or one of EXEC's commands) writes.
    pub write: bool,
    /// It is SSUBSCRIBE, SUNSUBSCRIBE or SPUBLISH: channels, not keys.
    pub shard_pubsub: bool,
    /// It is MIGRATE.
    pub migrate: bool,
    /// It names another database than the client's (MOVE, COPY … DB).
    pub other_db: bool,
    /// The client said ASKING, or the command implies it.
    pub asking: bool,
    /// The client said READONLY.
    pub readonly: bool,
    /// Its keys are different ones: two or more.
    pub multiple_keys: bool,
}

/// How many of a command's keys are here. Asked for only when the slot is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Presence {
    pub present: usize,
    pub missing: usize,
}

/// The decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redirect {
    Serve,
    /// `-MOVED slot host:port`
    Moved(NodeIdx),
    /// `-ASK slot host:port`
    Ask(NodeIdx),
    /// `-TRYAGAIN …`
    TryAgain,
    /// `-CLUSTERDOWN Hash slot not served`
    Unserved,
    /// `-CLUSTERDOWN The cluster is down`
    Down,
    /// `-CLUSTERDOWN The cluster is down and only accepts read commands`
    DownReadOnly,
}

impl Redirect {
    /// The error line without its dash, `None` for [`Redirect::Serve`].
    #[must_use]
    pub fn error(&self, engine: &Engine, slot: Slot, client: ClientNet) -> Option<String> {
        let to = |word: &str, idx: NodeIdx| {
            format!("{word} {slot} {}:{}", engine.endpoint(idx, client), engine.port_for(idx, client))
        };
        Some(match self {
            Redirect::Serve => return None,
            Redirect::Moved(idx) => to("MOVED", *idx),
            Redirect::Ask(idx) => to("ASK", *idx),
            Redirect::TryAgain => "TRYAGAIN Multiple keys request during rehashing of slot".to_owned(),
            Redirect::Unserved => "CLUSTERDOWN Hash slot not served".to_owned(),
            Redirect::Down => "CLUSTERDOWN The cluster is down".to_owned(),
            Redirect::DownReadOnly => "CLUSTERDOWN The cluster is down and only accepts read commands".to_owned(),
        })
    }
}

impl Engine {
    /// Decides for a command whose keys are all in `slot`. `presence` counts its keys in the current
    /// database; it is called at most once, and only if the slot is open.
    pub fn redirect(&self, slot: Slot, request: Request, presence: impl FnOnce() -> Presence) -> Redirect {
        let Some(owner) = self.slot_owner(slot) else { return Redirect::Unserved };
        let mine = self.shard_primary();
        let takes_part = self.am_primary() || request.readonly;
        let migrating = if takes_part && owner == mine { self.migrating_to(slot) } else { None };
        let importing = takes_part && migrating.is_none() && self.importing_from(slot).is_some();
        let open = migrating.is_some() || importing;
        if open && request.other_db {
            return Redirect::TryAgain;
        }
        let keys = if open && !request.shard_pubsub { presence() } else { Presence::default() };
        if !self.state_ok() {
            if request.shard_pubsub {
                if !self.config().allow_pubsubshard_when_down {
                    return Redirect::Down;
                }
            } else if !self.config().allow_reads_when_down {
                return Redirect::Down;
            } else if request.write {
                return Redirect::DownReadOnly;
            }
        }
        if open && request.migrate && self.am_primary() {
            return Redirect::Serve;
        }
        if let Some(target) = migrating
            && keys.missing > 0
        {
            return if keys.present > 0 { Redirect::TryAgain } else { Redirect::Ask(target) };
        }
        if importing && request.asking {
            let torn = request.multiple_keys && keys.missing > 0;
            return if torn { Redirect::TryAgain } else { Redirect::Serve };
        }
        let replica_serves = owner == mine && (request.readonly || request.shard_pubsub) && !request.write;
        if owner == self.me() || (!self.am_primary() && replica_serves) {
            Redirect::Serve
        } else {
            Redirect::Moved(owner)
        }
    }

    /// The same for a client that is blocked on a key: whether it may go on waiting.
    #[must_use]
    pub fn redirect_blocked(&self, slot: Slot, readonly: bool) -> Redirect {
        let reads_anyway = readonly && self.config().allow_reads_when_down;
        if !self.state_ok() && !reads_anyway {
            return Redirect::Down;
        }
        match self.slot_owner(slot) {
            Some(owner) if owner == self.me() => Redirect::Serve,
            Some(owner) if readonly && owner == self.shard_primary() => Redirect::Serve,
            _ if self.importing_from(slot).is_some() => Redirect::Serve,
            Some(owner) => Redirect::Moved(owner),
            None => Redirect::Unserved,
        }
    }
}
