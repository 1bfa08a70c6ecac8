//! The dataset of a stretch through files: each server reads what the other has written.

use std::fs;

use super::replay::differing_keys;
use crate::pair::{Pair, Wire, argv};
use crate::reply::Reply;
use crate::support::Server;

/// What a server has understood otherwise than the other one's file says.
pub fn misunderstood(pair: &mut Pair) -> Option<String> {
    let result = exchange(pair);
    result.err().map(|error| format!("{error}\n{}", differing_keys(pair)))
}

fn exchange(pair: &mut Pair) -> Result<(), String> {
    let by_node = write(&mut pair.node, &pair.node_server)?;
    let by_stock = write(&mut pair.stock, &pair.stock_server)?;
    for (wire, server) in [(&mut pair.node, &pair.node_server), (&mut pair.stock, &pair.stock_server)] {
        // The signs of zeros may get lost between file and memory, at both in the same way.
        let (one, other) = (read(wire, server, &by_stock)?, read(wire, server, &by_node)?);
        if one != other {
            return Err(format!("{:?} reads {other} from node's file and {one} from the stock server's", server.kind));
        }
    }
    Ok(())
}

/// The bytes of the file that a server writes.
fn write(wire: &mut Wire, server: &Server) -> Result<Vec<u8>, String> {
    ok(wire, "SAVE")?;
    fs::read(server.dir().join("dump.rdb")).map_err(|error| format!("the file of {:?}: {error}", server.kind))
}

/// The digest of what a server reads from a file with these bytes.
fn read(wire: &mut Wire, server: &Server, file: &[u8]) -> Result<Reply, String> {
    fs::write(server.dir().join("dump.rdb"), file).map_err(|error| error.to_string())?;
    ok(wire, "DEBUG RELOAD NOSAVE")?;
    wire.call(&argv("DEBUG DIGEST")).map_err(|error| error.to_string())
}

fn ok(wire: &mut Wire, line: &str) -> Result<(), String> {
    match wire.call(&argv(line)) {
        Ok(reply) if reply.string() == Some(b"OK") => Ok(()),
        Ok(reply) => Err(format!("{line}: {reply}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}
