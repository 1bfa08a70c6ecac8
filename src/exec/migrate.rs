//! The inside half of MIGRATE's end: what arrived is deleted here, and the client is told.

use super::effect::{MigrateOutcome, Token};
use super::server::Server;
use crate::keyspace::EventClass;
use crate::resp::{Argv, ErrorReply};

impl Server {
    /// The outside has carried the keys frozen under `token` to their target, or could not.
    pub fn migrated(&mut self, token: Token, outcome: MigrateOutcome) {
        let Some(frozen) = self.frozen.take(token) else { return };
        let (answers, failure) = match outcome {
            MigrateOutcome::Answered(answers) => (answers, None),
            MigrateOutcome::ConnectFailed => {
                (Vec::new(), Some(ErrorReply::Static("IOERR error or timeout connecting to the client")))
            }
            MigrateOutcome::Failed { answered, reading } => {
                let text = if reading {
                    "IOERR error or timeout reading to target instance"
                } else {
                    "IOERR error or timeout writing to target instance"
                };
                (answered, Some(ErrorReply::Static(text)))
            }
            MigrateOutcome::Refused(text) => (Vec::new(), Some(target_error(&text))),
        };
        let mut refused = None;
        let mut moved = Argv::of(&[b"DEL"]);
        self.keyspace.begin(self.now, false, false, None);
        for (key, answer) in frozen.keys.iter().zip(answers) {
            match answer {
                Ok(()) if frozen.copy => {}
                Ok(()) => {
                    let mut db = self.keyspace.db(frozen.db);
                    if db.delete(key) {
                        db.notify(EventClass::GENERIC, "del", key);
                        self.keyspace.changed(1);
                        moved.push(key);
                    }
                }
                Err(text) => {
                    refused.get_or_insert_with(|| target_error(&text));
                }
            }
        }
        if moved.args().len() > 1 {
            self.propagate_for(token, frozen.db, moved.args());
            self.wake_replicas();
        }
        self.tell_of_changes(None, true, false);
        self.announce_changes();
        self.finish_ok(token, failure.or(refused).map_or(Ok(()), Err));
        self.retry_parked();
        self.serve_ready();
    }
}

fn target_error(text: &str) -> ErrorReply {
    ErrorReply::text_of(format!("ERR Target instance replied with error: {text}"))
}
