//! Clusters by name, the biggest keys, and the nodes of a zone.

use crate::slots::key_in;
use crate::support::cluster_client::ClusterClient;
use crate::support::{Server, ServerKind, free_port};
use crate::{addrs, cluster, trib, trib_with};

#[test]
fn a_cluster_is_called_by_its_name() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "requirepass secret\nmasterauth secret");
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("trib");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("prod.auth"), "* secret\n").unwrap();
    let dead = format!("127.0.0.1:{}", free_port());
    let inventory = format!("[prod]\naddresses = [\"{dead}\", \"{}\"]\nauth-file = \"prod.auth\"\n", servers[1].addr());
    let file = dir.join("clusters.toml");
    std::fs::write(&file, inventory).unwrap();
    let config = home.path().display().to_string();
    let named = |line: &str| trib_with(line, "", &[("XDG_CONFIG_HOME", &config)]);
    let ran = named("@prod check");
    assert!(ran.code == 0 && ran.stdout.contains("[OK] All 16384 slots covered."), "{ran:?}");
    assert_eq!(named("call @prod --on primaries ping").stdout.matches(": PONG\n").count(), 3);
    let ran = trib(&format!("--inventory {} @prod config get port", file.display()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = named("@staging check");
    assert!(ran.code == 2 && ran.stderr.contains("has no cluster 'staging'; it has: prod"), "{ran:?}");
    std::fs::write(&file, "[prod]\naddresses = [\"h:1\"]\npassword = \"secret\"\n").unwrap();
    let ran = named("@prod check");
    assert!(ran.code == 2 && ran.stderr.contains("auth-file") && !ran.stderr.contains("\"secret\""), "{ran:?}");
}

#[test]
fn the_biggest_keys_are_found() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let mut client = ClusterClient::new(servers[0].port);
    let mut set = |key: &str, length: usize| {
        client.query(redis::cmd("SET").arg(key).arg("x".repeat(length)), key).unwrap();
    };
    (0..300).for_each(|n| set(&format!("small:{n}"), 10));
    set("huge", 100_000);
    set("large", 50_000);
    client.query(redis::cmd("RPUSH").arg("list").arg(&["a"; 50][..]), "list").unwrap();
    let seed = servers[0].addr();
    for more in ["", "--from-replicas"] {
        crate::support::eventually("the replicas have it all", || {
            let ran = trib(&format!("bigkeys --top 2 --csv {more} {seed}"));
            let lines: Vec<&str> = ran.stdout.lines().collect();
            ran.code == 0
                && lines.len() == 4
                && lines[1].starts_with("list,list,")
                && lines[2].starts_with("string,huge,1")
                && lines[3].starts_with("string,large,5")
        });
    }
    let ran = trib(&format!("bigkeys --json --by length --type string --top 1 {seed}"));
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&found["keys"][0]["key"], &found["keys"][0]["size"]), (&"huge".into(), &100_000.into()), "{ran:?}");
    assert_eq!(found["types"]["string"]["keys"], 302);
    let ran = trib(&format!("bigkeys {seed} --match small:1 --by length"));
    assert!(ran.stdout.contains("1 key of type string: 10 B in all"), "{ran:?}");
}

#[test]
fn a_command_runs_in_one_zone() {
    let servers: Vec<Server> = ["eu-1", "eu-2", "eu-1"]
        .map(|zone| Server::start_in_cluster_mode(ServerKind::Node, &format!("availability-zone {zone}")))
        .into();
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    let seed = servers[1].addr();
    let ran = trib(&format!("call --on zone:eu-1 {seed} ping"));
    assert_eq!((ran.code, ran.stdout.matches(": PONG\n").count()), (0, 2), "{ran:?}");
    assert!(!ran.stdout.contains(&seed), "{ran:?}");
    let ran = trib(&format!("call --on zone:us-1 {seed} ping"));
    assert!(ran.code == 1 && ran.stderr.contains("there are: eu-1, eu-2"), "{ran:?}");
    assert_eq!(trib(&format!("call --on nowhere {seed} get {}", key_in(0))).code, 2);
}
