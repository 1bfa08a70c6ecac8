//! When the fields of hashes expire, at both servers: no digest says it.

use std::io;

use super::replay::databases;
use crate::compare::{rule, same};
use crate::pair::{Argv, Pair, Wire, argv};
use crate::reply::shown;

/// `command key FIELDS n field …` for all fields of a hash; none for what is no hash.
fn about_all(wire: &mut Wire, command: &str, key: &[u8]) -> io::Result<Option<Argv>> {
    let mut fields = wire.call(&[b"HKEYS".to_vec(), key.to_vec()])?.items;
    fields.sort();
    let mut args = vec![command.as_bytes().to_vec(), key.to_vec(), b"FIELDS".to_vec()];
    args.push(fields.len().to_string().into_bytes());
    let is_hash = !fields.is_empty();
    args.extend(fields.into_iter().map(|field| field.text));
    Ok(is_hash.then_some(args))
}

/// Takes the expiries of a hash's fields away, if it is one: one server's digest would show them, and the other's not.
pub fn let_stay(wire: &mut Wire, key: &[u8]) -> io::Result<()> {
    if let Some(args) = about_all(wire, "HPERSIST", key)? {
        wire.call(&args)?;
    }
    Ok(())
}

/// The first hash whose fields expire at other times here than there.
pub fn difference(pair: &mut Pair) -> io::Result<Option<String>> {
    for db in 0..databases(pair) {
        pair.both(&format!("SELECT {db}"));
        for key in pair.stock.call(&argv("KEYS *"))?.items {
            let Some(args) = about_all(&mut pair.stock, "HPEXPIRETIME", &key.text)? else { continue };
            let (node, stock) = pair.call(&args)?;
            if !same(rule(&args), &node, &stock) {
                return Ok(Some(format!("db {db}> {}\n  node  {node}\n  stock {stock}", shown(&args))));
            }
        }
    }
    Ok(None)
}

/// Lets all fields of both datasets stay.
pub fn all_stay(pair: &mut Pair) -> io::Result<()> {
    for db in 0..databases(pair) {
        pair.both(&format!("SELECT {db}"));
        for key in pair.stock.call(&argv("KEYS *"))?.items {
            let_stay(&mut pair.node, &key.text)?;
            let_stay(&mut pair.stock, &key.text)?;
        }
    }
    Ok(())
}
