//! Checking a snapshot: every record and every value is read, and the checksum compared.

use std::io::{self, BufRead, Write};

use super::aof::parse_number;
use crate::base::Millis;
use crate::data::Limits;
use crate::persist::rdb::code::value_type as t;
use crate::persist::rdb::read_value::read_value;
use crate::persist::rdb::records::{KeyRecord, Record, RecordReader};
use crate::persist::rdb::{Checksum, RdbError, ReadOptions, Step};

/// The longest message, in bytes; what is longer is cut.
const MESSAGE_MAX: usize = 1023;

/// How a check ended. What was found has been written.
#[derive(Debug)]
pub enum Outcome<R> {
    /// All is well; the source stands behind the snapshot.
    Good(R),
    /// The frame of the file is damaged.
    Bad,
    /// A value, or a length, makes no sense.
    Malformed,
}

/// Checks the snapshot that begins where `source` stands and is called `name`. `now` says which keys have expired.
///
/// # Errors
/// When `out` cannot be written.
pub fn check<R: BufRead>(source: R, name: &str, now: Millis, out: &mut impl Write) -> io::Result<Outcome<R>> {
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    let mut counts = Counts::default();
    let mut reader = match RecordReader::open(source, ReadOptions::default()) {
        Ok(reader) => reader,
        Err(error) => {
            // A header that was read to its end is to blame as a whole.
            let offset = if matches!(error, RdbError::Truncated { .. } | RdbError::Io(_)) { 0 } else { 9 };
            let place = Place { offset, step: Step::Header, key: None, key_type: Some(t::STRING) };
            return failed(&error, &place, &counts, out);
        }
    };
    loop {
        let mut key = None;
        let found = read_one(&mut reader, &mut counts, &mut key, now, out)?;
        match found {
            Ok(Some(())) => {}
            Ok(None) => break,
            Err(error) => {
                // Before the first key the stock checker says that it reads a string.
                let first = (counts.keys == 0).then_some(t::STRING);
                let key_type = reader.key_type().or(first);
                let place = Place { offset: reader.offset(), step: reader.step(), key, key_type };
                return failed(&error, &place, &counts, out);
            }
        }
    }
    writeln!(out, "[offset {}] \\o/ RDB looks OK! \\o/", reader.offset())?;
    counts.show(out)?;
    Ok(reader.into_inner().map_or(Outcome::Bad, Outcome::Good))
}

/// Reads and tells one record, with its value; `key` is set while a value is read. `None` at the end.
fn read_one<R: BufRead>(
    reader: &mut RecordReader<R>,
    counts: &mut Counts,
    key: &mut Option<Vec<u8>>,
    now: Millis,
    out: &mut impl Write,
) -> io::Result<Result<Option<()>, RdbError>> {
    let record = match reader.next() {
        Ok(record) => record,
        Err(error) => return Ok(Err(error)),
    };
    let offset = reader.offset();
    match record {
        Record::Aux { name, value } => {
            let text = [b"AUX FIELD ", c_text(&name), b" = '", c_text(&value), b"'"].concat();
            message(out, offset, &text)?;
        }
        Record::SelectDb(db) => writeln!(out, "[offset {offset}] Selecting DB ID {db}")?,
        Record::ResizeDb { .. } | Record::SlotImport { .. } | Record::Function(_) => {}
        Record::Key(KeyRecord { value_type, key: name, expire, .. }) => {
            counts.keys += 1;
            *key = Some(name);
            if let Err(error) = read_value(reader.input(), value_type, &Limits::default()) {
                return Ok(Err(error));
            }
            counts.expires += u64::from(expire.is_some());
            counts.expired += u64::from(expire.is_some_and(|at| at < now));
            *key = None;
        }
        Record::End { checksum } => {
            match checksum {
                Checksum::Verified => writeln!(out, "[offset {offset}] Checksum OK")?,
                Checksum::Disabled => {
                    writeln!(out, "[offset {offset}] RDB file was saved with checksum disabled: no check performed.")?;
                }
                Checksum::Unchecked | Checksum::Absent => {}
            }
            return Ok(Ok(None));
        }
    }
    Ok(Ok(Some(())))
}

/// What has been seen.
#[derive(Debug, Default)]
struct Counts {
    keys: u64,
    expires: u64,
    expired: u64,
}

impl Counts {
    fn show(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "[info] {} keys read", self.keys)?;
        writeln!(out, "[info] {} expires", self.expires)?;
        writeln!(out, "[info] {} already expired", self.expired)
    }
}

/// Where something is wrong.
struct Place {
    offset: u64,
    step: Step,
    key: Option<Vec<u8>>,
    key_type: Option<u8>,
}

/// What cannot be read is as good as not there.
const SHORT: &str = "Unexpected EOF reading RDB file";

fn failed<R>(error: &RdbError, place: &Place, counts: &Counts, out: &mut impl Write) -> io::Result<Outcome<R>> {
    let (offset, text) = match error {
        RdbError::Truncated { begin, .. } => (*begin, SHORT.to_owned()),
        RdbError::Io(_) => (place.offset, SHORT.to_owned()),
        RdbError::BadMagic(magic) if magic.starts_with(b"REDIS") => {
            let (version, _) = parse_number(&magic[5..]);
            (place.offset, format!("Can't handle RDB format version {version}"))
        }
        RdbError::BadMagic(_) => (place.offset, "Wrong signature trying to load DB from file".to_owned()),
        RdbError::Checksum { .. } => (place.offset, "RDB CRC error".to_owned()),
        RdbError::UnknownCode { code, .. } | RdbError::Foreign { code, .. } => {
            (place.offset, format!("Invalid object type: {code}"))
        }
        other => (place.offset, other.to_string()),
    };
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    message(out, offset, text.as_bytes())?;
    writeln!(out, "[additional info] While doing: {}", step_name(place.step))?;
    if let Some(key) = &place.key {
        out.write_all(&[b"[additional info] Reading key '", c_text(key), b"'\n"].concat())?;
    }
    if let Some(code) = place.key_type {
        writeln!(out, "[additional info] Reading type {code} ({})", type_name(code))?;
    }
    counts.show(out)?;
    let malformed = matches!(error, RdbError::Corrupt { .. } | RdbError::Unsupported { .. });
    Ok(if malformed { Outcome::Malformed } else { Outcome::Bad })
}

fn message(out: &mut impl Write, offset: u64, text: &[u8]) -> io::Result<()> {
    write!(out, "[offset {offset}] ")?;
    out.write_all(&text[..text.len().min(MESSAGE_MAX)])?;
    out.write_all(b"\n")
}

/// A text as C shows it: up to its first zero byte.
fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Header => "start",
        Step::Code => "read-type",
        Step::Expiry => "read-expire",
        Step::Key => "read-key",
        Step::Value => "read-object-value",
        Step::Length => "read-len",
        Step::Aux => "read-aux",
        Step::Function => "read-functions",
        Step::ModuleAux => "read-module-aux",
        Step::Checksum => "check-sum",
    }
}

/// How a value is kept in the file.
fn type_name(code: u8) -> &'static str {
    match code {
        t::STRING => "string",
        t::LIST => "list-linked",
        t::SET => "set-hashtable",
        t::ZSET_TEXT => "zset-v1",
        t::HASH => "hash-hashtable",
        t::ZSET => "zset-v2",
        t::MODULE_OLD => "module-pre-release",
        t::MODULE => "module-value",
        t::HASH_ZIPMAP => "hash-zipmap",
        t::LIST_ZIPLIST => "list-ziplist",
        t::SET_INTSET => "set-intset",
        t::ZSET_ZIPLIST => "zset-ziplist",
        t::HASH_ZIPLIST => "hash-ziplist",
        t::LIST_QUICKLIST => "quicklist",
        t::STREAM_1 => "stream",
        t::HASH_LISTPACK => "hash-listpack",
        t::ZSET_LISTPACK => "zset-listpack",
        t::LIST_QUICKLIST_2 => "quicklist-v2",
        t::STREAM_2 => "stream-v2",
        t::SET_LISTPACK => "set-listpack",
        t::STREAM_3 => "stream-v3",
        t::HASH_EXPIRY => "hash-v2",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc64::crc64;
    use crate::persist::rdb::code::opcode;

    fn told(file: &[u8]) -> (String, bool) {
        let mut out = Vec::new();
        let outcome = check(file, "f", Millis(1_000_000), &mut out).expect("a vector takes everything");
        (String::from_utf8(out).expect("plain texts"), matches!(outcome, Outcome::Good(_)))
    }

    fn file(body: &[u8]) -> Vec<u8> {
        let mut file = [b"REDIS0010", body, &[opcode::EOF]].concat();
        let crc = crc64(0, &file);
        file.extend_from_slice(&crc.to_le_bytes());
        file
    }

    #[test]
    fn what_a_good_file_holds() {
        let body = b"\xfa\x01a\x02b\0\xfe\x03\xf5\x04code\xfc\x01\0\0\0\0\0\0\0\x00\x01k\x01v\x0b\x01s\x0a\x02\0\0\0\x01\0\0\0\x01\0";
        let (text, good) = told(&file(body));
        assert!(good, "{text}");
        let end = file(body).len();
        assert_eq!(
            text,
            format!(
                "[offset 0] Checking RDB file f\n[offset 15] AUX FIELD a = 'b'\n[offset 17] Selecting DB ID 3\n\
                 [offset {end}] Checksum OK\n[offset {end}] \\o/ RDB looks OK! \\o/\n[info] 2 keys read\n\
                 [info] 1 expires\n[info] 1 already expired\n"
            )
        );
    }

    #[test]
    fn what_is_behind_is_left_for_others() {
        let bytes = [&file(b"")[..], b"rest"].concat();
        let Ok(Outcome::Good(rest)) = check(&bytes[..], "f", Millis::ZERO, &mut Vec::new()) else { panic!() };
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn where_something_is_wrong() {
        let whole = file(b"\xfe\0\0\x01k\x05value");
        for (bytes, lines) in [
            (
                &whole[..5],
                "[offset 0] Unexpected EOF reading RDB file\n[additional info] While doing: start\n[additional info] Reading type 0 (string)\n[info] 0 keys",
            ),
            (b"NOTREDIS1", "[offset 9] Wrong signature trying to load DB from file\n"),
            (b"REDIS0099", "[offset 9] Can't handle RDB format version 99\n"),
            (b"REDIS9999", "[offset 9] Can't handle RDB format version 9999\n"),
            (
                &whole[..17],
                "[offset 15] Unexpected EOF reading RDB file\n[additional info] While doing: read-object-value\n\
                 [additional info] Reading key 'k'\n[additional info] Reading type 0 (string)\n[info] 1 keys",
            ),
            (
                &whole[..25],
                "[offset 21] Unexpected EOF reading RDB file\n[additional info] While doing: check-sum\n[info] 1 keys",
            ),
        ] {
            let (text, good) = told(bytes);
            assert!(!good && text.contains(lines), "{text}");
        }
        let mut flipped = whole.clone();
        flipped[16] ^= 1;
        let (text, _) = told(&flipped);
        assert!(text.contains("] RDB CRC error\n[additional info] While doing: check-sum\n[info] 1 keys"), "{text}");
        let (text, _) = told(&file(b"\xfe\0\x61"));
        assert!(text.contains("Invalid object type: 97\n[additional info] While doing: read-type\n"), "{text}");
    }
}
