//! `trib failover`, `trib rebalance-roles` and `trib roll`: roles that change hands, and nodes that are restarted, while
//! clients write.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::drain::own_line;
use crate::slots::{fill, id_of, keys_in};
use crate::support::cluster_client::Writer;
use crate::support::{Server, ServerKind, eventually, redis_cli_is_available};
use crate::{addrs, assert_in_order, cluster, trib, trib_with};

fn is_primary(server: &Server) -> bool {
    own_line(server).contains("master")
}

/// The replica of this primary.
pub fn replica_of<'s>(servers: &'s [Server], primary: &Server) -> &'s Server {
    let id = id_of(primary);
    let of_it = |server: &&Server| id_of(server) != id && own_line(server).contains(&id);
    servers.iter().find(of_it).expect("it has a replica")
}

#[test]
fn a_primary_that_hangs_and_was_replaced_is_named_at_once() {
    // Redis 7.0 does not remember whose place somebody has taken.
    let newer = ServerKind::Peer("valkey-server-8.1");
    for kind in [ServerKind::Stock, newer].into_iter().filter(|kind| kind.is_available()) {
        let servers = Server::start_many(kind, 6, "repl-diskless-sync-delay 0");
        assert_eq!(trib(&format!("create --yes --replicas 1 {}", addrs(&servers))).code, 0);
        let (old, seed, id) = (&servers[0], servers[1].addr(), id_of(&servers[0]));
        let heir = replica_of(&servers, old);
        let signal = |name: &str| {
            assert!(Command::new("kill").args([name, &old.pid().to_string()]).status().unwrap().success());
        };
        signal("-STOP");
        eventually("it has been replaced", || {
            let nodes = servers[1].text("CLUSTER NODES");
            let is_empty = |line: &str| line.contains("master,fail ") && !line.ends_with(" 0-5460");
            nodes.lines().any(|line| line.starts_with(&id) && is_empty(line))
        });
        let failed = format!("[ERR] Node {} has failed, and ", old.addr());
        let named = format!("{failed}{} has taken its place.", heir.addr());
        let took = if kind == newer { &named } else { &failed };
        let already = format!("[ERR] Node {} is a primary already.", heir.addr());
        for (options, said) in [
            (format!("--shard {id}"), took),
            (format!("--to {}", old.addr()), took),
            (format!("--forced --yes --shard {id}"), took),
            (format!("--to {}", id_of(heir)), &already),
        ] {
            let begun = Instant::now();
            let ran = trib(&format!("failover {options} {seed}"));
            let elapsed = begun.elapsed();
            assert!(ran.code == 1 && ran.stdout.contains(said), "{kind:?} {options}: {ran:?}");
            // Whoever asks the one that hangs waits for it for ten seconds.
            assert!(elapsed < Duration::from_secs(8), "{kind:?} {options}: {elapsed:?}");
        }
        signal("-CONT");
    }
}

#[test]
fn roles_change_hands_without_a_lost_write() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let (seed, old) = (servers[1].addr(), &servers[0]);
    let new = replica_of(&servers, old);
    let ran = trib(&format!("failover --dry-run --json --shard {} {seed}", old.addr()));
    assert_eq!(ran.code, 4, "{ran:?}");
    let plan = serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
    assert_eq!((&plan["steps"][0]["do"], &plan["steps"][0]["node"]["id"]), (&"promote".into(), &id_of(new).into()));
    assert!(is_primary(old));
    let writer = Writer::start(servers[1].port, "live", 200);
    for (way, winner, loser) in
        [(format!("--shard {}", &id_of(old)[..10]), new, old), (format!("--to {}", old.addr()), old, new)]
    {
        let ran = trib(&format!("failover {way} {seed}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.stdout.ends_with(&format!("[OK] {} is the primary of 5461 slots now.\n", winner.addr())),
            "{ran:?}"
        );
        assert!(is_primary(winner) && own_line(loser).contains(&id_of(winner)));
        assert_eq!(trib(&format!("check {seed}")).code, 0);
    }
    assert!(writer.finish(servers[1].port) > 0);
    for (line, code) in [
        (format!("failover {seed}"), 2),
        (format!("failover --to {} {seed}", old.addr()), 1),
        (format!("failover --to nobody {seed}"), 1),
    ] {
        assert_eq!(trib(&line).code, code, "{line}");
    }

    // And back to what the operator prefers, all at once.
    let others: Vec<String> = servers[..3].iter().map(|server| replica_of(&servers, server).addr()).collect();
    let ran = trib(&format!("rebalance-roles --prefer {} {seed}", others.join(",")));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("[OK] 3 failover(s) done.\n"), "{ran:?}");
    assert!(!servers[..3].iter().any(is_primary));
    let ran = trib(&format!("rebalance-roles {seed}"));
    assert!(
        ran.code == 0 && ran.stdout.ends_with("[OK] The primaries are spread as evenly as they can be.\n"),
        "{ran:?}"
    );
}

#[test]
fn a_dead_primary_is_replaced_only_when_that_is_said() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 1, "cluster-replica-no-failover yes\ncluster-node-timeout 1000");
    let seed = servers[1].addr();
    let heir = id_of(replica_of(&servers, &servers[0]));
    let dead = id_of(&servers[0]);
    servers[0].kill();
    let fails = |server: &Server| {
        server
            .text("CLUSTER NODES")
            .lines()
            .any(|line| line.starts_with(&dead) && line.contains("master,fail,nofailover"))
    };
    eventually("it is held to have failed", || servers[1..].iter().all(fails));
    let ran = trib(&format!("failover --shard {dead} {seed}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("there is no orderly failover") && ran.stderr.contains("--forced"), "{ran:?}");
    assert_eq!(trib_with(&format!("failover --forced --shard {dead} {seed}"), "no\n", &[]).code, 5);
    let ran = trib(&format!("failover --takeover --yes --shard {dead} {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let new = servers[1..].iter().find(|server| id_of(server) == heir).unwrap();
    assert!(is_primary(new));
    let ran = trib(&format!("forget-failed --yes {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(trib(&format!("check {seed}")).code, 0);
}

/// A script that restarts one of the servers, named by its port, with either program. What it has started is killed
/// with it.
pub struct Restarter {
    base: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Restarter {
    pub fn new(servers: &[Server]) -> Restarter {
        let base = tempfile::tempdir().unwrap();
        for server in servers {
            symlink(server.dir(), base.path().join(server.port.to_string())).unwrap();
        }
        Restarter { base, ports: servers.iter().map(|server| server.port).collect() }
    }

    /// The command that goes on with this program.
    pub fn command(&self, program: &str) -> String {
        let path = self.base.path().join("restart.sh");
        let mut script = String::from("#!/bin/sh\nset -e\n");
        let _ = writeln!(script, "cd {}/$1\n", self.base.path().display());
        let _ = writeln!(script, "echo $2 >> {}/order", self.base.path().display());
        script.push_str("redis-cli -p $1 shutdown nosave >/dev/null 2>&1 || true\n");
        script.push_str("while redis-cli -p $1 ping >/dev/null 2>&1; do sleep 0.02; done\n");
        let _ = writeln!(script, "{program} redis.conf >>log 2>&1 </dev/null &\necho $! >pid");
        fs::write(&path, script).unwrap();
        format!("sh {} {{port}} {{role}}", path.display())
    }

    /// The roles of the nodes, in the order in which they were restarted.
    fn order(&self) -> String {
        let path = self.base.path().join("order");
        let order = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        order.lines().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Restarter {
    fn drop(&mut self) {
        for port in &self.ports {
            if let Ok(pid) = fs::read_to_string(self.base.path().join(port.to_string()).join("pid")) {
                let _ = Command::new("kill").args(["-9", pid.trim()]).status();
            }
        }
    }
}

/// A cluster of stock servers with keys, and what restarts them.
pub struct Stage {
    /// Ends first: what it has to kill it finds in the servers' directories.
    pub restarter: Restarter,
    pub servers: Vec<Server>,
}

impl Stage {
    /// Three primaries with a replica each; nothing where there is no such server here.
    pub fn new(keys: usize) -> Option<Stage> {
        if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
            return None;
        }
        let servers = cluster(3, 1, "");
        fill(servers[0].port, keys);
        let restarter = Restarter::new(&servers);
        Some(Stage { servers, restarter })
    }

    pub fn seed(&self) -> String {
        self.servers[1].addr()
    }
}

/// The stock server that the cluster is made of.
pub fn stock() -> String {
    ServerKind::Stock.program().display().to_string()
}

/// Runs `trib` with a command of several words.
pub fn roll(restart: &str, line: &str) -> crate::support::Ran {
    let mut words = vec!["roll", "--yes", "--restart", restart];
    words.extend(line.split_whitespace());
    crate::support::run(env!("CARGO_BIN_EXE_trib"), &words, "", &[])
}

#[test]
fn a_roll_restarts_every_node_and_no_write_fails() {
    let Some(stage) = Stage::new(1000) else { return };
    let (seed, Stage { servers, restarter }) = (stage.seed(), &stage);
    let stock = stock();
    let command = restarter.command(&stock);
    let before: Vec<String> = servers.iter().map(run_id).collect();
    let ran = roll(&command, &format!("--dry-run {seed}"));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.stdout.matches(" restart ").count(), 6, "once each: {ran:?}");
    assert!(!ran.stdout.contains("\nrestart "), "{ran:?}");
    assert_eq!(restarter.order(), "");
    assert_eq!(roll("restart {role}", &seed).code, 2, "it would be the same node each time");

    let writer = Writer::start(servers[1].port, "live", 200);
    let ran = roll(&command, &format!("--back {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(writer.finish(servers[1].port) > 0);
    assert_eq!(restarter.order(), ["replica"; 6].join(" "));
    assert_in_order(
        &ran.stdout,
        &[
            ">>> Restarting replica ",
            &format!(">>> Failover of {} to ", servers[0].addr()),
            &format!(">>> Restarting replica {}\n", servers[0].addr()),
            "[OK] 6 node(s) restarted; all nodes agree and are in sync.\n",
        ],
    );
    assert!(servers[..3].iter().all(is_primary), "they are back where they were");
    for (server, before) in servers.iter().zip(before) {
        assert_ne!(run_id(server), before, "{} was restarted", server.addr());
    }
    assert_eq!(trib(&format!("check {seed}")).code, 0);
    assert!(keys_in(&servers[..3]) >= 1000);

    // A command that fails stops it, and the rest can be done later.
    let broken = format!("test {{port}} != {} && {command}", servers[0].port);
    let ran = roll(&broken, &format!("--only primaries {seed}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("1 of 6 steps are done"), "{ran:?}");
    assert_eq!(restarter.order(), "");
    let lazy = format!("true {{port}} && {command}");
    let ran = roll("true {port}", &format!("--only replicas --wait 1s {seed}"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.stdout.contains("is still the old one"), "{ran:?}");
    let skip: Vec<String> = servers[1..].iter().map(id_of).collect();
    let ran = roll(&lazy, &format!("--skip {} {seed}", skip.join(",")));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(restarter.order(), "replica");
}

pub fn run_id(server: &Server) -> String {
    let info = server.text("INFO server");
    info.lines().find_map(|line| line.strip_prefix("run_id:")).expect("a server has one").to_owned()
}

fn are_nodes(servers: &[Server]) -> usize {
    servers.iter().filter(|server| server.text("INFO server").contains("server_name:node")).count()
}

#[test]
fn stock_servers_are_swapped_for_nodes_and_back() {
    let Some(stage) = Stage::new(2000) else { return };
    let (seed, Stage { servers, restarter }) = (stage.seed(), &stage);
    for (program, nodes) in [(env!("CARGO_BIN_EXE_node"), servers.len()), (stock().as_str(), 0)] {
        let writer = Writer::start(servers[1].port, program, 200);
        // Half of them first: a mixed cluster works like any other.
        let ran = roll(&restarter.command(program), &format!("--only replicas {seed}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(are_nodes(servers), 3);
        let skip: Vec<String> = servers.iter().filter(|server| !is_primary(server)).map(id_of).collect();
        let ran = roll(&restarter.command(program), &format!("--skip {} {seed}", skip.join(",")));
        assert_eq!(ran.code, 0, "{ran:?}");
        writer.finish(servers[1].port);
        assert_eq!(are_nodes(servers), nodes);
        assert_eq!(trib(&format!("check {seed}")).code, 0);
        let primaries: Vec<&Server> = servers.iter().filter(|server| is_primary(server)).collect();
        let keys: usize = primaries.iter().map(|server| server.call::<usize>("DBSIZE").unwrap()).sum();
        assert!(keys >= 2000, "{keys} keys are left");
    }
}
