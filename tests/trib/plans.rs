//! `--dry-run`, `--json` and `trib apply`.

use std::path::PathBuf;

use crate::connections::trib_json;
use crate::slots::{id_of, key_in};
use crate::support::{Server, ServerKind};
use crate::{addrs, cluster, trib, trib_with};

/// A plan in a file, and the directory that holds it.
fn plan(line: &str) -> (tempfile::TempDir, PathBuf, serde_json::Value) {
    let ran = trib(&format!("{line} --dry-run --json"));
    assert_eq!(ran.code, 4, "{line}: {ran:?}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.json");
    std::fs::write(&path, &ran.stdout).unwrap();
    let plan = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {ran:?}"));
    (dir, path, plan)
}

fn verbs(plan: &serde_json::Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|step| step["do"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_of_nothing_is_a_plan_too() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let id = id_of(&servers[0]);
    for line in ["rebalance", "fix", "rebalance-roles", "forget-failed"] {
        let ran = trib(&format!("{line} {seed} --dry-run --json"));
        let plan: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {ran:?}"));
        assert_eq!((ran.code, verbs(&plan).len(), &plan["command"][0]), (0, 0, &line.into()), "{ran:?}");
        let ran = trib_with("apply -", &ran.stdout, &[]);
        assert!(ran.code == 0 && ran.stdout.ends_with("[OK] There is nothing to do.\n"), "{line}: {ran:?}");
        assert!(trib(&format!("{line} {seed} --dry-run")).code == 0, "{line}");
    }
    // Nothing was agreed to, so nothing is done when there is something by then.
    let nothing = trib(&format!("rebalance {seed} --dry-run --json")).stdout;
    assert_eq!(trib(&format!("reshard --from {id} --to {} --slots 1000 --yes {seed}", id_of(&servers[1]))).code, 0);
    let ran = trib_with("apply -", &nothing, &[]);
    assert!(ran.code == 1 && ran.stdout.contains("The cluster has changed since the plan was made"), "{ran:?}");
}

#[test]
fn what_was_planned_is_done_and_nothing_else() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 5, "");
    let seed = servers[0].addr();

    // A cluster, from a plan.
    let (_dir, path, create) = plan(&format!("create {}", addrs(&servers[..3])));
    assert_eq!(verbs(&create), ["assign-slots", "assign-slots", "assign-slots", "join", "join", "join"]);
    assert_eq!(servers[0].text("CLUSTER NODES").lines().count(), 1, "a dry run changes nothing");
    let apply = |path: &PathBuf| trib(&format!("apply {}", path.display()));
    let ran = apply(&path);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(apply(&path).code, 1, "the nodes are not empty any more");

    // A reshard: carried out once; then the cluster is another one.
    assert_eq!(servers[0].text(&format!("SET {} x", key_in(0))), "OK");
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let (_dir, path, reshard) = plan(&format!("reshard --from {from} --to {to} --slots 10 {seed}"));
    assert_eq!(verbs(&reshard), ["move-slots"]);
    assert_eq!((&reshard["steps"][0]["slots"], &reshard["steps"][0]["to"]["id"]), (&"0-9".into(), &to.clone().into()));
    let ran = apply(&path);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(servers[1].call::<usize>("DBSIZE").unwrap(), 1);
    let ran = apply(&path);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.ends_with("[ERR] The cluster has changed since the plan was made.\n"), "{ran:?}");

    // What a dialog was told is in the plan.
    let ran = trib_with(&format!("reshard --dry-run --json {seed}"), &format!("10\n{from}\n{to}\ndone\n"), &[]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let path = path.with_file_name("dialog.json");
    std::fs::write(&path, &ran.stdout).unwrap();
    let ran = apply(&path);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(servers[0].call::<usize>("DBSIZE").unwrap(), 1);

    // A plan that was tampered with, and one that is none.
    let (_dir, path, _) = plan(&format!("reshard --from {from} --to {to} --slots 10 {seed}"));
    let text = std::fs::read_to_string(&path).unwrap().replace("\"0-9\"", "\"0-8\"");
    std::fs::write(&path, text).unwrap();
    let ran = apply(&path);
    assert!(ran.code == 1 && ran.stdout.contains("is not what the plan says"), "{ran:?}");
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(apply(&path).code, 2);

    // Members, repairs and settings.
    let new = servers[3].addr();
    let (_dir, path, add) = plan(&format!("add-node --slave --master-id {to} {new} {seed}"));
    assert_eq!(verbs(&add), ["join", "replicate"]);
    assert_eq!(apply(&path).code, 0);
    let (_dir, path, remove) = plan(&format!("del-node {seed} {}", id_of(&servers[3])));
    assert_eq!(verbs(&remove), ["forget", "reset"]);
    assert_eq!(apply(&path).code, 0);
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {to}")), "OK");
    let (_dir, path, fix) = plan(&format!("fix {seed}"));
    assert_eq!(verbs(&fix), ["close-slots"]);
    assert_eq!(apply(&path).code, 0);
    let (_dir, path, timeout) = plan(&format!("set-timeout {seed} 2500"));
    assert_eq!(verbs(&timeout), ["set-config"; 3]);
    assert_eq!(apply(&path).code, 0);
    assert_eq!(servers[2].call::<Vec<String>>("CONFIG GET cluster-node-timeout").unwrap()[1], "2500");
    let (_dir, path, set) = plan(&format!("config set {seed} hz 20"));
    assert_eq!(verbs(&set), ["set-config"; 3]);
    assert_eq!(apply(&path).code, 0);
    assert_eq!(servers[2].call::<Vec<String>>("CONFIG GET hz").unwrap()[1], "20");
    assert_eq!(trib(&format!("add-node {} {seed}", servers[4].addr())).code, 0);
    let (_dir, path, rebalance) = plan(&format!("rebalance --use-empty-masters {seed}"));
    assert_eq!(verbs(&rebalance), ["move-slots"; 3]);
    assert_eq!(apply(&path).code, 0);
    // For people it is a table.
    let ran = trib(&format!("rebalance --weight {from}=2 --dry-run {seed}"));
    assert!(ran.code == 4 && ran.stdout.contains("move slots"), "{ran:?}");
}

#[test]
fn data_as_json_and_as_tables() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    let key = key_in(7);
    assert_eq!(servers[0].text(&format!("SET {key} value PX 1000000")), "OK");

    let check = trib_json(&format!("check --json {seed}"));
    assert_eq!((&check["healthy"], check["nodes"].as_array().unwrap().len()), (&true.into(), 6));
    let info = trib_json(&format!("info {seed} --json"));
    assert_eq!((&info["keys"], &info["primaries"][0]["slots"]), (&1.into(), &5461.into()));
    let call = trib_json(&format!("call --json --on replicas {seed} CONFIG GET port"));
    assert_eq!((call.as_array().unwrap().len(), &call[0]["role"]), (3, &"replica".into()));
    assert_eq!(call[0]["reply"][0], "port");
    let place = &trib_json(&format!("where --json {seed} {key} nothing"))[0];
    assert_eq!(
        (&place["slot"], &place["type"], &place["primary"]),
        (&7.into(), &"string".into(), &seed.clone().into())
    );
    assert!(place["ttl_ms"].as_i64().unwrap() > 900_000);
    let slots = trib_json(&format!("slots --keys --json {seed}"));
    assert_eq!((slots.as_array().unwrap().len(), &slots[0]["keys"]), (3, &1.into()));
    let hot = trib_json(&format!("slots --hot 2 --json {seed}"));
    assert_eq!((hot.as_array().unwrap().len(), &hot[0]["slot"], &hot[0]["keys"]), (2, &7.into(), &1.into()));
    let ran = trib(&format!("slots --hot 2 --by cpu {seed}"));
    assert!(ran.code == 1 && ran.stderr.contains("Valkey 8"), "{ran:?}");
    let status = trib_json(&format!("status --json {seed}"));
    assert_eq!((status.as_array().unwrap().len(), &status[1]["role"]), (6, &"replica".into()));

    let ran = trib(&format!("slots --csv {seed}"));
    assert!(ran.stdout.starts_with("first,last,count,primary,replicas,keys,open\n0,5460,5461,"), "{ran:?}");
    let ran = trib(&format!("status {seed}"));
    assert!(ran.code == 0 && ran.stdout.contains("primary") && ran.stdout.contains("0-5460"), "{ran:?}");

    // The same everywhere, until it is not.
    assert_eq!(trib(&format!("config diff {seed}")).code, 0);
    assert_eq!(servers[2].text("CONFIG SET maxmemory 100mb"), "OK");
    let ran = trib(&format!("config diff --csv {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains(&format!("maxmemory,104857600,{}\n", servers[2].addr())), "{ran:?}");
    assert_eq!(trib(&format!("config set {seed} maxmemory 200mb")).code, 0);
    let got = trib_json(&format!("config get --json {seed} maxmem*y"));
    assert_eq!(got["maxmemory"].as_object().unwrap().len(), 6);
    assert_eq!(trib(&format!("config set {seed} nonsense 1")).code, 1);
}
