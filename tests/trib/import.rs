//! `trib import` from files and clusters, and what happens to keys that are there already.

use crate::slots::{key_in, keys_in};
use crate::support::cluster_client::ClusterClient;
use crate::support::{Server, ServerKind};
use crate::{addrs, cluster, trib};

/// One key of every type, one of them with a time to live.
const KEYS: [&str; 7] = [
    "SET string value",
    "SET number 12345 PX 5000000",
    "RPUSH list a b c",
    "SADD set x y z 1",
    "HSET hash f 1 g 2",
    "ZADD zset 1 a 2.5 b",
    "XADD stream 1-1 f v",
];

pub fn fill_types(server: &Server) {
    for line in KEYS {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = cmd.arg(word));
        cmd.exec(&mut server.connect()).unwrap();
    }
}

/// Starts `trib` with a file as its input.
fn trib_reading(line: &str, file: &std::path::Path) -> (i32, String) {
    let input = std::fs::File::open(file).unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_trib"))
        .args(line.split(' '))
        .stdin(input)
        .output()
        .expect("trib runs");
    (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn a_snapshot_file_is_imported() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let source = Server::start(ServerKind::Stock, "");
    fill_types(&source);
    let mut pipeline = redis::pipe();
    for n in 0..2000 {
        pipeline.cmd("SET").arg(format!("key:{n}")).arg("v".repeat(n)).ignore();
    }
    pipeline.query::<()>(&mut source.connect()).unwrap();
    assert_eq!(source.text("SAVE"), "OK");
    let file = source.dir().join("dump.rdb");
    for kind in [ServerKind::Stock, ServerKind::Node] {
        let servers = Server::start_many(kind, 3, "");
        assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
        let seed = servers[2].addr();
        let ran = trib(&format!("import --verify --from {} {seed}", file.display()));
        assert_eq!((ran.code, keys_in(&servers)), (0, 2007), "{ran:?}");
        assert!(ran.stdout.contains("*** 2007 keys imported in "), "{ran:?}");
        let mut client = ClusterClient::new(servers[0].port);
        let ttl = client.query(redis::cmd("PTTL").arg("number"), "number").unwrap();
        assert!(matches!(ttl, redis::Value::Int(4_000_000..=5_000_000)), "{ttl:?}");

        // Some of it once more, from stdin.
        let (code, said) = trib_reading(&format!("import --match key:1* --from - {seed}"), &file);
        assert!(code == 1 && said.ends_with("[ERR] 1111 keys were not imported.\n"), "{code} {said}");
        let (code, said) = trib_reading(&format!("import --json --on-conflict skip --from - {seed}"), &file);
        assert!(code == 0 && said.contains("\"skipped\": 2007"), "{code} {said}");
        let ran = trib(&format!("import --on-conflict fail --from {} {seed}", file.display()));
        assert!(ran.code == 1 && ran.stdout.contains(" exists already on "), "{ran:?}");
        assert!(ran.stderr.contains("--on-conflict skip"), "{ran:?}");
        assert_eq!(trib(&format!("import --on-conflict replace --from {} {seed}", file.display())).code, 0);
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let broken = source.dir().join("broken.rdb");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let ran = trib(&format!("import --from {} {seed}", broken.display()));
    assert!(ran.code == 1 && ran.stdout.contains("Short read") && ran.stderr.contains("--check-rdb"), "{ran:?}");
    let ran = trib(&format!("import --from {}/none.rdb {seed}", source.dir().display()));
    assert!(ran.code == 1 && ran.stdout.contains("none.rdb cannot be read: No such file"), "{ran:?}");
    let ran = trib(&format!("import --dry-run --from {} {seed}", file.display()));
    assert!(ran.code == 4 && ran.stdout.contains("dump.rdb"), "{ran:?}");
}

#[test]
fn a_cluster_is_copied_into_another() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let (from, to) = (cluster(3, 0, ""), cluster(4, 0, ""));
    let mut client = ClusterClient::new(from[0].port);
    for n in 0..1500 {
        let key = format!("copy:{n}");
        client.query(redis::cmd("SET").arg(&key).arg(n), &key).unwrap();
    }
    let (source, seed) = (from[1].addr(), to[0].addr());
    let ran = trib(&format!("import --from {source} {seed}"));
    assert!(ran.code == 1 && ran.stderr.contains("--copy"), "{ran:?}");
    let ran = trib(&format!("import --copy --verify --jobs 3 --from {source} {seed}"));
    assert_eq!((ran.code, keys_in(&from), keys_in(&to)), (0, 1500, 1500), "{ran:?}");
    assert_eq!(trib(&format!("import --copy --on-conflict skip --from {source} {seed}")).code, 0);
    let ran = trib(&format!("--cluster import {seed} --cluster-from {source} --cluster-copy"));
    assert!(ran.code == 1 && ran.stdout.contains("should not be a cluster node"), "{ran:?}");
}

#[test]
fn a_reshard_meanwhile_costs_no_key_and_writers_are_noticed() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let source = Server::start(ServerKind::Stock, "");
    let mut pipeline = redis::pipe();
    for n in 0..30_000 {
        pipeline.cmd("SET").arg(format!("key:{n}")).arg("x").ignore();
    }
    pipeline.query::<()>(&mut source.connect()).unwrap();
    let line = format!("import --lock-wait 60 --from {} {seed}", source.addr());
    let importing = std::thread::spawn(move || trib(&line));
    crate::support::eventually("keys have come", || keys_in(&servers) > 100);
    // A slot changes hands while its keys come: by hand, since the import has the lock.
    let ids: Vec<String> = servers.iter().map(crate::slots::id_of).collect();
    let slot = 100;
    let migrated = key_in(slot);
    assert_eq!(servers[1].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[0])), "OK");
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[1])), "OK");
    // Somebody writes to a key of the source that may have been read already, if it has not gone altogether.
    let _: Option<String> = source.call("SET key:29999 new XX").unwrap();
    let ran = importing.join().unwrap();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(source.text("DBSIZE"), if source.text("EXISTS key:29999") == "1" { "1" } else { "0" });
    let ran = trib(&format!("fix --yes {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let left: usize = source.call("DBSIZE").unwrap();
    assert_eq!(keys_in(&servers) + left, 30_000, "{migrated}");
}
