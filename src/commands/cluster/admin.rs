//! CLUSTER subcommands that change something: the engine reads and performs them, its words are the reply.

use super::topology::net;
use crate::cluster::{AdminCommand, AdminReply, SetSlot};
use crate::exec::client::ClientFlags;
use crate::exec::slot_migration::Operation;
use crate::exec::slot_orders::Ordered;
use crate::exec::{Ctx, Done, Effect};
use crate::resp::{Args, ErrorReply};

/// Any of them.
pub fn admin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let clock = ctx.server.clock();
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    let server = &mut *ctx.server;
    if server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    let Some(command) = AdminCommand::parse(&words)? else {
        return Err(ErrorReply::unknown_subcommand(args.at(1), "cluster"));
    };
    if let AdminCommand::SetSlot(set) = command {
        return setslot(ctx, set);
    }
    // The engine decides by the replication offset, too.
    server.tell_facts();
    let Some(engine) = &mut server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let result = engine.admin(clock, &command, &server.keyspace);
    server.drain_cluster();
    match result? {
        AdminReply::Ok => ctx.reply().ok(),
        AdminReply::Bumped(epoch) => ctx.reply().simple(&format!("BUMPED {epoch}")),
        AdminReply::Still(epoch) => ctx.reply().simple(&format!("STILL {epoch}")),
    }
    Ok(())
}

/// CLUSTER SETSLOT: what a primary is told its replicas have to know first.
fn setslot(ctx: &mut Ctx<'_>, set: SetSlot) -> Done {
    if ctx.client.is(ClientFlags::PRIMARY) {
        return ctx.server.order_slot_replicated(&set);
    }
    let migrations = &ctx.server.migrations;
    if migrations.is_moving(Operation::Import, set.slot) {
        return Err(ErrorReply::Static("ERR Slot import in progress."));
    }
    if migrations.is_moving(Operation::Export, set.slot) {
        return Err(ErrorReply::Static("ERR Slot export in progress."));
    }
    let may_block = ctx.may_block();
    if ctx.server.order_slot(ctx.client, set, may_block)? == Ordered::Performed {
        ctx.reply().ok();
    }
    Ok(())
}

/// CLUSTER SAVECONFIG: answered when the file is on the disk, or with what the disk says.
pub fn saveconfig(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let Some(engine) = &ctx.server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let text = engine.config_text();
    let token = ctx.park();
    ctx.effect(Effect::SaveNodesConf { token, text });
    Ok(())
}

/// CLUSTER COUNT-FAILURE-REPORTS.
pub fn count_failure_reports(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let clock = ctx.server.clock();
    let Some(engine) = &mut ctx.server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let node = super::topology::find_node(engine, args.at(2))?;
    let reports = engine.failure_reports(clock, node);
    ctx.reply().uint(reports);
    Ok(())
}

/// CLUSTER REPLICAS and SLAVES.
pub fn replicas(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let net = net(ctx.client);
    let Some(engine) = &ctx.server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let node = super::topology::find_node(engine, args.at(2))?;
    if !engine.node(node).node.is_primary() {
        return Err(ErrorReply::Static("ERR The specified node is not a master"));
    }
    let lines: Vec<String> = engine.replicas(node).map(|view| engine.node_line(view.idx, net)).collect();
    ctx.reply().array(lines.len());
    for line in lines {
        ctx.reply().bulk_str(&line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::{NodeId, Rng};
    use crate::cluster::Engine;
    use crate::commands::bench::Bench;
    use crate::config::Config;
    use crate::exec::{ClientId, Server};
    use crate::repl::{SavedHistory, command};

    const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// A primary of all slots that knows another node, and has a history that replicas may go on from.
    fn primary() -> Bench {
        let mut bench = Bench::start_with(Config { cluster_enabled: true, ..Config::default() });
        let text = format!(
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-16383\n\
             {OTHER} 127.0.0.1:7002@17002 master - 0 0 2 connected\n\
             vars currentEpoch 2 lastVoteEpoch 0\n"
        );
        let config = Server::cluster_config(&bench.server.config);
        let engine = Engine::restore(config, Rng::seeded(1), bench.server.clock(), &text).unwrap();
        bench.server.join(engine);
        let saved = SavedHistory { id: NodeId::random(&mut Rng::seeded(2)), offset: 1000 };
        bench.server.booted(Some(saved));
        bench
    }

    /// A replica of this version that is online.
    fn replica(bench: &mut Bench, version: &str) -> ClientId {
        let id = bench.client();
        assert_eq!(
            bench.call(id, &format!("REPLCONF listening-port 7003 capa eof capa psync2 version {version}")),
            "OK"
        );
        let history = *bench.server.repl.history();
        bench.send(id, &format!("PSYNC {} {}", history.id, history.offset + 1));
        id
    }

    /// The replica has all that was streamed.
    fn acknowledge(bench: &mut Bench, replica: ClientId) {
        let offset = bench.server.repl.offset();
        bench.send(replica, &format!("REPLCONF ACK {offset}"));
    }

    fn open_slots(bench: &Bench) -> String {
        bench.server.cluster.as_ref().unwrap().open_slots_text()
    }

    #[test]
    fn without_replicas_that_understand_it_an_order_is_performed_at_once() {
        let mut bench = primary();
        let client = bench.client();
        replica(&mut bench, "7.2.255");
        assert_eq!(bench.call(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER}")), "OK");
        assert_eq!(open_slots(&bench), format!("7>{OTHER},"));
    }

    #[test]
    fn replicas_have_an_order_before_it_is_performed() {
        let mut bench = primary();
        let client = bench.client();
        let replicas = [replica(&mut bench, "9.1.2"), replica(&mut bench, "8.0.0")];
        // Those of one pipeline wait together, a wrong one keeps its place, and what is no order waits behind them.
        let lines = format!(
            "CLUSTER SETSLOT 7 MIGRATING {OTHER};CLUSTER SETSLOT 8 IMPORTING {OTHER};CLUSTER SETSLOT 9 MIGRATING {OTHER};PING"
        );
        assert_eq!(bench.call(client, &lines), "");
        acknowledge(&mut bench, replicas[0]);
        assert_eq!((bench.read(client), open_slots(&bench)), (String::new(), String::new()));
        acknowledge(&mut bench, replicas[1]);
        assert_eq!(bench.read(client), "OK\n-ERR I'm already the owner of hash slot 8\nOK\nPONG");
        assert_eq!(open_slots(&bench), format!("7>{OTHER},9>{OTHER},"));
    }

    #[test]
    fn orders_about_one_slot_wait_for_each_other() {
        let mut bench = primary();
        let client = bench.client();
        let replica = replica(&mut bench, "9.1.2");
        bench.send(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER};CLUSTER SETSLOT 7 STABLE"));
        acknowledge(&mut bench, replica);
        assert_eq!((bench.read(client).as_str(), open_slots(&bench)), ("OK", format!("7>{OTHER},")));
        acknowledge(&mut bench, replica);
        assert_eq!((bench.read(client).as_str(), open_slots(&bench)), ("OK", String::new()));
    }

    #[test]
    fn an_order_that_replicas_do_not_confirm_is_not_performed() {
        let mut bench = primary();
        let client = bench.client();
        let replica = replica(&mut bench, "9.1.2");
        bench.send(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER};CLUSTER SETSLOT 8 MIGRATING {OTHER}"));
        bench.pass(1999);
        assert_eq!(bench.read(client), "");
        bench.pass(1);
        let refusal = "-NOREPLICAS Not enough good replicas to write.";
        assert_eq!(bench.read(client), format!("{refusal}\n{refusal}"));
        // A replica that meets the orders later is told that they do not hold.
        bench.server.feed_replica(replica, 1 << 20);
        let stream = bench.server.clients.get_mut(replica).map(|client| std::mem::take(&mut client.reply.buf)).unwrap();
        let ends = ["7", "8"].map(|slot| command(&[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"STABLE"])).concat();
        assert!(stream.ends_with(&ends), "{}", String::from_utf8_lossy(&stream));
        acknowledge(&mut bench, replica);
        assert_eq!(open_slots(&bench), "");
        // With a time of its own, and for as long as it takes.
        bench.send(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER} TIMEOUT 50"));
        bench.pass(50);
        assert_eq!(bench.read(client), refusal);
        bench.send(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER} TIMEOUT 0"));
        bench.pass(100_000);
        assert_eq!(bench.read(client), "");
        acknowledge(&mut bench, replica);
        assert_eq!(bench.read(client), "OK");
        // Inside EXEC nothing waits.
        assert_eq!(bench.call(client, "MULTI;CLUSTER SETSLOT 7 STABLE;EXEC"), "OK\nQUEUED\n[OK]");
        assert_eq!(open_slots(&bench), "");
    }

    #[test]
    fn who_leaves_takes_the_orders_along() {
        let mut bench = primary();
        let client = bench.client();
        let replica = replica(&mut bench, "9.1.2");
        bench.send(client, &format!("CLUSTER SETSLOT 7 MIGRATING {OTHER}"));
        bench.server.disconnect(client);
        acknowledge(&mut bench, replica);
        assert_eq!(open_slots(&bench), "");
    }
}
