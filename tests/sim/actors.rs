//! Those outside: their connections, and carrying their requests and the replies.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;

use bytes::Bytes;
use trib::exec::ClientId;
use trib::resp::client::{ReplyParser, ReplyValue};

use crate::desk::{Desk, NoReply, Request};
use crate::net::{End, Item, Port, Role};
use crate::world::{Event, World};

/// A call that is under way.
struct Call {
    number: u64,
    wanted: usize,
    replies: Vec<ReplyValue>,
}

struct Connection {
    end: End,
    parser: ReplyParser,
    calls: VecDeque<Call>,
}

pub struct Actor {
    desk: Desk,
    work: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Where it is in the network.
    pub host: usize,
    connections: BTreeMap<usize, Connection>,
}

impl Actor {
    pub fn has_ended(&self) -> bool {
        self.work.is_none()
    }
}

impl World {
    /// Lets somebody begin their work. Their place in the network is next to nobody.
    pub fn employ(&mut self, desk: Desk, work: Pin<Box<dyn Future<Output = ()>>>) -> usize {
        let actor = self.actors.len();
        let host = self.nodes.len() + actor % (self.plan.clients + 1);
        self.actors.push(Actor { desk, work: Some(work), host, connections: BTreeMap::new() });
        self.poll(actor);
        actor
    }

    /// Gives somebody who has done their work something else to do.
    pub fn employ_again(&mut self, actor: usize, work: Pin<Box<dyn Future<Output = ()>>>) {
        self.actors[actor].work = Some(work);
        self.poll(actor);
    }

    /// Lets somebody go on, and does what they ask for.
    fn poll(&mut self, actor: usize) {
        let now = self.now;
        let Actor { desk, work, .. } = &mut self.actors[actor];
        let Some(going) = work else { return };
        let (requests, ended) = desk.go_on(now, going);
        if ended {
            *work = None;
        }
        self.note_deeds();
        self.note_claims();
        for (number, request) in requests {
            match request {
                Request::Wake { at } => self.plan(at.saturating_sub(now), Event::Wake { actor, number }),
                Request::Call { host, bytes, replies, patience } => {
                    self.plan(patience, Event::Overdue { actor, number });
                    self.call(actor, number, host, bytes, replies);
                }
            }
        }
    }

    pub fn wake(&mut self, actor: usize, number: u64) {
        self.actors[actor].desk.awake(number);
        self.poll(actor);
    }

    fn call(&mut self, actor: usize, number: u64, host: usize, bytes: Vec<u8>, wanted: usize) {
        let (from, now) = (self.actors[actor].host, self.now);
        self.trace.say(now, || format!("actor {actor} to node {host}: {}", shown(&bytes)));
        if !self.actors[actor].connections.contains_key(&host) {
            let end = self.net.open(from, Role::Actor(actor), host, Port::Client);
            let connection = Connection { end, parser: ReplyParser::default(), calls: VecDeque::new() };
            self.actors[actor].connections.insert(host, connection);
            self.send(end, Item::Open);
        }
        if let Some(connection) = self.actors[actor].connections.get_mut(&host) {
            connection.calls.push_back(Call { number, wanted, replies: Vec::new() });
            let end = connection.end;
            self.send(end, Item::Bytes(Bytes::from(bytes)));
        }
    }

    /// A call was not answered in time: its connection is of no use any more.
    pub fn overdue(&mut self, actor: usize, number: u64) {
        let connections = &self.actors[actor].connections;
        let waits = |connection: &Connection| connection.calls.iter().any(|call| call.number == number);
        let host = connections.iter().find(|(_, connection)| waits(connection)).map(|(host, _)| *host);
        if let Some(host) = host {
            self.hang_up(actor, host);
        }
    }

    /// The client of a server that somebody outside is, over the connection they have now.
    pub fn session_of(&self, actor: usize, host: usize) -> Option<ClientId> {
        let connection = self.actors[actor].connections.get(&host)?;
        self.served(connection.end.other()).map(|(_, id)| id)
    }

    fn hang_up(&mut self, actor: usize, host: usize) {
        let Some(connection) = self.actors[actor].connections.remove(&host) else { return };
        self.close(connection.end);
        for call in connection.calls {
            self.actors[actor].desk.answer(call.number, Err(NoReply));
        }
        self.poll(actor);
    }

    pub fn arrive_at_actor(&mut self, to: End, role: Role, item: Item) {
        let Role::Actor(actor) = role else { return };
        let connections = &mut self.actors[actor].connections;
        let found = connections.iter_mut().find(|(_, connection)| connection.end == to);
        let Some((&host, connection)) = found else {
            if let Item::Bytes(_) = item {
                self.send(to, Item::Reset);
            }
            return;
        };
        match item {
            Item::Open | Item::Opened => {}
            Item::Closed | Item::Reset => {
                self.net.kill(to);
                self.hang_up(actor, host);
            }
            Item::Bytes(bytes) => {
                connection.parser.feed(&bytes);
                let mut answered = Vec::new();
                while let Some(reply) = connection.parser.next_reply().expect("a server sends replies") {
                    let Some(call) = connection.calls.front_mut() else { break };
                    call.replies.push(reply);
                    if call.replies.len() == call.wanted {
                        answered.extend(connection.calls.pop_front());
                    }
                }
                if !answered.is_empty() {
                    for call in answered {
                        let now = self.now;
                        self.trace.say(now, || {
                            let replies: Vec<String> = call.replies.iter().map(shown_reply).collect();
                            format!("node {host} to actor {actor}: {}", replies.join("; "))
                        });
                        self.actors[actor].desk.answer(call.number, Ok(call.replies));
                    }
                    self.poll(actor);
                }
            }
        }
    }
}

/// Commands on one line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    words.join(" ")
}

/// A reply on one line.
pub fn shown_reply(reply: &ReplyValue) -> String {
    match reply {
        ReplyValue::Integer(number) => number.to_string(),
        ReplyValue::Array(items) => items.iter().map(shown_reply).collect::<Vec<_>>().join(", "),
        other => match other.as_bytes().or(other.as_error()) {
            Some(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned(),
            None => format!("{other:?}"),
        },
    }
}
