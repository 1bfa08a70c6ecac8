//! The frame of a file: header, opcodes, keys, checksum. Values are left to the caller, who reads them from
//! [`RecordReader::input`] in whatever form it needs.

use std::borrow::Cow;
use std::io::BufRead;

use super::code::{VersionCheck, module_name, opcode, value_type};
use super::error::{RdbError, Result};
use super::input::Input;
use super::module;
use crate::base::Millis;

/// The directives `rdb-version-check` and `rdbchecksum`.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    pub version_check: VersionCheck,
    pub verify_checksum: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { version_check: VersionCheck::Strict, verify_checksum: true }
    }
}

/// One item of a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// A fact about the file; unknown names are to be ignored.
    Aux { name: Vec<u8>, value: Vec<u8> },
    /// The keys that follow belong to this database. Whether there is such a database is for the caller to say.
    SelectDb(u64),
    /// How many keys (and keys with an expiry) follow, according to the writer: a hint not to be trusted.
    ResizeDb { keys: u64, expires: u64 },
    /// A slot import that was under way when the file was written: its job and its ranges, both ends included.
    SlotImport { job: Vec<u8>, ranges: Vec<(u16, u16)> },
    /// The code of a library of functions.
    Function(Vec<u8>),
    /// A key. Its value comes next in the input and must be read before the next record.
    Key(KeyRecord),
    /// The end, and again the end if it is asked for once more.
    End { checksum: Checksum },
}

/// What a file says about a key in front of its value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyRecord {
    /// One of [`value_type`].
    pub value_type: u8,
    pub key: Vec<u8>,
    /// Wall time.
    pub expire: Option<Millis>,
    pub idle_secs: Option<u64>,
    /// The logarithmic access counter of the LFU policies.
    pub frequency: Option<u8>,
}

/// How the end of a file was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    Verified,
    /// The writer had switched it off.
    Disabled,
    /// The reader was told not to look.
    Unchecked,
    /// Files before version 5 have none.
    Absent,
}

/// What is being read: an error happened there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Header,
    Code,
    Expiry,
    Key,
    /// The caller reads it.
    Value,
    /// The number of a database, or of the keys in it.
    Length,
    Aux,
    Function,
    ModuleAux,
    Checksum,
}

/// Reads a file record by record. It consumes nothing behind the end of the file, see [`RecordReader::into_inner`].
pub struct RecordReader<R> {
    input: Input<R>,
    options: ReadOptions,
    version: u16,
    redis_magic: bool,
    end: Option<Checksum>,
    step: Step,
    /// The type of the key that is being read.
    key_type: Option<u8>,
}

impl<R: BufRead> RecordReader<R> {
    /// Reads the header: a file of the wrong kind or version is refused before anything is touched for its sake.
    pub fn open(inner: R, options: ReadOptions) -> Result<RecordReader<R>> {
        let mut input = if options.verify_checksum { Input::checksummed(inner) } else { Input::new(inner) };
        let magic: [u8; 9] = input.array()?;
        let redis_magic = magic.starts_with(b"REDIS0");
        if !redis_magic && !magic.starts_with(b"VALKEY") {
            return Err(RdbError::BadMagic(magic));
        }
        let digits = std::str::from_utf8(&magic[6..]).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let version: u16 = digits.and_then(|text| text.parse().ok()).ok_or(RdbError::BadMagic(magic))?;
        let own_magic = redis_magic == (version < super::code::NEWEST_VERSION);
        if !own_magic || !options.version_check.accepts(version) {
            return Err(RdbError::Version(version));
        }
        Ok(RecordReader { input, options, version, redis_magic, end: None, step: Step::Header, key_type: None })
    }

    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes read so far, for progress reports.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// What was being read last.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The type of the key that was being read last, if it was one.
    pub fn key_type(&self) -> Option<u8> {
        self.key_type
    }

    /// Where the value of the last [`Record::Key`] is.
    pub fn input(&mut self) -> &mut Input<R> {
        &mut self.input
    }

    /// The source, positioned behind what was read: behind the checksum, once the end was reached.
    pub fn into_inner(self) -> Result<R> {
        self.input.into_inner()
    }

    /// The next record.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end at the record that says how it ended")]
    pub fn next(&mut self) -> Result<Record> {
        if let Some(checksum) = self.end {
            return Ok(Record::End { checksum });
        }
        let mut head = KeyRecord::default();
        self.key_type = None;
        loop {
            self.step = Step::Code;
            let offset = self.input.offset();
            let code = self.input.byte()?;
            match code {
                opcode::EXPIRE_SECS => {
                    self.step = Step::Expiry;
                    head.expire = Some(Millis(i64::from(self.input.i32_le()?) * 1000));
                }
                opcode::EXPIRE_MS => {
                    self.step = Step::Expiry;
                    // -1 is how servers say "never" in memory; read as a time it would drop the key.
                    head.expire = Some(Millis(self.input.i64_le()?)).filter(|at| at.0 != -1);
                }
                opcode::IDLE => head.idle_secs = Some(self.input.length()?),
                opcode::FREQUENCY => head.frequency = Some(self.input.byte()?),
                opcode::SELECT_DB => {
                    self.step = Step::Length;
                    return Ok(Record::SelectDb(self.input.length()?));
                }
                opcode::RESIZE_DB => {
                    self.step = Step::Length;
                    return Ok(Record::ResizeDb { keys: self.input.length()?, expires: self.input.length()? });
                }
                opcode::AUX => return self.aux(),
                opcode::SLOT_INFO => {
                    // A hint of another vendor: slot, keys, expiries.
                    for _ in 0..3 {
                        self.input.length()?;
                    }
                }
                opcode::SLOT_IMPORT if !self.redis_magic => return self.slot_import(),
                opcode::FUNCTION => {
                    self.step = Step::Function;
                    return Ok(Record::Function(self.input.string()?));
                }
                opcode::FUNCTION_OLD => return Err(unsupported("a function library of a pre-release format")),
                // It is no key's, and other servers cannot be given it.
                opcode::MODULE_AUX if self.options.version_check == VersionCheck::Any => {
                    self.step = Step::ModuleAux;
                    module::skip(&mut self.input)?;
                }
                opcode::MODULE_AUX => {
                    self.step = Step::ModuleAux;
                    let id = self.input.length()?;
                    return Err(unsupported(format!("auxiliary data of module type {}", module_name(id))));
                }
                opcode::EOF => return self.end(),
                _ if self.options.version_check.takes_redis_type(self.version, code) => return self.key(head, code),
                _ if self.redis_magic && (value_type::HASH_EXPIRY..=opcode::SLOT_IMPORT).contains(&code) => {
                    return Err(RdbError::Foreign { code, version: self.version });
                }
                value_type::STRING..=value_type::MODULE | value_type::HASH_ZIPMAP..=value_type::HASH_EXPIRY => {
                    return self.key(head, code);
                }
                _ => return Err(RdbError::UnknownCode { code, offset }),
            }
        }
    }

    fn key(&mut self, mut head: KeyRecord, code: u8) -> Result<Record> {
        head.value_type = code;
        self.key_type = Some(code);
        self.step = Step::Key;
        head.key = self.input.string()?;
        self.step = Step::Value;
        Ok(Record::Key(head))
    }

    fn aux(&mut self) -> Result<Record> {
        self.step = Step::Aux;
        let name = self.input.string()?;
        let value = self.input.string()?;
        if name == b"slot-info" {
            let numbers = value.split(|&b| b == b',').take_while(|part| crate::base::num::parse_i64(part).is_some());
            if numbers.count() < 3 {
                return Err(self.input.corrupt("Invalid slot info"));
            }
        }
        Ok(Record::Aux { name, value })
    }

    fn slot_import(&mut self) -> Result<Record> {
        let job = self.input.string()?;
        if job.len() != 40 {
            return Err(self.input.corrupt("Invalid slot import job name"));
        }
        let count = self.input.length()?;
        let mut ranges = Vec::new();
        for _ in 0..count {
            let (first, last) = (self.input.length()?, self.input.length()?);
            if first > last || last >= crate::base::SLOTS as u64 {
                return Err(self.input.corrupt("Invalid slot range"));
            }
            ranges.push((first as u16, last as u16));
        }
        Ok(Record::SlotImport { job, ranges })
    }

    fn end(&mut self) -> Result<Record> {
        self.step = Step::Checksum;
        let checksum = self.read_checksum()?;
        self.end = Some(checksum);
        Ok(Record::End { checksum })
    }

    fn read_checksum(&mut self) -> Result<Checksum> {
        if self.version < 5 {
            return Ok(Checksum::Absent);
        }
        let actual = self.input.crc()?;
        let expected = u64::from_le_bytes(self.input.array()?);
        if !self.options.verify_checksum {
            return Ok(Checksum::Unchecked);
        }
        match expected {
            0 => Ok(Checksum::Disabled),
            _ if expected == actual => Ok(Checksum::Verified),
            _ => Err(RdbError::Checksum { expected, actual }),
        }
    }
}

fn unsupported(what: impl Into<Cow<'static, str>>) -> RdbError {
    RdbError::Unsupported { what: what.into(), key: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc64::crc64;

    fn file(magic: &str, body: &[u8]) -> Vec<u8> {
        let mut out = magic.as_bytes().to_vec();
        out.extend_from_slice(body);
        out.push(opcode::EOF);
        let crc = crc64(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn open(bytes: &[u8]) -> Result<RecordReader<&[u8]>> {
        RecordReader::open(bytes, ReadOptions::default())
    }

    fn first(magic: &str, body: &[u8]) -> Result<Record> {
        let bytes = file(magic, body);
        let mut reader = open(&bytes)?;
        reader.next()
    }

    #[test]
    fn headers() {
        for magic in ["REDIS0001", "REDIS0011", "VALKEY080"] {
            assert!(open(&file(magic, b"")).is_ok(), "{magic}");
        }
        for magic in ["REDIS0000", "REDIS0012", "REDIS0080", "VALKEY011", "VALKEY081"] {
            assert!(matches!(open(&file(magic, b"")), Err(RdbError::Version(_))), "{magic}");
        }
        for magic in ["REDIS1000", "VALKEX080", "REDIS00x1", "REDIS0+11"] {
            assert!(matches!(open(&file(magic, b"")), Err(RdbError::BadMagic(_))), "{magic}");
        }
        assert!(matches!(open(b"REDIS"), Err(RdbError::Truncated { offset: 5, begin: 0 })));
        let relaxed = ReadOptions { version_check: VersionCheck::Relaxed, ..ReadOptions::default() };
        for magic in ["REDIS0012", "VALKEY090"] {
            assert!(RecordReader::open(&file(magic, b"")[..], relaxed).is_ok());
        }
    }

    #[test]
    fn checksums() {
        let good = file("REDIS0010", b"");
        let end = |bytes: &[u8]| open(bytes).unwrap().next();
        assert_eq!(end(&good).unwrap(), Record::End { checksum: Checksum::Verified });
        let mut disabled = good.clone();
        disabled[10..].fill(0);
        assert_eq!(end(&disabled).unwrap(), Record::End { checksum: Checksum::Disabled });
        let mut wrong = good.clone();
        wrong[12] ^= 1;
        assert!(matches!(end(&wrong), Err(RdbError::Checksum { .. })));
        assert!(matches!(end(&good[..12]), Err(RdbError::Truncated { .. })));
        let unchecked = ReadOptions { verify_checksum: false, ..ReadOptions::default() };
        let mut reader = RecordReader::open(&wrong[..], unchecked).unwrap();
        assert_eq!(reader.next().unwrap(), Record::End { checksum: Checksum::Unchecked });
        assert_eq!(end(b"REDIS0004\xff").unwrap(), Record::End { checksum: Checksum::Absent });
    }

    #[test]
    fn a_key_with_everything_in_front_of_it() {
        let mut body = vec![opcode::SELECT_DB, 3, opcode::RESIZE_DB, 1, 0, opcode::EXPIRE_MS];
        body.extend_from_slice(&1234i64.to_le_bytes());
        body.extend_from_slice(&[opcode::IDLE, 9, opcode::FREQUENCY, 7, value_type::STRING, 1, b'k', 1, b'v']);
        body.extend_from_slice(&[opcode::EXPIRE_SECS, 1, 0, 0, 0, value_type::STRING, 1, b'l', 1, b'w']);
        let mut bytes = file("REDIS0010", &body);
        bytes.extend_from_slice(b"*1\r\n");
        let mut reader = open(&bytes).unwrap();
        assert_eq!(reader.next().unwrap(), Record::SelectDb(3));
        assert_eq!(reader.next().unwrap(), Record::ResizeDb { keys: 1, expires: 0 });
        let expected = KeyRecord {
            value_type: 0,
            key: b"k".to_vec(),
            expire: Some(Millis(1234)),
            idle_secs: Some(9),
            frequency: Some(7),
        };
        assert_eq!(reader.next().unwrap(), Record::Key(expected));
        assert_eq!(reader.input().string().unwrap(), b"v");
        let Record::Key(second) = reader.next().unwrap() else { panic!() };
        assert_eq!((second.expire, second.idle_secs), (Some(Millis(1000)), None));
        assert_eq!(reader.input().string().unwrap(), b"w");
        for _ in 0..2 {
            assert_eq!(reader.next().unwrap(), Record::End { checksum: Checksum::Verified });
        }
        assert_eq!(reader.into_inner().unwrap(), b"*1\r\n");
    }

    #[test]
    fn a_time_of_minus_one_is_none() {
        for (ms, expire) in [(-1i64, None), (-2, Some(Millis(-2)))] {
            let body = [&[opcode::EXPIRE_MS][..], &ms.to_le_bytes(), &[value_type::STRING, 1, b'k', 1, b'v']].concat();
            let Ok(Record::Key(key)) = first("REDIS0010", &body) else { panic!() };
            assert_eq!(key.expire, expire);
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(matches!(first("REDIS0010", &[opcode::FUNCTION, 1, b'c']), Ok(Record::Function(code)) if code == b"c"));
        assert!(matches!(first("REDIS0010", &[opcode::MODULE_AUX, 0]), Err(RdbError::Unsupported { .. })));
        assert!(matches!(first("REDIS0011", &[22]), Err(RdbError::Foreign { code: 22, version: 11 })));
        assert!(matches!(first("REDIS0011", &[243]), Err(RdbError::Foreign { .. })));
        assert!(matches!(first("REDIS0010", &[8]), Err(RdbError::UnknownCode { code: 8, offset: 9 })));
        assert!(matches!(first("VALKEY080", &[23]), Err(RdbError::UnknownCode { code: 23, .. })));
        let (bytes, of_any) = (file("REDIS0012", &[24, 1, b'k']), VersionCheck::Any);
        let aux = file("REDIS0012", &[opcode::MODULE_AUX, 7, 2, 1, 0]);
        for (version_check, taken) in [(VersionCheck::Relaxed, false), (of_any, true)] {
            let options = ReadOptions { version_check, ..ReadOptions::default() };
            let first = |bytes: &[u8]| RecordReader::open(bytes, options).unwrap().next();
            assert_eq!(
                matches!(first(&bytes), Ok(Record::Key(key)) if key.value_type == 24),
                taken,
                "{version_check:?}"
            );
            assert_eq!(matches!(first(&aux), Ok(Record::End { .. })), taken, "{version_check:?}");
        }
        let slot_info = |value: &[u8]| [&[opcode::AUX, 9][..], b"slot-info", &[value.len() as u8], value].concat();
        assert!(first("VALKEY080", &slot_info(b"1,2,3,4,5")).is_ok());
        assert!(matches!(first("VALKEY080", &slot_info(b"1,2")), Err(RdbError::Corrupt { .. })));
    }

    #[test]
    fn slot_imports() {
        let mut body = vec![opcode::SLOT_IMPORT, 40];
        body.extend_from_slice(&[b'a'; 40]);
        body.extend_from_slice(&[1, 2, 5]);
        let ranges = vec![(2, 5)];
        assert_eq!(first("VALKEY080", &body).unwrap(), Record::SlotImport { job: vec![b'a'; 40], ranges });
        *body.last_mut().unwrap() = 1;
        assert!(matches!(first("VALKEY080", &body), Err(RdbError::Corrupt { .. })));
    }
}
