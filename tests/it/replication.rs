//! `node` as a replica of a stock server, and a stock server as a replica of `node`.

use crate::support::{Server, ServerKind, eventually};
use crate::{field, role};

/// `replica` follows `primary`: the data of before, of meanwhile, and what comes after a broken link.
fn follows(primary: &Server, replica: &Server) {
    for i in 0..200 {
        let _: redis::Value = primary.call(&format!("SET before{i} {i}")).unwrap();
    }
    let _: redis::Value = primary.call("RPUSH list a b c").unwrap();
    let _: redis::Value = replica.call(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).unwrap();
    eventually("the link is up", || {
        field(&replica.text("INFO replication"), "master_link_status") == "up" && role(replica) == "slave"
    });
    let _: redis::Value = primary.call("SET after 1").unwrap();
    let _: redis::Value = primary.call("EXPIRE after 1000").unwrap();
    eventually("the stream arrives", || {
        replica.call::<i64>("TTL after").is_ok_and(|ttl| ttl > 900)
            && replica.call::<i64>("DBSIZE").is_ok_and(|n| n == primary.call::<i64>("DBSIZE").unwrap())
    });
    assert_eq!(replica.text("LLEN list"), "3");
    let error = replica.call::<String>("SET x y").unwrap_err();
    assert_eq!(error.code(), Some("READONLY"));
    eventually("the offsets meet", || {
        let (p, r) = (primary.text("INFO replication"), replica.text("INFO replication"));
        field(&p, "master_repl_offset") == field(&r, "slave_repl_offset")
    });
    let _: redis::Value = replica.call("REPLICAOF NO ONE").unwrap();
    assert_eq!(replica.text("SET x y"), "OK");
}

#[test]
fn node_follows_stock() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let directives = "repl-diskless-sync-delay 0";
    follows(&Server::start(ServerKind::Stock, directives), &Server::start(ServerKind::Node, directives));
}

#[test]
fn stock_follows_node() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let directives = "repl-diskless-sync-delay 0";
    follows(&Server::start(ServerKind::Node, directives), &Server::start(ServerKind::Stock, directives));
}

#[test]
fn node_follows_node_by_file() {
    let directives = "repl-diskless-sync no";
    follows(&Server::start(ServerKind::Node, directives), &Server::start(ServerKind::Node, directives));
}

#[test]
fn wait_counts_the_replicas_that_have_it() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    let replica = Server::start(ServerKind::Node, "");
    let _: redis::Value = replica.call(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).unwrap();
    eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
    let mut connection = primary.connect();
    redis::cmd("SET").arg("a").arg("b").exec(&mut connection).unwrap();
    let acked: i64 = redis::cmd("WAIT").arg(1).arg(5000).query(&mut connection).unwrap();
    assert_eq!(acked, 1);
    assert_eq!(replica.text("GET a"), "b");
    let acked: i64 = redis::cmd("WAIT").arg(2).arg(50).query(&mut connection).unwrap();
    assert_eq!(acked, 1);
}
