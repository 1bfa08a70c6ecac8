//! Reads a dataset from files, in slices between which the sockets are served.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::shared::{Shared, now};
use crate::base::Millis;
use crate::config::Config;
use crate::exec::loading::LoadedFacts;
use crate::persist::rdb::{Event, RdbError, RdbReader, ReadOptions, VersionCheck};
use crate::repl::{ReplId, SavedHistory};

/// How long one slice may take.
const SLICE_MS: i64 = 5;

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

fn options(config: &Config) -> ReadOptions {
    let version_check = match config.rdb_version_check {
        crate::config::RdbVersionCheck::Strict => VersionCheck::Strict,
        crate::config::RdbVersionCheck::Relaxed => VersionCheck::Relaxed,
    };
    ReadOptions { version_check, verify_checksum: config.rdbchecksum }
}

/// Begins to read an RDB.
///
/// # Errors
/// What the header says.
pub fn open<R: Read>(source: BufReader<R>, config: &Config) -> Result<RdbReader<BufReader<R>>, LoadError> {
    Ok(RdbReader::open(source, options(config), &config.limits)?)
}

/// Opens an RDB file: a wrong kind or version is refused before anything is touched for its sake.
///
/// # Errors
/// What the system or the header says.
pub fn open_rdb(path: &Path, config: &Config) -> Result<RdbReader<BufReader<File>>, LoadError> {
    open(BufReader::with_capacity(256 << 10, File::open(path)?), config)
}

/// Reads all of an RDB into the keyspace; the server has been told that a load begins. With `merge` a key that is there
/// already is replaced; else it is an error.
///
/// # Errors
/// The file cannot be understood: what was loaded until then stands in the keyspace.
pub async fn load_rdb<R: Read>(
    shared: &Shared,
    mut reader: RdbReader<BufReader<R>>,
    merge: bool,
) -> Result<(LoadedFacts, RdbReader<BufReader<R>>), LoadError> {
    let mut state = Reading { merge, ..Reading::default() };
    loop {
        let finished = {
            let mut server = shared.server();
            let deadline = now() + SLICE_MS;
            let mut finished = false;
            while !finished && now() < deadline {
                for _ in 0..EVENTS_PER_LOOK {
                    if !state.take(&mut server, reader.next()?)? {
                        finished = true;
                        break;
                    }
                }
            }
            if let Some(loading) = &mut server.loading {
                loading.loaded_bytes = reader.offset();
            }
            finished
        };
        if finished {
            return Ok((state.facts(), reader));
        }
        tokio::task::yield_now().await;
    }
}

/// What has been read so far.
#[derive(Default)]
pub struct Reading {
    merge: bool,
    db: u32,
    repl_id: Option<ReplId>,
    repl_offset: Option<u64>,
    stream_db: Option<u32>,
    open_slots: Vec<u8>,
}

impl Reading {
    /// Takes one event. False at the end of the file.
    pub fn take(&mut self, server: &mut crate::exec::Server, event: Event) -> Result<bool, LoadError> {
        match event {
            Event::Aux { name, value } => {
                if let (Some(loading), b"aof-base") = (&mut server.loading, &name[..]) {
                    loading.log_base = value == b"1";
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
            Event::ResizeDb { .. } | Event::EmptyKey(_) => {}
            Event::Entry(entry) => {
                if !self.merge && server.has_loaded(self.db, &entry.key) {
                    let key = String::from_utf8_lossy(&entry.key).into_owned();
                    return Err(LoadError::Duplicate { db: self.db, key });
                }
                server.load_key(self.db, entry);
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

/// Seconds with thousandths, for the log.
#[must_use]
pub fn seconds_since(start: Millis) -> f64 {
    now().since(start) as f64 / 1000.0
}
