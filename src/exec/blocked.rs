//! Clients that wait for data under keys: who waits for what, and whose turn it is.
//!
//! A waiting client's command is kept. When one of its keys has got what the command wants, the command is run again,
//! as every command is run: with its gates, its propagation and its place in the statistics. It then looks at that one
//! key only ([`Ctx::woken_by`]), and may wait on, at its old place.
//!
//! Keys are served in the order in which they got their data, after the command (or EXEC) that gave it; under one key
//! the clients are served in the order in which they came. Serving one client may make another key ready (BLMOVE): it
//! is served after those that are ready already.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included};

use super::call::Step;
use super::client::{Client, ClientFlags, ClientId, Parked};
use super::ctx::Ctx;
use super::effect::Effect;
use super::server::Server;
use crate::base::Millis;
use crate::data::value::Kind;
use crate::keyspace::KeyIn;
use crate::resp::{Args, Argv, ErrorReply};

/// What a command waits for.
#[derive(Debug)]
pub struct Wait {
    /// One of these keys of the client's database ...
    pub keys: Vec<Box<[u8]>>,
    /// ... holds a value of this type ...
    pub kind: Kind,
    /// ... or, if so, does not any more: then the command has an error to tell.
    pub or_gone: bool,
    /// The wait is over at this moment.
    pub until: Option<Millis>,
    /// The command as it is to be run then.
    pub again: Argv,
}

/// A waiting client.
#[derive(Debug)]
struct Waiting {
    db: u32,
    wait: Wait,
    arrival: u64,
}

/// The clients that wait for one key.
#[derive(Debug, Default)]
struct Queue {
    by_arrival: BTreeMap<u64, (ClientId, Kind)>,
    /// How many of them want to know that the key is gone.
    or_gone: usize,
    is_ready: bool,
}

/// The client being served, and the key that it is served for.
#[derive(Debug)]
struct Serving {
    id: ClientId,
    key: Box<[u8]>,
}

/// All clients that wait for keys.
#[derive(Debug, Default)]
pub struct Blocked {
    clients: BTreeMap<ClientId, Waiting>,
    queues: BTreeMap<KeyIn, Queue>,
    /// Keys to be served, in the order in which they became ready.
    ready: VecDeque<KeyIn>,
    /// Ready keys whose clients may run no commands now (a pause, a frozen key).
    held: Vec<KeyIn>,
    arrivals: u64,
    serving: Option<Serving>,
}

impl Blocked {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Keys that somebody waits for, and those among them whose end somebody waits for.
    #[must_use]
    pub fn keys(&self) -> (usize, usize) {
        (self.queues.len(), self.queues.values().filter(|queue| queue.or_gone > 0).count())
    }

    fn add(&mut self, id: ClientId, db: u32, wait: Wait) {
        self.arrivals += 1;
        for key in &wait.keys {
            let queue = self.queues.entry((db, key.clone())).or_default();
            let first = queue.by_arrival.insert(self.arrivals, (id, wait.kind)).is_none();
            queue.or_gone += usize::from(first && wait.or_gone);
        }
        self.clients.insert(id, Waiting { db, wait, arrival: self.arrivals });
    }

    fn remove(&mut self, id: ClientId) -> Option<Waiting> {
        let waiting = self.clients.remove(&id)?;
        for key in &waiting.wait.keys {
            let at = (waiting.db, key.clone());
            let Some(queue) = self.queues.get_mut(&at) else { continue };
            let there = queue.by_arrival.remove(&waiting.arrival).is_some();
            queue.or_gone -= usize::from(there && waiting.wait.or_gone);
            if queue.by_arrival.is_empty() {
                self.queues.remove(&at);
            }
        }
        Some(waiting)
    }

    /// The client under `at` that came next after `arrival`, but not after `last`, and wants a value of `kind`.
    fn next_in_turn(&self, at: &KeyIn, arrival: u64, last: u64, kind: Option<Kind>) -> Option<(u64, ClientId)> {
        let queue = self.queues.get(at)?;
        if kind.is_none() && queue.or_gone == 0 {
            return None;
        }
        let mut others = queue.by_arrival.range((Excluded(arrival), Included(last)));
        let (arrival, (id, _)) = others
            .find(|(_, (id, wants))| kind == Some(*wants) || self.clients.get(id).is_some_and(|w| w.wait.or_gone))?;
        Some((*arrival, *id))
    }
}

impl Ctx<'_> {
    /// Whether this call may wait: not inside EXEC, nor for the primary or a file, whose commands are effects.
    #[must_use]
    pub fn may_block(&self) -> bool {
        !self.server.unit.is_nested() && !self.client.is_obeyed()
    }

    /// The key that this call looks at alone, when it is one that waited for several.
    #[must_use]
    pub fn woken_by(&self) -> Option<Box<[u8]>> {
        let serving = self.server.blocked.serving.as_ref();
        serving.filter(|serving| serving.id == self.client.id).map(|serving| serving.key.clone())
    }

    /// Parks the client until `wait` comes true. A call that served it in vain leaves it where it was.
    pub fn wait_for(&mut self, wait: Wait) {
        self.client.parked = Some(Parked::Keys);
        if self.server.is_serving(self.client.id) {
            return;
        }
        if let Some(until) = wait.until {
            self.server.set_alarm(self.client.id, until);
        }
        self.server.blocked.add(self.client.id, self.client.db, wait);
        self.server.update_observed();
    }

    /// Parks the client until one of `keys` holds a value of `kind`; the command is then run again as it was sent.
    pub fn wait_for_value(&mut self, kind: Kind, keys: Args<'_>, until: Option<Millis>, sent: Args<'_>) {
        let keys = keys.iter().map(Box::from).collect();
        self.wait_for(Wait { keys, kind, or_gone: false, until, again: sent.to_argv() });
    }
}

impl Server {
    /// Of the keys that were just touched, notes those that somebody can be served from.
    pub(super) fn note_ready(&mut self, touched: Vec<KeyIn>) {
        for at in touched {
            self.note_if_ready(at);
        }
    }

    fn note_if_ready(&mut self, at: KeyIn) {
        let Server { blocked, keyspace, now, .. } = self;
        let Some(queue) = blocked.queues.get_mut(&at).filter(|queue| !queue.is_ready) else { return };
        let kind = keyspace.kind_of(at.0, &at.1, *now);
        if queue.or_gone > 0 || kind.is_some_and(|kind| queue.by_arrival.values().any(|(_, wants)| *wants == kind)) {
            queue.is_ready = true;
            blocked.ready.push_back(at);
        }
    }

    /// All keys of `db` (of all databases when `None`) may have changed: flushed, swapped, loaded.
    pub fn note_ready_in(&mut self, db: Option<u32>) {
        let keys: Vec<KeyIn> =
            self.blocked.queues.keys().filter(|at| db.is_none_or(|db| db == at.0)).cloned().collect();
        self.note_ready(keys);
    }

    /// Serves those who wait for keys that have become ready.
    pub(super) fn serve_ready(&mut self) {
        while let Some(at) = self.blocked.ready.pop_front() {
            let Some(queue) = self.blocked.queues.get_mut(&at) else { continue };
            queue.is_ready = false;
            // Who comes back into the queue meanwhile has had its turn.
            let last = self.blocked.arrivals;
            let mut arrival = 0;
            while let Some((next, id)) =
                self.blocked.next_in_turn(&at, arrival, last, self.keyspace.kind_of(at.0, &at.1, self.now))
            {
                arrival = next;
                if self.serve(id, &at) == Step::Again {
                    self.hold(at);
                    break;
                }
            }
        }
    }

    /// Whether the command of client `id` runs again, because what it waited for is there.
    pub(super) fn is_serving(&self, id: ClientId) -> bool {
        self.blocked.serving.as_ref().is_some_and(|serving| serving.id == id)
    }

    /// Runs a waiting client's command for one key.
    fn serve(&mut self, id: ClientId, at: &KeyIn) -> Step {
        let Some(mut client) = self.clients.take(id) else { return Step::Done };
        let Some(waiting) = self.blocked.clients.get_mut(&id) else { return Step::Done };
        let again = std::mem::take(&mut waiting.wait.again);
        client.parked = None;
        self.blocked.serving = Some(Serving { id, key: at.1.clone() });
        let step = self.dispatch(&mut client, again.args());
        self.blocked.serving = None;
        if step == Step::Done && client.parked.is_none() {
            client.last_interaction = self.now;
            self.forget_key_wait(id);
            self.outbox.push(Effect::Wake(id));
        } else {
            client.parked = Some(Parked::Keys);
            if let Some(waiting) = self.blocked.clients.get_mut(&id) {
                waiting.wait.again = again;
            }
        }
        self.clients.put(client);
        step
    }

    /// A ready key waits for the end of what holds commands back.
    fn hold(&mut self, at: KeyIn) {
        if let Some(queue) = self.blocked.queues.get_mut(&at) {
            queue.is_ready = true;
            self.blocked.held.push(at);
        }
    }

    /// What held commands back may be over.
    pub(super) fn release_held(&mut self) {
        let held = std::mem::take(&mut self.blocked.held);
        self.blocked.ready.extend(held);
    }

    /// Client `id` waits for keys no more.
    pub(super) fn forget_key_wait(&mut self, id: ClientId) {
        if let Some(waiting) = self.blocked.remove(id) {
            self.alarms.clear(id, waiting.wait.until);
            self.update_observed();
        }
    }

    /// Ends a wait for keys or acknowledgements: counts the command, and writes its end.
    pub(super) fn finish_wait(&mut self, id: ClientId, error: Option<&ErrorReply>, write: impl FnOnce(&mut Client)) {
        self.forget_key_wait(id);
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(Parked::Acks(wait)) = client.parked {
            self.alarms.clear(id, wait.until);
            self.ack_waits.remove(id);
        }
        client.finish(write);
        client.last_interaction = self.now;
        client.commands += 1;
        if let Some(index) = client.last_command {
            self.count(index, 0, error.is_some());
        }
        if let Some(error) = error {
            self.stats.count_error(&error.code());
        }
        self.outbox.push(Effect::Wake(id));
    }

    /// Ends the wait of a client as if its time were over, or with an error. False when it does not wait.
    pub fn end_wait(&mut self, id: ClientId, with_error: bool) -> bool {
        match self.clients.get(id).and_then(|client| client.parked) {
            Some(Parked::Keys | Parked::Acks(_)) if with_error => {
                self.fail_wait(id, &ErrorReply::Static("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
            }
            Some(Parked::SlotOrders) => {
                let words = ErrorReply::Static("UNBLOCKED client unblocked via CLIENT UNBLOCK");
                self.fail_slot_orders(id, if with_error { &words } else { &ErrorReply::NoReplicas });
            }
            Some(Parked::Keys) => self.finish_wait(id, None, |client| client.reply.null_array()),
            Some(Parked::Acks(wait)) => self.end_ack_wait(id, wait),
            Some(Parked::Waiting(_) | Parked::Retry) | None => return false,
        }
        true
    }

    /// Ends a wait with an error.
    pub(super) fn fail_wait(&mut self, id: ClientId, error: &ErrorReply) {
        self.finish_wait(id, Some(error), |client| client.reply.error(error));
    }

    /// This server follows another from now on: waits of the time before make no sense any more.
    pub(super) fn fail_all_waits(&mut self) {
        const CHANGED: ErrorReply = ErrorReply::Static(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        );
        let is_waiting =
            |client: &&Client| matches!(client.parked, Some(Parked::Keys | Parked::Acks(_) | Parked::SlotOrders));
        let mut waiting: Vec<ClientId> = self.clients.iter().filter(is_waiting).map(|client| client.id).collect();
        waiting.sort_unstable();
        for id in waiting {
            if self.clients.get(id).is_some_and(|client| client.parked == Some(Parked::SlotOrders)) {
                self.fail_slot_orders(id, &CHANGED);
            } else {
                self.fail_wait(id, &CHANGED);
            }
            self.close(id, ClientFlags::CLOSE_AFTER_REPLY);
        }
    }

    /// Slots were lost, or the cluster is down: who waits for a key that is not served here any more is told where.
    pub(super) fn redirect_blocked(&mut self) {
        let failed: Vec<(ClientId, ErrorReply)> = self
            .blocked
            .clients
            .iter()
            .filter_map(|(id, waiting)| {
                let client = self.clients.get(*id)?;
                Some((*id, self.no_more_served(client, waiting.wait.keys.first()?, waiting.wait.again.args())?))
            })
            .collect();
        for (id, error) in failed {
            self.fail_wait(id, &error);
        }
    }
}
