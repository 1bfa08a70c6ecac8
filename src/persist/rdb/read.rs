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
    Entry(LoadedEntry),
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
            Record::Function(_) => {
                return Err(RdbError::Unsupported { what: "a function library".into(), key: None });
            }
            Record::Key(head) => return self.entry(head),
        })
    }

    fn entry(&mut self, head: KeyRecord) -> Result<Event> {
        let KeyRecord { value_type, key, expire, idle_secs, frequency } = head;
        match read_value(self.records.input(), value_type, &self.limits) {
            Ok(Loaded::Value(value)) => Ok(Event::Entry(LoadedEntry { key, value, expire, idle_secs, frequency })),
            Ok(Loaded::Empty) => Ok(Event::EmptyKey(key)),
            Err(RdbError::Unsupported { what, .. }) => Err(RdbError::Unsupported { what, key: Some(key) }),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::code::{opcode, value_type};
    use super::super::write::{Access, Aux, RdbWriter, WriteOptions};
    use super::*;
    use crate::base::crc64::crc64;
    use crate::data::value::Kind;
    use crate::persist::samples::{Elements, any_elements, any_kind, contents, small_limits, value};

    const AUX: Aux<'_> =
        Aux { server_version: "7.2.4", ctime_secs: 1, used_memory_bytes: 2, replication: None, aof_base: true };

    fn open(file: &[u8]) -> Result<RdbReader<&[u8]>> {
        RdbReader::open(file, ReadOptions::default(), &small_limits())
    }

    type Key = (u64, Vec<u8>, Elements, Option<Millis>, Option<u64>, Option<u8>);

    /// All keys of a file, with their databases.
    fn keys(file: &[u8]) -> Result<Vec<Key>> {
        let mut reader = open(file)?;
        let (mut db, mut keys) = (0, Vec::new());
        loop {
            match reader.next()? {
                Event::SelectDb(selected) => db = selected,
                Event::Entry(entry) => {
                    let LoadedEntry { key, value, expire, idle_secs, frequency } = entry;
                    keys.push((db, key, contents(value.as_ref()).1, expire, idle_secs, frequency));
                }
                Event::End { .. } => return Ok(keys),
                _ => {}
            }
        }
    }

    /// A file of these keys, each written to a buffer of its own.
    fn file(entries: &[(u8, Kind, Elements, Option<i64>)], checksum: bool) -> (Vec<u8>, Vec<Key>) {
        let mut out = Vec::new();
        let mut writer = RdbWriter::begin(&mut out, WriteOptions { checksum, ..WriteOptions::default() }, &AUX);
        let mut keys = Vec::new();
        for (i, (db, kind, elements, expire)) in entries.iter().enumerate() {
            let mut chunk = Vec::new();
            writer.select(&mut chunk, usize::from(*db), 1, 0);
            let value = value(*kind, elements, &small_limits());
            let key = format!("key:{i}").into_bytes();
            let (access, idle, frequency) = match i % 3 {
                0 => (Access::Untracked, None, None),
                1 => (Access::IdleSecs(i as u64 * 100), Some(i as u64 * 100), None),
                _ => (Access::Frequency(i as u8), None, Some(i as u8)),
            };
            writer.entry(&mut chunk, &key, value.as_ref(), expire.map(Millis), access);
            out.append(&mut chunk);
            keys.push((u64::from(*db), key, contents(value.as_ref()).1, expire.map(Millis), idle, frequency));
        }
        writer.finish(&mut out);
        (out, keys)
    }

    #[test]
    fn facts_come_first() {
        let (bytes, _) = file(&[], true);
        let mut reader = open(&bytes).unwrap();
        let mut facts = Vec::new();
        let checksum = loop {
            match reader.next().unwrap() {
                Event::Aux { name, value } => facts.push(format!("{}={}", name.escape_ascii(), value.escape_ascii())),
                Event::End { checksum } => break checksum,
                event => panic!("{event:?}"),
            }
        };
        assert_eq!(facts, ["redis-ver=7.2.4", "redis-bits=64", "ctime=1", "used-mem=2", "aof-base=1"]);
        assert_eq!(checksum, Checksum::Verified);
        assert_eq!(reader.offset(), bytes.len() as u64);
    }

    #[test]
    fn empty_keys_are_told_and_unknown_kinds_name_their_key() {
        let body = |tail: &[u8]| [b"REDIS0009", tail].concat();
        let empty = body(&[value_type::SET, 1, b'k', 0, opcode::EOF, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut reader = open(&empty).unwrap();
        assert!(matches!(reader.next().unwrap(), Event::EmptyKey(key) if key == b"k"));
        assert!(matches!(reader.next().unwrap(), Event::End { checksum: Checksum::Disabled }));
        let library = body(&[opcode::FUNCTION, 1, b'c', opcode::EOF]);
        let error = open(&library).unwrap().next().unwrap_err();
        assert_eq!(error.to_string(), "a function library is not supported yet");
        let module = body(&[value_type::MODULE, 1, b'\n', 3]);
        let error = open(&module).unwrap().next().unwrap_err();
        assert_eq!(error.to_string(), "a value of module type AAAAAAAAA at key '\\n' is not supported yet");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            entries in prop::collection::vec((0u8..4, any_kind(), any_elements(), any::<Option<i64>>()), 0..8),
            checksum: bool,
        ) {
            let (bytes, expected) = file(&entries, checksum);
            prop_assert_eq!(keys(&bytes).unwrap(), expected);
            for cut in [bytes.len() - 1, bytes.len() - 8, bytes.len() - 9, bytes.len() / 2] {
                let cut_short = matches!(keys(&bytes[..cut]), Err(RdbError::Truncated { .. }));
                prop_assert!(cut_short, "cut at {} of {}", cut, bytes.len());
            }
        }

        /// Damage with a checksum that fits: refused or read, but never a panic.
        #[test]
        fn damage_never_panics(
            entries in prop::collection::vec((0u8..4, any_kind(), any_elements(), any::<Option<i64>>()), 1..5),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        ) {
            let (mut bytes, _) = file(&entries, true);
            let end = bytes.len() - 8;
            for (at, byte) in damage {
                let at = 9 + at.index(end - 9);
                bytes[at] = byte;
            }
            let before = keys(&bytes).is_err();
            let crc = crc64(0, &bytes[..end]).to_le_bytes();
            let unchanged = bytes[end..] == crc;
            bytes[end..].copy_from_slice(&crc);
            let after = keys(&bytes);
            // The checksum alone refuses what the structure would let pass.
            prop_assert!(before || unchanged || after.is_err());
        }

        #[test]
        fn noise_never_panics(version in 1u16..12, noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = keys(&[format!("REDIS{version:04}").as_bytes(), &noise].concat());
        }
    }
}
