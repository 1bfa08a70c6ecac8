//! A base in the form of commands, for `aof-use-rdb-preamble no`: the shortest commands that make the dataset.

use super::feed::{push_select, push_timestamp};
use super::stream::{self, Place};
use crate::base::{Millis, num};
use crate::data::Item;
use crate::data::value::ValueRef;
use crate::persist::rdb::pieces::{PIECE_BYTES, PIECE_ELEMENTS};
use crate::resp::args::{push_bulk, push_bulk_header};

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
        let mut pieces = Pieces::default();
        while !next_piece(out, key, value, expire, &mut pieces) {}
    }
}

/// How far the commands of a value are written: a cursor, an index or an offset, as its type has it.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    at: u64,
    /// The same of a stream.
    place: Place,
    /// Sorted sets are walked in the order of hashes, not of ranks.
    by_hash: bool,
}

impl Pieces {
    /// For a value that may change between its pieces. Whoever changes it tells the reader of every element that was added,
    /// removed or changed, and keeps [`Pieces::sent`] of a list true: then no other element is left out. Strings do not
    /// stand changes.
    #[must_use]
    pub fn of_changing() -> Pieces {
        Pieces { by_hash: true, ..Pieces::default() }
    }

    /// Elements of a list, from its head on, that have been written.
    pub fn sent(&mut self) -> &mut u64 {
        &mut self.at
    }

    /// What of a stream comes next.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// Appends the next commands (of a long string: the next part of the command) that make this key, whose database is
/// selected. Nothing may change it before the last piece, for which this is true; but see [`Pieces::of_changing`].
pub fn next_piece(
    out: &mut Vec<u8>,
    key: &[u8],
    value: ValueRef<'_>,
    expire: Option<Millis>,
    pieces: &mut Pieces,
) -> bool {
    let from = pieces.at as usize;
    let over = match value {
        ValueRef::Int(n) => {
            push_words(out, &[Item::Bytes(b"SET"), Item::Bytes(key), Item::Int(n)]);
            true
        }
        ValueRef::Bytes(bytes) => {
            if from == 0 {
                push_header(out, 3);
                [b"SET", key].into_iter().for_each(|word| push_bulk(out, word));
                push_bulk_header(out, bytes.len());
            }
            let to = bytes.len().min(from + PIECE_BYTES);
            out.extend_from_slice(&bytes[from..to]);
            pieces.at = to as u64;
            if to == bytes.len() {
                out.extend_from_slice(b"\r\n");
            }
            to == bytes.len()
        }
        ValueRef::List(list) => {
            let to = list.len().min(from + PIECE_ELEMENTS);
            let mut batch = Batch::new(out, "RPUSH", key);
            list.for_each(from..to, |element| batch.push([element]));
            batch.end();
            pieces.at = to as u64;
            to == list.len()
        }
        ValueRef::Set(set) => {
            let mut batch = Batch::new(out, "SADD", key);
            pieces.at = set.scan(pieces.at, PIECE_ELEMENTS, |member| batch.push([member]));
            batch.end();
            pieces.at == 0
        }
        ValueRef::Hash(hash) => {
            let mut batch = Batch::new(out, "HMSET", key);
            pieces.at = hash.scan(pieces.at, PIECE_ELEMENTS, |field, value, expire_at| match expire_at {
                None => batch.push([field, value]),
                Some(at) => push_expiring(batch.out(), key, field, value, at),
            });
            batch.end();
            pieces.at == 0
        }
        ValueRef::ZSet(zset) if pieces.by_hash => {
            let mut batch = Batch::new(out, "ZADD", key);
            pieces.at = zset.scan(pieces.at, PIECE_ELEMENTS, |member, score| batch.push_scored(member, score));
            batch.end();
            pieces.at == 0
        }
        ValueRef::ZSet(zset) => {
            let to = zset.len().min(from + PIECE_ELEMENTS);
            let mut batch = Batch::new(out, "ZADD", key);
            for (member, score) in zset.range(from..to) {
                batch.push_scored(member, score);
            }
            batch.end();
            pieces.at = to as u64;
            to == zset.len()
        }
        ValueRef::Stream(stream) => stream::push_piece(out, key, stream, &mut pieces.place, PIECE_BYTES),
    };
    if let Some(at) = expire.filter(|_| over) {
        push_words(out, &[Item::Bytes(b"PEXPIREAT"), Item::Bytes(key), Item::Int(at.0)]);
    }
    over
}

/// Appends the command for a field that expires.
pub(super) fn push_expiring(out: &mut Vec<u8>, key: &[u8], field: Item<'_>, value: Item<'_>, at: Millis) {
    let words = [b"HSETEX", key, b"PXAT"].map(Item::Bytes);
    let fields = [Item::Int(at.0), Item::Bytes(b"FIELDS"), Item::Int(1), field, value];
    push_words(out, &[&words[..], &fields].concat());
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

/// Splits the items of a collection into commands.
pub(super) struct Batch<'a> {
    out: &'a mut Vec<u8>,
    command: &'static str,
    key: &'a [u8],
    /// What the next command carries, and how many items and words that is.
    words: Vec<u8>,
    items: usize,
    count: usize,
}

impl<'a> Batch<'a> {
    pub fn new(out: &'a mut Vec<u8>, command: &'static str, key: &'a [u8]) -> Self {
        Batch { out, command, key, words: Vec::new(), items: 0, count: 0 }
    }

    /// For commands that stand for themselves.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    pub fn push<const N: usize>(&mut self, words: [Item<'_>; N]) {
        words.into_iter().for_each(|word| push_item(&mut self.words, word));
        self.items += 1;
        self.count += N;
        if self.items == MAX_ITEMS {
            self.end();
        }
    }

    /// An element of a sorted set.
    pub fn push_scored(&mut self, member: Item<'_>, score: f64) {
        let mut text = Vec::new();
        num::push_f64(&mut text, score);
        self.push([Item::Bytes(&text), member]);
    }

    /// Appends the command for what has been pushed.
    pub fn end(&mut self) {
        if self.items > 0 {
            push_header(self.out, 2 + self.count);
            push_bulk(self.out, self.command.as_bytes());
            push_bulk(self.out, self.key);
            self.out.append(&mut self.words);
            (self.items, self.count) = (0, 0);
        }
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

    /// Large values in pieces are the same as at once, and no piece is large.
    #[test]
    fn pieces_make_the_value() {
        let limits = Limits::default();
        let many: Vec<Vec<u8>> = (0..10_000).map(|i| format!("{i} {}", "x".repeat(i % 90)).into_bytes()).collect();
        for kind in [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream] {
            let value = value(kind, &many, &limits);
            let (mut whole, mut file, mut pieces, mut count) = (Vec::new(), Vec::new(), Pieces::default(), 0);
            CommandWriter { db: Some(0) }.entry(&mut whole, 0, b"k", value.as_ref(), Some(Millis(5)));
            let mut over = false;
            while !over {
                let mut piece = Vec::new();
                over = next_piece(&mut piece, b"k", value.as_ref(), Some(Millis(5)), &mut pieces);
                assert!(piece.len() <= 256 << 10, "{kind}: a piece of {} bytes", piece.len());
                file.append(&mut piece);
                count += 1;
            }
            assert!(count > 3, "{kind}: {count} pieces");
            assert!(file == whole, "{kind}");
            assert_eq!(commands(&file).last().unwrap().join(" "), "PEXPIREAT k 5");
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
