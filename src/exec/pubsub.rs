//! Publishing: messages and keyspace events to those who listen.

use std::io::Write as _;

use super::client::{Client, ClientFlags, ClientId};
use super::push::Message;
use super::server::Server;
use crate::base::Slot;
use crate::keyspace::EventClass;
use crate::pubsub::{Counts, Kind, SubscriberId};
use crate::resp::{Proto, Reply};

/// Tells a client that it listens to `name` now, or no more (`None`: it did not), and how many subscriptions it has.
pub fn confirm(reply: &mut Reply, word: &str, name: Option<&[u8]>, kind: Kind, counts: Counts) {
    reply.push(3);
    reply.bulk_str(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.uint(match kind {
        Kind::Channel | Kind::Pattern => counts.channels + counts.patterns,
        Kind::Shard => counts.shard_channels,
    });
}

impl From<SubscriberId> for ClientId {
    fn from(id: SubscriberId) -> ClientId {
        ClientId(id.0)
    }
}

impl From<ClientId> for SubscriberId {
    fn from(id: ClientId) -> SubscriberId {
        SubscriberId(id.0)
    }
}

impl Server {
    /// Sends a message to those who listen to `channel` on this server. Gives how many they were; who listens twice,
    /// by name and by pattern, counts twice.
    pub fn publish_here(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let (pubsub, mut delivery) = self.delivery();
        let mut receivers = 0;
        let mut exact = None;
        for who in pubsub.listeners(Kind::Channel, channel) {
            let encoded = exact.get_or_insert_with(|| Message::of(&[b"message", channel, message]));
            delivery.send(who.into(), encoded);
            receivers += 1;
        }
        for (pattern, listeners) in pubsub.matching(channel) {
            let encoded = Message::of(&[b"pmessage", pattern, channel, message]);
            for who in listeners {
                delivery.send(who.into(), &encoded);
                receivers += 1;
            }
        }
        receivers
    }

    /// As [`Server::publish_here`], on a shard channel: these have no patterns.
    pub fn publish_shard_here(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let (pubsub, mut delivery) = self.delivery();
        let encoded = Message::of(&[b"smessage", channel, message]);
        let (mut receivers, mut bytes) = (0, 0);
        for who in pubsub.listeners(Kind::Shard, channel) {
            bytes += delivery.send(who.into(), &encoded);
            receivers += 1;
        }
        self.count_shard_messages(channel, bytes);
        receivers
    }

    /// Sends a message over the bus, to all nodes of the cluster or to those of this shard. False outside a cluster.
    pub fn publish_on_bus(&mut self, channel: &[u8], message: &[u8], sharded: bool) -> bool {
        let clock = self.clock();
        let Some(engine) = &mut self.cluster else { return false };
        engine.publish(clock, channel, message, sharded);
        self.drain_cluster();
        true
    }

    /// Shard channels leave with their slot: who listens here to one that another shard serves now is told.
    pub(super) fn leave_lost_shard_channels(&mut self) {
        let Some(engine) = &self.cluster else { return };
        let lost: Vec<Slot> = self.pubsub.slots().filter(|slot| !engine.is_in_my_shard(*slot)).collect();
        let (pubsub, mut delivery) = self.delivery();
        for slot in lost {
            for (name, who) in pubsub.leave_slot(slot) {
                let left = pubsub.counts_of(who);
                if let Some(client) = delivery.client(who.into()) {
                    client.flags.set(ClientFlags::PUBSUB, !left.is_zero());
                }
                let mut told = Reply::new(Proto::Resp2);
                confirm(&mut told, "sunsubscribe", Some(&name), Kind::Shard, left);
                delivery.send(who.into(), &Message::written(told));
            }
        }
    }

    /// Publishes the keyspace events collected since the last time.
    pub(super) fn publish_events(&mut self) {
        let wanted = self.config.notify_keyspace_events;
        let mut channel = Vec::new();
        for event in self.keyspace.take_events() {
            // Writing to a vector cannot fail.
            if wanted.contains(EventClass::KEYSPACE) {
                channel.clear();
                let _ = write!(channel, "__keyspace@{}__:", event.db);
                channel.extend_from_slice(&event.key);
                self.publish_here(&channel, event.name.as_bytes());
            }
            if wanted.contains(EventClass::KEYEVENT) {
                channel.clear();
                let _ = write!(channel, "__keyevent@{}__:{}", event.db, event.name);
                self.publish_here(&channel, &event.key);
            }
        }
    }

    /// Collects keyspace events only while somebody could hear of them.
    pub(super) fn update_events_wanted(&mut self) {
        let channels = EventClass::KEYSPACE | EventClass::KEYEVENT;
        let wanted = self.config.notify_keyspace_events;
        let heard = wanted.intersects(channels) && !self.pubsub.nobody_listens() && !self.is_loading();
        self.keyspace.set_events_wanted(if heard { wanted - channels } else { EventClass::empty() });
    }

    /// Subscribes `client`. False when it was subscribed already.
    pub fn subscribe(&mut self, client: &mut Client, kind: Kind, name: &[u8]) -> bool {
        let is_new = self.pubsub.subscribe(client.id.into(), kind, name);
        client.flags |= ClientFlags::PUBSUB;
        self.update_events_wanted();
        is_new
    }

    /// Ends a subscription of `client`, if there is one.
    pub fn unsubscribe(&mut self, client: &mut Client, kind: Kind, name: &[u8]) {
        self.pubsub.unsubscribe(client.id.into(), kind, name);
        client.flags.set(ClientFlags::PUBSUB, !self.pubsub.counts_of(client.id.into()).is_zero());
        self.update_events_wanted();
    }

    /// Ends all subscriptions of `client` without a word.
    pub fn unsubscribe_all(&mut self, client: &mut Client) {
        if client.is(ClientFlags::PUBSUB) {
            self.pubsub.leave(client.id.into());
            client.flags -= ClientFlags::PUBSUB;
            self.update_events_wanted();
        }
    }
}
