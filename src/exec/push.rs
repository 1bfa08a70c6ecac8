//! Messages that a client did not ask for just now: published ones, invalidations, what MONITOR sees.
//!
//! They go straight into the client's output. The client whose command runs gets its own after the reply.

use super::client::{Client, ClientId, Clients};
use super::effect::Effect;
use super::output::{OutputWatch, close_for_output};
use super::server::Server;
use crate::pubsub::Subscriptions;
use crate::resp::{Proto, Reply};

/// A message for one client or many, in the form of both protocol versions.
#[derive(Debug, Default)]
pub struct Message {
    /// As an array: the form of RESP2. A push of RESP3 differs in the first byte only.
    bytes: Vec<u8>,
}

impl Message {
    /// A message of these words.
    #[must_use]
    pub fn of(words: &[&[u8]]) -> Message {
        let mut reply = Reply::new(Proto::Resp2);
        reply.push(words.len());
        for word in words {
            reply.bulk(word);
        }
        Message { bytes: reply.buf }
    }

    /// A message that is written already, in the client's own version.
    #[must_use]
    pub fn written(reply: Reply) -> Message {
        Message { bytes: reply.buf }
    }

    /// A line that is written already, the same in both versions.
    #[must_use]
    pub fn line(bytes: Vec<u8>) -> Message {
        Message { bytes }
    }

    fn push_onto(&self, reply: &mut Reply) {
        let start = reply.buf.len();
        reply.raw(&self.bytes);
        if reply.proto == Proto::Resp3
            && let Some(first) = reply.buf.get_mut(start).filter(|first| **first == b'*')
        {
            *first = b'>';
        }
    }
}

/// What the running command sends to its own client.
#[derive(Debug, Default)]
pub struct OwnMessages(Vec<(ClientId, Message)>);

impl OwnMessages {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, to: ClientId, message: Message) {
        self.0.push((to, message));
    }

    /// After the reply.
    pub fn deliver(&mut self, client: &mut Client) {
        for (_, message) in self.0.extract_if(.., |(to, _)| *to == client.id) {
            if !client.is_closing() {
                message.push_onto(&mut client.reply);
            }
        }
    }
}

/// Where messages go: everything of the server that delivery touches, so that the rest stays free to be read.
pub struct Delivery<'a> {
    clients: &'a mut Clients,
    outbox: &'a mut Vec<Effect>,
    own: &'a mut OwnMessages,
    watch: OutputWatch<'a>,
    closed: &'a mut u64,
}

impl Server {
    /// `client` hears of nothing any more: its subscriptions, what it caches and what it watches end without a word.
    pub fn stop_hearing(&mut self, client: &mut Client) {
        self.unsubscribe_all(client);
        self.untrack(client);
        self.stop_monitoring(client);
        self.own_messages.0.retain(|(to, _)| *to != client.id);
    }

    /// The subscriptions, and the way to those who have them.
    pub(super) fn delivery(&mut self) -> (&mut Subscriptions, Delivery<'_>) {
        let Server { pubsub, clients, outbox, own_messages, config, now, stats, .. } = self;
        let watch = OutputWatch { limits: &config.client_output_buffer_limit, now: *now };
        (pubsub, Delivery { clients, outbox, own: own_messages, watch, closed: &mut stats.closed_for_output })
    }
}

impl Delivery<'_> {
    /// Sends `message` to one client. Gives its length; 0 where the client is closing.
    pub fn send(&mut self, to: ClientId, message: &Message) -> usize {
        let Some(client) = self.clients.get_mut(to) else {
            // Only the client whose command runs is not among the others.
            self.own.add(to, Message { bytes: message.bytes.clone() });
            return message.bytes.len();
        };
        if client.is_closing() {
            return 0;
        }
        let was_idle = client.reply.buf.is_empty();
        message.push_onto(&mut client.reply);
        if self.watch.is_exceeded(client) {
            close_for_output(client, self.outbox);
            *self.closed += 1;
        } else if was_idle {
            self.outbox.push(Effect::Wake(to));
        }
        message.bytes.len()
    }

    /// The client, unless its command runs now.
    pub fn client(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id)
    }
}
