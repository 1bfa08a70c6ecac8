//! Streams in files and payloads: the version that Redis 7.0 writes, and the ones before and after it.
//!
//! Nodes go as they are kept. Behind them stand the counters, then every group with its pending entries and its
//! consumers. Version 1 knows less of the counters, version 3 also when each consumer was active last.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::code::value_type;
use super::error::Result;
use super::input::Input;
use super::output::{push_length, push_string};
use crate::base::Millis;
use crate::data::Listpack;
use crate::data::stream::{Delivery, Group, Log, Stream, StreamId};

/// How a group that does not know how much it has read says so.
const UNKNOWN: u64 = u64::MAX;

/// Appends a stream in the form of version 2.
pub fn push_stream(out: &mut Vec<u8>, stream: &Stream, compress: bool) {
    let log = &stream.log;
    let nodes = log.nodes();
    push_length(out, nodes.len() as u64);
    for (key, pack) in nodes {
        push_string(out, &key.to_bytes(), compress);
        push_string(out, pack.bytes(), compress);
    }
    push_length(out, log.len());
    for id in [log.last_id, log.first_id(), log.max_deleted_id] {
        push_id(out, id);
    }
    push_length(out, log.entries_added);
    push_length(out, stream.groups.len() as u64);
    for (name, group) in &stream.groups {
        push_string(out, name, compress);
        push_group(out, group, compress);
    }
}

fn push_id(out: &mut Vec<u8>, id: StreamId) {
    push_length(out, id.ms);
    push_length(out, id.seq);
}

fn push_group(out: &mut Vec<u8>, group: &Group, compress: bool) {
    push_id(out, group.last_id);
    push_length(out, group.entries_read.unwrap_or(UNKNOWN));
    push_length(out, group.pending().len() as u64);
    for (id, pending) in group.pending() {
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&pending.delivery.at.0.to_le_bytes());
        push_length(out, pending.delivery.count);
    }
    let consumers = group.consumers();
    push_length(out, consumers.len() as u64);
    for consumer in consumers {
        push_string(out, consumer.name(), compress);
        out.extend_from_slice(&consumer.seen.0.to_le_bytes());
        push_length(out, consumer.pending().len() as u64);
        for id in consumer.pending() {
            out.extend_from_slice(&id.to_bytes());
        }
    }
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
    Ok((StreamId::from_bytes(key), input.checked(Listpack::validate(blob))?))
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
