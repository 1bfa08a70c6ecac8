//! A large value written a piece at a time, so that nobody waits for all of it. Nothing may change it meanwhile.

use super::output::push_length;
use super::stream::{self, Place};
use super::write::{Access, RdbWriter};
use super::write_value::{NO_EXPIRY, push_item, push_node, tells_expiry, type_of};
use crate::base::Millis;
use crate::data::stream::Group;
use crate::data::value::{Encoding, ValueRef};

/// One piece: so many elements, nodes, or bytes. How it is written does not matter.
pub(in crate::persist) const PIECE_ELEMENTS: usize = 256;
const PIECE_NODES: usize = 8;
pub(in crate::persist) const PIECE_BYTES: usize = 128 << 10;

/// A node of a stream that compresses well takes longer than its bytes tell.
const STREAM_BYTES: usize = 32 << 10;

/// More elements than this are not written at once, ...
const ELEMENTS_MAX: usize = 2048;

/// ... nor more nodes of a list, ...
const NODES_MAX: usize = 32;

/// ... nor more bytes of a string.
const BYTES_MAX: usize = 1 << 20;

/// How far a value is written: a cursor, an index or an offset, as its type has it.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    at: u64,
    /// The same of a stream.
    place: Place,
}

/// Whether the value is worth being written in pieces.
#[must_use]
pub fn is_large(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Int(_) => false,
        ValueRef::Bytes(bytes) => bytes.len() > BYTES_MAX,
        ValueRef::List(list) => list.nodes().len() > NODES_MAX,
        ValueRef::Set(set) => set.encoding() == Encoding::Hashtable && set.len() > ELEMENTS_MAX,
        ValueRef::Hash(hash) => hash.as_pack().is_none() && hash.len() > ELEMENTS_MAX,
        ValueRef::ZSet(zset) => zset.as_pack().is_none() && zset.len() > ELEMENTS_MAX,
        ValueRef::Stream(stream) => {
            let held = |group: &Group| group.pending().len() + group.consumers().len();
            stream.log.nodes().len() > NODES_MAX
                || stream.groups.len() > NODES_MAX
                || stream.groups.values().map(held).sum::<usize>() > ELEMENTS_MAX
        }
    }
}

impl RdbWriter {
    /// Appends what stands in front of the elements of a large value.
    pub fn begin_pieces(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        value: ValueRef<'_>,
        expire: Option<Millis>,
        access: Access,
    ) -> Pieces {
        let reader = self.options.reader;
        self.append_key(out, key, type_of(value, reader), expire, access);
        let len = match value {
            // Not compressed: how long it would become stands in front.
            ValueRef::Bytes(bytes) => bytes.len(),
            ValueRef::List(list) => list.nodes().len(),
            ValueRef::Set(set) => set.len(),
            ValueRef::Hash(hash) => hash.len(),
            ValueRef::ZSet(zset) => zset.len(),
            ValueRef::Stream(_) => return Pieces::default(),
            ValueRef::Int(_) => unreachable!("never large"),
        };
        self.append(out, |out| push_length(out, len as u64));
        Pieces::default()
    }

    /// Appends the next piece. True when it was the last.
    pub fn next_piece(&mut self, out: &mut Vec<u8>, value: ValueRef<'_>, pieces: &mut Pieces) -> bool {
        let (compress, reader) = (self.options.compress, self.options.reader);
        self.append(out, |out| {
            let from = pieces.at as usize;
            match value {
                ValueRef::Int(_) => unreachable!("never large"),
                ValueRef::Stream(stream) => {
                    stream::push_piece(out, stream, &mut pieces.place, compress, reader, STREAM_BYTES)
                }
                ValueRef::Bytes(bytes) => {
                    let to = bytes.len().min(from + PIECE_BYTES);
                    out.extend_from_slice(&bytes[from..to]);
                    pieces.at = to as u64;
                    to == bytes.len()
                }
                ValueRef::List(list) => {
                    let nodes = list.nodes();
                    let to = nodes.len().min(from + PIECE_NODES);
                    let last = to == nodes.len();
                    nodes.skip(from).take(to - from).for_each(|node| push_node(out, node, compress));
                    pieces.at = to as u64;
                    last
                }
                ValueRef::Set(set) => {
                    pieces.at = set.scan(pieces.at, PIECE_ELEMENTS, |member| push_item(out, member, compress));
                    pieces.at == 0
                }
                ValueRef::Hash(hash) => {
                    let with_expiry = tells_expiry(hash, reader);
                    pieces.at = hash.scan(pieces.at, PIECE_ELEMENTS, |field, value, expire_at| {
                        push_item(out, field, compress);
                        push_item(out, value, compress);
                        if with_expiry {
                            out.extend_from_slice(&expire_at.map_or(NO_EXPIRY, |at| at.0).to_le_bytes());
                        }
                    });
                    pieces.at == 0
                }
                ValueRef::ZSet(zset) => {
                    // From the highest to the lowest, as when it is written at once.
                    let left = zset.len() - from;
                    let next = left.min(PIECE_ELEMENTS);
                    for (member, score) in zset.range(left - next..left).rev() {
                        push_item(out, member, compress);
                        out.extend_from_slice(&score.to_le_bytes());
                    }
                    pieces.at = (from + next) as u64;
                    next == left
                }
            }
        })
    }

    /// Appends what another writer without a checksum has encoded.
    pub fn append_encoded(&mut self, out: &mut Vec<u8>, encoded: &[u8]) {
        self.append(out, |out| out.extend_from_slice(encoded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Limits;
    use crate::data::value::{Kind, Value};
    use crate::persist::rdb::{Aux, Event, RdbReader, ReadOptions, WriteOptions};
    use crate::persist::samples::{contents, value};

    /// In pieces a value is the same as at once, and no piece is large.
    #[test]
    fn pieces_make_the_value() {
        let limits = Limits::default();
        let many: Vec<Vec<u8>> = (0..10_000).map(|i| format!("{i} {}", "x".repeat(i % 90)).into_bytes()).collect();
        for kind in [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream] {
            let value = match kind {
                Kind::String => Value::Bytes(many.concat().repeat(4)),
                kind => value(kind, &many, &limits),
            };
            assert!(is_large(value.as_ref()), "{kind}");
            let aux = Aux {
                server_version: "7.2.4",
                ctime_secs: 1,
                used_memory_bytes: 2,
                replication: None,
                aof_base: false,
            };
            let mut file = Vec::new();
            let mut writer = RdbWriter::begin(&mut file, WriteOptions::default(), &aux);
            writer.select(&mut file, 0, 1, 0);
            let mut pieces = writer.begin_pieces(&mut file, b"k", value.as_ref(), Some(Millis(5)), Access::Untracked);
            let mut count = 0;
            loop {
                let mut piece = Vec::new();
                let over = writer.next_piece(&mut piece, value.as_ref(), &mut pieces);
                assert!(piece.len() <= 256 << 10, "{kind}: a piece of {} bytes", piece.len());
                file.append(&mut piece);
                count += 1;
                if over {
                    break;
                }
            }
            assert!(count > 5, "{kind}: {count} pieces");
            writer.finish(&mut file);
            let mut reader = RdbReader::open(&file[..], ReadOptions::default(), &limits).unwrap();
            let entry = loop {
                match reader.next().unwrap() {
                    Event::Entry(entry) => break entry,
                    Event::End { .. } => panic!("no key"),
                    _ => {}
                }
            };
            assert_eq!((entry.key.as_slice(), entry.expire), (&b"k"[..], Some(Millis(5))));
            assert_eq!(contents(entry.value.as_ref()), contents(value.as_ref()), "{kind}");
            assert!(matches!(reader.next().unwrap(), Event::End { .. }));
        }
    }
}
