//! `trib` is killed at any point of an operation, and `trib resume` makes the cluster what it would have become. Some
//! points are tried; `KILL_POINTS=100` tries so many of each operation, which is all of them where there are fewer.

use crate::links::{Links, Trouble};
use crate::roll::{Stage, run_id};
use crate::slots::{fill, id_of, key_in, keys_in, slots_of};
use crate::support::cluster_client::Writer;
use crate::support::{Ran, Server, ServerKind, eventually};
use crate::{addrs, cluster, trib};

/// So many points of each operation.
fn points(usual: usize) -> usize {
    std::env::var("KILL_POINTS").map_or(usual, |text| text.parse().expect("KILL_POINTS is a number"))
}

/// What is done again and again to one cluster.
struct Sweep {
    links: Links,
    journal: tempfile::TempDir,
    random: trib::base::Rng,
}

impl Sweep {
    /// `trib` reaches these servers, and may be killed on the way to each.
    fn new<'s>(servers: impl IntoIterator<Item = &'s Server>) -> Sweep {
        let (links, journal) = (Links::new(servers), tempfile::tempdir().unwrap());
        Sweep { links, journal, random: trib::base::Rng::seeded(5) }
    }

    fn run(&self, words: &[String], at: Option<usize>) -> (Ran, usize) {
        let dir = self.journal.path().display().to_string();
        let words: Vec<&str> = ["--journal", &dir].into_iter().chain(words.iter().map(String::as_str)).collect();
        self.links.run(&words, at.map(|at| (at, Trouble::KillTrib)))
    }

    /// The operation once undisturbed, which tells how many points there are, and then with a kill at some of them.
    /// `prepare` makes the cluster ready for it once more and gives its command; `check` looks at what has become of it.
    /// `secret` is what the journal does not keep.
    fn over(
        &mut self,
        usual: usize,
        secret: &[String],
        mut prepare: impl FnMut(usize) -> Vec<String>,
        mut check: impl FnMut(&str),
    ) {
        let words = prepare(0);
        let (ran, total) = self.run(&words, None);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        check("undisturbed");
        let tried = points(usual).min(total);
        for number in 0..tried {
            // One of each part of the way.
            let part = (number * total / tried, (number + 1) * total / tried);
            let at = part.0 + 1 + self.random.below((part.1 - part.0) as u64) as usize;
            let words = prepare(number + 1);
            let (ran, _) = self.run(&words, Some(at));
            let told = format!("{words:?} killed at {at} of {total}");
            if ran.code == -1 {
                let resume: Vec<String> = ["resume".to_owned()].into_iter().chain(secret.iter().cloned()).collect();
                let (mut ran, _) = self.run(&resume, None);
                if ran.stdout.contains("No job was interrupted") {
                    // It had not begun.
                    ran = self.run(&words, None).0;
                }
                assert_eq!(ran.code, 0, "{told}: {ran:?}");
            } else {
                assert_eq!(ran.code, 0, "{told}: {ran:?}");
            }
            check(&told);
        }
    }
}

fn words(line: String) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn assert_well(seed: &str, told: &str) {
    let ran = trib(&format!("check --search-multiple-owners {seed}"));
    assert_eq!(ran.code, 0, "{told}: {ran:?}");
}

#[test]
fn slots_and_keys_in_motion() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "cluster-allow-replica-migration no");
    let source = Server::start(ServerKind::Stock, "");
    let seed = servers[1].addr();
    fill(servers[0].port, 3000);
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let mut sweep = Sweep::new(servers.iter().chain([&source]));
    let shape = || [0, 1, 2].map(|n| slots_of(&servers[n]));
    let writer = Writer::start(servers[0].port, "live", 300);

    let even = [5461, 5462, 5461];
    sweep.over(
        2,
        &[],
        |round| {
            let (from, to) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
            words(format!("reshard --yes --pipeline 5 --from {} --to {} --slots 700 {seed}", ids[from], ids[to]))
        },
        |told| {
            assert!([[4761, 6162, 5461], even].contains(&shape()), "{told}: {:?}", shape());
            assert_well(&seed, told);
        },
    );
    // The next ones begin where this ended.
    assert_eq!(trib(&format!("rebalance --threshold 0 {seed}")).code, 0);
    let mut drains = 0;
    sweep.over(
        2,
        &[],
        |_| {
            if shape()[2] == 0 {
                assert_eq!(trib(&format!("rebalance --threshold 0 --use-empty-masters {seed}")).code, 0);
            }
            words(format!("drain {seed} {}", ids[2]))
        },
        |told| {
            drains += 1;
            assert_eq!(shape()[2], 0, "{told}");
            assert_well(&seed, told);
        },
    );
    assert!(drains > 1);
    sweep.over(
        2,
        &[],
        |round| {
            if round > 0 {
                assert_eq!(trib(&format!("drain {seed} {}", ids[2])).code, 0);
            }
            words(format!("rebalance --threshold 0 --use-empty-masters {seed}"))
        },
        |told| {
            let mut shape = shape();
            shape.sort_unstable();
            assert_eq!(shape, [5461, 5461, 5462], "{told}");
            assert_well(&seed, told);
        },
    );
    assert!(writer.finish(servers[0].port) > 100);
    let live = keys_in(&servers) - 3000;

    sweep.over(
        2,
        &[],
        |_| {
            // A slot that is open, one that is open at one end only, and one that nobody owns.
            let owned = |server: &Server, slot: u16| server.call::<i64>(&format!("EXISTS {}", key_in(slot))).is_ok();
            let owner = |slot| servers.iter().position(|server| owned(server, slot)).expect("somebody owns it");
            for (slot, both) in [(100, true), (101, false)] {
                let (from, to) = (owner(slot), (owner(slot) + 1) % 3);
                assert_eq!(servers[to].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from])), "OK");
                if both {
                    assert_eq!(servers[from].text(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to])), "OK");
                }
            }
            for server in &servers {
                let _ = server.call::<String>("CLUSTER DELSLOTS 16000");
            }
            words(format!("fix --yes {seed}"))
        },
        |told| {
            assert_well(&seed, told);
            assert_eq!(keys_in(&servers), 3000 + live, "{told}");
        },
    );

    // Moved and copied; some keys of the last round are in the cluster under other names.
    let mut all = keys_in(&servers);
    let mut copies = false;
    sweep.over(
        4,
        &[],
        |round| {
            let _: String = source.text("FLUSHALL");
            let mut pipeline = redis::pipe();
            for n in 0..1500 {
                pipeline.cmd("SET").arg(format!("import:{round}:{n}")).arg(n).ignore();
            }
            pipeline.query::<()>(&mut source.connect()).unwrap();
            copies = round % 2 == 1;
            let copy = if copies { "--copy" } else { "" };
            words(format!("import {copy} --pipeline 20 --jobs 2 --from {} {seed}", source.addr()))
        },
        |told| {
            all += 1500;
            assert_eq!(keys_in(&servers), all, "{told}");
            let left: usize = source.call("DBSIZE").unwrap();
            assert!([0, 1500].contains(&left), "{told}: {left} are left");
        },
    );
    assert_well(&seed, "at last");
}

#[test]
fn members_that_come_and_go() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let new = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let seed = servers[0].addr();
    let mut sweep = Sweep::new(servers.iter().chain([&new]));
    let knows = |server: &Server| server.text("CLUSTER NODES").contains(&id_of(&new));
    let remove = || trib(&format!("del-node {seed} {}", id_of(&new)));
    let add = || trib(&format!("add-node --slave {} {seed}", new.addr()));
    sweep.over(
        2,
        &[],
        |_| {
            if knows(&servers[0]) {
                assert_eq!(remove().code, 0);
            }
            words(format!("add-node --slave {} {seed}", new.addr()))
        },
        |told| {
            assert!(servers.iter().all(knows), "{told}");
            assert!(new.text("CLUSTER NODES").contains("myself,slave"), "{told}");
            assert_well(&seed, told);
        },
    );
    sweep.over(
        2,
        &[],
        |_| {
            if !knows(&servers[0]) {
                assert_eq!(add().code, 0);
            }
            words(format!("del-node {seed} {}", id_of(&new)))
        },
        |told| {
            assert!(!servers.iter().any(knows), "{told}");
            assert_eq!(new.text("CLUSTER NODES").lines().count(), 1, "{told}");
            assert_well(&seed, told);
        },
    );
}

#[test]
fn a_cluster_that_is_made() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 4, "");
    let mut sweep = Sweep::new(&servers);
    sweep.over(
        2,
        &[],
        |_| {
            servers.iter().for_each(|server| assert_eq!(server.text("CLUSTER RESET HARD"), "OK"));
            // A greeting that is under way would bring one back.
            eventually("they know nobody", || {
                servers.iter().all(|server| {
                    server.text("CLUSTER NODES").lines().count() == 1 || server.text("CLUSTER RESET HARD") != "OK"
                })
            });
            words(format!("create --yes --allow-few --replicas 1 {}", addrs(&servers)))
        },
        |told| {
            assert_eq!([0, 1].map(|n| slots_of(&servers[n])), [8192, 8192], "{told}");
            assert_well(&servers[3].addr(), told);
            let is_replica = |server: &Server| server.text("CLUSTER NODES").contains("myself,slave");
            assert!(servers[2..].iter().all(is_replica), "{told}");
        },
    );
}

#[test]
fn a_roll() {
    let Some(stage) = Stage::new(500) else { return };
    let (seed, servers) = (stage.seed(), &stage.servers);
    let mut sweep = Sweep::new(servers);
    let restart = ["--restart".to_owned(), stage.restarter.command(&crate::roll::stock())];
    let primaries = || [0, 1, 2].map(|n| crate::drain::own_line(&servers[n]).contains("master"));
    let runs = std::cell::RefCell::new(Vec::new());
    sweep.over(
        3,
        &restart,
        |_| {
            *runs.borrow_mut() = servers.iter().map(run_id).collect();
            words(format!("roll --yes --back {seed}")).into_iter().chain(restart.clone()).collect()
        },
        |told| {
            for (server, before) in servers.iter().zip(&*runs.borrow()) {
                assert_ne!(run_id(server), *before, "{told}: {} was restarted", server.addr());
            }
            assert_eq!(primaries(), [true; 3], "{told}: roles are what they were");
            assert_well(&seed, told);
            assert_eq!(keys_in(&servers[..3]), 500, "{told}");
        },
    );
}

/// The servers move the slots themselves, and go on with that when nobody waits for them any more.
#[test]
fn slots_that_the_servers_move() {
    let servers = Server::start_many(ServerKind::Node, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    let seed = servers[2].addr();
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    // It takes a while.
    let mut pipeline = redis::pipe();
    for slot in 0..1000 {
        pipeline.cmd("SET").arg(key_in(slot)).arg(vec![b'x'; 10_000]).ignore();
    }
    pipeline.query::<()>(&mut servers[0].connect()).unwrap();
    let writer = Writer::start(servers[0].port, "live", 300);
    let mut sweep = Sweep::new(&servers);
    // What comes before is no different from other moves.
    sweep.links.count_from("MIGRATESLOTS");
    let shape = || [0, 1, 2].map(|n| slots_of(&servers[n]));
    // All at once, and in portions.
    for limit in ["", "--max-keys-per-sec 20000"] {
        sweep.over(
            4,
            &[],
            |_| {
                let (from, to) = if shape()[0] == 5461 { (0, 1) } else { (1, 0) };
                let pair = format!("--from {} --to {}", ids[from], ids[to]);
                words(format!("reshard --yes --engine atomic {limit} {pair} --slots 1000 {seed}"))
            },
            |told| {
                assert!([[4461, 6462, 5461], [5461, 5462, 5461]].contains(&shape()), "{told}: {:?}", shape());
                assert_well(&seed, told);
                let moves = |server: &Server| server.text("CLUSTER NODES").contains("->-");
                assert!(!servers.iter().any(moves), "{told}: a slot is open");
            },
        );
    }
    assert!(writer.finish(servers[0].port) > 100);
    let found: usize = (0..1000u16)
        .filter(|&slot| {
            let key = key_in(slot);
            let owner = servers.iter().find_map(|server| server.call::<usize>(&format!("STRLEN {key}")).ok());
            owner == Some(10_000)
        })
        .count();
    assert_eq!(found, 1000, "no key is lost");
}
