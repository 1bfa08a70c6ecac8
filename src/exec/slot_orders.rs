//! CLUSTER SETSLOT on a primary with replicas: they have to know of an open slot before this server acts on it, so that one
//! of them can go on where the primary stopped.
//!
//! The order goes into the replication stream first; when all replicas that were online have acknowledged it, it is
//! performed here and answered. Orders that come in one pipeline wait together: one request for acknowledgements, one wait,
//! one save of the cluster's configuration.

use std::collections::BTreeMap;

use super::client::{Client, ClientId, Parked};
use super::effect::Effect;
use super::server::Server;
use crate::base::{Millis, Slot};
use crate::cluster::{AdminCommand, AdminError, SetSlot};
use crate::repl::{ReplicaId, ReplicaState, Version};
use crate::resp::{Args, Argv, ErrorReply};

/// How long replicas are waited for if the command does not say so.
const DEFAULT_TIMEOUT_MS: u64 = 2000;

/// Replicas up to this version do not take the command from their primary: they are not waited for.
const LAST_UNAWARE: Version = Version { major: 7, minor: 2, patch: 255 };

/// The most orders of one client that wait together.
const TOGETHER_MAX: usize = 4096;

impl From<AdminError> for ErrorReply {
    fn from(error: AdminError) -> ErrorReply {
        ErrorReply::text_of(format!("ERR {error}"))
    }
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ordered {
    Performed,
    /// It waits for the replicas; the answer comes when they have it.
    Waits,
}

/// The orders of one client that wait for the same replicas.
#[derive(Debug)]
struct Orders {
    /// In the order in which they came; one that was refused keeps its place among the answers.
    sets: Vec<Result<SetSlot, ErrorReply>>,
    replicas: Vec<ReplicaId>,
    timeout_ms: u64,
    until: Option<Millis>,
}

impl Orders {
    /// Whether `set` may wait with these: what it says must not depend on one of them.
    fn admit(&self, set: &SetSlot) -> bool {
        self.sets.len() < TOGETHER_MAX
            && set.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS) == self.timeout_ms
            && self.sets.iter().flatten().all(|other| other.slot != set.slot)
    }
}

/// The orders that wait, by client.
#[derive(Debug, Default)]
pub struct SlotOrders(BTreeMap<ClientId, Orders>);

impl Server {
    /// Performs a SETSLOT of a client, or tells the replicas first and lets the client wait if it may.
    ///
    /// # Errors
    /// With the engine's words, when it is refused.
    pub fn order_slot(&mut self, client: &mut Client, set: SetSlot, may_block: bool) -> Result<Ordered, ErrorReply> {
        let Some(engine) = &self.cluster else { return Err(ErrorReply::ClusterDisabled) };
        let checked = engine.check_setslot(&set, &self.keyspace, false);
        if let Some(orders) = self.slot_orders.0.get_mut(&client.id) {
            match checked {
                Ok(()) => {
                    orders.sets.push(Ok(set));
                    self.unit.to_replicas();
                }
                Err(error) => orders.sets.push(Err(error.into())),
            }
            return Ok(Ordered::Waits);
        }
        checked?;
        let aware = |(id, replica): (ReplicaId, &crate::repl::Replica)| {
            let version = replica.traits.version.filter(|version| *version > LAST_UNAWARE);
            (replica.state == ReplicaState::Online && version.is_some()).then_some(id)
        };
        let replicas: Vec<ReplicaId> = self.repl.replicas().filter_map(aware).collect();
        if !replicas.is_empty() {
            self.unit.to_replicas();
        }
        if replicas.is_empty() || !may_block {
            self.perform_order(set)?;
            return Ok(Ordered::Performed);
        }
        let timeout_ms = set.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        let until = i64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).and_then(|ms| self.now.0.checked_add(ms));
        let until = until.map(Millis);
        if let Some(until) = until {
            self.set_alarm(client.id, until);
        }
        client.parked = Some(Parked::SlotOrders);
        self.slot_orders.0.insert(client.id, Orders { sets: vec![Ok(set)], replicas, timeout_ms, until });
        Ok(Ordered::Waits)
    }

    /// Performs a SETSLOT of this server's primary. It is saved before the primary hears that it was: with the end of what
    /// came with it.
    ///
    /// # Errors
    /// With the engine's words, when it is refused.
    pub fn order_slot_replicated(&mut self, set: &SetSlot) -> Result<(), ErrorReply> {
        let clock = self.clock();
        let Some(engine) = &mut self.cluster else { return Err(ErrorReply::ClusterDisabled) };
        let result = engine.apply_replicated_setslot(clock, set, &self.keyspace);
        self.drain_cluster();
        result.map(drop).map_err(ErrorReply::from)
    }

    fn perform_order(&mut self, set: SetSlot) -> Result<(), ErrorReply> {
        let clock = self.clock();
        let Some(engine) = &mut self.cluster else { return Err(ErrorReply::ClusterDisabled) };
        let result = engine.admin(clock, &AdminCommand::SetSlot(set), &self.keyspace);
        self.drain_cluster();
        result.map(drop).map_err(ErrorReply::from)
    }

    /// Whether the next command of a client that waits for replicas is one that can wait with the others.
    pub(super) fn joins_orders(&self, client: &Client, args: Args<'_>) -> bool {
        if client.parked != Some(Parked::SlotOrders) || args.len() < 3 || !args.is(0, "cluster") {
            return false;
        }
        let words: Vec<&[u8]> = args.from(1).iter().collect();
        let Some(orders) = self.slot_orders.0.get(&client.id) else { return false };
        matches!(AdminCommand::parse(&words), Ok(Some(AdminCommand::SetSlot(set))) if orders.admit(&set))
    }

    /// All orders of a pipeline are in the stream: the replicas are asked how far they are.
    pub(super) fn ask_for_orders(&mut self, client: &Client) {
        if client.parked == Some(Parked::SlotOrders) {
            self.repl.request_acks(self.mono());
            self.drain_repl();
        }
    }

    /// Performs the orders that all their replicas have.
    pub(super) fn finish_slot_orders(&mut self) {
        let has = |id: &ReplicaId, offset| self.repl.replica(*id).is_some_and(|replica| replica.ack >= offset);
        let ready: Vec<ClientId> = self
            .slot_orders
            .0
            .iter()
            .filter(|(id, orders)| {
                let offset = self.clients.get(**id).map(|client| client.write_offset);
                offset.is_some_and(|offset| orders.replicas.iter().all(|replica| has(replica, offset)))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            let Some(orders) = self.take_slot_orders(id) else { continue };
            let perform = |server: &mut Server, set: SetSlot| {
                let slot = set.slot;
                server.perform_order(set).inspect_err(|_| server.take_order_back(slot))
            };
            let done = orders.sets.into_iter().map(|set| set.and_then(|set| perform(self, set))).collect();
            self.answer_orders(id, done);
        }
        self.finish_cluster();
    }

    /// Gives up the orders of a client that wait, with `error`: they are not performed.
    pub(super) fn fail_slot_orders(&mut self, id: ClientId, error: &ErrorReply) {
        let Some(orders) = self.take_slot_orders(id) else { return };
        self.take_back(&orders);
        let failed = orders.sets.into_iter().map(|set| set.and_then(|_| Err(error.clone()))).collect();
        self.answer_orders(id, failed);
    }

    /// Forgets the orders of a client.
    pub(super) fn forget_slot_orders(&mut self, id: ClientId) {
        if let Some(orders) = self.take_slot_orders(id) {
            self.take_back(&orders);
        }
    }

    fn take_back(&mut self, orders: &Orders) {
        orders.sets.iter().flatten().for_each(|set| self.take_order_back(set.slot));
        self.wake_replicas();
    }

    /// An order that is in the stream and was not performed: whether a slot is open is told anew, so that a replica which was
    /// cut off, and meets the order later, does not keep what its primary never did. Who owns the slot it hears on the bus.
    fn take_order_back(&mut self, slot: Slot) {
        let Some(engine) = self.cluster.as_deref().filter(|_| self.repl.is_primary()) else { return };
        let number = slot.to_string();
        let mut argv = Argv::of(&[b"CLUSTER", b"SETSLOT", number.as_bytes()]);
        match (engine.migrating_to(slot), engine.importing_from(slot)) {
            (Some(to), _) => {
                argv.push(b"MIGRATING");
                argv.push(engine.node(to).node.id.as_bytes());
            }
            (None, Some(from)) => {
                argv.push(b"IMPORTING");
                argv.push(engine.node(from).node.id.as_bytes());
            }
            (None, None) => {
                argv.push(b"STABLE");
            }
        }
        self.emit(None, argv.args(), true);
    }

    fn take_slot_orders(&mut self, id: ClientId) -> Option<Orders> {
        let orders = self.slot_orders.0.remove(&id)?;
        self.alarms.clear(id, orders.until);
        if let Some(client) = self.clients.get_mut(id) {
            client.parked = None;
        }
        Some(orders)
    }

    fn answer_orders(&mut self, id: ClientId, results: Vec<Result<(), ErrorReply>>) {
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            self.stats.count_error(&error.code());
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        client.finish(|client| {
            for result in &results {
                match result {
                    Ok(()) => client.reply.ok(),
                    Err(error) => client.reply.error(error),
                }
            }
        });
        client.last_interaction = self.now;
        self.outbox.push(Effect::Wake(id));
    }
}
