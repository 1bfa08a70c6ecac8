//! `trib up`, `trib down` and `trib ps`, with stock servers.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Ran, ServerKind, eventually, free_ports, redis_cli_is_available};
use crate::{assert_in_order, redis_cli, trib};

struct Local {
    base: tempfile::TempDir,
    port: u16,
}

impl Local {
    fn new(nodes: u16) -> Local {
        Local { base: tempfile::tempdir().unwrap(), port: free_ports(nodes) }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.base.path().join("cluster")
    }

    fn run(&self, line: &str) -> Ran {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        trib(&format!("{verb} --dir {} {rest}", self.dir().display()))
    }

    fn up(&self, rest: &str) -> Ran {
        self.run(&format!("up --port {} --server-bin redis-server {rest}", self.port))
    }

    /// With the `node` beside the `trib` that is tested.
    fn up_with_nodes(&self, rest: &str) -> Ran {
        self.run(&format!("up --port {} {rest}", self.port))
    }

    fn pids(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.dir().join("trib.json")).unwrap();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap();
        state["nodes"].as_array().unwrap().iter().filter_map(|node| node["process"]["pid"].as_u64()).collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.run("down --purge --grace 1");
    }
}

fn runs(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_cluster_comes_goes_and_comes_back() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let local = Local::new(6);
    let port = local.port;
    let ran = local.up("");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with(&format!("[OK] Connect with: redis-cli -c -p {port}\n")), "{ran:?}");
    // It is true when it says so: the first write works, on a replica's address, too.
    assert_eq!(redis_cli(&format!("-c -p {} SET foo bar", port + 5)).stdout, "OK\n");
    assert_eq!(trib(&format!("check 127.0.0.1:{}", port + 3)).code, 0);
    let ran = local.run("ps");
    assert_eq!(ran.stdout.matches(" primary ").count(), 3, "{ran:?}");
    assert_eq!(ran.stdout.matches(&format!("replica of {port} ")).count(), 1, "{ran:?}");
    let pids = local.pids();
    assert_eq!(pids.len(), 6);
    for pid in &pids {
        assert!(ran.stdout.contains(&format!(" {pid} ")), "{ran:?}");
    }

    let ran = local.up("");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with(">>> All 6 nodes are running already\n"), "{ran:?}");
    assert_eq!(local.pids(), pids);
    assert_eq!(local.run("up 4x1").code, 1, "another shape needs another directory");

    Command::new("kill").args(["-9", &pids[1].to_string()]).status().unwrap();
    eventually("it is gone", || !runs(pids[1]));
    let ran = local.up("");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with(">>> Started 1 of 6 nodes"), "{ran:?}");

    let (pids, ids) = (local.pids(), redis_cli(&format!("-p {port} CLUSTER MYID")).stdout);
    let ran = local.run("down");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[OK] 6 nodes stopped.\n"), "{ran:?}");
    assert!(pids.iter().all(|&pid| !runs(pid)));
    assert_eq!(local.run("ps").stdout.matches(" stopped ").count(), 6);
    let ran = local.up("");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(redis_cli(&format!("-p {port} CLUSTER MYID")).stdout, ids, "the same nodes");
    assert_eq!(redis_cli(&format!("-c -p {port} GET foo")).stdout, "bar\n", "with their data");

    fs::write(local.dir().join("notes.txt"), "mine").unwrap();
    let ran = local.run("down --purge");
    assert_eq!(ran.code, 0, "{ran:?}");
    let left: Vec<_> = fs::read_dir(local.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert_eq!(local.run("down").code, 1);
}

/// Nothing runs on the ports, and nothing is left on the disk.
fn assert_untouched(local: &Local, ports: u16) {
    assert!(!Path::new(&local.dir()).exists());
    for port in local.port..local.port + ports {
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "somebody listens on {port}");
    }
}

#[test]
fn what_cannot_be_started_is_taken_back() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let local = Local::new(6);
    let bus_port = local.port + 4 + 10_000;
    let taken = TcpListener::bind(("127.0.0.1", bus_port)).unwrap();
    let ran = local.up("");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains(&format!("[ERR] The cluster bus port {bus_port} cannot be used")), "{ran:?}");
    assert_untouched(&local, 6);
    drop(taken);

    // A directive that the server refuses: its own words are shown.
    let ran = local.up("-- --database 16");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_in_order(&ran.stdout, &["[ERR] The node on port", "Its log ends with:\n", "database 16"]);
    assert_untouched(&local, 6);

    let ran = local.up("2x1");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("no replica is ever promoted"), "{ran:?}");
    let ran = local.run("up --server-bin /nonexistent/server");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("/nonexistent/server cannot be started: No such file"), "{ran:?}");
    assert_untouched(&local, 6);
}

#[test]
fn few_primaries_and_passwords_on_demand() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let local = Local::new(2);
    let ran = local.up("1x1 --allow-few -- --requirepass secret --masterauth secret");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ping = redis_cli(&format!("-p {} --no-auth-warning -a secret PING", local.port));
    assert_eq!(ping.stdout, "PONG\n");
    assert_eq!(local.run("ps").stdout.matches(" ok ").count(), 2);
}

#[test]
fn nodes_leave_nothing_behind() {
    let local = Local::new(6);
    let ran = local.up_with_nodes("-- --save 3600 1 --dbfilename other.rdb");
    assert_eq!(ran.code, 0, "{ran:?}");
    let home = local.dir().join(local.port.to_string());
    let ran = local.run("down");
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in ["nodes.conf", "node.log", "other.rdb", "appendonlydir"] {
        assert!(home.join(name).exists(), "{name}");
    }
    // What a node leaves that is killed while it writes.
    fs::write(home.join("nodes.conf.tmp-77"), "").unwrap();
    fs::write(home.join("temp-77.rdb"), "").unwrap();
    let ran = local.up_with_nodes("");
    assert_eq!(ran.code, 0, "{ran:?}");
    for pid in local.pids() {
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    let ran = local.run("down --purge");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("[OK] Everything deleted.\n"), "{ran:?}");
    assert_untouched(&local, 6);
}

#[test]
fn processes_of_others_are_left_alone() {
    let local = Local::new(1);
    fs::create_dir(local.dir()).unwrap();
    let mut innocent = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    let state = serde_json::json!({
        "version": 1, "shape": {"primaries": 1, "replicas": 0}, "server": ["redis-server"], "directives": [],
        "made_dir": false, "formed": true,
        "nodes": [{"port": local.port, "process": {"pid": innocent.id(), "started": "some boot:123"}}],
    });
    fs::write(local.dir().join("trib.json"), state.to_string()).unwrap();
    let ran = local.run("down");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[OK] No node was running.\n"), "{ran:?}");
    assert!(runs(u64::from(innocent.id())), "the number is used again by somebody else");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}
