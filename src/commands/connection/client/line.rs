//! The line of one client in CLIENT LIST.

use std::io::Write as _;

use super::is_blocked;
use crate::base::Millis;
use crate::exec::client::{Client, ClientFlags};
use crate::exec::server::Server;
use crate::resp::Proto;

/// Appends the line of `client`, with its end.
pub fn push(out: &mut Vec<u8>, client: &Client, server: &Server, now: Millis) {
    let secs_since = |at: Millis| now.since(at).max(0) / 1000;
    let queued = client.transaction.as_ref();
    let multi = queued.map_or(-1, |t| t.queued.len() as i64);
    let multi_bytes = queued.map_or(0, |t| t.queued_bytes);
    let total = client.memory_bytes();
    let subscriptions = server.pubsub.counts_of(client.id.into());
    let command = client.last_command.map_or("NULL", |index| server.commands.command(index).name);
    // Writing to a vector cannot fail.
    let _ = write!(out, "id={} addr={} laddr={} name=", client.id.0, client.peer, client.local);
    out.extend_from_slice(&client.name);
    let _ = write!(
        out,
        " age={} idle={} flags={} capa={} db={} sub={} psub={} ssub={} multi={multi} watch={} qbuf={} qbuf-free={} argv-mem=0 \
         multi-mem={multi_bytes} rbs={} rbp={} obl={} oll=0 omem={} tot-mem={total} events={} cmd={command} \
         user=default redir={} resp={} lib-name=",
        secs_since(client.created),
        secs_since(client.last_interaction),
        flags(client),
        if client.is(ClientFlags::CAPA_REDIRECT) { "r" } else { "" },
        client.db,
        subscriptions.channels,
        subscriptions.patterns,
        subscriptions.shard_channels,
        client.watched.len(),
        client.query_bytes,
        client.query_capacity.saturating_sub(client.query_bytes),
        client.reply_capacity(),
        client.reply_peak_bytes,
        client.reply.buf.len(),
        client.unwritten_bytes(),
        if client.unwritten_bytes() > 0 { "rw" } else { "r" },
        super::tracking::redirect_of(client.tracking.as_deref()),
        if client.reply.proto == Proto::Resp3 { 3 } else { 2 },
    );
    out.extend_from_slice(&client.lib_name);
    out.extend_from_slice(b" lib-ver=");
    out.extend_from_slice(&client.lib_ver);
    let _ = writeln!(
        out,
        " tot-net-in={} tot-net-out={} tot-cmds={}",
        client.net_input_bytes, client.net_output_bytes, client.commands
    );
}

/// One letter for each thing that is special about the client, `N` for none.
pub fn flags(client: &Client) -> String {
    let letters = [
        (client.is(ClientFlags::MONITOR), 'O'),
        (client.is(ClientFlags::REPLICA), 'S'),
        (client.is(ClientFlags::PRIMARY), 'M'),
        (client.is(ClientFlags::PUBSUB), 'P'),
        (client.in_transaction(), 'x'),
        (is_blocked(client.parked), 'b'),
        (client.tracking.is_some(), 't'),
        (client.tracking.as_ref().is_some_and(|tracking| tracking.broken), 'R'),
        (client.tracking.as_ref().is_some_and(|tracking| tracking.broadcast), 'B'),
        (client.watch_broken, 'd'),
        (client.is(ClientFlags::CLOSE_AFTER_REPLY), 'c'),
        (client.is(ClientFlags::CLOSE_NOW), 'A'),
        (client.is(ClientFlags::UNIX_SOCKET), 'U'),
        (client.is(ClientFlags::READONLY), 'r'),
        (client.is(ClientFlags::NO_EVICT), 'e'),
        (client.is(ClientFlags::NO_TOUCH), 'T'),
    ];
    let text: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if text.is_empty() { "N".to_owned() } else { text }
}
