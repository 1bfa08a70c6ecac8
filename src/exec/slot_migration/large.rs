//! Large values on their way to a target: each goes as many small commands, over several slices of the walk, and clients
//! may change it meanwhile.
//!
//! The first one of the queue is under way: the target has a part of it. What is written to it then is made right there at
//! once, by its type:
//!
//! - hash, set, sorted set: every element that the command names is sent as it is now, passed by the walk or not. The walk
//!   goes in the order of hashes, so that whatever is not named keeps its place;
//! - list: the target has its first elements; pushes and pops change how many, and those at the far end do not concern it;
//! - stream: the target has its first entries, and after these the first groups.
//!
//! What cannot be followed (LREM, ZPOPMIN, RENAME onto it …) begins the value anew; if that happens too often, it goes at
//! once.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::base::{key_slot, num};
use crate::data::entry::Entry;
use crate::data::list::List;
use crate::data::stream::Stream;
use crate::data::value::ValueRef;
use crate::keyspace::Keyspace;
use crate::persist::aof::CommandWriter;
use crate::persist::aof::elements::push_elements;
use crate::persist::aof::rewrite::{Pieces, next_piece};
use crate::persist::aof::stream::Place;
use crate::persist::rdb::pieces;
use crate::resp::args::push_command;
use crate::resp::{Args, Argv};

/// A value that has begun anew so often goes at once.
const RESTARTS_MAX: u32 = 3;

/// One large value.
#[derive(Debug)]
struct Large {
    db: u32,
    key: Box<[u8]>,
    /// `None`: the target has nothing of it yet.
    pieces: Option<Pieces>,
    restarts: u32,
    /// Elements of a list when it was looked at last.
    list_len: u64,
}

/// How a key in the queue stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stand {
    Waits,
    Begun,
}

/// The large values that the walk has met and that are not at the target yet.
#[derive(Debug, Default)]
pub(super) struct LargeValues {
    queue: VecDeque<Large>,
}

/// Whether a value is sent in pieces. A string is copied in no time however long it is.
pub(super) fn is_large(value: ValueRef<'_>) -> bool {
    !matches!(value, ValueRef::Bytes(_)) && pieces::is_large(value)
}

/// A value cannot be followed any more.
struct Lost;

impl LargeValues {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push(&mut self, db: u32, key: &[u8]) {
        self.queue.push_back(Large { db, key: key.into(), pieces: None, restarts: 0, list_len: 0 });
    }

    /// How a key stands that is in the queue.
    pub(super) fn stand(&self, db: u32, key: &[u8]) -> Option<Stand> {
        let large = self.queue.iter().find(|large| large.db == db && *large.key == *key)?;
        Some(if large.pieces.is_some() { Stand::Begun } else { Stand::Waits })
    }

    /// Appends the next commands of the first value.
    pub(super) fn send_piece(&mut self, keyspace: &Keyspace, writer: &mut CommandWriter, out: &mut Vec<u8>) {
        let Some(large) = self.queue.front_mut() else { return };
        let Some(entry) = find(keyspace, large) else {
            self.queue.pop_front();
            return;
        };
        writer.select(out, large.db as usize);
        let at_once = large.restarts >= RESTARTS_MAX || !is_large(entry.value()) && large.pieces.is_none();
        let pieces = large.pieces.get_or_insert_with(Pieces::of_changing);
        let mut over = next_piece(out, &large.key, entry.value(), entry.expire_at(), pieces);
        while at_once && !over {
            over = next_piece(out, &large.key, entry.value(), entry.expire_at(), pieces);
        }
        if let ValueRef::List(list) = entry.value() {
            large.list_len = list.len() as u64;
        }
        if over {
            self.queue.pop_front();
        }
    }

    /// Changes of the value that is under way have happened, all of one unit.
    pub(super) fn follow(
        &mut self,
        keyspace: &Keyspace,
        writer: &mut CommandWriter,
        out: &mut Vec<u8>,
        changes: &[Args<'_>],
    ) {
        let Some(large) = self.queue.front_mut() else { return };
        let Some(entry) = find(keyspace, large) else { return self.restart(keyspace, writer, out) };
        writer.select(out, large.db as usize);
        let kept = out.len();
        let followed = match entry.value() {
            ValueRef::List(list) => large.follow_list(list, out, changes),
            ValueRef::Stream(stream) => large.follow_stream(stream, out, changes),
            value => changes.iter().try_for_each(|change| large.follow_named(value, out, *change)),
        };
        if followed.is_err() {
            out.truncate(kept);
            self.restart(keyspace, writer, out);
        }
    }

    /// The target forgets what it has of the value under way, which begins anew if there is one.
    pub(super) fn restart(&mut self, keyspace: &Keyspace, writer: &mut CommandWriter, out: &mut Vec<u8>) {
        let Some(large) = self.queue.front_mut() else { return };
        writer.select(out, large.db as usize);
        push_command(out, Argv::of(&[b"DEL", &large.key]).args());
        large.pieces = None;
        large.restarts += 1;
        if find(keyspace, large).is_none() {
            self.queue.pop_front();
        }
    }
}

fn find<'a>(keyspace: &'a Keyspace, large: &Large) -> Option<&'a Entry> {
    keyspace.tables(large.db).get(key_slot(&large.key).index()).find(&large.key)
}

fn is_any(args: Args<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| args.is(0, name))
}

/// Whether it is only about when the key expires: the target is told of that with the last piece.
fn is_expiry(args: Args<'_>) -> bool {
    is_any(args, &["pexpireat", "persist", "expire", "pexpire", "expireat"])
}

/// Commands that change no elements but those that they name, first among those where every other word is a value.
const PAIRS: [&str; 5] = ["hset", "hmset", "hsetnx", "hincrby", "hincrbyfloat"];
const NAMING: [&str; 14] = [
    "hdel",
    "hgetdel",
    "hsetex",
    "hgetex",
    "hexpire",
    "hpexpire",
    "hexpireat",
    "hpexpireat",
    "hpersist",
    "sadd",
    "srem",
    "zadd",
    "zincrby",
    "zrem",
];

/// Commands that remove elements by what the target knows of them as well.
const RANGES: [&str; 2] = ["zremrangebyscore", "zremrangebylex"];

impl Large {
    /// Of a hash, a set or a sorted set.
    fn follow_named(&self, value: ValueRef<'_>, out: &mut Vec<u8>, args: Args<'_>) -> Result<(), Lost> {
        let names = args.from(2).iter();
        let known = if is_any(args, &PAIRS) {
            push_elements(out, &self.key, value, names.step_by(2))
        } else if is_any(args, &NAMING) {
            // Some words are no names: what they would name is not there, here as there.
            push_elements(out, &self.key, value, names)
        } else {
            false
        };
        if known {
            return Ok(());
        }
        if is_any(args, &RANGES) {
            push_command(out, args);
            return Ok(());
        }
        if is_expiry(args) { Ok(()) } else { Err(Lost) }
    }

    fn follow_list(&mut self, list: &List, out: &mut Vec<u8>, changes: &[Args<'_>]) -> Result<(), Lost> {
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        let mut part = Head { key: &self.key, sent: *pieces.sent(), len: self.list_len, out };
        changes.iter().try_for_each(|change| part.follow(*change))?;
        (*pieces.sent(), self.list_len) = (part.sent, part.len);
        if part.len == list.len() as u64 { Ok(()) } else { Err(Lost) }
    }

    fn follow_stream(&self, stream: &Stream, out: &mut Vec<u8>, changes: &[Args<'_>]) -> Result<(), Lost> {
        let Some(pieces) = &self.pieces else { return Ok(()) };
        changes.iter().try_for_each(|change| match pieces.place() {
            Place::Entry(_) => self.follow_entries(stream, out, *change),
            Place::Group(next) => follow_groups(next, false, out, *change),
            Place::Consumer(current, ..) => follow_groups(current, true, out, *change),
        })
    }

    /// The target has the first entries, and no groups.
    fn follow_entries(&self, stream: &Stream, out: &mut Vec<u8>, args: Args<'_>) -> Result<(), Lost> {
        if stream.log.is_empty() {
            return Err(Lost);
        }
        let trims = is_any(args, &["xtrim"])
            || is_any(args, &["xadd"]) && (2..args.len().min(6)).any(|i| args.is(i, "maxlen") || args.is(i, "minid"));
        if trims {
            let first = stream.log.first_id().text();
            push_command(out, Argv::of(&[b"XTRIM", &self.key, b"MINID", first.as_bytes()]).args());
        } else if is_any(args, &["xdel"]) {
            push_command(out, args);
        } else if !is_any(args, &["xadd", "xsetid", "xgroup", "xack", "xclaim"]) && !is_expiry(args) {
            return Err(Lost);
        }
        Ok(())
    }
}

/// The target has all entries, and of the groups those before `current` and a part of that one if it `has_begun`.
fn follow_groups(current: &[u8], has_begun: bool, out: &mut Vec<u8>, args: Args<'_>) -> Result<(), Lost> {
    let group = if is_any(args, &["xadd", "xdel", "xtrim", "xsetid"]) {
        push_command(out, args);
        return Ok(());
    } else if is_any(args, &["xack", "xclaim"]) {
        args.get(2)
    } else if is_any(args, &["xgroup"]) {
        args.get(3)
    } else if is_expiry(args) {
        return Ok(());
    } else {
        None
    };
    // The walk would look for its place in what is gone.
    let removes = is_any(args, &["xgroup"]) && (args.is(1, "destroy") || args.is(1, "delconsumer"));
    match group.ok_or(Lost)?.cmp(current) {
        Ordering::Equal if removes => return Err(Lost),
        Ordering::Less => push_command(out, args),
        Ordering::Equal if has_begun => push_command(out, args),
        Ordering::Equal | Ordering::Greater => {}
    }
    Ok(())
}

/// The part of a list that the target has: its first `sent` elements of `len`.
struct Head<'a> {
    key: &'a [u8],
    sent: u64,
    len: u64,
    out: &'a mut Vec<u8>,
}

impl Head<'_> {
    fn follow(&mut self, args: Args<'_>) -> Result<(), Lost> {
        let number = |i| args.get(i).and_then(num::parse_i64);
        if is_any(args, &["rpush", "rpushx"]) {
            self.len += args.len() as u64 - 2;
        } else if is_any(args, &["lpush", "lpushx"]) {
            let pushed = args.len() as u64 - 2;
            self.len += pushed;
            // Who has nothing of the list yet gets the new ones with the rest.
            if self.sent > 0 {
                self.sent += pushed;
                push_command(self.out, args);
            }
        } else if is_any(args, &["lpop", "rpop"]) {
            let count = if args.len() == 2 { Some(1) } else { number(2).and_then(|n| u64::try_from(n).ok()) };
            let count = count.ok_or(Lost)?;
            if args.is(0, "lpop") { self.drop_front(count) } else { self.drop_back(count) }
        } else if is_any(args, &["ltrim"]) {
            let (first, last) = (number(2).ok_or(Lost)?, number(3).ok_or(Lost)?);
            let (first, last) = (self.index(first).max(0) as u64, self.index(last));
            // What is kept ends in front of this.
            let end = u64::try_from(last.saturating_add(1)).unwrap_or(0).max(first);
            self.drop_back(self.len.saturating_sub(end));
            self.drop_front(first);
        } else if is_any(args, &["lset"]) {
            let index = self.index(number(2).ok_or(Lost)?);
            if index < self.sent as i64 {
                let mut argv = Argv::of(&[b"LSET", self.key]);
                argv.push_i64(index).push(args.get(3).ok_or(Lost)?);
                push_command(self.out, argv.args());
            }
        } else if !is_expiry(args) {
            return Err(Lost);
        }
        Ok(())
    }

    /// An index from either end as one from the head.
    fn index(&self, index: i64) -> i64 {
        if index < 0 { index.saturating_add(self.len as i64) } else { index }
    }

    fn drop_front(&mut self, count: u64) {
        let known = count.min(self.sent);
        self.pop("LPOP", known);
        self.len -= count.min(self.len);
    }

    fn drop_back(&mut self, count: u64) {
        self.len -= count.min(self.len);
        self.pop("RPOP", self.sent.saturating_sub(self.len));
    }

    /// Has the target pop so many of the elements that it has.
    fn pop(&mut self, command: &str, count: u64) {
        if count > 0 {
            let mut argv = Argv::of(&[command.as_bytes(), self.key]);
            argv.push_i64(count as i64);
            push_command(self.out, argv.args());
            self.sent -= count;
        }
    }
}
