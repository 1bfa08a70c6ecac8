//! The journal: what was cut off is finished, or taken back, whenever it was cut off.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::connections::trib_json;
use crate::drain::own_line;
use crate::slots::{fill, id_of, key_in, keys_in, slots_of};
use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{STATE_HOME, Server, ServerKind, eventually};
use crate::{addrs, cluster, trib, trib_with};

/// A run with a journal of its own.
fn start(dir: &Path, line: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trib"));
    command.arg("--journal").arg(dir).args(line.split_whitespace());
    command.env("XDG_STATE_HOME", STATE_HOME).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts a run and kills it without warning as soon as this is so; whether that was in time.
fn kill_when(dir: &Path, line: &str, mut now: impl FnMut() -> bool) -> bool {
    let mut run = start(dir, line);
    eventually("it is far enough, or over", || run.try_wait().unwrap().is_some() || now());
    run.kill().unwrap();
    run.wait().unwrap();
    let last = jobs(&format!("--journal {}", dir.display())).pop();
    last.is_some_and(|job| job["state"] == "interrupted")
}

fn journal() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let option = format!("--journal {}", dir.path().display());
    (dir, option)
}

fn jobs(option: &str) -> Vec<serde_json::Value> {
    trib_json(&format!("jobs --json {option}")).as_array().unwrap().clone()
}

#[test]
fn a_reshard_that_is_killed_again_and_again_ends_as_planned() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let seed = servers[2].addr();
    fill(servers[0].port, 20_000);
    let writers: Vec<Writer> = (0..2).map(|n| Writer::start(servers[n].port, &format!("w{n}"), 2000)).collect();
    let (dir, option) = journal();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let mut random = trib::base::Rng::seeded(11);
    let mut line = format!("reshard --yes --pipeline 3 --from {from} --to {to} --slots 4000 {seed}");
    let mut kills = 0;
    for _ in 0..6 {
        // In the middle of a slot as a rule, somewhere in the next few hundred.
        let left = slots_of(&servers[0]).saturating_sub(50 + random.below(600) as usize);
        let is_open = |server: &Server| server.text("CLUSTER NODES").contains("->-");
        kills += usize::from(kill_when(dir.path(), &line, || slots_of(&servers[0]) <= left && is_open(&servers[0])));
        line = "resume --pipeline 3".to_owned();
        let all = jobs(&option);
        assert_eq!(all.len(), 1, "{all:?}");
    }
    assert!(kills > 2, "it was killed on its way: {kills}");
    if jobs(&option)[0]["state"] != "done" {
        assert_eq!(jobs(&option)[0]["state"], "interrupted");
        let ran = trib(&format!("resume {option}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(jobs(&option)[0]["state"], "done");
    assert_eq!(jobs(&option)[0]["progress"], "4000 of 4000 slots", "what was done over all runs");
    assert_eq!([0, 1, 2].map(|n| slots_of(&servers[n])), [5461 - 4000, 5462 + 4000, 5461]);
    let ran = trib(&format!("check --search-multiple-owners {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let written: u64 = writers.into_iter().map(|writer| writer.finish(servers[0].port)).sum();
    assert!(written > 100, "the writers were there all the time: {written}");
    let mut client = ClusterClient::new(servers[2].port);
    for n in 0..20_000 {
        let key = format!("fill:{n}");
        let value = client.query(redis::cmd("GET").arg(&key), &key).unwrap();
        assert_eq!(value, redis::Value::BulkString(n.to_string().into_bytes()), "{key}");
    }
    // There and back.
    let ran = trib(&format!("undo --yes {option}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!([0, 1, 2].map(|n| slots_of(&servers[n])), [5461, 5462, 5461]);
    let states: Vec<_> = jobs(&option).iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["undone", "done"]);
    assert_eq!(trib(&format!("check --search-multiple-owners {seed}")).code, 0);
}

#[test]
fn a_create_that_is_killed_anywhere_is_finished_or_taken_back() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    type Moment = fn(&[Server]) -> bool;
    let moments: [Moment; 4] = [
        |servers| servers[0].text("CLUSTER NODES").contains("0-5460"),
        |servers| servers[1].text("CLUSTER NODES").lines().count() > 1,
        |servers| servers[4].text("CLUSTER NODES").lines().count() == 6,
        |servers| servers[3].text("CLUSTER NODES").contains("myself,slave"),
    ];
    for (round, moment) in moments.into_iter().enumerate() {
        let servers = Server::start_many(ServerKind::Stock, 6, "");
        let (dir, option) = journal();
        let line = format!("create --yes --replicas 1 {}", addrs(&servers));
        if !kill_when(dir.path(), &line, || moment(&servers)) {
            continue;
        }
        let again = trib(&format!("{line} {option} --lock-wait 10"));
        let told = again.stderr.matches("hint: job ").count();
        assert!(again.code == 1 && told == 1 && !again.stderr.contains("trib reset"), "{round}: {again:?}");
        if round % 2 == 1 {
            let ran = trib(&format!("undo --yes {option}"));
            assert_eq!(ran.code, 0, "{round}: {ran:?}");
            assert!(servers.iter().all(|server| server.text("CLUSTER NODES").lines().count() == 1));
            assert_eq!(trib(&format!("{line} {option}")).code, 0, "they can be used again");
        } else {
            let ran = trib(&format!("resume {option}"));
            assert_eq!(ran.code, 0, "{round}: {ran:?}");
        }
        let ran = trib(&format!("check --fail-on warn {}", servers[5].addr()));
        assert!(ran.stdout.contains("[OK] All 16384 slots covered."), "{round}: {ran:?}");
        assert_eq!([0, 1, 2].map(|n| slots_of(&servers[n])), [5461, 5462, 5461]);
        for (replica, primary) in [(3, 0), (4, 1), (5, 2)] {
            assert!(servers[replica].text("CLUSTER NODES").contains(&format!("slave {}", id_of(&servers[primary]))));
        }
        assert_eq!(trib(&format!("resume {option}")).code, 1, "there is nothing more to do");
        // In use, it is not taken apart.
        assert_eq!(servers[0].text(&format!("SET {} x", key_in(0))), "OK");
        let ran = trib(&format!("undo --yes {option}"));
        assert!(ran.code == 1 && ran.stdout.contains("holds keys: the cluster is in use by now"), "{ran:?}");
    }
}

#[test]
fn members_come_and_go_through_a_kill() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let new = Server::start_many(ServerKind::Stock, 2, "");
    let (dir, option) = journal();
    for (node, extra) in new.iter().zip(["", "--slave"]) {
        let met = || node.text("CLUSTER NODES").lines().count() > 1;
        if kill_when(dir.path(), &format!("add-node {extra} {} {seed}", node.addr()), met) {
            let ran = trib(&format!("resume {option}"));
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        eventually("it is a member", || servers.iter().all(|s| s.text("CLUSTER NODES").contains(&id_of(node))));
    }
    assert!(new[1].text("CLUSTER NODES").contains("myself,slave"));
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let added = jobs(&option);
    assert_eq!(added.len(), 2);

    // A node that was given slots is not taken away unasked.
    let id = |n: usize| added[n]["id"].as_str().unwrap().to_owned();
    let (from, to) = (id_of(&servers[0]), id_of(&new[0]));
    assert_eq!(trib(&format!("reshard --yes --from {from} --to {to} --slots 3 {seed} {option}")).code, 0);
    let ran = trib(&format!("undo --yes {} {option}", id(0)));
    assert!(ran.code == 1 && ran.stdout.contains("The cluster has moved on since"), "{ran:?}");
    assert_eq!(trib(&format!("undo --yes {option}")).code, 0, "the slots first");
    for n in 0..2 {
        let ran = trib(&format!("undo --yes {} {option}", id(n)));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(new[0].text("CLUSTER NODES").lines().count(), 1);
    let ran = trib(&format!("check {seed}"));
    assert!(ran.code == 0 && servers[0].text("CLUSTER NODES").lines().count() == 3, "{ran:?}");

    // A removal that was cut off.
    assert_eq!(trib(&format!("add-node {} {seed}", new[0].addr())).code, 0);
    let forgot = || !servers[1].text("CLUSTER NODES").contains(&to);
    if kill_when(dir.path(), &format!("del-node {seed} {to}"), forgot) {
        let ran = trib(&format!("resume {option}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(new[0].text("CLUSTER NODES").lines().count(), 1);
    assert!(servers.iter().all(|server| server.text("CLUSTER NODES").lines().count() == 3));
}

#[test]
fn an_addition_that_is_cut_off_is_taken_back_though_greetings_are_on_their_way() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let new = Server::start_many(ServerKind::Stock, 2, "");
    let (dir, option) = journal();
    for node in &new {
        // The moment that its first greeting is told to it, or a little later.
        let met = || node.text("CLUSTER NODES").lines().count() > 1;
        if !kill_when(dir.path(), &format!("add-node {} {seed}", node.addr()), met) {
            continue;
        }
        let ran = trib(&format!("undo --yes {option}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let known: Vec<usize> =
            servers.iter().chain([node]).map(|server| server.text("CLUSTER NODES").lines().count()).collect();
        assert_eq!(known, [3, 3, 3, 1], "nobody is being greeted: {ran:?}");
    }
    assert_eq!(trib(&format!("check {seed}")).code, 0);
}

#[test]
fn a_cluster_that_has_moved_on_is_left_alone() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let (_dir, option) = journal();
    let reshard = |from: usize, to: usize| {
        trib(&format!("reshard --yes --from {} --to {} --slots 5 {seed} {option}", ids[from], ids[to]))
    };
    assert_eq!(reshard(0, 1).code, 0);
    let job = jobs(&option)[0]["id"].as_str().unwrap().to_owned();
    let range = format!("--from {} --to {} --slots 5462", ids[1], ids[2]);
    assert_eq!(trib(&format!("reshard --yes {range} {seed} --journal {STATE_HOME}/other")).code, 0);
    let ran = trib(&format!("undo --yes {job} {option}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("[ERR] The cluster has moved on since: slot 0 belongs to "), "{ran:?}");
    let ran = trib(&format!("resume {job} {option}"));
    assert!(ran.code == 1 && ran.stdout.contains("is done: there is nothing to resume"), "{ran:?}");
    assert_eq!(trib(&format!("resume nonsense {option}")).code, 1);
    let ran = trib(&format!("jobs {option}"));
    assert!(ran.stdout.contains("done") && ran.stdout.contains("5 of 5 slots"), "{ran:?}");
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    fill(servers[0].port, 20_000);
    let (_dir, option) = journal();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let line =
        format!("reshard --yes --pipeline 1 --from {from} --to {to} --slots 5000 {option} {}", servers[2].addr());
    let mut command = Command::new(env!("CARGO_BIN_EXE_trib"));
    let run = command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("slots are on their way", || slots_of(&servers[0]) < 5400);
    assert_eq!(jobs(&option)[0]["state"], "running");
    assert_eq!(trib(&format!("resume {} {option}", jobs(&option)[0]["id"].as_str().unwrap())).code, 1);
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let told = String::from_utf8_lossy(&run.wait_with_output().unwrap().stderr).into_owned();
    let hint = told.lines().find_map(|line| line.strip_prefix("go on with: trib ")).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(jobs(&option)[0]["state"], "interrupted");
    let plan = trib(&format!("{hint} {option} --dry-run"));
    assert!(plan.code == 4 && plan.stdout.contains("move slots"), "{plan:?}");
    let ran = trib(&format!("{hint} {option}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((slots_of(&servers[0]), keys_in(&servers)), (461, 20_000));
}

#[test]
fn no_secret_is_written_down() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "requirepass s3cret\nmasterauth s3cret\n");
    let (dir, option) = journal();
    let uri = |server: &Server| format!("redis://default:s3cret@{}", server.addr());
    let all: Vec<String> = servers.iter().map(uri).collect();
    let source = Server::start(ServerKind::Stock, "requirepass s3cret");
    assert_eq!(source.text("SET key value"), "OK");
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let seed = uri(&servers[0]);
    for line in [
        format!("create --yes {option} {}", all.join(" ")),
        format!("reshard --yes {option} -a s3cret --from {from} --to {to} --slots 3 {}", servers[0].addr()),
        format!("--cluster rebalance {seed} --cluster-threshold 0 -a s3cret {option}"),
        format!("import {option} --from {} --replace {seed}", uri(&source)),
        format!("import {option} --from {} --from-pass s3cret -a s3cret {}", source.addr(), servers[0].addr()),
        format!("import {option} --from {} --from-pass=s3cret --pass=s3cret {}", source.addr(), servers[0].addr()),
        format!("config set {option} {seed} masterauth s3cret"),
    ] {
        let ran = trib_with(&line, "", &[]);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        files += 1;
    }
    assert_eq!(files, 6, "all but the setting of a value");
}

#[test]
fn what_has_left_its_place_is_put_back() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // An emptied primary makes itself a replica.
    let servers = cluster(3, 1, "cluster-allow-replica-migration yes");
    let seed = servers[1].addr();
    fill(servers[0].port, 500);
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let follower = servers[3..].iter().find(|server| own_line(server).contains(&ids[0])).expect("it has a replica");
    let (_dir, option) = journal();
    let is_as_before = |told: &str| {
        assert_eq!([0, 1, 2].map(|n| slots_of(&servers[n])), [5461, 5462, 5461], "{told}");
        assert!(own_line(follower).contains(&format!("slave {}", ids[0])), "{told}: {}", own_line(follower));
        let ran = trib(&format!("check --search-multiple-owners {seed}"));
        assert_eq!((ran.code, keys_in(&servers[..3])), (0, 500), "{told}: {ran:?}");
    };
    let replica = id_of(follower);
    for line in [
        format!("drain {seed} {}", ids[0]),
        format!("del-node --drain {seed} {}", ids[0]),
        format!("del-node {seed} {replica}"),
        format!("failover --to {replica} {seed}"),
    ] {
        let ran = trib(&format!("{line} {option}"));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let plan = trib(&format!("undo --dry-run {option}"));
        assert_eq!(plan.code, 4, "{line}: {plan:?}");
        let ran = trib(&format!("undo --yes {option}"));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        is_as_before(&line);
    }

    // What cannot be had again is said.
    let source = Server::start(ServerKind::Stock, "");
    assert_eq!(source.text("SET from-outside x"), "OK");
    assert_eq!(trib(&format!("import --from {} {seed} {option}", source.addr())).code, 0);
    let ran = trib(&format!("undo --yes {option}"));
    assert!(ran.code == 1 && ran.stdout.contains("An import cannot be undone"), "{ran:?}");
}
