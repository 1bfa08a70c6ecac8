//! Giving entries to a consumer: those that its group has not read, and again those that it holds.

use super::relay::Relay;
use super::reply::{push_entry, push_id};
use crate::base::Millis;
use crate::data::stream::{ConsumerId, Delivery, Group, Log, Stream, StreamId};
use crate::exec::Ctx;
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::reply::{Open, Proto};
use crate::resp::{Argv, ErrorReply, Reply};

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Behind this id.
    After(StreamId),
    /// What the group has not read.
    New,
}

/// Writes what there is, one stream after the other, under an array or map that is opened with the first of them.
#[derive(Default)]
pub struct Streams {
    open: Option<Open>,
    count: usize,
}

impl Streams {
    /// Begins the part of one stream; its entries are to follow.
    pub fn begin_one(&mut self, reply: &mut Reply, key: &[u8]) {
        if self.open.is_none() {
            self.open = Some(reply.open());
        }
        self.count += 1;
        if reply.proto == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Ends the reply; false when there was nothing.
    pub fn end(self, reply: &mut Reply) -> bool {
        let Some(open) = self.open else { return false };
        match reply.proto {
            Proto::Resp2 => reply.end_array(open, self.count),
            Proto::Resp3 => reply.end_map(open, self.count),
        }
        true
    }
}

/// One stream's part of XREADGROUP.
pub struct GroupRead<'a> {
    pub key: &'a [u8],
    pub group: &'a [u8],
    pub consumer: &'a [u8],
    pub from: From,
    pub count: Option<usize>,
    pub no_ack: bool,
}

impl GroupRead<'_> {
    /// Reads, and gives what is to be propagated.
    pub fn run(&self, ctx: &mut Ctx<'_>, streams: &mut Streams) -> Result<Vec<Argv>, ErrorReply> {
        let mut relay = Relay::new(ctx, self.key, self.group);
        let now = ctx.now;
        let (mut db, reply) = ctx.split();
        let Some(mut entry) = db.write(self.key) else { return Ok(Vec::new()) };
        let Stream { log, groups } = entry.stream_mut()?;
        let Some(group) = groups.get_mut(self.group) else { return Ok(Vec::new()) };
        let found = group.find(self.consumer);
        let created = found.is_none();
        let Some(consumer) = found.or_else(|| group.create_consumer(self.consumer, now, None)) else {
            return Ok(Vec::new());
        };
        group.consumer_mut(consumer).seen = now;
        let mut read = false;
        match self.from {
            From::After(id) => {
                streams.begin_one(reply, self.key);
                if created {
                    relay.create_consumer(self.consumer);
                }
                let start = id.next().unwrap_or(StreamId::MAX);
                push_history(reply, log, group, consumer, start, self.count, now);
                read = true;
            }
            From::New if log.top_id().is_some_and(|top| top > group.last_id) => {
                streams.begin_one(reply, self.key);
                if !self.no_ack {
                    group.consumer_mut(consumer).active = Some(now);
                } else if created {
                    relay.create_consumer(self.consumer);
                }
                self.push_new(reply, log, group, consumer, now, &mut relay);
                read = true;
            }
            // Others must know the consumer although it got nothing.
            From::New if created => relay.create_consumer(self.consumer),
            From::New => {}
        }
        if created {
            db.notify(EventClass::STREAM, "xgroup-createconsumer", self.key);
        }
        ctx.changed(usize::from(created) + usize::from(read));
        Ok(relay.into_commands())
    }

    /// Gives the consumer what the group has not read.
    fn push_new(
        &self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        consumer: ConsumerId,
        now: Millis,
        relay: &mut Relay<'_>,
    ) {
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        let open = reply.open();
        let mut pushed = 0;
        for entry in log.range(start, StreamId::MAX).take(self.count.unwrap_or(usize::MAX)) {
            group.advance(log, entry.id);
            push_entry(reply, entry);
            pushed += 1;
            if !self.no_ack {
                let delivery = Delivery { at: now, count: 1 };
                group.assign(entry.id, consumer, delivery);
                relay.claim(self.consumer, entry.id, delivery, group.last_id);
            }
        }
        reply.end_array(open, pushed);
        relay.set_id(group.last_id, group.entries_read);
    }
}

/// Gives a consumer again what it holds from `start` on.
fn push_history(
    reply: &mut Reply,
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    start: StreamId,
    count: Option<usize>,
    now: Millis,
) {
    let held = group.consumer(consumer).pending();
    let ids: Vec<StreamId> = held.range(start..).take(count.unwrap_or(usize::MAX)).copied().collect();
    reply.array(ids.len());
    for id in &ids {
        match log.get(*id) {
            Some(entry) => {
                push_entry(reply, entry);
                group.redeliver(*id, now);
            }
            None => {
                // Deleted meanwhile.
                reply.array(2);
                push_id(reply, *id);
                reply.null_array();
            }
        }
    }
}
