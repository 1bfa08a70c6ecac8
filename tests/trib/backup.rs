//! `trib backup`.

use crate::slots::keys_in;
use crate::support::cluster_client::ClusterClient;
use crate::support::{Server, ServerKind, redis_cli_is_available};
use crate::{addrs, assert_in_order, cluster, redis_cli, trib};

fn fill(seed: u16, count: usize) {
    let mut client = ClusterClient::new(seed);
    for n in 0..count {
        let key = format!("fill:{n}");
        client.query(redis::cmd("SET").arg(&key).arg(n), &key).expect("the write succeeds");
    }
}

/// The nodes of a `nodes.json`, without what is ours alone, in the order of their ports.
fn nodes_json(dir: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("nodes.json")).unwrap();
    let mut nodes: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    for node in &mut nodes {
        for ours in ["file", "bytes", "crc64", "sha256", "offset"] {
            node.as_object_mut().unwrap().remove(ours);
        }
    }
    nodes.sort_by_key(|node| node["port"].as_u64());
    nodes
}

/// Starts a server with this snapshot and counts its keys.
fn keys_of(snapshot: &std::path::Path) -> usize {
    let mut server = Server::start(ServerKind::Stock, "");
    server.kill();
    std::fs::copy(snapshot, server.dir().join("dump.rdb")).unwrap();
    server.restart();
    server.call("DBSIZE").unwrap()
}

#[test]
fn a_backup_is_what_redis_cli_makes_and_can_be_loaded() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    fill(servers[0].port, 500);
    let seed = servers[4].addr();
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (home.path().join("new/ours"), home.path().join("theirs"));
    let ran = trib(&format!("backup {seed} {}", ours.display()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            " -> Saving RDB...\n",
            &format!("Saving cluster configuration to: {}/nodes.json\n", ours.display()),
            &format!("[OK] Backup created into: {}\n", ours.display()),
        ],
    );
    assert!(ran.stderr.contains("Transfer finished with success."), "{ran:?}");
    std::fs::create_dir(&theirs).unwrap();
    assert_eq!(redis_cli(&format!("--cluster backup {seed} {}", theirs.display())).code, 0);
    assert_eq!(nodes_json(&ours), nodes_json(&theirs));
    let names = |dir: &std::path::Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&ours), names(&theirs));
    let loaded: usize = servers[..3]
        .iter()
        .map(|server| {
            let name = format!("redis-node-127.0.0.1-{}-{}.rdb", server.port, server.text("CLUSTER MYID"));
            let keys = keys_of(&ours.join(name));
            assert_eq!(keys, server.call::<usize>("DBSIZE").unwrap());
            keys
        })
        .sum();
    assert_eq!((loaded, keys_in(&servers[..3])), (500, 500));

    // From the replicas, and with a node missing.
    let from_replicas = home.path().join("replicas");
    let ran = trib(&format!("backup --from-replicas --json {seed} {}", from_replicas.display()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let entries: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().iter().filter(|entry| entry["crc64"].is_string()).count(), 3);
    assert!(ran.stderr.contains("SYNC sent to replica"), "{ran:?}");
    let mut servers = servers;
    servers[3].kill();
    servers[0].kill();
    let ran = trib(&format!("--cluster backup {seed} {}", theirs.display()));
    assert!(ran.code == 1 && ran.stdout.ends_with("[ERR] Failed to back cluster!\n"), "{ran:?}");
    let ran = trib(&format!("--cluster backup {seed} {}/none", theirs.display()));
    assert!(ran.code == 1 && ran.stdout.contains("/none cannot be used: "), "{ran:?}");
}

#[test]
fn nodes_are_saved_as_well() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Node, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    fill(servers[0].port, 300);
    let home = tempfile::tempdir().unwrap();
    let ran = trib(&format!("backup {} {}", servers[0].addr(), home.path().display()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut keys = 0;
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rdb") {
            keys += keys_of(&path);
        }
    }
    assert_eq!(keys, 300);
}

#[test]
fn a_backup_is_restored_into_a_cluster_of_another_shape() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    fill(servers[0].port, 400);
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    for server in &servers {
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(library).exec(&mut server.connect()).unwrap();
    }
    let key = crate::slots::key_in(100);
    assert_eq!(servers[0].text(&format!("SET {key} x PX 10000000")), "OK");
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display();
    assert_eq!(trib(&format!("backup {} {dir}", servers[1].addr())).code, 0);
    let ran = trib(&format!("verify {dir}"));
    assert!(ran.code == 0 && ran.stdout.ends_with("is whole.\n"), "{ran:?}");
    let ran = trib(&format!("verify --json {dir} {}", servers[2].addr()));
    assert!(ran.code == 0 && ran.stdout.contains("\"arrived\": 401"), "{ran:?}");
    let ran = trib(&format!("verify --csv {dir} {}", servers[2].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let is_data = |line: &str| line.matches(',').count() == 7;
    assert!(ran.stdout.lines().count() == 4 && ran.stdout.lines().all(is_data), "{ran:?}");
    assert!(ran.stderr.contains("*** 401 keys verified in "), "{ran:?}");

    let others = cluster(4, 0, "");
    let seed = others[1].addr();
    let ran = trib(&format!("restore --dry-run {dir} {seed}"));
    assert!(ran.code == 4 && keys_in(&others) == 0 && ran.stdout.contains("load"), "{ran:?}");
    let ran = trib(&format!("restore --verify {dir} {seed}"));
    assert_eq!((ran.code, keys_in(&others)), (0, 401), "{ran:?}");
    let owner = others.iter().find(|server| server.call::<i64>(&format!("PTTL {key}")).is_ok()).unwrap();
    let ttl: i64 = owner.call(&format!("PTTL {key}")).unwrap();
    assert!((9_000_000..=10_000_000).contains(&ttl), "{ttl}");
    assert!(others.iter().all(|server| server.call::<i64>("FCALL f 0").unwrap() == 7));
    assert_eq!(trib(&format!("verify {dir} {seed}")).code, 0);

    // What is there already is a conflict, and what has changed is found.
    let ran = trib(&format!("restore {dir} {seed}"));
    assert!(ran.code == 1 && ran.stdout.contains("keys were not restored."), "{ran:?}");
    assert_eq!(trib(&format!("restore --on-conflict skip {dir} {seed}")).code, 0);
    assert_eq!(owner.text(&format!("SET {key} y")), "OK");
    let ran = trib(&format!("verify {dir} {seed}"));
    assert!(ran.code == 1 && ran.stdout.contains(&format!("[ERR] {key} differs: another value")), "{ran:?}");
    assert_eq!(trib(&format!("restore --replace {dir} {seed}")).code, 0);
    assert_eq!(owner.text(&format!("GET {key}")), "x");

    // A damaged file is found before anything is changed.
    let file = std::fs::read_dir(home.path())
        .unwrap()
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|extension| extension == "rdb"));
    let path = file.unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = trib(&format!("verify {dir}"));
    assert!(ran.code == 1 && ran.stdout.ends_with("[ERR] 1 of 3 files are damaged.\n"), "{ran:?}");
    let ran = trib(&format!("restore --replace {dir} {seed}"));
    assert!(ran.code == 1 && ran.stdout.contains("is damaged: "), "{ran:?}");
    assert_eq!(trib(&format!("verify {dir}/none")).code, 1);
}
