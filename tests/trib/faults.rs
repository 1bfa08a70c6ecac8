//! Nodes that hang or die, and links that are lost, in the middle of an operation: a bounded wait, a clear error, and
//! nothing lost.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::connections::trib_json;
use crate::drain::own_line;
use crate::links::{self, Links, Trouble};
use crate::slots::{fill, id_of, key_in, keys_in};
use crate::support::{Ran, Server, ServerKind, eventually, redis_cli_is_available, run};
use crate::{addrs, cluster, trib};

fn signal(server: &Server, name: &str) {
    assert!(Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap().success());
}

/// Runs `trib` beside the test.
fn begin(line: String) -> std::thread::JoinHandle<(Ran, Duration)> {
    std::thread::spawn(move || {
        let begun = Instant::now();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ran = run(env!("CARGO_BIN_EXE_trib"), &words, "", &[]);
        (ran, begun.elapsed())
    })
}

#[test]
fn a_target_that_hangs_in_the_middle_of_a_reshard() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Nobody takes over meanwhile.
    let servers = cluster(3, 0, "cluster-node-timeout 60000");
    let seed = servers[2].addr();
    // Many slots with a key each are many MIGRATEs in one burst.
    let mut pipeline = redis::pipe();
    for slot in 0..200 {
        pipeline.cmd("SET").arg(key_in(slot)).arg(vec![b'x'; 100_000]).ignore();
    }
    pipeline.query::<()>(&mut servers[0].connect()).unwrap();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let moving =
        begin(format!("reshard --yes --timeout 2000 --read-timeout 2 --from {from} --to {to} --slots 200 {seed}"));
    eventually("some keys have left", || servers[1].call::<usize>("DBSIZE").is_ok_and(|keys| keys > 0));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || moving.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = moving.join().unwrap();
    if ran.code == 0 {
        // It was faster than the signal.
        assert_eq!(keys_in(&servers), 200);
        return;
    }
    assert!(took < Duration::from_secs(60), "{took:?} {ran:?}");
    assert!(ran.stderr.contains("slots were moved"), "{ran:?}");
    eventually("fix puts it in order", || trib(&format!("fix {seed}")).code == 0);
    assert_eq!(trib(&format!("check {seed}")).code, 0);
    assert_eq!(keys_in(&servers), 200);
}

#[test]
fn a_node_that_hangs_in_the_middle_of_a_create() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "");
    // Its bus port is said to be another one, so joining takes until the time is up.
    let wrong =
        format!("{} {} {}@{}", servers[0].addr(), servers[1].addr(), servers[2].addr(), crate::support::free_port());
    let creating = begin(format!("create --yes --wait 20 --read-timeout 1 {wrong}"));
    eventually("it has begun", || servers[1].text("CLUSTER INFO").contains("cluster_slots_assigned:5462"));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || creating.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = creating.join().unwrap();
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(took < Duration::from_secs(30), "{took:?} {ran:?}");
    assert!(ran.stdout.contains(&format!("[ERR] Node {} could not be reset.", servers[1].addr())), "{ran:?}");
    let reset = format!("trib reset --hard {}", servers[1].addr());
    assert!(ran.stderr.contains(&format!("2 of 3 nodes were reset; before the next attempt: {reset}")), "{ran:?}");
    let ran = trib(&format!("reset --yes --hard {}", servers[1].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    eventually("they can be used again", || trib(&format!("create --yes {}", addrs(&servers))).code == 0);
}

#[test]
fn a_node_that_hangs_in_the_middle_of_an_import() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "cluster-node-timeout 60000");
    let source = Server::start(ServerKind::Stock, "");
    let mut pipeline = redis::pipe();
    for n in 0..20_000 {
        pipeline.cmd("SET").arg(format!("key:{n}")).arg(vec![b'x'; 1000]).ignore();
    }
    pipeline.query::<()>(&mut source.connect()).unwrap();
    let import = format!("import --timeout 2000 --read-timeout 2 --from {} {}", source.addr(), servers[0].addr());
    let importing = begin(import.clone());
    eventually("some keys have come", || servers[1].call::<usize>("DBSIZE").is_ok_and(|keys| keys > 0));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || importing.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = importing.join().unwrap();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(ran.code != 0 || source.text("DBSIZE") == "0", "{:?}", ran.code);
    // Nothing is lost, and the same command brings the rest. What was on its way may be on both sides.
    let ran = trib(&format!("{import} --replace"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((keys_in(&servers), source.text("DBSIZE").as_str()), (20_000, "0"));
}

#[test]
fn a_node_that_hangs_in_the_middle_of_a_backup() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Every key takes a moment, and all of a node's take longer than an answer may.
    let slow = "rdb-key-save-delay 3000\nrdbcompression no\nrepl-diskless-sync yes";
    let servers = cluster(3, 0, &format!("cluster-node-timeout 60000\n{slow}"));
    for (n, slots) in [0..1000, 6000..7000, 12_000..13_000].into_iter().enumerate() {
        let mut pipeline = redis::pipe();
        for slot in slots {
            pipeline.cmd("SET").arg(key_in(slot)).arg(vec![b'x'; 1000]).ignore();
        }
        pipeline.query::<()>(&mut servers[n].connect()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let name = |n: usize| format!("redis-node-127.0.0.1-{}-{}.rdb", servers[n].port, id_of(&servers[n]));
    let names = [0, 1, 2].map(name);
    let saving = begin(format!("backup --read-timeout 2 {} {}", servers[0].addr(), dir.path().display()));
    let partial = dir.path().join(format!("{}.partial", names[1]));
    eventually("some of it has come", || partial.metadata().is_ok_and(|file| file.len() > 0));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || saving.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = saving.join().unwrap();
    assert!(ran.code == 1 && took < Duration::from_secs(20), "{took:?} {ran:?}");
    let why = format!("[ERR] node {} did not answer within 2000 ms\n", servers[1].addr());
    assert!(ran.stdout.contains(&why), "{ran:?}");
    // The others had their time.
    assert!(took > Duration::from_secs(3), "{took:?}");
    assert_eq!([0, 1, 2].map(|n: usize| dir.path().join(&names[n]).exists()), [true, false, true]);
    assert!(!partial.exists());
}

/// A cluster to which things happen while `trib` works on it, and what is needed to put it in order again.
struct Ward {
    servers: Vec<Server>,
    /// Not in the cluster: a node that may join, and a server with keys.
    new: Server,
    source: Server,
    links: Links,
    journal: tempfile::TempDir,
    keys: usize,
    random: trib::base::Rng,
}

impl Ward {
    fn new() -> Ward {
        // Nobody takes over meanwhile, and what was written survives a kill.
        let quiet = "cluster-node-timeout 60000\ncluster-allow-replica-migration no\nappendonly yes";
        let servers = cluster(3, 1, quiet);
        fill(servers[0].port, 1000);
        let new = Server::start_in_cluster_mode(ServerKind::Stock, quiet);
        let source = Server::start(ServerKind::Stock, "");
        let links = Links::new(servers.iter().chain([&new, &source]));
        let (journal, random) = (tempfile::tempdir().unwrap(), trib::base::Rng::seeded(3));
        Ward { servers, new, source, links, journal, keys: 1000, random }
    }

    fn seed(&self) -> String {
        self.servers[1].addr()
    }

    fn run(&self, words: &[&str], trouble: Option<(usize, Trouble)>) -> (Ran, usize) {
        let dir = self.journal.path().display().to_string();
        let all = ["--journal", &dir, "--read-timeout", "1", "--connect-timeout", "1"];
        self.links.run(&all.into_iter().chain(words.iter().copied()).collect::<Vec<_>>(), trouble)
    }

    /// Runs a command while this happens to the server at `victim`, mends that, has `trib` go on, and looks whether all
    /// is well.
    fn go_through(&mut self, line: &str, more: &[&str], victim: &str, trouble: Trouble) {
        let words: Vec<&str> = line.split_whitespace().chain(more.iter().copied()).collect();
        // It looks first, and that is not the middle yet.
        let looks = match words[0] {
            "backup" => 4,
            _ => self.run(&[&words[..], &["--dry-run"]].concat(), None).1,
        };
        let at = looks + 5 + self.random.below(10) as usize;
        let begun = Instant::now();
        let (ran, pieces) = self.run(&words, Some((at, trouble)));
        let took = begun.elapsed();
        assert!(pieces >= at, "{words:?}: it was over before anything happened: {ran:?}");
        assert!(took < Duration::from_secs(45), "{words:?}: {took:?} {ran:?}");
        let said = ran.stdout.clone() + &ran.stderr;
        eprintln!("{words:?} {trouble:?} at {at}, {took:?}: {}\n{}", ran.code, ran.stderr);
        assert!(ran.code == 0 || said.contains(victim), "{words:?} {trouble:?}: it says who it was: {ran:?}");
        self.mend(victim, trouble);
        let mended = Instant::now();
        let mut last = ran;
        let unfinished = || {
            let jobs = trib_json(&format!("jobs --json --unfinished --journal {}", self.journal.path().display()));
            jobs.as_array().unwrap().last().map(|job| job["id"].as_str().unwrap().to_owned())
        };
        if last.code != 0 && unfinished().is_none() {
            // It had not begun, or took back what it had done.
            let again = || self.run(&words, None).0.code == 0 || unfinished().is_some();
            eventually(&format!("{words:?} can be done now"), again);
        }
        eventually(&format!("{words:?} is brought to its end"), || {
            let Some(id) = unfinished() else {
                last = trib(&format!("check --search-multiple-owners {}", self.seed()));
                return last.code == 0;
            };
            let resume: Vec<&str> = ["resume", &id].into_iter().chain(more.iter().copied()).collect();
            last = self.run(&resume, None).0;
            if last.code != 0 {
                trib(&format!("fix --yes {}", self.seed()));
            }
            false
        });
        eprintln!("brought back within {:?}", mended.elapsed());
        let check = trib(&format!("check --search-multiple-owners {}", self.seed()));
        assert_eq!(check.code, 0, "{words:?} {trouble:?}: {check:?} after {last:?}");
        let primaries = self.servers.iter().filter(|server| own_line(server).contains("master"));
        let keys: usize = primaries.map(|server| server.call::<usize>("DBSIZE").unwrap()).sum();
        assert_eq!(keys, self.keys, "{words:?} {trouble:?}: no key is lost");
    }

    fn mend(&mut self, victim: &str, trouble: Trouble) {
        match trouble {
            Trouble::KillTrib => {}
            Trouble::Stop(pid) => kill_process(pid, Signal::CONT).unwrap(),
            Trouble::Kill(_) => {
                self.servers.iter_mut().find(|server| server.addr() == victim).expect("a member").restart();
            }
            Trouble::Cut(_) => self.links.mend(),
        }
    }

    fn ids(&self) -> Vec<String> {
        self.servers.iter().map(id_of).collect()
    }
}

#[test]
fn nodes_and_links_fail_while_slots_and_keys_move() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut ward = Ward::new();
    let (ids, seed) = (ward.ids(), ward.seed());
    let addrs: Vec<String> = ward.servers.iter().map(Server::addr).collect();
    let ports: Vec<u16> = ward.servers.iter().map(|server| server.port).collect();
    let pids: Vec<Pid> = ward.servers.iter().map(links::pid).collect();
    ward.go_through(&format!("rebalance --weight {}=2 {seed}", ids[0]), &[], &addrs[0], Trouble::Cut(ports[0]));
    // It is the one that gets most of the slots.
    ward.go_through(&format!("drain --wait 5s {} {}", addrs[0], ids[2]), &[], &addrs[1], Trouble::Stop(pids[1]));
    let line = format!("rebalance --wait 5s --use-empty-masters --threshold 0 {seed}");
    ward.go_through(&line, &[], &addrs[2], Trouble::Kill(pids[2]));
    let mut pipeline = redis::pipe();
    for n in 0..2000 {
        pipeline.cmd("SET").arg(format!("import:{n}")).arg(n).ignore();
    }
    pipeline.query::<()>(&mut ward.source.connect()).unwrap();
    ward.keys += 2000;
    let line = format!("import --pipeline 50 --timeout 1000 --from {} {seed}", ward.source.addr());
    ward.go_through(&line, &[], &addrs[0], Trouble::Cut(ports[0]));
    assert_eq!(ward.source.text("DBSIZE"), "0");
    let dir = tempfile::tempdir().unwrap();
    let line = format!("backup {seed} {}", dir.path().join("bad").display());
    let killed = links::pid(&ward.servers[2]);
    ward.go_through(&line, &[], &addrs[2], Trouble::Kill(killed));
    let good = dir.path().join("good").display().to_string();
    assert_eq!(trib(&format!("backup {seed} {good}")).code, 0);
    for server in &ward.servers[..3] {
        let _: String = server.text("FLUSHALL");
    }
    ward.go_through(&format!("restore --pipeline 20 {good} {seed}"), &[], &addrs[0], Trouble::Cut(ports[0]));
}

#[test]
fn nodes_and_links_fail_while_members_and_roles_change() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let mut ward = Ward::new();
    let seed = ward.seed();
    let (new, port) = (ward.new.addr(), ward.new.port);
    let stopped = links::pid(&ward.new);
    ward.go_through(&format!("add-node --wait 5 {new} {seed}"), &[], &new, Trouble::Stop(stopped));
    // Where the addition was taken back it is another one now.
    let id = id_of(&ward.new);
    ward.go_through(&format!("del-node --wait 5s {seed} {id}"), &[], &new, Trouble::Cut(port));
    assert!(!ward.servers[0].text("CLUSTER NODES").contains(&id));
    let (heir, stopped) = {
        let heir = crate::roll::replica_of(&ward.servers, &ward.servers[0]);
        (heir.addr(), links::pid(heir))
    };
    ward.go_through(&format!("failover --wait 5s --to {heir} {seed}"), &[], &heir, Trouble::Stop(stopped));
    let restarter = crate::roll::Restarter::new(&ward.servers);
    let command = restarter.command(&crate::roll::stock());
    let victim = ward.servers.iter().find(|server| own_line(server).contains("slave")).expect("a replica");
    let (addr, cut) = (victim.addr(), Trouble::Cut(victim.port));
    let line = format!("roll --yes --wait 8s --only replicas {seed}");
    ward.go_through(&line, &["--restart", &command], &addr, cut);
}
