//! The outside half of MIGRATE: keys on their way from one machine to another.

use bytes::Bytes;
use trib::exec::Token;
use trib::exec::effect::{MigrateOutcome, MigrateRequest};
use trib::resp::client::{ReplyParser, ReplyValue};

use crate::bugs::Bug;
use crate::net::{End, Item, Port, Role};
use crate::queue::MS;
use crate::world::{Event, World};

/// One exchange under way.
pub struct Migration {
    pub end: End,
    parser: ReplyParser,
    preamble_left: usize,
    keys: usize,
    answered: Vec<Result<(), String>>,
    refused: Option<String>,
}

impl World {
    /// Sends the keys to the machine that the request names.
    pub fn migrate(&mut self, node: usize, request: MigrateRequest) {
        let Some(target) = self.host_of(&request.host) else {
            return self.with(node, |server, _| server.migrated(request.token, MigrateOutcome::ConnectFailed));
        };
        if self.plan.bug == Some(Bug::MigrateForgets) {
            let outcome = MigrateOutcome::Answered(vec![Ok(()); request.keys]);
            return self.with(node, |server, _| server.migrated(request.token, outcome));
        }
        let end = self.net.open(node, Role::Migrate(request.token), target, Port::Client);
        let migration = Migration {
            end,
            parser: ReplyParser::default(),
            preamble_left: request.preamble_replies,
            keys: request.keys,
            answered: Vec::new(),
            refused: None,
        };
        let Some(process) = &mut self.nodes[node].process else { return };
        process.migrations.insert(request.token, migration);
        let life = self.nodes[node].life;
        self.plan(request.timeout_ms * MS, Event::MigrateTimeout { node, life, token: request.token });
        self.send(end, Item::Open);
        self.send(end, Item::Bytes(Bytes::from([request.preamble, request.restores].concat())));
    }

    /// Replies of the target have come.
    pub fn migrate_replies(&mut self, node: usize, token: Token, bytes: &[u8]) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let Some(migration) = process.migrations.get_mut(&token) else { return };
        migration.parser.feed(bytes);
        while let Some(reply) = migration.parser.next_reply().expect("a server sends replies") {
            let preamble = migration.preamble_left > 0;
            migration.preamble_left -= usize::from(preamble);
            match reply {
                ReplyValue::Error(text) => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    if preamble {
                        migration.refused.get_or_insert(text);
                    } else {
                        migration.answered.push(Err(text));
                    }
                }
                _ if preamble => {}
                _ => migration.answered.push(Ok(())),
            }
        }
        if migration.answered.len() < migration.keys {
            return;
        }
        if let Some(Migration { end, answered, refused, .. }) = process.migrations.remove(&token) {
            self.close(end);
            let outcome = refused.map_or(MigrateOutcome::Answered(answered), MigrateOutcome::Refused);
            self.with(node, |server, _| server.migrated(token, outcome));
        }
    }

    /// The connection failed, or patience ran out.
    pub fn migrate_failed(&mut self, node: usize, token: Token) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let Some(Migration { end, answered, .. }) = process.migrations.remove(&token) else { return };
        self.close(end);
        let outcome = MigrateOutcome::Failed { answered, reading: true };
        self.with(node, |server, _| server.migrated(token, outcome));
    }
}
