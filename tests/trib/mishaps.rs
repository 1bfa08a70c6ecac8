//! Nodes that hang or die, and links that are lost, while every node is told something, while roles change hands and
//! while half-moved slots are repaired: a bounded wait, a clear error, and nothing lost.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::connections::trib_json;
use crate::drain::own_line;
use crate::links::{Links, Trouble, pid};
use crate::roll::replica_of;
use crate::slots::{id_of, key_in, keys_in};
use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{Ran, Server, ServerKind, eventually};
use crate::{addrs, cluster, trib};

/// Some answers that do not come, as many MIGRATEs as are on their way at once, and a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// Runs a command, and this happens when it sends the first piece that has the text, or so many later. It has to end
/// before long, and badly.
fn disturbed(links: &Links, line: &str, (text, later): (&'static str, usize), trouble: Trouble) -> Ran {
    links.count_from(text);
    let limits = ["--read-timeout", "2", "--connect-timeout", "2"];
    let words: Vec<&str> = limits.into_iter().chain(line.split_whitespace()).collect();
    let begun = Instant::now();
    let (ran, pieces) = links.run(&words, Some((later + 1, trouble)));
    let took = begun.elapsed();
    eprintln!("{line}: {trouble:?}, {pieces} pieces, {took:?}: {ran:?}");
    assert!(pieces > later, "{line}: it was over before anything happened: {ran:?}");
    assert!(took < BOUND, "{line}: {took:?} {ran:?}");
    assert!(ran.code == 1 || ran.code == 6, "{line}: {ran:?}");
    ran
}

fn go_on(stopped: Pid) {
    kill_process(stopped, Signal::CONT).unwrap();
}

fn assert_brought_back(line: &str) {
    eventually(&format!("{line} succeeds"), || {
        let ran = trib(line);
        if ran.code != 0 {
            eprintln!("{line}: {ran:?}");
        }
        ran.code == 0
    });
}

#[test]
fn nodes_and_links_fail_while_all_nodes_are_told() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "cluster-node-timeout 60000");
    let links = Links::new(&servers);
    let seed = servers[0].addr();
    let names: Vec<String> = servers.iter().map(Server::addr).collect();
    let hung = pid(&servers[1]);

    let line = format!("set-timeout {seed} 54321");
    let ran = disturbed(&links, &line, ("cluster-node-timeout", 0), Trouble::Stop(hung));
    go_on(hung);
    let why = format!("ERR setting node-timeout for {}: no answer within 2000 ms\n", names[1]);
    assert!(ran.stdout.contains(&why) && ran.stdout.contains(">>> New node timeout set. 2 OK, 1 ERR.\n"), "{ran:?}");
    assert_brought_back(&line);
    assert!(trib(&format!("config get {seed} cluster-node-timeout")).stdout.contains("54321"));

    // A command may take its time, but not when something else was said.
    let call = format!("call {seed} ECHO bell");
    let ran = disturbed(&links, &call, ("bell", 0), Trouble::Stop(hung));
    go_on(hung);
    for (name, answer) in names.iter().zip(["bell", "no answer within 2000 ms", "bell"]) {
        assert!(ran.stdout.contains(&format!("{name}: {answer}\n")), "{ran:?}");
    }
    let ran = disturbed(&links, &call, ("bell", 0), Trouble::Cut(servers[2].port));
    links.mend();
    assert!(ran.stdout.contains(&format!("{}: bell\n{}: bell\n{}: ", names[0], names[1], names[2])), "{ran:?}");
    assert_eq!(trib(&call).stdout.matches(": bell\n").count(), 3);

    let line = format!("config set {seed} maxmemory-samples 7");
    let ran = disturbed(&links, &line, ("maxmemory-samples", 0), Trouble::Kill(hung));
    assert!(ran.stdout.contains("maxmemory-samples set on 2 of 3 nodes.\n"), "{ran:?}");
    assert!(
        (ran.stdout.clone() + &ran.stderr).contains(&format!("lost the connection to node {}: ", names[1])),
        "{ran:?}"
    );
    servers[1].restart();
    assert_brought_back(&line);
    assert_brought_back(&format!("check {seed}"));
    for server in &servers {
        assert_eq!(server.call::<Vec<String>>("CONFIG GET maxmemory-samples").unwrap()[1], "7");
    }
}

#[test]
fn nodes_and_links_fail_while_a_cluster_is_given_up() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "cluster-node-timeout 60000");
    let links = Links::new(&servers);
    let reset = format!("reset --yes {}", addrs(&servers));
    for victim in 0..3 {
        let (name, id) = (servers[victim].addr(), pid(&servers[victim]));
        let (trouble, code, what) = [
            (Trouble::Stop(id), 6, format!("[ERR] node {name} did not answer within 2000 ms\n")),
            (Trouble::Cut(servers[victim].port), 1, format!("[ERR] lost the connection to node {name}: ")),
            (Trouble::Kill(id), 1, format!("[ERR] lost the connection to node {name}: ")),
        ][victim]
            .clone();
        let ran = disturbed(&links, &reset, ("RESET", 0), trouble);
        assert!(ran.code == code && ran.stdout.contains(&what), "{ran:?}");
        assert!(ran.stderr.contains("2 of 3 nodes were reset; the same command again takes the others"), "{ran:?}");
        match trouble {
            Trouble::Stop(stopped) => go_on(stopped),
            Trouble::Kill(_) => servers[victim].restart(),
            _ => links.mend(),
        }
        assert_brought_back(&reset);
        assert_brought_back(&format!("create --yes {}", addrs(&servers)));
    }
}

#[test]
fn nodes_and_links_fail_while_the_dead_are_forgotten() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Nobody takes over from a primary that hangs for a while.
    let mut servers = cluster(3, 1, "cluster-node-timeout 1500\ncluster-replica-no-failover yes");
    let links = Links::new(&servers);
    let seed = servers[0].addr();
    let line = format!("forget-failed --yes --wait 20s {seed}");
    for (round, dead) in (3..6).enumerate() {
        let gone = id_of(&servers[dead]);
        servers[dead].kill();
        let is_dead = |server: &Server| {
            let nodes = server.text("CLUSTER NODES");
            let line = nodes.lines().find(|line| line.starts_with(&gone)).expect("it is a member");
            line.contains(" slave,fail,")
        };
        eventually("it is held to have failed", || servers[..3].iter().all(is_dead));
        let (victim, id) = (servers[2].addr(), pid(&servers[2]));
        let (trouble, code, what) = [
            (Trouble::Stop(id), 6, format!("[ERR] node {victim} did not answer within 2000 ms\n")),
            (Trouble::Cut(servers[2].port), 1, format!("[ERR] lost the connection to node {victim}: ")),
            (Trouble::Kill(id), 1, format!("[ERR] lost the connection to node {victim}: ")),
        ][round]
            .clone();
        let ran = disturbed(&links, &line, ("FORGET", 0), trouble);
        assert!(ran.code == code && ran.stdout.contains(&what), "{ran:?}");
        assert!(
            ran.stdout.contains(&format!("{gone} {} (slave,fail,nofailover) is to be forgotten", servers[dead].addr())),
            "{ran:?}"
        );
        let others = servers.len() - 1 - round - 1;
        assert!(ran.stderr.contains(&format!("{others} of {} nodes were told", others + 1)), "{ran:?}");
        match trouble {
            Trouble::Stop(stopped) => go_on(stopped),
            Trouble::Kill(_) => servers[2].restart(),
            _ => links.mend(),
        }
        // Who could not be told spreads the word of it for a while.
        assert_brought_back(&line);
        let knows = |server: &Server| server.text("CLUSTER NODES").contains(&gone);
        let alive: Vec<&Server> = servers[..3].iter().chain(&servers[dead + 1..]).collect();
        assert!(!alive.iter().any(|server| knows(server)), "{trouble:?}");
        assert_brought_back(&format!("check {seed}"));
    }
    assert_eq!(servers[0].text("CLUSTER NODES").lines().count(), 3);
}

#[test]
fn a_node_hangs_while_roles_are_spread() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let links = Links::new(&servers);
    let seed = servers[1].addr();
    let heirs: Vec<&Server> = servers[..3].iter().map(|primary| replica_of(&servers, primary)).collect();
    let names: Vec<String> = heirs.iter().map(|heir| heir.addr()).collect();
    let line = format!("rebalance-roles --wait 20s --prefer {} {seed}", names.join(","));
    let plan = trib_json(&format!("{line} --dry-run --json"));
    let second =
        heirs.iter().find(|heir| plan["steps"][1]["node"]["id"] == id_of(heir).as_str()).expect("a second step");
    let writer = Writer::start(servers[1].port, "live", 200);
    // The first takes over, and then nothing comes of the second.
    let ran = disturbed(&links, &line, ("FAILOVER", 1), Trouble::Stop(pid(second)));
    go_on(pid(second));
    assert!(ran.stdout.contains(&format!("[ERR] node {} did not answer within 2000 ms\n", second.addr())), "{ran:?}");
    assert!(ran.stderr.contains("1 of 3 failovers are done; run the same command again for the rest"), "{ran:?}");
    assert_eq!(heirs.iter().filter(|heir| own_line(heir).contains("master")).count(), 1);
    assert_brought_back(&line);
    assert!(heirs.iter().all(|heir| own_line(heir).contains("master")));
    assert_brought_back(&format!("check {seed}"));
    assert!(writer.finish(servers[1].port) > 100);
}

/// Keys of each slot.
const KEYS: usize = 6;

fn keys_of(slot: u16) -> impl Iterator<Item = String> {
    (0..KEYS).map(move |n| format!("{{{}}}:{n}", key_in(slot)))
}

/// Opens the slots, with half of the keys of each at either end: as a move leaves them that was cut off.
fn move_half(from: &Server, to: &Server, slots: &std::ops::Range<u16>) {
    let (source, target) = (id_of(from), id_of(to));
    let (mut at_source, mut at_target) = (redis::pipe(), redis::pipe());
    for slot in slots.clone() {
        at_target.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("IMPORTING").arg(&source).ignore();
        keys_of(slot).for_each(|key| _ = at_source.cmd("SET").arg(&key).arg(format!("value of {key}")).ignore());
        at_source.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("MIGRATING").arg(&target).ignore();
        for key in keys_of(slot).take(KEYS / 2) {
            at_source.cmd("MIGRATE").arg("127.0.0.1").arg(to.port).arg(key).arg(0).arg(5000).ignore();
        }
    }
    at_target.query::<()>(&mut to.connect()).unwrap();
    at_source.query::<()>(&mut from.connect()).unwrap();
}

#[test]
fn nodes_and_links_fail_while_half_moved_slots_are_repaired() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Nobody takes over meanwhile, and what was written survives a kill.
    let mut servers = cluster(3, 0, "cluster-node-timeout 60000\nappendonly yes\nappendfsync always");
    let links = Links::new(&servers);
    let seed = servers[2].addr();
    let (source, target) = (servers[0].port, servers[1].addr());
    let mut slots = 0..60;
    // The client writes to one of the open slots as long as keys get through, else to slots beside them: a MIGRATE
    // that was not answered may have left a copy behind.
    for (trouble, written) in
        [(Trouble::Cut(source), 0), (Trouble::Stop(pid(&servers[1])), 5000), (Trouble::Kill(pid(&servers[1])), 16_000)]
    {
        let before = keys_in(&servers);
        move_half(&servers[0], &servers[1], &slots);
        let writer = Writer::start(servers[2].port, &format!("{{{}}}live", key_in(slots.start + written)), 20);
        let fix = format!("fix --pipeline 1 --timeout 1000 {seed}");
        let ran = disturbed(&links, &fix, ("MIGRATE\r\n", 1), trouble);
        match trouble {
            Trouble::Stop(stopped) => go_on(stopped),
            Trouble::Kill(_) => servers[1].restart(),
            _ => links.mend(),
        }
        let why = format!("{}{}", ran.stdout, ran.stderr);
        assert!(why.contains(&target) || why.contains(&servers[0].addr()), "{trouble:?}: {why}");
        assert_brought_back(&format!("fix {seed}"));
        assert_brought_back(&format!("check --search-multiple-owners {seed}"));
        assert!(writer.finish(servers[2].port) > 100);
        let live = keys_in(&servers) - before - slots.len() * KEYS;
        assert!(live <= 20, "{trouble:?}: {live} keys too many");
        let mut client = ClusterClient::new(servers[2].port);
        for key in slots.clone().flat_map(keys_of) {
            let value = client.query(redis::cmd("GET").arg(&key), &key).unwrap();
            assert_eq!(value, redis::Value::BulkString(format!("value of {key}").into_bytes()), "{trouble:?}: {key}");
        }
        slots = slots.end..slots.end + 60;
    }
}

#[test]
fn a_resumed_reshard_loses_its_target_among_half_moved_slots() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "cluster-node-timeout 60000");
    let links = Links::new(&servers);
    let (source, target, seed) = (&servers[0], &servers[1], servers[2].addr());
    let keys: Vec<String> = (0..60).flat_map(keys_of).collect();
    let mut pipeline = redis::pipe();
    keys.iter().for_each(|key| _ = pipeline.cmd("SET").arg(key).arg(format!("value of {key}")).ignore());
    pipeline.query::<()>(&mut source.connect()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let journal = ["--journal", &dir.path().display().to_string(), "--read-timeout", "2"].join(" ");
    let run = |line: &str, trouble| {
        let line = format!("{line} {journal}");
        links.run(&line.split_whitespace().collect::<Vec<_>>(), trouble).0
    };
    links.count_from("MIGRATE\r\n");
    let reshard =
        format!("reshard --yes --pipeline 2 --from {} --to {} --slots 60 {seed}", id_of(source), id_of(target));
    assert_eq!(run(&reshard, Some((2, Trouble::KillTrib))).code, -1);
    let held = |server: &Server, slot: u16| server.text(&format!("CLUSTER COUNTKEYSINSLOT {slot}")) != "0";
    let half_moved = || (0..60).filter(|&slot| held(source, slot) && held(target, slot)).count();
    eventually("some slots are half moved", || half_moved() > 0);

    // It finds them open, and cannot even begin: where it does not see what the target holds, they stay as they are.
    links.count_from("SETSLOT");
    let ran = run("resume", Some((1, Trouble::Cut(target.port))));
    let lost = format!("lost the connection to node {}", target.addr());
    assert!(ran.code == 1 && (ran.stdout.clone() + &ran.stderr).contains(&lost), "{ran:?}");
    assert!(ran.stderr.contains("0 of 60 slots were moved; open: 0-59 (clients are still served)"), "{ran:?}");
    assert!(half_moved() > 0);
    let assert_there = |told: &str| {
        let mut client = ClusterClient::new(servers[2].port);
        for key in &keys {
            let value = client.query(redis::cmd("GET").arg(key), key).unwrap();
            assert_eq!(value, redis::Value::BulkString(format!("value of {key}").into_bytes()), "{told}: {key}");
        }
    };
    assert_there("open");
    links.mend();
    let jobs = trib_json(&format!("jobs --json --unfinished {journal}"));
    assert_brought_back(&format!("resume {} {journal}", jobs[0]["id"].as_str().unwrap()));
    assert_brought_back(&format!("check --search-multiple-owners {seed}"));
    assert_eq!((keys_in(&servers[..1]), keys_in(&servers[1..2])), (0, keys.len()));
    assert_there("moved");
}
