//! `trib call`, `trib set-timeout` and `trib import`.

use crate::support::{Server, ServerKind, redis_cli_is_available};
use crate::{assert_in_order, cluster, redis_cli, trib};

#[test]
fn a_command_runs_on_every_node() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    for line in [
        format!("--cluster call {seed} dbsize"),
        format!("--cluster call {seed} get b"),
        format!("--cluster call {seed} config get maxmemory --cluster-only-masters"),
        format!("--cluster call {seed} command info get --cluster-only-replicas"),
    ] {
        let (ours, theirs) = (trib(&line), redis_cli(&line));
        assert_eq!((ours.stdout, ours.code), (theirs.stdout, theirs.code), "{line}");
    }
    let ran = trib(&format!("call --only-masters {seed} ping"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches(": PONG\n").count(), 3, "{ran:?}");
    // The owner counts down, the others redirect: an error somewhere is an error.
    let ran = trib(&format!("call {seed} incrby b -5"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_in_order(&ran.stdout, &[">>> Calling incrby b -5\n", &format!("{seed}: -5\n")]);
    let ran = trib(&format!("--cluster call {seed} -- incrby b -5 --cluster-only-masters"));
    assert!(ran.stdout.contains("wrong number of arguments"), "{ran:?}");
    assert_eq!(ran.code, 0);
}

#[test]
fn the_node_timeout_is_set_everywhere_and_kept() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let ran = trib(&format!("set-timeout {seed} 2345"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with(">>> New node timeout set. 3 OK, 0 ERR.\n"), "{ran:?}");
    for server in &servers {
        assert_eq!(server.call::<Vec<String>>("CONFIG GET cluster-node-timeout").unwrap()[1], "2345");
        let file = std::fs::read_to_string(server.dir().join("redis.conf")).unwrap();
        assert!(file.contains("cluster-node-timeout 2345"), "{file}");
    }
    assert_eq!(trib(&format!("set-timeout {seed} 50")).code, 2);
    assert_eq!(trib(&format!("--cluster set-timeout {seed} 50")).code, 1);
    servers[2].kill();
    let ran = trib(&format!("set-timeout {seed} 3000"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.ends_with(">>> New node timeout set. 2 OK, 1 ERR.\n"), "{ran:?}");
    assert_eq!(trib(&format!("--cluster set-timeout {seed} 3000")).code, 0);
}

fn keys_in(servers: &[Server]) -> i64 {
    servers.iter().map(|server| server.call::<i64>("DBSIZE").unwrap()).sum()
}

#[test]
fn keys_of_a_standalone_server_are_imported() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "requirepass inside\nmasterauth inside");
    let source = Server::start(ServerKind::Stock, "requirepass outside");
    let seed = servers[0].addr();
    let mut pipeline = redis::pipe();
    for n in 0..2500 {
        pipeline.cmd("SET").arg(format!("key:{n}")).arg(n).ignore();
    }
    pipeline.cmd("SET").arg(b"not \xff text\n\0".as_slice()).arg("bytes").ignore();
    pipeline.cmd("PEXPIRE").arg("key:7").arg(1_000_000).ignore();
    pipeline.query::<()>(&mut source.connect()).unwrap();

    let auth = format!("-a inside --from {} --from-pass outside", source.addr());
    let ran = trib(&format!("import {auth} --copy {seed}"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("*** Importing 2501 keys from DB 0\n"));
    assert_eq!((keys_in(&servers), source.call::<i64>("DBSIZE").unwrap()), (2501, 2501));
    let owner = servers.iter().find(|server| server.call::<i64>("PTTL key:7").is_ok()).expect("one of them owns it");
    assert!(owner.call::<i64>("PTTL key:7").unwrap() > 0, "the expiry came along");

    // What is there already is not overwritten, and that is said.
    assert_eq!(source.text("SET new value"), "OK");
    let ran = trib(&format!("import {auth} {seed}"));
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.ends_with("[ERR] 2501 keys were not imported.\n"), "{}", ran.stderr);
    assert_eq!((keys_in(&servers), source.call::<i64>("DBSIZE").unwrap()), (2502, 2501));
    let ran = trib(&format!(
        "-a inside --cluster import {seed} --cluster-from {} --cluster-from-pass outside --cluster-replace",
        source.addr()
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((keys_in(&servers), source.call::<i64>("DBSIZE").unwrap()), (2502, 0));
}

#[test]
fn imports_that_cannot_be_are_refused() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let dead = format!("127.0.0.1:{}", crate::support::free_port());
    for (line, code, said) in [
        (format!("import {seed}"), 2, "[ERR] Option '--from' is required for subcommand 'import'.".to_owned()),
        (
            format!("--cluster import {seed}"),
            1,
            "[ERR] Option '--cluster-from' is required for subcommand 'import'.".to_owned(),
        ),
        (format!("import --from nowhere {seed}"), 2, "[ERR] Invalid --from host.".to_owned()),
        (
            format!("import --from {} {seed}", servers[1].addr()),
            1,
            "[ERR] The source node should not be a cluster node.".to_owned(),
        ),
        (format!("import --from {dead} {seed}"), 1, format!("[ERR] Sorry, can't connect to node {dead}")),
    ] {
        let ran = trib(&line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stdout.contains(&said) || ran.stderr.contains(&said), "{line}: {ran:?}");
    }
}
