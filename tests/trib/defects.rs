//! What the classic tools get wrong, one test for each, named after the defect.
//!
//! Where the logic is pure the test is with the planner: the optimiser that shuffles replicas, a threshold that never
//! triggers, resharding fewer slots than asked, weights in the rounding, the random node of a coverage fix.

use crate::slots::{id_of, key_in, keys_in};
use crate::support::{Server, ServerKind, eventually, redis_cli_is_available};
use crate::{addrs, cluster, redis_cli, trib, trib_with};

/// Empty nodes, when there are stock servers to be them.
fn strangers(count: usize) -> Option<Vec<Server>> {
    ServerKind::Stock.is_available().then(|| Server::start_many(ServerKind::Stock, count, ""))
}

#[test]
fn create_does_not_return_before_the_first_write_succeeds() {
    let Some(servers) = strangers(3) else { return };
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    assert_eq!(servers[0].text(&format!("SET {} x", key_in(0))), "OK");
    assert_eq!(servers[2].text(&format!("SET {} x", key_in(16383))), "OK");
}

#[test]
fn create_refuses_the_same_node_twice() {
    let Some(servers) = strangers(1) else { return };
    let one = servers[0].addr();
    for grammar in ["create --yes", "--cluster create --cluster-yes"] {
        let ran = trib(&format!("{grammar} {one} {one} {one}"));
        assert!(ran.code == 1 && ran.stdout.contains("is given more than once"), "{ran:?}");
    }
    assert_eq!(servers[0].text("CLUSTER NODES").lines().count(), 1);
}

#[test]
fn nodes_agree_right_after_a_reshard_also_replicas() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let (to, seed) = (id_of(&servers[0]), servers[3].addr());
    assert_eq!(trib(&format!("reshard --yes --from all --to {to} --slots 100 {seed}")).code, 0);
    assert_eq!(redis_cli(&format!("--cluster check {seed}")).code, 0);
    assert_eq!(trib(&format!("--cluster rebalance {seed} --cluster-threshold 1")).code, 0);
    assert_eq!(redis_cli(&format!("--cluster check {}", servers[5].addr())).code, 0);
}

#[test]
fn the_end_of_input_ends_a_dialog() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let (seed, to) = (servers[0].addr(), id_of(&servers[0]));
    for grammar in ["reshard", "--cluster reshard"] {
        for input in ["", "5\n", &format!("5\n{to}\n"), &format!("5\n{to}\nnonsense\n"), &format!("5\n{to}\nall\n")] {
            let ran = trib_with(&format!("{grammar} {seed}"), input, &[]);
            assert!(ran.code == 1 && ran.stdout.contains("the input ended"), "{input:?}: {ran:?}");
        }
    }
    // Numbers that make no sense are refused, not taken.
    for count in ["-5", "0", "x"] {
        let ran =
            trib(&format!("--cluster reshard {seed} --cluster-from all --cluster-to {to} --cluster-slots={count}"));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.stdout.contains("Ready to move"), "{ran:?}");
    }
    // Both grammars take the beginning of an ID, and complain of one that begins several.
    let ran = trib(&format!(
        "--cluster reshard {seed} --cluster-from all --cluster-to {} --cluster-slots 1 --cluster-yes",
        &to[..9]
    ));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn check_sees_the_dead_and_primaries_without_replicas() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    let all_well = trib(&format!("check --fail-on warn {seed}"));
    assert_eq!(all_well.code, 0, "{all_well:?}");
    servers[4].kill();
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains(&format!("{} has no replica", servers[1].addr())), "{ran:?}");
    assert!(ran.stderr.contains(&format!("trib del-node {seed} ")), "{ran:?}");
    assert_eq!(trib(&format!("--cluster check {seed}")).code, 1);
    // A dead node can be deleted, and then only the warning is left.
    let dead = servers[0]
        .text("CLUSTER NODES")
        .lines()
        .find(|line| line.contains(&servers[4].addr()))
        .and_then(|line| line.split(' ').next().map(str::to_owned))
        .unwrap();
    let ran = trib(&format!("--cluster del-node {seed} {dead}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(trib(&format!("check {seed}")).code, 0);
    assert_eq!(trib(&format!("check --fail-on warn {seed}")).code, 3);
}

#[test]
fn a_pipe_gets_no_colour() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let line = format!("--cluster check {}", servers[0].addr());
    let ran = trib_with(&line, "", &[("TERM", "xterm-256color")]);
    assert!(ran.code == 0 && !ran.stdout.contains('\x1b'), "{ran:?}");
    let ran = trib(&format!("{line} --color always"));
    assert!(ran.stdout.contains("\x1b[32;1m[OK] All 16384 slots covered.\x1b[0m"), "{ran:?}");
}

#[test]
fn failed_calls_and_timeouts_are_failures() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let ran = trib(&format!("call {seed} NONSENSE"));
    assert_eq!(ran.code, 1, "{ran:?}");
    // Arguments are bytes, and may begin with a dash.
    let ran = trib(&format!("call {seed} --only-masters -- ECHO -1"));
    assert_eq!((ran.code, ran.stdout.matches(": -1\n").count()), (0, 3), "{ran:?}");
    let ran = trib(&format!("call {seed} ECHO -1 --only-masters"));
    assert_eq!((ran.code, ran.stdout.matches(": -1\n").count()), (0, 3), "{ran:?}");
    let ran = trib_with(&format!("--cluster call {seed} ECHO -x"), "from stdin", &[]);
    assert_eq!(ran.stdout.matches(": from stdin\n").count(), 3, "{ran:?}");
    let ran = trib_with(&format!("call -X tag {seed} ECHO tag"), "by tag", &[]);
    assert_eq!(ran.stdout.matches(": by tag\n").count(), 3, "{ran:?}");
    // A server that takes no CONFIG fails the command.
    assert_eq!(servers[1].text("ACL SETUSER default -config"), "OK");
    let ran = trib(&format!("set-timeout {seed} 3000"));
    assert!(ran.code == 1 && ran.stdout.contains("2 OK, 1 ERR."), "{ran:?}");
}

#[test]
fn fix_needs_no_answers_with_yes() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let uncover = || {
        for server in &servers {
            let _: redis::RedisResult<String> = server.call("CLUSTER DELSLOTS 100");
        }
        eventually("the slot is nobody's", || trib(&format!("check {seed}")).code == 3);
    };
    uncover();
    let ran = trib(&format!("fix --yes {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    // In redis-cli's grammar the question stays, as its authors want it, and a pipe answers it.
    uncover();
    let unanswered = trib(&format!("--cluster fix {seed} --cluster-yes"));
    assert_eq!(unanswered.code, 1, "{unanswered:?}");
    let ran = trib_with(&format!("--cluster fix {seed}"), "yes\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn import_goes_on_after_a_key_that_is_there_and_takes_all_databases_and_bytes() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let source = Server::start(ServerKind::Stock, "");
    let write = |db: u32, key: &[u8], value: &str| {
        let mut connection = source.connect();
        redis::cmd("SELECT").arg(db).exec(&mut connection).unwrap();
        redis::cmd("SET").arg(key).arg(value).exec(&mut connection).unwrap();
    };
    let fill = || {
        write(0, key_in(3).as_bytes(), "theirs");
        for n in 0..50 {
            write(0, format!("zero:{n}").as_bytes(), "x");
            write(2, format!("two:{n}").as_bytes(), "x");
        }
        write(2, b"zero:7", "another");
        write(2, b"nul\0 and \xff", "x");
    };
    let everything = 50 + 50 + 1 + 1;
    for via in ["migrate", "dump"] {
        fill();
        assert_eq!(servers[0].text(&format!("SET {} ours", key_in(3))), "OK");
        let ran = trib(&format!("import --via {via} --from {} {seed}", source.addr()));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.ends_with("[ERR] 2 keys were not imported.\n"), "{ran:?}");
        assert!(ran.stdout.contains("*** Importing 51 keys from DB 0\n"), "{ran:?}");
        assert!(ran.stdout.contains("*** Importing 52 keys from DB 2\n"), "{ran:?}");
        assert_eq!(keys_in(&servers), everything, "{via}");
        assert_eq!(servers[0].text(&format!("GET {}", key_in(3))), "ours");
        assert_eq!(source.text("DBSIZE"), "1", "what was imported has left");
        // One database alone, as a copy that overwrites.
        let ran = trib(&format!("import --via {via} --from redis://{}/2 --copy --replace {seed}", source.addr()));
        assert_eq!(ran.code, 0, "{ran:?}");
        for server in servers.iter().chain([&source]) {
            assert_eq!(server.text("FLUSHALL"), "OK");
        }
    }
    // redis-cli's grammar takes the first database, and the first conflict ends it.
    fill();
    let ran = trib(&format!("--cluster import {seed} --cluster-from {}", source.addr()));
    assert_eq!((ran.code, keys_in(&servers)), (0, 51), "{ran:?}");
    let ran = trib(&format!("import --dry-run --from {} {seed}", source.addr()));
    assert!(ran.code == 4 && ran.stdout.contains("database 2"), "{ran:?}");
}

#[test]
fn a_user_without_a_password_moves_keys_all_the_same() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    assert_eq!(servers[0].text(&format!("SET {} x", key_in(0))), "OK");
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let line = format!("reshard --yes --user default --from {from} --to {to} --slots 1 {}", servers[2].addr());
    let ran = trib(&line);
    assert_eq!((ran.code, keys_in(&servers[1..2])), (0, 1), "{ran:?}");
}
