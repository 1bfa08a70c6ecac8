//! CLUSTERSCAN: a walk over the keys of a whole cluster, slot by slot, that every client library can route.
//!
//! The cursor says where to go on: `<fingerprint>-{<tag>}-<n>`. The tag hashes to the slot that comes next, so the
//! cursor itself is routed like a key. `n` is the cursor of the slot's own walk and means something only to the process
//! whose fingerprint it bears: everybody else begins the slot anew.

use std::borrow::Cow;

use crate::base::slot::{pattern_slot, tag_of};
use crate::base::{Slot, key_slot, num};
use crate::commands::scan::{Found, KeyFilter, KeyWalk};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, Argv, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("clusterscan", -2, clusterscan)
    .flags(Flags::READONLY)
    .acl(Acl::KEYSPACE)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::NOT_KEY)])
    .doc(Group::Cluster, "9.1.0", "O(N)", "Walks the keys of a whole cluster in pieces.")
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
    .args(&[
        Arg::string("cursor"),
        Arg::pattern("match-pattern").token("MATCH").optional(),
        Arg::int("count").token("COUNT").optional(),
        Arg::string("type").token("TYPE").optional(),
        Arg::int("slot").token("SLOT").optional(),
    ])];

/// Ends the walk.
const END: &str = "0";

const INVALID: ErrorReply = ErrorReply::Static("ERR Invalid cursor");

/// A cursor within a slot.
struct Position<'a> {
    fingerprint: &'a [u8],
    slot: Slot,
    n: u64,
}

impl<'a> Position<'a> {
    fn parse(cursor: &'a [u8]) -> Option<Position<'a>> {
        let mut parts = cursor.splitn(3, |b| *b == b'-');
        let (fingerprint, tag, n) = (parts.next()?, parts.next()?, parts.next()?);
        let n = std::str::from_utf8(n).ok().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        Some(Position { fingerprint, slot: key_slot(tag), n })
    }
}

/// Where the walk over a slot begins, whoever serves it.
fn beginning_of(slot: Slot) -> String {
    format!("0-{{{}}}-0", tag_of(slot))
}

const FINGERPRINT_LEN: usize = 6;

/// Tells this process's cursors from others': the tables of two processes are laid out differently.
fn fingerprint(ctx: &Ctx<'_>) -> String {
    let id = ctx.server.run_id;
    let number = u32::from_str_radix(&id.as_str()[..8], 16).unwrap_or(u32::MAX);
    (0..FINGERPRINT_LEN as u32).map(|i| char::from(b'0' + (u64::from(number) >> (6 * i) & 63) as u8)).collect()
}

/// Takes `SLOT n` out of the options: the others are SCAN's.
fn split_options(options: Args<'_>) -> Result<(Option<Slot>, Argv), ErrorReply> {
    let (mut slot, mut rest) = (None, Argv::default());
    let mut i = 0;
    while i < options.len() {
        if options.is(i, "slot") && i + 1 < options.len() {
            if slot.is_some() {
                return Err(ErrorReply::Static("ERR SLOT option can only be specified once"));
            }
            let number = num::parse_i64(options.at(i + 1)).and_then(|n| u16::try_from(n).ok()).and_then(Slot::new);
            slot = Some(number.ok_or(ErrorReply::InvalidSlot)?);
        } else {
            rest.push(options.at(i));
            if let Some(value) = options.get(i + 1) {
                rest.push(value);
            }
        }
        i += 2;
    }
    Ok((slot, rest))
}

fn clusterscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    let (asked, options) = split_options(args.from(2))?;
    let filter = KeyFilter::parse(options.args())?;
    let start = args.at(1) == END.as_bytes();
    let position = Position::parse(args.at(1));
    if !start && position.is_none() {
        return Err(INVALID);
    }
    let pinned = filter.pattern.and_then(pattern_slot);
    let found = Found::new(ctx.reply());
    let next: Cow<'static, str> = match position {
        // Nothing can be in two slots.
        _ if asked.is_some() && pinned.is_some() && asked != pinned => END.into(),
        None => {
            let first = asked.or(pinned).or_else(|| Slot::new(0));
            first.map_or(END.into(), |slot| beginning_of(slot).into())
        }
        Some(position) => {
            if asked.is_some_and(|slot| slot != position.slot) {
                return Err(ErrorReply::Static("ERR Cursor slot mismatch with SLOT argument"));
            }
            match pinned {
                Some(slot) if slot > position.slot => beginning_of(slot).into(),
                Some(slot) if slot < position.slot => END.into(),
                _ => {
                    let alone = asked.or(pinned).is_some();
                    return walk(ctx, &position, &filter, alone, found);
                }
            }
        }
    };
    found.finish(next, ctx.reply());
    Ok(())
}

/// Goes on in the slot of `position`, and unless that is to be walked `alone` in those behind it that have the same owner.
fn walk(ctx: &mut Ctx<'_>, position: &Position<'_>, filter: &KeyFilter<'_>, alone: bool, mut found: Found) -> Done {
    let fingerprint = fingerprint(ctx);
    let Some(engine) = ctx.server.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
    let (keyspace, db) = (&mut ctx.server.keyspace, ctx.client.db);
    let mut work = KeyWalk::new(filter);
    let (mut slot, owner) = (position.slot, engine.slot_owner(position.slot));
    let mut cursor = if position.fingerprint == fingerprint.as_bytes() { position.n } else { 0 };
    let next = loop {
        // Slots without keys cost nothing: most of them have none in a cluster that is new.
        let has_keys = keyspace.slot_len(db, slot) > 0;
        cursor = if has_keys { work.go(&mut keyspace.db(db), cursor, Some(slot), &mut found) } else { 0 };
        if cursor != 0 {
            break format!("{fingerprint}-{{{}}}-{cursor}", tag_of(slot));
        }
        let following = Slot::new(slot.get() + 1).filter(|_| !alone);
        match following {
            None => break END.to_owned(),
            Some(following) if engine.slot_owner(following) != owner || work.is_over() => {
                break beginning_of(following);
            }
            Some(following) => slot = following,
        }
    };
    found.finish(next, ctx.reply());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let slot_of = |text: &str| Position::parse(text.as_bytes()).map(|p| (p.slot, p.n));
        assert_eq!(slot_of("0-{foo}-0"), Some((key_slot(b"foo"), 0)));
        assert_eq!(slot_of("abcdef-{06S}-18446744073709551615"), Some((key_slot(b"06S"), u64::MAX)));
        // Made by others: the slot begins anew.
        assert_eq!(slot_of("12-06S-7"), Some((key_slot(b"06S"), 7)));
        for bad in ["", "0", "-", "0-{a}", "0-{a}-", "0-{a}--1", "0-{a}-x", "0-{a}-1-2"] {
            assert_eq!(slot_of(bad), None, "{bad}");
        }
        for slot in Slot::all() {
            assert_eq!(slot_of(&beginning_of(slot)), Some((slot, 0)));
        }
    }
}
