//! Streams in files and payloads: the versions that Redis 7.0 and 7.2 write, and the one before them.
//!
//! Nodes go as they are kept. Behind them stand the counters, then every group with its pending entries and its
//! consumers. Version 1 knows less of the counters, version 3 also when each consumer was active last.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::Bound;

use super::code::{Reader, value_type};
use super::error::Result;
use super::input::Input;
use super::output::{push_length, push_string};
use super::write_value::tells_activity;
use crate::base::Millis;
use crate::data::Listpack;
use crate::data::stream::{Delivery, Group, Log, Stream, StreamId};

/// How a group that does not know how much it has read says so.
const UNKNOWN: u64 = u64::MAX;

/// How a consumer that was never active says so.
const NEVER: i64 = -1;

/// Where in a stream the next piece begins. The names are those of a group and of a consumer.
#[derive(Clone, Debug, Default)]
pub(super) enum Place {
    #[default]
    Start,
    /// At the node that begins at this id.
    Node(StreamId),
    Group(Box<[u8]>),
    /// At a group's pending entry.
    Pending(Box<[u8]>, StreamId),
    /// At a group's consumer, or at an entry that it holds.
    Consumer(Box<[u8]>, Box<[u8]>, Option<StreamId>),
}

/// Appends a stream in the form of version 2, or of version 3 if the reader knows it.
pub fn push_stream(out: &mut Vec<u8>, stream: &Stream, compress: bool, reader: Reader) {
    push_piece(out, stream, &mut Place::Start, compress, reader, usize::MAX);
}

/// Appends a stream in the form of version 1, for servers before Redis 7.0.
pub(in crate::persist) fn push_stream_1(out: &mut Vec<u8>, stream: &Stream, compress: bool) {
    let mut piece = Piece { end: usize::MAX, out, stream, compress, counts: false, activity: false };
    let mut place = Some(Place::Start);
    while let Some(next) = place {
        place = piece.push_from(&next);
    }
}

/// Appends a piece of a stream, of little more than `max_bytes`. True when it was the last.
pub(super) fn push_piece(
    out: &mut Vec<u8>,
    stream: &Stream,
    place: &mut Place,
    compress: bool,
    reader: Reader,
    max_bytes: usize,
) -> bool {
    let end = out.len().saturating_add(max_bytes);
    let mut piece = Piece { out, end, stream, compress, counts: true, activity: tells_activity(reader) };
    while let Some(next) = piece.push_from(place) {
        *place = next;
        if piece.is_full() {
            return false;
        }
    }
    true
}

/// A piece under way.
struct Piece<'a> {
    out: &'a mut Vec<u8>,
    /// How long `out` may become.
    end: usize,
    stream: &'a Stream,
    compress: bool,
    /// Whether the counters that version 1 does not have are told.
    counts: bool,
    /// Whether it is told when consumers were active, which versions 1 and 2 do not have.
    activity: bool,
}

impl Piece<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.end
    }

    /// Appends what stands at `place`, and tells what follows; `None` at the end.
    fn push_from(&mut self, place: &Place) -> Option<Place> {
        match place {
            Place::Start => {
                push_length(self.out, self.stream.log.nodes().len() as u64);
                Some(Place::Node(StreamId::MIN))
            }
            Place::Node(from) => self.push_nodes(*from),
            Place::Group(name) => {
                let group = self.stream.groups.get(name)?;
                push_string(self.out, name, self.compress);
                push_id(self.out, group.last_id);
                if self.counts {
                    push_length(self.out, group.entries_read.unwrap_or(UNKNOWN));
                }
                push_length(self.out, group.pending().len() as u64);
                Some(Place::Pending(name.clone(), StreamId::MIN))
            }
            Place::Pending(name, from) => self.push_pending(name, *from),
            Place::Consumer(name, consumer, from) => self.push_consumers(name, consumer, *from),
        }
    }

    fn push_nodes(&mut self, from: StreamId) -> Option<Place> {
        let Stream { log, groups } = self.stream;
        for (key, pack) in log.nodes_from(from) {
            if self.is_full() {
                return Some(Place::Node(key));
            }
            push_string(self.out, &key.to_bytes(), self.compress);
            push_string(self.out, pack.bytes(), self.compress);
        }
        push_length(self.out, log.len());
        push_id(self.out, log.last_id);
        if self.counts {
            push_id(self.out, log.first_id());
            push_id(self.out, log.max_deleted_id);
            push_length(self.out, log.entries_added);
        }
        push_length(self.out, groups.len() as u64);
        groups.keys().next().cloned().map(Place::Group)
    }

    fn push_pending(&mut self, name: &[u8], from: StreamId) -> Option<Place> {
        let group = self.stream.groups.get(name)?;
        for (id, pending) in group.pending().range(from..) {
            if self.is_full() {
                return Some(Place::Pending(name.into(), *id));
            }
            self.out.extend_from_slice(&id.to_bytes());
            self.out.extend_from_slice(&pending.delivery.at.0.to_le_bytes());
            push_length(self.out, pending.delivery.count);
        }
        let mut consumers = group.consumers();
        push_length(self.out, consumers.len() as u64);
        match consumers.next() {
            Some(first) => Some(Place::Consumer(name.into(), first.name().into(), None)),
            None => self.group_after(name),
        }
    }

    fn push_consumers(&mut self, name: &[u8], from: &[u8], mut held_from: Option<StreamId>) -> Option<Place> {
        let group = self.stream.groups.get(name)?;
        for consumer in group.consumers_from(from) {
            let first = held_from.take().unwrap_or_else(|| {
                push_string(self.out, consumer.name(), self.compress);
                self.out.extend_from_slice(&consumer.seen.0.to_le_bytes());
                if self.activity {
                    self.out.extend_from_slice(&consumer.active.map_or(NEVER, |at| at.0).to_le_bytes());
                }
                push_length(self.out, consumer.pending().len() as u64);
                StreamId::MIN
            });
            for id in consumer.pending().range(first..) {
                if self.is_full() {
                    return Some(Place::Consumer(name.into(), consumer.name().into(), Some(*id)));
                }
                self.out.extend_from_slice(&id.to_bytes());
            }
        }
        self.group_after(name)
    }

    fn group_after(&self, name: &[u8]) -> Option<Place> {
        let mut after = self.stream.groups.range::<[u8], _>((Bound::Excluded(name), Bound::Unbounded));
        after.next().map(|(name, _)| Place::Group(name.clone()))
    }
}

fn push_id(out: &mut Vec<u8>, id: StreamId) {
    push_length(out, id.ms);
    push_length(out, id.seq);
}

/// Reads a stream of any version.
pub(super) fn read_stream<R: BufRead>(input: &mut Input<R>, code: u8) -> Result<Stream> {
    let count = input.length()?;
    let nodes: Result<Vec<(StreamId, Listpack)>> = (0..count).map(|_| read_node(input)).collect();
    let len = input.length()?;
    let mut log = input.checked(Log::from_nodes(nodes?, len))?;
    log.last_id = read_id(input)?;
    if code == value_type::STREAM_1 {
        log.entries_added = log.len();
    } else {
        // The first id is known from the nodes.
        read_id(input)?;
        log.max_deleted_id = read_id(input)?;
        log.entries_added = input.length()?;
    }
    if log.top_id().is_some_and(|top| top > log.last_id) {
        return Err(input.corrupt("stream with an entry beyond its last id"));
    }
    let mut stream = Stream { log, groups: BTreeMap::new() };
    for _ in 0..input.length()? {
        let name = input.string()?;
        let group = read_group(input, code, &stream.log)?;
        if stream.groups.insert(name.into(), group).is_some() {
            return Err(input.corrupt("Duplicated consumer group name"));
        }
    }
    Ok(stream)
}

fn read_node<R: BufRead>(input: &mut Input<R>) -> Result<(StreamId, Listpack)> {
    let Ok(key) = <[u8; 16]>::try_from(input.string()?) else {
        return Err(input.corrupt("Stream node key entry is not the size of a stream ID"));
    };
    let blob = input.string()?;
    Ok((StreamId::from_bytes(key), input.checked(Listpack::validate(&blob))?))
}

fn read_id<R: BufRead>(input: &mut Input<R>) -> Result<StreamId> {
    Ok(StreamId { ms: input.length()?, seq: input.length()? })
}

fn read_group<R: BufRead>(input: &mut Input<R>, code: u8, log: &Log) -> Result<Group> {
    let last_id = read_id(input)?;
    let entries_read = match code {
        value_type::STREAM_1 => log.rank(last_id),
        _ => Some(input.length()?).filter(|read| *read != UNKNOWN),
    };
    let mut unowned = BTreeMap::new();
    for _ in 0..input.length()? {
        let id = StreamId::from_bytes(input.array()?);
        let delivery = Delivery { at: Millis(input.i64_le()?), count: input.length()? };
        if unowned.insert(id, delivery).is_some() {
            return Err(input.corrupt("Duplicated global PEL entry loading stream consumer group"));
        }
    }
    let mut group = Group::new(last_id, entries_read);
    for _ in 0..input.length()? {
        read_consumer(input, code, &mut group, &mut unowned)?;
    }
    if !unowned.is_empty() {
        return Err(input.corrupt("NACK entry without consumer"));
    }
    Ok(group)
}

fn read_consumer<R: BufRead>(
    input: &mut Input<R>,
    code: u8,
    group: &mut Group,
    unowned: &mut BTreeMap<StreamId, Delivery>,
) -> Result<()> {
    let name = input.string()?;
    let seen = Millis(input.i64_le()?);
    let active = match code {
        value_type::STREAM_3 => Some(Millis(input.i64_le()?)).filter(|at| at.0 >= 0),
        _ => Some(seen),
    };
    let Some(consumer) = group.create_consumer(&name, seen, active) else {
        return Err(input.corrupt("Duplicate stream consumer detected"));
    };
    for _ in 0..input.length()? {
        let id = StreamId::from_bytes(input.array()?);
        let Some(delivery) = unowned.remove(&id) else {
            return Err(input.corrupt("Consumer entry not found in group global PEL"));
        };
        group.assign(id, consumer, delivery);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream::NodeLimits;
    use crate::persist::rdb::RdbError;

    /// A stream of three entries, the first deleted, with one group that two consumers read for.
    fn sample() -> Stream {
        let mut stream = Stream::new();
        for seq in 1..=3 {
            stream.log.append(StreamId::new(7, seq), [(&b"f"[..], &b"v"[..])].into_iter(), NodeLimits::default());
        }
        stream.log.delete(StreamId::new(7, 1));
        let mut group = Group::new(StreamId::new(7, 2), Some(2));
        let alice = group.create_consumer(b"alice", Millis(1000), Some(Millis(900))).unwrap();
        group.create_consumer(b"bob", Millis(2000), None).unwrap();
        group.assign(StreamId::new(7, 2), alice, Delivery { at: Millis(800), count: 3 });
        stream.groups.insert(b"g".as_slice().into(), group);
        stream
    }

    /// The parts of a stream that follow its nodes, as a version writes them.
    fn body(stream: &Stream, code: u8) -> Vec<u8> {
        let mut out = Vec::new();
        push_length(&mut out, 1);
        let (key, pack) = stream.log.nodes().next().unwrap();
        push_string(&mut out, &key.to_bytes(), false);
        push_string(&mut out, pack.bytes(), false);
        push_length(&mut out, stream.log.len());
        push_id(&mut out, stream.log.last_id);
        if code != value_type::STREAM_1 {
            push_id(&mut out, stream.log.first_id());
            push_id(&mut out, stream.log.max_deleted_id);
            push_length(&mut out, stream.log.entries_added);
        }
        out.extend([1, 1, b'g', 7, 2]);
        if code != value_type::STREAM_1 {
            out.push(2);
        }
        out.push(1);
        out.extend(StreamId::new(7, 2).to_bytes());
        out.extend(800i64.to_le_bytes());
        out.extend([3, 2]);
        for (name, seen, active) in [(&b"\x05alice"[..], 1000i64, 900i64), (b"\x03bob", 2000, -1)] {
            out.extend_from_slice(name);
            out.extend(seen.to_le_bytes());
            if code == value_type::STREAM_3 {
                out.extend(active.to_le_bytes());
            }
            if name.ends_with(b"alice") {
                out.push(1);
                out.extend(StreamId::new(7, 2).to_bytes());
            } else {
                out.push(0);
            }
        }
        out
    }

    fn read(body: &[u8], code: u8) -> std::result::Result<Stream, String> {
        let mut input = Input::new(body);
        match read_stream(&mut input, code) {
            Ok(stream) => {
                assert_eq!(input.offset(), body.len() as u64);
                Ok(stream)
            }
            Err(RdbError::Corrupt { reason, .. }) => Err(reason.into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_version_is_read_and_the_one_that_the_reader_knows_written() {
        let stream = sample();
        let mut old = Vec::new();
        push_stream_1(&mut old, &stream, false);
        assert_eq!(old, body(&stream, value_type::STREAM_1));
        for (reader, code) in [
            (Reader::Redis7, value_type::STREAM_2),
            (Reader::Redis72, value_type::STREAM_3),
            (Reader::Valkey9, value_type::STREAM_3),
        ] {
            let mut written = Vec::new();
            push_stream(&mut written, &stream, false, reader);
            assert_eq!(written, body(&stream, code));
        }
        for code in [value_type::STREAM_1, value_type::STREAM_2, value_type::STREAM_3] {
            let read = read(&body(&stream, code), code).unwrap();
            let (log, group) = (&read.log, &read.groups[&b"g"[..]]);
            assert_eq!((log.len(), log.last_id, log.first_id()), (2, StreamId::new(7, 3), StreamId::new(7, 2)));
            let knows_more = code != value_type::STREAM_1;
            assert_eq!(log.entries_added, if knows_more { 3 } else { 2 });
            assert_eq!(log.max_deleted_id, StreamId::new(if knows_more { 7 } else { 0 }, u64::from(knows_more)));
            // The first version does not tell, but nothing is known to be missing before the first entry.
            assert_eq!(group.entries_read, Some(if knows_more { 2 } else { 1 }));
            assert_eq!(group.pending()[&StreamId::new(7, 2)].delivery, Delivery { at: Millis(800), count: 3 });
            let times: Vec<_> = group.consumers().map(|c| (c.seen.0, c.active.map(|at| at.0))).collect();
            match code {
                value_type::STREAM_3 => assert_eq!(times, [(1000, Some(900)), (2000, None)]),
                _ => assert_eq!(times, [(1000, Some(1000)), (2000, Some(2000))]),
            }
        }
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let (stream, code) = (sample(), value_type::STREAM_2);
        let good = body(&stream, code);
        let groups_at = good.windows(5).position(|window| window == [1, 1, b'g', 7, 2]).unwrap();
        let changed = |at: usize, bytes: &[u8]| {
            let mut body = good.clone();
            body[at..at + bytes.len()].copy_from_slice(bytes);
            read(&body, code).unwrap_err()
        };
        // Behind the group's name, ids and count stand its pending entry (16 + 8 + 1 bytes) and its consumers.
        let pending_at = groups_at + 7;
        let consumers_at = pending_at + 26;
        let held_at = consumers_at + 15;
        let mut unowned = good.clone();
        unowned.splice(held_at - 1..held_at + 16, [0]);
        let mut twice = good.clone();
        twice[groups_at] = 2;
        let group = good[groups_at + 1..].to_vec();
        twice.extend(group);
        for (reason, told) in [
            ("Stream node key entry is not the size of a stream ID", changed(1, &[15])),
            ("stream with an entry beyond its last id", changed(groups_at - 6, &[2])),
            ("NACK entry without consumer", read(&unowned, code).unwrap_err()),
            ("Consumer entry not found in group global PEL", changed(held_at + 15, &[9])),
            ("Duplicated consumer group name", read(&twice, code).unwrap_err()),
        ] {
            assert_eq!(told, reason);
        }
        for len in 0..good.len() {
            assert!(read(&good[..len], code).is_err(), "{len}");
        }
    }
}
