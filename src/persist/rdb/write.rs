//! Writing a file, piece by piece.
//!
//! The writer appends to byte vectors that the caller hands it at each call, and keeps only the checksum between
//! calls: so a snapshot that walks the keyspace in slices decides where the bytes go (a file, a replica's
//! link) and when a full buffer is exchanged for an empty one.

use super::code::{Reader, opcode};
use super::output::{push_length, push_string};
use super::write_value::{push_value, type_of};
use crate::base::Millis;
use crate::base::crc64::crc64;
use crate::data::value::ValueRef;

/// The directives `rdbchecksum` and `rdbcompression`, and whom the file is for.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    pub checksum: bool,
    pub compress: bool,
    pub reader: Reader,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { checksum: true, compress: true, reader: Reader::Redis7 }
    }
}

/// The facts at the head of a file.
#[derive(Clone, Copy, Debug)]
pub struct Aux<'a> {
    /// The version that this server claims to clients, too.
    pub server_version: &'a str,
    /// Wall time of the snapshot.
    pub ctime_secs: i64,
    pub used_memory_bytes: u64,
    /// What a replica that starts from this file needs to continue with a partial synchronisation.
    pub replication: Option<ReplicationAux<'a>>,
    /// Whether the file is the base of an append-only log: then its keys do not expire while it is loaded.
    pub aof_base: bool,
}

/// The position in the replication history that the file reflects.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationAux<'a> {
    /// The database that the stream has selected, -1 for none yet.
    pub stream_db: i64,
    /// 40 characters.
    pub id: &'a str,
    pub offset: i64,
}

/// What eviction knows about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    #[default]
    Untracked,
    IdleSecs(u64),
    Frequency(u8),
}

/// A file under way.
#[derive(Clone, Debug)]
pub struct RdbWriter {
    pub(super) options: WriteOptions,
    crc: u64,
}

impl RdbWriter {
    /// Appends header and facts.
    pub fn begin(out: &mut Vec<u8>, options: WriteOptions, aux: &Aux<'_>) -> RdbWriter {
        let mut writer = RdbWriter { options, crc: 0 };
        writer.append(out, |out| {
            out.extend_from_slice(options.reader.magic().as_bytes());
            push_aux(out, "redis-ver", aux.server_version.as_bytes());
            push_aux_int(out, "redis-bits", i64::from(usize::BITS));
            push_aux_int(out, "ctime", aux.ctime_secs);
            push_aux_int(out, "used-mem", aux.used_memory_bytes as i64);
            if let Some(replication) = &aux.replication {
                push_aux_int(out, "repl-stream-db", replication.stream_db);
                push_aux(out, "repl-id", replication.id.as_bytes());
                push_aux_int(out, "repl-offset", replication.offset);
            }
            push_aux_int(out, "aof-base", i64::from(aux.aof_base));
        });
        writer
    }

    /// Appends a fact beside those of [`RdbWriter::begin`], before the first key.
    pub fn fact(&mut self, out: &mut Vec<u8>, name: &str, value: &[u8]) {
        self.append(out, |out| push_aux(out, name, value));
    }

    /// Slots that are on their way here: their keys are not to be shown. Only readers of the newer kind know this.
    pub fn slot_import(&mut self, out: &mut Vec<u8>, job: &[u8; 40], ranges: &[(u16, u16)]) {
        self.append(out, |out| {
            out.push(opcode::SLOT_IMPORT);
            push_string(out, job, false);
            push_length(out, ranges.len() as u64);
            for (first, last) in ranges {
                push_length(out, u64::from(*first));
                push_length(out, u64::from(*last));
            }
        });
    }

    /// The keys that follow belong to this database. The counts help the reader to size its tables.
    pub fn select(&mut self, out: &mut Vec<u8>, db: usize, keys: usize, expires: usize) {
        self.append(out, |out| {
            out.push(opcode::SELECT_DB);
            push_length(out, db as u64);
            out.push(opcode::RESIZE_DB);
            push_length(out, keys as u64);
            push_length(out, expires as u64);
        });
    }

    /// Appends a key of the selected database.
    pub fn entry(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        value: ValueRef<'_>,
        expire: Option<Millis>,
        access: Access,
    ) {
        let WriteOptions { compress, reader, .. } = self.options;
        self.append_key(out, key, type_of(value, reader), expire, access);
        self.append(out, |out| push_value(out, value, compress, reader));
    }

    /// Appends what stands in front of a value.
    pub(super) fn append_key(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        value_type: u8,
        expire: Option<Millis>,
        access: Access,
    ) {
        let compress = self.options.compress;
        self.append(out, |out| {
            if let Some(at) = expire {
                out.push(opcode::EXPIRE_MS);
                out.extend_from_slice(&at.0.to_le_bytes());
            }
            match access {
                Access::Untracked => {}
                Access::IdleSecs(secs) => {
                    out.push(opcode::IDLE);
                    push_length(out, secs);
                }
                Access::Frequency(counter) => out.extend_from_slice(&[opcode::FREQUENCY, counter]),
            }
            out.push(value_type);
            push_string(out, key, compress);
        });
    }

    /// A writer of the same form that keeps no checksum: for what another one appends later.
    #[must_use]
    pub fn without_checksum(&self) -> RdbWriter {
        RdbWriter { options: WriteOptions { checksum: false, ..self.options }, crc: 0 }
    }

    /// Appends the end and the checksum.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.append(out, |out| out.push(opcode::EOF));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    /// Lets `write` append and takes what it appended into the checksum.
    pub(super) fn append<T>(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let from = out.len();
        let result = write(out);
        if self.options.checksum {
            self.crc = crc64(self.crc, &out[from..]);
        }
        result
    }
}

fn push_aux(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.push(opcode::AUX);
    push_string(out, name.as_bytes(), false);
    push_string(out, value, false);
}

fn push_aux_int(out: &mut Vec<u8>, name: &str, value: i64) {
    push_aux(out, name, itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::value::Value;

    const REPLICATION: ReplicationAux<'_> =
        ReplicationAux { stream_db: -1, id: "0123456789012345678901234567890123456789", offset: 77 };

    fn write(options: WriteOptions) -> (Vec<u8>, Vec<usize>) {
        let aux = Aux {
            server_version: "7.2.4",
            ctime_secs: 1,
            used_memory_bytes: 2,
            replication: Some(REPLICATION),
            aof_base: false,
        };
        // A new buffer for every call, as when a snapshot hands its buffers on.
        let (mut out, mut buffer, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut hand_on = |buffer: &mut Vec<u8>| {
            lengths.push(buffer.len());
            out.append(buffer);
        };
        let mut writer = RdbWriter::begin(&mut buffer, options, &aux);
        hand_on(&mut buffer);
        writer.select(&mut buffer, 3, 1000, 1);
        hand_on(&mut buffer);
        writer.entry(&mut buffer, b"k", Value::Int(5).as_ref(), Some(Millis(258)), Access::IdleSecs(64));
        writer.entry(&mut buffer, b"l", Value::Bytes(b"v".to_vec()).as_ref(), None, Access::Frequency(9));
        hand_on(&mut buffer);
        writer.finish(&mut buffer);
        hand_on(&mut buffer);
        (out, lengths)
    }

    #[test]
    fn every_byte_of_a_small_file() {
        let (file, lengths) = write(WriteOptions::default());
        let head = &file[..lengths[0]];
        assert!(head.starts_with(b"REDIS0010\xfa\x09redis-ver\x057.2.4\xfa\x0aredis-bits\xc0\x40"));
        assert!(head.ends_with(b"repl-offset\xc0\x4d\xfa\x08aof-base\xc0\x00"));
        let keys = b"\xfe\x03\xfb\x43\xe8\x01\
            \xfc\x02\x01\0\0\0\0\0\0\xf8\x40\x40\x00\x01k\xc0\x05\
            \xf9\x09\x00\x01l\x01v\xff";
        assert_eq!(&file[lengths[0]..file.len() - 8], keys);
        let crc = crc64(0, &file[..file.len() - 8]);
        assert_eq!(file[file.len() - 8..], crc.to_le_bytes());
    }

    #[test]
    fn without_a_checksum_the_place_is_zero() {
        let (file, _) = write(WriteOptions { checksum: false, compress: false, reader: Reader::Redis7 });
        assert_eq!(file[file.len() - 9..], [0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
