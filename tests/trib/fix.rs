//! `trib fix`: every way in which slots can be in disorder, on stock servers.

use crate::slots::{id_of, key_in, keys_in, plant};
use crate::support::cluster_client::ClusterClient;
use crate::support::{Server, ServerKind, eventually, redis_cli_is_available};
use crate::{assert_in_order, cluster, trib, trib_with};

fn set_slot(server: &Server, slot: u16, rest: &str) {
    let _: String = server.text(&format!("CLUSTER SETSLOT {slot} {rest}"));
}

fn value_of(seed: &Server, slot: u16) -> String {
    let key = key_in(slot);
    let value = ClusterClient::new(seed.port).query(redis::cmd("GET").arg(&key), &key).unwrap();
    redis::from_redis_value(value).unwrap()
}

fn assert_well(servers: &[Server]) {
    let ran = trib(&format!("check --search-multiple-owners {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn open_slots_are_closed_whatever_their_state() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let seed = servers[4].addr();
    let ids: Vec<String> = servers[..3].iter().map(id_of).collect();
    for slot in 1..=6 {
        let _: String = servers[0].text(&format!("SET {} v{slot}", key_in(slot)));
    }
    // 1: a move that has begun. 2: keys at an importer of which the owner knows nothing. 3: several
    // importers. 4: a migration that nobody expects. 5: importers only, without keys. 6: several importers,
    // none of them meant.
    set_slot(&servers[1], 1, &format!("IMPORTING {}", ids[0]));
    set_slot(&servers[0], 1, &format!("MIGRATING {}", ids[1]));
    let _: String = servers[0].text(&format!("DEL {}", key_in(2)));
    plant(&servers, 0, 2, 2, "v2");
    set_slot(&servers[2], 2, &format!("IMPORTING {}", ids[0]));
    for importer in [1, 2] {
        set_slot(&servers[importer], 3, &format!("IMPORTING {}", ids[0]));
        set_slot(&servers[importer], 5, &format!("IMPORTING {}", ids[0]));
    }
    set_slot(&servers[0], 3, &format!("MIGRATING {}", ids[2]));
    set_slot(&servers[0], 4, &format!("MIGRATING {}", ids[2]));
    set_slot(&servers[0], 6, &format!("MIGRATING {}", ids[1]));
    set_slot(&servers[2], 6, &format!("IMPORTING {}", ids[0]));
    assert_eq!(trib(&format!("fix --dry-run {seed}")).code, 4);
    assert_eq!(trib(&format!("check {seed}")).code, 3);
    let ran = trib(&format!("fix {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let names: Vec<String> = servers.iter().map(Server::addr).collect();
    assert_in_order(
        &ran.stdout,
        &[
            ">>> Fixing open slot 1\n",
            &format!("Set as migrating in: {}\nSet as importing in: {}\n", names[0], names[1]),
            &format!(">>> Case 1: Moving slot 1 from {} to {}\n", names[0], names[1]),
            ">>> Fixing open slot 2\n",
            &format!("*** Found keys about slot 2 in non-owner node {}!\n", names[2]),
            ">>> Case 2: Moving all the 2 slot keys (1)",
            &format!(">>> Case 3: Moving slot 3 from {} to {} and closing", names[0], names[2]),
            &format!(">>> Case 4: Closing slot 4 on {}\n", names[0]),
            ">>> Case 2: Moving all the 5 slot keys (0)",
            ">>> Fixing open slot 6\n",
            "[OK] All nodes agree about slots configuration.",
            "[OK] All 16384 slots covered.",
        ],
    );
    for slot in 1..=6 {
        assert_eq!(value_of(&servers[3], slot), format!("v{slot}"));
    }
    assert_well(&servers);
}

#[test]
fn uncovered_slots_are_covered_with_consent() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    // Slot 1: no keys. Slot 2: keys in one place, which is not the last owner. Slot 3: in two places.
    let _: String = servers[0].text(&format!("SET {} v3", key_in(3)));
    let _: String = servers[0].text(&format!("SET {} v6", key_in(6)));
    plant(&servers, 0, 1, 2, "v2");
    plant(&servers, 0, 2, 3, "v3");
    for server in &servers {
        let _: String = server.text("CLUSTER DELSLOTS 1 2 3");
    }
    let questions = [
        "The following uncovered slots have no keys across the cluster:\n",
        "Fix these slots by covering with a random node? (type 'yes' to accept): ",
        "The following uncovered slots have keys in just one node:\n",
        "Fix these slots by covering with those nodes? (type 'yes' to accept): ",
        "The following uncovered slots have keys in multiple nodes:\n",
        "Fix these slots by moving keys into a single node? (type 'yes' to accept): ",
    ];
    // What needs no question is repaired whatever is answered; the move of slot 4 has begun.
    set_slot(&servers[1], 4, &format!("IMPORTING {}", id_of(&servers[0])));
    set_slot(&servers[0], 4, &format!("MIGRATING {}", id_of(&servers[1])));
    let ran = trib_with(&format!("--cluster fix {seed} --cluster-yes"), "", &[]);
    assert_eq!(ran.code, 1, "redis-cli's grammar asks all the same: {ran:?}");
    assert_in_order(&ran.stdout, &questions);
    assert!(!ran.stdout.contains(">>> Covering slot "), "{ran:?}");
    assert!(!servers[1].text("CLUSTER NODES").contains("[4-"), "slot 4 is closed");
    set_slot(&servers[0], 4, &format!("IMPORTING {}", id_of(&servers[1])));
    set_slot(&servers[1], 4, &format!("MIGRATING {}", id_of(&servers[0])));
    // A no is for its group alone.
    let ran = trib_with(&format!("fix {seed}"), "no\nyes\n", &[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_in_order(&ran.stdout, &questions);
    assert_eq!(ran.stdout.matches(">>> Covering slot ").count(), 1, "{ran:?}");
    assert!(ran.stdout.contains(&format!(">>> Covering slot 2 with {}\n", servers[1].addr())), "{ran:?}");
    assert!(ran.stdout.contains("*** Left without an owner, as that was not agreed to: 1,3\n"), "{ran:?}");
    assert!(ran.stderr.contains("hint: --yes agrees to every question\n"), "{ran:?}");
    assert!(!servers[0].text("CLUSTER NODES").contains("[4-"), "slot 4 is closed");
    assert_eq!(trib(&format!("check {seed}")).code, 3);
    // The owner first, so that nobody learns it from it again.
    for i in [1, 0, 2] {
        let _: String = servers[i].text("CLUSTER DELSLOTS 2");
    }
    let ran = trib_with(&format!("--cluster fix {seed}"), "yes\nno\n", &[]);
    assert_eq!(ran.code, 0, "as redis-cli has it, when anything was covered: {ran:?}");
    assert_eq!(ran.stdout.matches(">>> Covering slot ").count(), 1, "{ran:?}");
    // Keys do not travel while the nodes do not serve, which keeps slots without keys from nothing.
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    for slot in [6, 7] {
        set_slot(&servers[1], slot, &format!("IMPORTING {}", ids[0]));
        set_slot(&servers[0], slot, &format!("MIGRATING {}", ids[1]));
    }
    let ran = trib_with(&format!("fix {seed}"), "no\n", &[]);
    assert!(ran.code == 6 && ran.stdout.contains("does not report cluster_state:ok"), "{ran:?}");
    let nodes = servers[0].text("CLUSTER NODES");
    assert!(nodes.contains("[6->-") && !nodes.contains("[7-"), "{nodes}");
    let ran = trib_with(&format!("fix {seed}"), "yes\nyes\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(&ran.stdout, &questions[2..]);
    assert!(ran.stdout.contains(">>> Covering slot 3 moving keys to "), "{ran:?}");
    assert_eq!([value_of(&servers[0], 2), value_of(&servers[0], 3)], ["v2", "v3"]);
    assert_eq!(value_of(&servers[0], 6), "v6");
    assert_well(&servers);
}

#[test]
fn redis_clis_grammar_closes_open_slots_before_it_asks() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let break_slots = || {
        servers.iter().for_each(|server| drop(server.call::<String>("CLUSTER DELSLOTS 100 101")));
        set_slot(&servers[0], 7, &format!("MIGRATING {}", ids[1]));
        set_slot(&servers[1], 9, &format!("IMPORTING {}", ids[0]));
    };
    break_slots();
    let line = format!("--cluster fix {seed}");
    let told = |ran: &crate::Ran| {
        // How many keys it brings home redis-cli does not say, but names the move.
        let lines = ran.stdout.lines().skip_while(|line| !line.starts_with(">>> Check for open")).map(str::to_owned);
        let lines =
            lines.filter(|line| !line.starts_with("Moving slot")).map(|line| line.replace(" keys (0)", " keys"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let theirs = told(&crate::support::run("redis-cli", &line.split(' ').collect::<Vec<_>>(), "no\n", &[]));
    break_slots();
    let ours = told(&trib_with(&line, "no\n", &[]));
    assert!(theirs.ends_with("(type 'yes' to accept): "), "{theirs}");
    assert!(ours.starts_with(&theirs), "{ours}\n---\n{theirs}");
    // What is open is closed while the question waits for its answer.
    break_slots();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_trib"))
        .args(line.split(' '))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let is_open = |server: &Server| server.text("CLUSTER NODES").contains("[");
    eventually("the open slots are closed", || !is_open(&servers[0]) && !is_open(&servers[1]));
    assert!(child.try_wait().unwrap().is_none(), "it still asks");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn keys_astray_are_brought_home() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    plant(&servers, 0, 1, 9, "v9");
    assert_eq!(trib(&format!("fix {seed}")).code, 0, "it is not looked for unless asked");
    let ran = trib(&format!("check {seed}"));
    let warning = format!(
        "[WARNING] {} holds 1 key of slots that it does not own, where no client finds them: 9\n",
        servers[1].addr()
    );
    assert!(ran.code == 0 && ran.stdout.contains(&warning), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("hint: orphaned-keys: trib fix --search-multiple-owners {seed}\n")),
        "{ran:?}"
    );
    assert_eq!(trib(&format!("check --fail-on warn {seed}")).code, 3);
    assert_eq!(trib(&format!("check --search-multiple-owners {seed}")).code, 3);
    let ran = trib(&format!("fix --search-multiple-owners {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(">>> Fixing multiple owners for slot 9...\n"), "{ran:?}");
    assert_eq!(value_of(&servers[2], 9), "v9");
    assert_eq!(keys_in(&servers), 1);
    assert_well(&servers);
}

#[test]
fn the_slots_of_a_dead_primary_are_given_away_only_on_demand() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    servers[2].kill();
    eventually("the failure is noticed", || servers[0].text("CLUSTER NODES").contains("master,fail "));
    let ran = trib(&format!("fix --yes {seed}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("*** Fixing slots coverage with 1 unreachable masters is dangerous"), "{ran:?}");
    let ran = trib(&format!("fix --yes --fix-with-unreachable-masters {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches(">>> Covering slot ").count(), 5461);
    eventually("the rest serves", || {
        servers[..2].iter().all(|server| server.text("CLUSTER INFO").starts_with("cluster_state:ok"))
    });
}

#[test]
fn what_gives_way_is_saved_first() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let (dir, ids) = (tempfile::tempdir().unwrap(), [id_of(&servers[0]), id_of(&servers[1])]);
    let saved = dir.path().join("saved");
    let quarantined = || -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for file in std::fs::read_dir(&saved).into_iter().flatten() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
        }
        lines
    };
    let journal = dir.path().join("jobs").display().to_string();
    let (moving, there) = ("moving", "there".repeat(1_000_000));
    for (slot, which, stays, gives_way) in [(1, "replace", moving, &*there), (2, "keep", &there, moving)] {
        let key = key_in(slot);
        assert_eq!(servers[0].text(&format!("SET {key} {moving}")), "OK");
        plant(&servers, 0, 1, slot, &there);
        set_slot(&servers[1], slot, &format!("IMPORTING {}", ids[0]));
        set_slot(&servers[0], slot, &format!("MIGRATING {}", ids[1]));
        let ran = trib(&format!("fix {seed} --allow close,home"));
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(
            ran.stdout.contains(&format!("*** Slot {slot} is left as found: that needs --allow finish")),
            "{ran:?}"
        );
        assert!(
            ran.stdout.contains(&format!("   {}: imports it from {seed}, holds 1 key\n", servers[1].addr())),
            "{ran:?}"
        );
        let fix = format!("fix {seed} --journal {journal} --quarantine {}", saved.display());
        let before = quarantined().len();
        let ran = trib(&fix);
        assert!(ran.code == 1 && ran.stdout.contains("exist with different values"), "nothing is guessed: {ran:?}");
        assert_eq!(quarantined().len(), before);
        let ran = trib(&format!("{fix} --on-conflict {which}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains("Values that had to give way are saved in "), "{ran:?}");
        assert!(value_of(&servers[2], slot) == stays);
        let lines = quarantined();
        let line = lines.iter().find(|line| line["slot"] == slot).unwrap_or_else(|| panic!("{ran:?}"));
        assert_eq!((&line["key"], &line["ttl_ms"]), (&key.clone().into(), &(-1).into()));
        // It is had again by one command, and then the other one by that which is named.
        let undo = format!("undo --journal {journal}");
        assert_eq!(trib(&format!("{undo} --dry-run")).code, 4);
        let ran = trib_with(&undo, "no\n", &[]);
        assert!(ran.code == 5 && value_of(&servers[2], slot) == stays, "{ran:?}");
        let ran = trib(&format!("{undo} --yes"));
        assert!(ran.code == 0 && ran.stdout.contains("*** 1 key imported in "), "{ran:?}");
        assert!(value_of(&servers[2], slot) == gives_way);
        let (_, back) = ran.stderr.split_once("They are put back by: trib ").unwrap_or_else(|| panic!("{ran:?}"));
        let ran = trib(back.lines().next().unwrap());
        assert!(ran.code == 0 && value_of(&servers[2], slot) == stays, "{ran:?}");
    }
    assert_well(&servers);
}
