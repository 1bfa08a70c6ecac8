//! An RDB being read into the keyspace: event by event, in as many steps as the owner of the file likes.

use std::io::BufRead;

use super::effect::LogLevel;
use super::loading::LoadedFacts;
use super::server::Server;
use crate::base::{Millis, num};
use crate::config::{Config, RdbVersionCheck};
use crate::persist::rdb::{Event, RdbError, RdbReader, ReadOptions, VersionCheck};
use crate::repl::{ReplId, SavedHistory};

/// Events between two looks at the clock.
const EVENTS_PER_LOOK: usize = 64;

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Rdb(#[from] RdbError),
    #[error("FATAL: Data file was created with a server configured to handle more than {0} databases. Exiting")]
    Database(usize),
    #[error("RDB has duplicated key '{key}' in DB {db}")]
    Duplicate { db: u32, key: String },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A file that is being read. The server has been told that a load begins.
pub struct RdbLoad<R> {
    reader: RdbReader<R>,
    reading: Reading,
}

/// What has been read so far.
#[derive(Default)]
pub struct Reading {
    /// A key that is there already is replaced; else it is an error.
    merge: bool,
    db: u32,
    repl_id: Option<ReplId>,
    repl_offset: Option<u64>,
    stream_db: Option<u32>,
    open_slots: Vec<u8>,
}

/// Opens an RDB: a wrong kind or version is refused before anything is touched for its sake.
///
/// # Errors
/// What the header says.
pub fn open<R: BufRead>(input: R, config: &Config) -> Result<RdbReader<R>, LoadError> {
    let options = ReadOptions { version_check: version_check(config), verify_checksum: config.rdbchecksum };
    Ok(RdbReader::open(input, options, &config.limits)?)
}

/// What the directive `rdb-version-check` says of files and payloads.
#[must_use]
pub fn version_check(config: &Config) -> VersionCheck {
    match config.rdb_version_check {
        RdbVersionCheck::Strict => VersionCheck::Strict,
        RdbVersionCheck::Relaxed => VersionCheck::Relaxed,
    }
}

impl<R: BufRead> RdbLoad<R> {
    #[must_use]
    pub fn new(reader: RdbReader<R>, merge: bool) -> RdbLoad<R> {
        RdbLoad { reader, reading: Reading::new(merge) }
    }

    /// Reads on, at least a little and as long as there is `more` time. True at the end of the file.
    ///
    /// # Errors
    /// The file cannot be understood: what was loaded until then stands in the keyspace.
    pub fn step(&mut self, server: &mut Server, mut more: impl FnMut() -> bool) -> Result<bool, LoadError> {
        let finished = loop {
            if !self.take_some(server)? {
                break true;
            }
            if !more() {
                break false;
            }
        };
        if let Some(loading) = &mut server.loading {
            loading.loaded_bytes = self.reader.offset();
        }
        Ok(finished)
    }

    /// What the file has told of itself, and the reader, for what stands behind the dataset.
    #[must_use]
    pub fn into_parts(self) -> (LoadedFacts, RdbReader<R>) {
        (self.reading.facts(), self.reader)
    }

    fn take_some(&mut self, server: &mut Server) -> Result<bool, LoadError> {
        for _ in 0..EVENTS_PER_LOOK {
            let event = self.reader.next()?;
            if !self.reading.take(server, event)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What the log says of a file by what that says of itself, if anything.
fn line_of(name: &[u8], value: &[u8], now: Millis) -> Option<String> {
    let number = || num::parse_i64(value);
    match name {
        b"redis-ver" | b"valkey-ver" => {
            Some(format!("Loading RDB produced by version {}", String::from_utf8_lossy(value)))
        }
        b"ctime" => Some(format!("RDB age {} seconds", now.secs().saturating_sub(number()?).max(0))),
        b"used-mem" => Some(format!("RDB memory usage when created {:.2} Mb", number()? as f64 / f64::from(1 << 20))),
        b"aof-base" if value == b"1" => Some("RDB is base AOF".to_owned()),
        _ => None,
    }
}

impl Reading {
    #[must_use]
    pub fn new(merge: bool) -> Reading {
        Reading { merge, ..Reading::default() }
    }

    /// Takes one event. False at the end of the file.
    ///
    /// # Errors
    /// What the file says cannot be.
    pub fn take(&mut self, server: &mut Server, event: Event) -> Result<bool, LoadError> {
        match event {
            Event::Aux { name, value } => {
                match (&mut server.loading, &name[..]) {
                    (Some(loading), b"aof-base") => loading.log_base = value == b"1",
                    (Some(loading), b"repl-id") => loading.has_history = true,
                    (Some(loading), b"used-mem") => {
                        loading.used_mem = num::parse_i64(&value).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                    }
                    _ => {}
                }
                if let Some(line) = line_of(&name, &value, server.now) {
                    server.log(LogLevel::Notice, line);
                }
                self.take_aux(&name, &value);
            }
            Event::SelectDb(db) => {
                let databases = server.keyspace.databases();
                self.db = u32::try_from(db)
                    .ok()
                    .filter(|db| *db < databases)
                    .ok_or(LoadError::Database(databases as usize))?;
            }
            Event::SlotImport { job, ranges } => server.load_slot_import(&job, &ranges),
            Event::ResizeDb { keys, expires } => server.expect_keys(self.db, keys, expires),
            Event::EmptyKey(_) => {}
            Event::Entry(entry) => {
                if let Err(key) = server.load_key(self.db, entry, self.merge) {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    return Err(LoadError::Duplicate { db: self.db, key });
                }
            }
            Event::End { .. } => return Ok(false),
        }
        Ok(true)
    }

    fn take_aux(&mut self, name: &[u8], value: &[u8]) {
        let number = || crate::base::num::parse_i64(value);
        match name {
            b"repl-id" => self.repl_id = ReplId::parse(value),
            b"repl-offset" => self.repl_offset = number().and_then(|n| u64::try_from(n).ok()),
            b"cluster-slot-states" => self.open_slots = value.to_vec(),
            b"repl-stream-db" => self.stream_db = number().and_then(|n| u32::try_from(n).ok()),
            _ => {}
        }
    }

    /// What the file told of itself.
    #[must_use]
    pub fn facts(self) -> LoadedFacts {
        let saved = match (self.repl_id, self.repl_offset, self.stream_db) {
            (Some(id), Some(offset), Some(_)) => Some(SavedHistory { id, offset }),
            _ => None,
        };
        LoadedFacts { saved, stream_db: self.stream_db, open_slots: self.open_slots }
    }
}
