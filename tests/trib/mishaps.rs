//! Nodes that hang or die, and links that are lost, while every node is told something and while roles change hands: a
//! bounded wait, a clear error, and nothing lost.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::connections::trib_json;
use crate::drain::own_line;
use crate::links::{Links, Trouble, pid};
use crate::roll::replica_of;
use crate::slots::id_of;
use crate::support::cluster_client::Writer;
use crate::support::{Ran, Server, ServerKind, eventually};
use crate::{addrs, cluster, trib};

/// Some answers that do not come, and a busy machine.
const BOUND: Duration = Duration::from_secs(20);

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
