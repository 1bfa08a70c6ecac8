//! A base in the form of commands, for `aof-use-rdb-preamble no`: the shortest commands that make the dataset.

use super::feed::{push_select, push_timestamp};
use super::stream::push_stream;
use crate::base::{Millis, num};
use crate::data::Item;
use crate::data::value::ValueRef;
use crate::resp::args::push_bulk;

/// Elements that one command carries at most, so that no command of a loaded file takes long.
const MAX_ITEMS: usize = 64;

/// A base under way. Like [`RdbWriter`](crate::persist::rdb::RdbWriter) it appends to buffers that the caller
/// hands it.
#[derive(Clone, Debug, Default)]
pub struct CommandWriter {
    db: Option<usize>,
}

impl CommandWriter {
    /// Begins a base. With `now_secs` (wall time) given, a time mark opens the file.
    pub fn begin(out: &mut Vec<u8>, now_secs: Option<i64>) -> CommandWriter {
        if let Some(now) = now_secs {
            push_timestamp(out, now);
        }
        CommandWriter::default()
    }

    /// Appends a SELECT unless the commands before were about this database, too.
    pub fn select(&mut self, out: &mut Vec<u8>, db: usize) {
        if self.db != Some(db) {
            push_select(out, db);
            self.db = Some(db);
        }
    }

    /// Appends the commands that make this key. There is nothing to append at the end.
    pub fn entry(&mut self, out: &mut Vec<u8>, db: usize, key: &[u8], value: ValueRef<'_>, expire: Option<Millis>) {
        self.select(out, db);
        match value {
            ValueRef::Int(n) => push_words(out, &[Item::Bytes(b"SET"), Item::Bytes(key), Item::Int(n)]),
            ValueRef::Bytes(bytes) => push_words(out, &[Item::Bytes(b"SET"), Item::Bytes(key), Item::Bytes(bytes)]),
            ValueRef::List(list) => {
                let mut batch = Batch::new(out, "RPUSH", key, list.len());
                list.for_each(0..list.len(), |element| batch.push([element]));
            }
            ValueRef::Set(set) => {
                let mut batch = Batch::new(out, "SADD", key, set.len());
                set.iter().for_each(|member| batch.push([member]));
            }
            ValueRef::Hash(hash) => {
                let expiring = hash.iter_with_expiry().filter_map(|(f, v, at)| Some((f, v, at?)));
                let mut others = hash.len();
                for (field, value, at) in expiring {
                    let words = [b"HSETEX", key, b"PXAT"].map(Item::Bytes);
                    let fields = [Item::Int(at.0), Item::Bytes(b"FIELDS"), Item::Int(1), field, value];
                    push_words(out, &[&words[..], &fields].concat());
                    others -= 1;
                }
                let mut batch = Batch::new(out, "HMSET", key, others);
                let staying = hash.iter_with_expiry().filter(|(.., at)| at.is_none());
                staying.for_each(|(field, value, _)| batch.push([field, value]));
            }
            ValueRef::ZSet(zset) => {
                let mut batch = Batch::new(out, "ZADD", key, zset.len());
                let mut text = Vec::new();
                for (member, score) in zset {
                    text.clear();
                    num::push_f64(&mut text, score);
                    batch.push([Item::Bytes(&text), member]);
                }
            }
            ValueRef::Stream(stream) => push_stream(out, key, stream),
        }
        if let Some(at) = expire {
            push_words(out, &[Item::Bytes(b"PEXPIREAT"), Item::Bytes(key), Item::Int(at.0)]);
        }
    }
}

pub(super) fn push_words(out: &mut Vec<u8>, words: &[Item<'_>]) {
    push_header(out, words.len());
    words.iter().for_each(|word| push_item(out, *word));
}

pub(super) fn push_header(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    num::push_u64(out, words as u64);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_item(out: &mut Vec<u8>, item: Item<'_>) {
    push_bulk(out, item.text(&mut Default::default()));
}

/// Splits the items of a collection into commands. How many words a command has stands before them, so the number of
/// items is known from the start.
struct Batch<'a> {
    out: &'a mut Vec<u8>,
    command: &'static str,
    key: &'a [u8],
    left: usize,
    room: usize,
}

impl<'a> Batch<'a> {
    fn new(out: &'a mut Vec<u8>, command: &'static str, key: &'a [u8], items: usize) -> Self {
        Batch { out, command, key, left: items, room: 0 }
    }

    fn push<const N: usize>(&mut self, words: [Item<'_>; N]) {
        if self.room == 0 {
            self.room = self.left.min(MAX_ITEMS);
            self.left -= self.room;
            push_header(self.out, 2 + self.room * N);
            push_bulk(self.out, self.command.as_bytes());
            push_bulk(self.out, self.key);
        }
        self.room -= 1;
        words.into_iter().for_each(|word| push_item(self.out, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Limits;
    use crate::data::value::{Kind, Value};
    use crate::persist::aof::{AofReader, Record};
    use crate::persist::samples::{chosen, contents, value};

    /// The commands in a file, as texts.
    fn commands(file: &[u8]) -> Vec<Vec<String>> {
        let mut reader = AofReader::new(file, 0);
        let mut commands = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            if let Record::Command(args) = record {
                commands.push(args.iter().map(|word| word.escape_ascii().to_string()).collect());
            }
        }
        commands
    }

    #[test]
    fn one_command_makes_a_small_key() {
        let limits = Limits::default();
        let mut out = Vec::new();
        let mut writer = CommandWriter::begin(&mut out, Some(5));
        writer.entry(&mut out, 0, b"i", Value::Int(-7).as_ref(), Some(Millis(123)));
        writer.entry(&mut out, 0, b"s", Value::Bytes(b"text".to_vec()).as_ref(), None);
        let two = [b"a".to_vec(), b"7".to_vec()];
        for (db, kind) in [(0, Kind::List), (0, Kind::Set), (9, Kind::Hash), (9, Kind::ZSet)] {
            writer.entry(&mut out, db, kind.name().as_bytes(), value(kind, &two, &limits).as_ref(), None);
        }
        assert!(out.starts_with(b"#TS:5\r\n"));
        let lines: Vec<String> = commands(&out).iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "SELECT 0",
                "SET i -7",
                "PEXPIREAT i 123",
                "SET s text",
                "RPUSH list a 7",
                "SADD set a 7",
                "SELECT 9",
                "HMSET hash a value of a 7 value of 7",
                "ZADD zset -1.5 7 0 a",
            ]
        );
    }

    #[test]
    fn no_command_carries_more_than_its_share() {
        let limits = Limits::default();
        let many: Vec<Vec<u8>> = (0..129).map(|i| format!("element {i}").into_bytes()).collect();
        for (kind, words) in [(Kind::List, 1), (Kind::Set, 1), (Kind::Hash, 2), (Kind::ZSet, 2)] {
            let mut out = Vec::new();
            CommandWriter::begin(&mut out, None).entry(&mut out, 0, b"k", value(kind, &many, &limits).as_ref(), None);
            let lengths: Vec<usize> = commands(&out)[1..].iter().map(|words| words.len() - 2).collect();
            assert_eq!(lengths, [64 * words, 64 * words, words], "{kind}");
        }
    }

    /// A stock server that loads the base has the same values.
    #[test]
    fn a_stock_server_loads_the_base() {
        let limits = Limits::default();
        let samples = chosen();
        let mut base = Vec::new();
        let mut writer = CommandWriter::begin(&mut base, None);
        for (name, kind, elements) in &samples {
            writer.entry(&mut base, 0, name.as_bytes(), value(*kind, elements, &limits).as_ref(), None);
        }
        let dir = tempfile::tempdir().unwrap();
        let log_dir = dir.path().join("appendonlydir");
        std::fs::create_dir(&log_dir).unwrap();
        std::fs::write(log_dir.join("base"), &base).unwrap();
        std::fs::write(log_dir.join("appendonly.aof.manifest"), "file base seq 1 type b\n").unwrap();
        let Some(mut oracle) = crate::persist::oracle::start_in(dir, &["--appendonly", "yes"]) else { return };
        for (name, kind, elements) in &samples {
            let expected = contents(value(*kind, elements, &limits).as_ref()).1;
            assert_eq!(oracle.contents(name.as_bytes(), *kind), expected, "{name}");
        }
    }
}
