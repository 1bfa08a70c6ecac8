//! `trib check` and `trib info`.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::connections::trib_json;
use crate::support::{Server, ServerKind, eventually, redis_cli_is_available};
use crate::{assert_in_order, cluster, redis_cli, trib};

#[test]
fn a_healthy_cluster_looks_as_redis_cli_shows_it() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    for (server, key) in servers.iter().zip(["b", "c", "a"]) {
        assert_eq!(server.text(&format!("SET {key} value")), "OK");
    }
    for line in [
        format!("--cluster check {}", servers[1].addr()),
        format!("--cluster check 127.0.0.1 {}", servers[5].port),
        format!("--cluster check {} --cluster-search-multiple-owners", servers[0].addr()),
        format!("--cluster info {}", servers[4].addr()),
    ] {
        let (ours, theirs) = (trib(&line), redis_cli(&line));
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
        assert_eq!((ours.code, ours.stderr.as_str()), (0, ""), "{line}");
    }
    let info = trib(&format!("info {}", servers[0].addr()));
    let id = servers[0].text("CLUSTER MYID");
    assert_in_order(
        &info.stdout,
        &[
            &format!("{} ({}...) -> 1 keys | 5461 slots | 1 slaves.\n", servers[0].addr(), &id[..8]),
            "[OK] 3 keys in 3 masters.\n",
            "0.00 keys per slot on average.\n",
        ],
    );
}

#[test]
fn keys_and_values_of_any_bytes_can_be_had_back() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 1, "");
    assert_eq!(trib(&format!("create --yes --allow-few {}", servers[0].addr())).code, 0);
    let keys: [&[u8]; 6] = [b"\xff", b"\\xff", b"hex:ff", b"a,\"b\"\n\x1b[2J", "ключ".as_bytes(), b"plain"];
    for key in keys {
        let _: () = redis::cmd("SET").arg(key).arg(key).query(&mut servers[0].connect()).unwrap();
    }
    let seed = servers[0].addr();
    let back = |text: &str| match text.strip_prefix("hex:") {
        None => text.as_bytes().to_vec(),
        Some(digits) => {
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
        }
    };
    let wanted: BTreeSet<Vec<u8>> = keys.map(<[u8]>::to_vec).into();
    let told = |list: &serde_json::Value, key: &str| -> BTreeSet<Vec<u8>> {
        let text = |item: &serde_json::Value| back(if key.is_empty() { item } else { &item[key] }.as_str().unwrap());
        list.as_array().unwrap().iter().map(text).collect()
    };
    let called = trib_json(&format!("call --json {seed} KEYS *"));
    assert_eq!(told(&called[0]["reply"], ""), wanted, "{called}");
    let found = trib_json(&format!("bigkeys --json --top 10 {seed}"));
    assert_eq!(told(&found["keys"], "key"), wanted, "{found}");
    let shell = trib(&format!("cli --json -p {} KEYS *", servers[0].port));
    assert_eq!(told(&serde_json::from_str(&shell.stdout).unwrap(), ""), wanted, "{shell:?}");
    let set =
        |value: &[u8]| redis::cmd("CONFIG").arg("SET").arg("masteruser").arg(value).exec(&mut servers[0].connect());
    for value in keys {
        set(value).unwrap();
        let config = trib_json(&format!("config get --json {seed} masteruser"));
        assert_eq!(back(config["masteruser"][&seed].as_str().unwrap()), value, "{config}");
    }
    set(b"").unwrap();
    let run = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trib"));
        command.arg("where").args(options).arg(&seed).args(keys.map(std::ffi::OsStr::from_bytes));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let places = run(&["--json"]);
    assert_eq!(told(&serde_json::from_str(&places).unwrap(), "key"), wanted, "{places}");
    // The same rule with commas; people see nothing that moves their cursor.
    let (csv, table) = (run(&["--csv"]), run(&[]));
    for line in ["\nhex:ff,", "\n\\xff,", "\nhex:6865783a6666,", "\nключ,", "\nplain,"] {
        assert!(csv.contains(line), "{line}: {csv}");
    }
    for cell in [" \\xff ", " \\\\xff ", " hex:ff ", " a,\"b\"\\n\\x1b[2J ", " ключ "] {
        assert!(table.contains(cell), "{cell}: {table}");
    }
}

#[test]
fn what_ails_a_cluster_is_found_by_check() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    let ids: Vec<String> = servers.iter().map(|server| server.text("CLUSTER MYID")).collect();

    // A slot that is on its way.
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {}", ids[1])), "OK");
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            &format!("[WARNING] Node {seed} has slots in migrating state (7).\n"),
            "[WARNING] The following slots are open: 7\n",
            "[OK] All 16384 slots covered.\n",
        ],
    );
    assert_eq!(trib(&format!("--cluster check {seed}")).code, 1);
    assert_eq!(servers[0].text("CLUSTER SETSLOT 7 STABLE"), "OK");
    assert_eq!(trib(&format!("check {seed}")).code, 0);

    // A dead replica, which the reference passes over.
    servers[5].kill();
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains(&format!("[ERR] Node {} ({}) is not reachable", servers[5].addr(), ids[5])), "{ran:?}");
    assert_eq!(trib(&format!("--cluster check {seed}")).code, 1);
    servers[5].restart();
    eventually("the replica is back", || trib(&format!("check {seed}")).code == 0);

    // A primary that nobody replaces leaves slots uncovered.
    servers[5].kill();
    servers[2].kill();
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("[ERR] Not all 16384 slots are covered by nodes."), "{ran:?}");
    assert!(ran.stderr.contains("slots without an owner: 10923-16383"), "{ran:?}");
}

#[test]
fn a_node_that_disagrees_is_named() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    // The first one gives slot 100 up. No other node claims it, so nothing tells the others.
    assert_eq!(servers[0].text("CLUSTER DELSLOTS 100"), "OK");
    let ran = trib(&format!("check {}", servers[1].addr()));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &["[ERR] Nodes don't agree about configuration!\n", "[ERR] Not all 16384 slots are covered by nodes.\n"],
    );
    let first = servers[0].addr();
    assert!(ran.stderr.contains(&format!("{first} says that {first} does not own 100; others say it does")), "{ran:?}");
    assert!(ran.stderr.contains("slots without an owner: 100\n"), "{ran:?}");
}
