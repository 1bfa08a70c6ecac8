//! What a walk over the keyspace is written as: RDB, or commands. A large value comes in pieces, and what comes between them
//! waits until the last one.

use super::super::server::Server;
use super::super::state::COMPAT_VERSION;
use crate::base::Millis;
use crate::data::entry::Entry;
use crate::keyspace::{AccessPolicy, EntrySink};
use crate::persist::aof::{CommandWriter, rewrite};
use crate::persist::rdb::pieces::{self, Pieces};
use crate::persist::rdb::{Access, Aux, RdbWriter, Reader, ReplicationAux, WriteOptions};
use crate::resp::args::push_command;

/// Entries to RDB bytes.
pub(super) struct RdbSink {
    writer: Option<RdbWriter>,
    out: Vec<u8>,
    /// The large value under way, and what came in between its pieces.
    pieces: Option<Pieces>,
    between: Vec<u8>,
    db: Option<u32>,
    /// Keys and volatile keys per database, hints for the reader.
    sizes: Vec<(usize, usize)>,
    /// How uses are remembered, if keys are evicted by that: then they are told, as of this moment.
    used: Option<(AccessPolicy, Millis)>,
}

impl RdbSink {
    fn access_of(&self, entry: &Entry) -> Access {
        match self.used {
            None => Access::Untracked,
            Some((AccessPolicy::Lru, now)) => {
                Access::IdleSecs(u64::from(AccessPolicy::idle_seconds(entry.access(), now)))
            }
            Some((policy, now)) => Access::Frequency(policy.frequency(entry.access(), now) as u8),
        }
    }
}

impl EntrySink for RdbSink {
    fn entry(&mut self, db: u32, entry: &Entry) {
        let access = self.access_of(entry);
        let Some(writer) = &mut self.writer else { return };
        let mut plain = None;
        let (writer, out) = match self.pieces {
            None => (writer, &mut self.out),
            Some(_) => (plain.insert(writer.without_checksum()), &mut self.between),
        };
        if self.db != Some(db) {
            let (keys, volatile) = std::mem::take(&mut self.sizes[db as usize]);
            writer.select(out, db as usize, keys, volatile);
            self.db = Some(db);
        }
        writer.entry(out, entry.key(), entry.value(), entry.expire_at(), access);
    }

    fn is_large(&self, entry: &Entry) -> bool {
        pieces::is_large(entry.value())
    }

    fn piece(&mut self, db: u32, entry: &Entry) -> bool {
        let access = self.access_of(entry);
        let Some(writer) = &mut self.writer else { return true };
        let mut pieces = match self.pieces.take() {
            Some(pieces) => pieces,
            None => {
                if self.db != Some(db) {
                    let (keys, volatile) = std::mem::take(&mut self.sizes[db as usize]);
                    writer.select(&mut self.out, db as usize, keys, volatile);
                    self.db = Some(db);
                }
                writer.begin_pieces(&mut self.out, entry.key(), entry.value(), entry.expire_at(), access)
            }
        };
        let over = writer.next_piece(&mut self.out, entry.value(), &mut pieces);
        if over {
            writer.append_encoded(&mut self.out, &std::mem::take(&mut self.between));
        } else {
            self.pieces = Some(pieces);
        }
        over
    }

    fn pending_bytes(&self) -> usize {
        self.out.len() + self.between.len()
    }

    fn take(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.out);
    }

    fn finish(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.finish(&mut self.out);
        }
    }
}

/// Entries to commands, for `aof-use-rdb-preamble no`.
pub(super) struct CommandSink {
    writer: CommandWriter,
    out: Vec<u8>,
    /// The large value under way, and what came in between its pieces.
    pieces: Option<rewrite::Pieces>,
    between: Vec<u8>,
}

impl EntrySink for CommandSink {
    fn entry(&mut self, db: u32, entry: &Entry) {
        let out = if self.pieces.is_none() { &mut self.out } else { &mut self.between };
        self.writer.entry(out, db as usize, entry.key(), entry.value(), entry.expire_at());
    }

    fn is_large(&self, entry: &Entry) -> bool {
        pieces::is_large(entry.value())
    }

    fn piece(&mut self, db: u32, entry: &Entry) -> bool {
        let mut pieces = self.pieces.take().unwrap_or_else(|| {
            self.writer.select(&mut self.out, db as usize);
            rewrite::Pieces::default()
        });
        let over = rewrite::next_piece(&mut self.out, entry.key(), entry.value(), entry.expire_at(), &mut pieces);
        if over {
            self.out.append(&mut self.between);
        } else {
            self.pieces = Some(pieces);
        }
        over
    }

    fn pending_bytes(&self) -> usize {
        self.out.len() + self.between.len()
    }

    fn take(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.out);
    }

    fn finish(&mut self) {}
}

impl Server {
    pub(super) fn command_sink(&self) -> CommandSink {
        let mut out = Vec::new();
        let writer = CommandWriter::begin(&mut out, self.config.aof_timestamp_enabled.then(|| self.now.secs()));
        for import in self.migrations.import_commands() {
            push_command(&mut out, import.args());
        }
        CommandSink { writer, out, pieces: None, between: Vec::new() }
    }

    pub(super) fn rdb_sink(&mut self, aof_base: bool, reader: Reader) -> RdbSink {
        let info = self.repl.save_info(self.primary_stream.client.db);
        let replication = info.as_ref().map(|(history, db)| ReplicationAux {
            stream_db: i64::from(*db),
            id: history.id.as_str(),
            offset: history.offset as i64,
        });
        let aux = Aux {
            server_version: COMPAT_VERSION,
            ctime_secs: self.now.secs(),
            used_memory_bytes: self.memory.used_bytes(),
            replication,
            aof_base,
        };
        let options = WriteOptions { checksum: self.config.rdbchecksum, compress: self.config.rdbcompression, reader };
        let mut out = Vec::new();
        let mut writer = RdbWriter::begin(&mut out, options, &aux);
        if reader == Reader::Valkey9 {
            for (name, ranges) in self.migrations.importing() {
                writer.slot_import(&mut out, name.as_bytes(), &ranges);
            }
        }
        let sizes = (0..self.keyspace.databases()).map(|db| self.keyspace.sizes(db)).collect();
        let used = Server::evicts_by_use(&self.config).then(|| (self.keyspace.access_policy(), self.now));
        RdbSink { writer: Some(writer), out, pieces: None, between: Vec::new(), db: None, sizes, used }
    }

    /// A replica that is promoted goes on with the slots that were being moved.
    pub(super) fn tell_open_slots(&self, sink: &mut RdbSink) {
        let text = self.cluster.as_ref().map(|engine| engine.open_slots_text()).unwrap_or_default();
        if let (Some(writer), false) = (&mut sink.writer, text.is_empty()) {
            writer.fact(&mut sink.out, "cluster-slot-states", text.as_bytes());
        }
    }
}
