//! What the cluster looks like: INFO, NODES, SLOTS, SHARDS, LINKS, MYID.

use crate::cluster::{ClientNet, EndpointType, Engine, NodeFlags, NodeIdx, NodeView};
use crate::exec::client::Client;
use crate::exec::{Ctx, Done};
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply, Reply};

/// How a client is connected, which decides the addresses it is shown.
pub(super) fn net(client: &Client) -> ClientNet {
    ClientNet { tls: false, ip: client.peer_ip() }
}

fn engine<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Engine, ErrorReply> {
    ctx.server.cluster.as_deref().ok_or(ErrorReply::ClusterDisabled)
}

/// The node with this id.
pub(super) fn find_node(engine: &Engine, id: &[u8]) -> Result<NodeIdx, ErrorReply> {
    engine
        .nodes()
        .find(|view| view.node.id.as_bytes() == id)
        .map(|view| view.idx)
        .ok_or_else(|| ErrorReply::text_of(format!("ERR Unknown node {}", shown(id, 128))))
}

/// CLUSTER INFO.
pub fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let text = engine(ctx)?.info_text();
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// CLUSTER NODES.
pub fn nodes(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let net = net(ctx.client);
    let text = engine(ctx)?.nodes_text(net);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// CLUSTER MYID.
pub fn myid(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let id = engine(ctx)?.my_id();
    ctx.reply().bulk(id.as_bytes());
    Ok(())
}

/// CLUSTER MYSHARDID.
pub fn myshardid(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let id = engine(ctx)?.my_shard_id();
    ctx.reply().bulk(id.as_bytes());
    Ok(())
}

/// CLUSTER SLOTS.
pub fn slots(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let net = net(ctx.client);
    let Some(engine) = ctx.server.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
    let reply = &mut ctx.client.reply;
    let map = engine.slot_map();
    reply.array(map.len());
    for (first, last, owner) in map {
        let replicas: Vec<NodeIdx> = engine
            .replicas(owner)
            .filter(|view| !view.node.is_failed() && view.node.repl_offset != 0)
            .map(|view| view.idx)
            .collect();
        reply.array(3 + replicas.len());
        reply.int(i64::from(first.get()));
        reply.int(i64::from(last.get()));
        for idx in std::iter::once(owner).chain(replicas) {
            slots_node(reply, engine, idx, net);
        }
    }
    Ok(())
}

fn slots_node(reply: &mut Reply, engine: &Engine, idx: NodeIdx, net: ClientNet) {
    let view = engine.node(idx);
    let preferred = engine.config().preferred_endpoint;
    reply.array(4);
    if preferred == EndpointType::Unknown {
        reply.null();
    } else {
        reply.bulk_str(engine.endpoint(idx, net));
    }
    reply.int(i64::from(engine.port_for(idx, net)));
    reply.bulk(view.node.id.as_bytes());
    let attributes = &view.node.attributes;
    let mut extra: Vec<(&str, &str)> = Vec::new();
    if preferred != EndpointType::Ip {
        extra.push(("ip", engine.ip_for(idx, net)));
    }
    if preferred != EndpointType::Hostname && !attributes.hostname.is_empty() {
        extra.push(("hostname", &attributes.hostname));
    }
    if !attributes.availability_zone.is_empty() {
        extra.push(("availability-zone", &attributes.availability_zone));
    }
    reply.map(extra.len());
    for (name, value) in extra {
        reply.bulk_str(name);
        reply.bulk_str(value);
    }
}

/// CLUSTER SHARDS.
pub fn shards(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let net = net(ctx.client);
    let Some(engine) = ctx.server.cluster.as_deref() else { return Err(ErrorReply::ClusterDisabled) };
    let reply = &mut ctx.client.reply;
    let shards = engine.shards();
    reply.array(shards.len());
    for shard in shards {
        reply.map(3);
        reply.bulk_str("slots");
        reply.array(2 * shard.slots.len());
        for (first, last) in &shard.slots {
            reply.int(i64::from(first.get()));
            reply.int(i64::from(last.get()));
        }
        reply.bulk_str("nodes");
        reply.array(shard.nodes.len());
        for view in &shard.nodes {
            shard_node(reply, engine, view, net);
        }
        reply.bulk_str("id");
        reply.bulk(shard.id.as_bytes());
    }
    Ok(())
}

fn shard_node(reply: &mut Reply, engine: &Engine, view: &NodeView<'_>, net: ClientNet) {
    let node = view.node;
    let open = reply.open();
    let mut fields = 0;
    let mut field = |reply: &mut Reply, name: &str| {
        reply.bulk_str(name);
        fields += 1;
    };
    field(reply, "id");
    reply.bulk(node.id.as_bytes());
    for (name, real, tls) in [("port", node.addr.tcp_port, false), ("tls-port", node.addr.tls_port, true)] {
        if real != 0 {
            field(reply, name);
            reply.int(i64::from(engine.port_for(view.idx, ClientNet { tls, ..net })));
        }
    }
    field(reply, "ip");
    reply.bulk_str(engine.ip_for(view.idx, net));
    field(reply, "endpoint");
    reply.bulk_str(engine.endpoint(view.idx, net));
    if !node.attributes.hostname.is_empty() {
        field(reply, "hostname");
        reply.bulk_str(&node.attributes.hostname);
    }
    field(reply, "role");
    reply.bulk_str(if node.is(NodeFlags::REPLICA) { "replica" } else { "master" });
    field(reply, "replication-offset");
    reply.int(node.repl_offset as i64);
    field(reply, "health");
    reply.bulk_str(view.health());
    if !node.attributes.availability_zone.is_empty() {
        field(reply, "availability-zone");
        reply.bulk_str(&node.attributes.availability_zone);
    }
    reply.end_map(open, fields);
}

/// CLUSTER LINKS.
pub fn links(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let links: Vec<_> = engine(ctx)?.links().collect();
    let reply = ctx.reply();
    reply.array(links.len());
    for link in links {
        reply.map(6);
        reply.bulk_str("direction");
        reply.bulk_str(link.direction());
        reply.bulk_str("node");
        reply.bulk(link.node.as_bytes());
        reply.bulk_str("create-time");
        reply.int(link.created.wall.0);
        reply.bulk_str("events");
        reply.bulk_str(if link.queued > 0 { "rw" } else { "r" });
        for name in ["send-buffer-allocated", "send-buffer-used"] {
            reply.bulk_str(name);
            reply.int(link.queued as i64);
        }
    }
    Ok(())
}
