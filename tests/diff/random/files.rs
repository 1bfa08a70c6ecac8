//! The dataset of a stretch through files: each server reads what the other has written.

use std::fs;

use super::replay::differing_keys;
use crate::pair::{Pair, Wire, argv};
use crate::reply::Reply;
use crate::support::Server;

/// What a server has understood otherwise. `digest` is that of both.
pub fn misunderstood(pair: &mut Pair, digest: &Reply) -> Option<String> {
    let saved = write_and_pass_on(&mut pair.node, &pair.node_server, &pair.stock_server);
    let by_stock = saved.and_then(|()| read_other(&mut pair.stock, digest));
    // What the first reading made of the data has been looked at: they are the same again on both sides.
    let by_node = by_stock.and_then(|()| {
        write_and_pass_on(&mut pair.stock, &pair.stock_server, &pair.node_server)?;
        read_other(&mut pair.node, digest)
    });
    by_node.err().map(|error| format!("{error}\n{}", differing_keys(pair)))
}

/// Lets a server write its file and read it again, and gives the file to the other one.
fn write_and_pass_on(wire: &mut Wire, from: &Server, to: &Server) -> Result<(), String> {
    ok(wire, "DEBUG RELOAD")?;
    let copied = fs::copy(from.dir().join("dump.rdb"), to.dir().join("dump.rdb"));
    copied.map(drop).map_err(|error| format!("the file of {:?}: {error}", from.kind))
}

fn read_other(wire: &mut Wire, digest: &Reply) -> Result<(), String> {
    ok(wire, "DEBUG RELOAD NOSAVE")?;
    let own = wire.call(&argv("DEBUG DIGEST")).map_err(|error| error.to_string())?;
    if own == *digest { Ok(()) } else { Err(format!("{own} instead of {digest} after reading the other's file")) }
}

fn ok(wire: &mut Wire, line: &str) -> Result<(), String> {
    match wire.call(&argv(line)) {
        Ok(reply) if reply.string() == Some(b"OK") => Ok(()),
        Ok(reply) => Err(format!("{line}: {reply}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}
