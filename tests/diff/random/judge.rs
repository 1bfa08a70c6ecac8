//! Replies that may differ: because nothing promises more, or because the difference is meant.
//! Each is looked at until it is clear that this is all that differs.

use std::collections::BTreeSet;
use std::io;

use super::fields::let_stay;
use crate::compare::{Rule, rule, with_scanned_scores};
use crate::pair::{Argv, Wire, argv};
use crate::reply::Reply;

/// The client whose command it was: its database is the one to ask.
pub struct Wires<'a> {
    pub node: &'a mut Wire,
    pub stock: &'a mut Wire,
}

/// Whether the two replies, which are not the same, are right for their servers.
pub fn is_meant(wires: &mut Wires<'_>, args: &Argv, node: &Reply, stock: &Reply) -> io::Result<bool> {
    match rule(args) {
        Rule::ScanPairs if args.iter().any(|word| word.eq_ignore_ascii_case(b"novalues")) => {
            walks_are_equal(wires, args, node, stock, 1)
        }
        Rule::Scan => walks_are_equal(wires, args, node, stock, 1),
        Rule::ScanPairs | Rule::ScanScores => walks_are_equal(wires, args, node, stock, 2),
        _ if args[0].eq_ignore_ascii_case(b"dump") => payloads_are_equal(wires, args, node, stock),
        _ if args[0].eq_ignore_ascii_case(b"object") => encodings_are_meant(wires, args, node, stock),
        _ => Ok(false),
    }
}

type Elements = BTreeSet<Vec<Reply>>;

/// Cursors are each server's own. All steps together must give the same elements.
fn walks_are_equal(wires: &mut Wires<'_>, args: &Argv, node: &Reply, stock: &Reply, width: usize) -> io::Result<bool> {
    let key_of_scan = usize::from(!args[0].eq_ignore_ascii_case(b"scan"));
    let tell = |item: &Reply| if rule(args) == Rule::ScanScores { with_scanned_scores(item) } else { item.clone() };
    let walk = |wire: &mut Wire, first: &Reply| -> io::Result<Option<Elements>> {
        let mut found = BTreeSet::new();
        let mut step = first.clone();
        loop {
            let [cursor, items] = &step.items[..] else { return Ok(None) };
            found.extend(items.items.chunks(width).map(|elements| elements.iter().map(tell).collect()));
            if cursor.text == b"0" {
                return Ok(Some(found));
            }
            let mut next = args.clone();
            next[1 + key_of_scan].clone_from(&cursor.text);
            step = wire.call(&next)?;
        }
    };
    let (ours, theirs) = (walk(wires.node, node)?, walk(wires.stock, stock)?);
    Ok(ours.is_some() && ours == theirs)
}

/// Sets have no order, in payloads neither, and compression may find other matches: each server must understand what the
/// other wrote, and read the same value.
fn payloads_are_equal(wires: &mut Wires<'_>, args: &Argv, node: &Reply, stock: &Reply) -> io::Result<bool> {
    const COPY: &[u8] = b"copy of a payload";
    let (Some(ours), Some(theirs)) = (node.string(), stock.string()) else { return Ok(false) };
    let digest = argv("DEBUG DIGEST-VALUE");
    let read = |wire: &mut Wire, payload: &[u8]| -> io::Result<(Reply, Reply)> {
        let restore = [b"RESTORE".to_vec(), COPY.to_vec(), b"0".to_vec(), payload.to_vec()];
        let restored = wire.call(&restore)?;
        let_stay(wire, COPY)?;
        let value = wire.call(&[&digest[..], &[COPY.to_vec()]].concat())?;
        wire.call(&[b"DEL".to_vec(), COPY.to_vec()])?;
        Ok((restored, value))
    };
    let (by_node, by_stock) = (read(wires.node, theirs)?, read(wires.stock, ours)?);
    Ok(args.len() == 2 && by_node.0.string() == Some(b"OK") && by_node == by_stock)
}

/// Where encodings follow Redis 7.2 and Valkey 9.
fn encodings_are_meant(wires: &mut Wires<'_>, args: &Argv, node: &Reply, stock: &Reply) -> io::Result<bool> {
    let [_, _, key] = &args[..] else { return Ok(false) };
    let (Some(ours), Some(theirs)) = (node.string(), stock.string()) else { return Ok(false) };
    let mut ask = |line: &str| {
        let mut words = argv(line);
        words.insert(1, key.clone());
        wires.stock.call(&words)
    };
    Ok(match (ours, theirs) {
        // A list is one listpack while that has room for it.
        (b"listpack", b"quicklist") => bytes_of(&ask("LRANGE 0 -1")?) <= 8192,
        // So is a set of few and short members.
        (b"listpack", b"hashtable") => {
            let members = ask("SMEMBERS")?;
            members.items.len() <= 128 && members.items.iter().all(|member| member.text.len() <= 64)
        }
        // SORT makes a skiplist of what it sorts, in Redis 7.0.
        (b"listpack", b"skiplist") => {
            let members = ask("ZRANGE 0 -1")?;
            members.items.len() <= 128 && members.items.iter().all(|member| member.text.len() <= 64)
        }
        // A string is embedded while it fits into 128 bytes together with its key.
        (b"embstr", b"raw") => ask("STRLEN")?.int().is_some_and(|len| (45..128).contains(&(len as usize))),
        (b"raw", b"embstr") => ask("STRLEN")?.int().is_some_and(|len| len as usize + key.len() > 100),
        _ => false,
    })
}

fn bytes_of(reply: &Reply) -> usize {
    reply.items.iter().map(|item| item.text.len()).sum()
}
