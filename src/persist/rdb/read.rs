//! Reading a file, one event at a call.

use std::io::BufRead;

use super::error::{RdbError, Result};
use super::read_value::{Loaded, read_value};
use super::records::{Checksum, KeyRecord, ReadOptions, Record, RecordReader};
use crate::base::Millis;
use crate::data::Limits;
use crate::data::value::Value;

/// What a file tells next.
#[derive(Debug)]
pub enum Event {
    /// A fact about the file; unknown names are to be ignored.
    Aux { name: Vec<u8>, value: Vec<u8> },
    /// The keys that follow belong to this database. Whether there is such a database is for the caller to say.
    SelectDb(u64),
    /// How many keys (and keys with an expiry) follow, according to the writer: a hint not to be trusted.
    ResizeDb { keys: u64, expires: u64 },
    /// A slot import that was under way when the file was written: its job and its ranges, both ends included.
    SlotImport { job: Vec<u8>, ranges: Vec<(u16, u16)> },
    /// A key with its value. Whether it is past its expiry, or there twice, is for the caller to say.
    Entry(Box<LoadedEntry>),
    /// A key whose collection has no elements: to be skipped, with a word in the log.
    EmptyKey(Vec<u8>),
    /// The end, and again the end if it is asked for once more.
    End { checksum: Checksum },
}

/// A key as it was saved.
#[derive(Debug)]
pub struct LoadedEntry {
    pub key: Vec<u8>,
    pub value: Value,
    /// Wall time.
    pub expire: Option<Millis>,
    pub idle_secs: Option<u64>,
    /// The logarithmic access counter of the LFU policies.
    pub frequency: Option<u8>,
}

/// Reads a file event by event. It consumes nothing behind the end of the file, see [`RdbReader::into_inner`].
pub struct RdbReader<R> {
    records: RecordReader<R>,
    limits: Limits,
}

impl<R: BufRead> RdbReader<R> {
    /// Reads the header: a file of the wrong kind or version is refused before anything is touched for its sake.
    /// Values get the encodings that `limits` asks for.
    pub fn open(inner: R, options: ReadOptions, limits: &Limits) -> Result<RdbReader<R>> {
        Ok(RdbReader { records: RecordReader::open(inner, options)?, limits: limits.clone() })
    }

    pub fn version(&self) -> u16 {
        self.records.version()
    }

    /// Bytes read so far, for progress reports.
    pub fn offset(&self) -> u64 {
        self.records.offset()
    }

    /// The source, positioned behind what was read: behind the checksum, once the end was reached.
    pub fn into_inner(self) -> Result<R> {
        self.records.into_inner()
    }

    /// The next event. After an error there is no going on.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end at the event that says how it ended")]
    pub fn next(&mut self) -> Result<Event> {
        Ok(match self.records.next()? {
            Record::Aux { name, value } => Event::Aux { name, value },
            Record::SelectDb(db) => Event::SelectDb(db),
            Record::ResizeDb { keys, expires } => Event::ResizeDb { keys, expires },
            Record::SlotImport { job, ranges } => Event::SlotImport { job, ranges },
            Record::End { checksum } => Event::End { checksum },
            Record::Key(head) => return self.entry(head),
        })
    }

    fn entry(&mut self, head: KeyRecord) -> Result<Event> {
        let KeyRecord { value_type, key, expire, idle_secs, frequency } = head;
        match read_value(self.records.input(), value_type, &self.limits) {
            Ok(Loaded::Value(value)) => {
                Ok(Event::Entry(Box::new(LoadedEntry { key, value, expire, idle_secs, frequency })))
            }
            Ok(Loaded::Empty) => Ok(Event::EmptyKey(key)),
            Err(RdbError::Unsupported { what, .. }) => Err(RdbError::Unsupported { what, key: Some(key) }),
            Err(error) => Err(error),
        }
    }
}
