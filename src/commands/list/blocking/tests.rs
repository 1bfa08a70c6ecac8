//! Who is served from what, in which order, and what ends a wait.

use crate::commands::bench::Bench;
use crate::exec::ClientId;

/// A pusher, and clients that have sent one line each.
fn waiting(lines: &[&str]) -> (Bench, ClientId, Vec<ClientId>) {
    let mut bench = Bench::start();
    let pusher = bench.client();
    let clients = lines.iter().map(|line| {
        let id = bench.client();
        bench.send(id, line);
        id
    });
    let clients = clients.collect();
    (bench, pusher, clients)
}

/// What each of the clients reads after the pusher's lines.
fn served(lines: &[&str], push: &str) -> Vec<String> {
    let (mut bench, pusher, clients) = waiting(lines);
    bench.send(pusher, push);
    clients.into_iter().map(|id| bench.read(id)).collect()
}

#[test]
fn in_the_order_of_arrival() {
    assert_eq!(served(&["BLPOP a 0", "BRPOP a 0", "BLPOP a 0"], "RPUSH a 1 2 3 4"), ["[a 1]", "[a 4]", "[a 2]"]);
    assert_eq!(served(&["BLPOP a 0", "BLPOP a 0"], "RPUSH a 1"), ["[a 1]", ""]);
    assert_eq!(served(&["BLMPOP 0 2 b a LEFT COUNT 2", "BLPOP a 0"], "RPUSH a 1 2 3"), ["[a [1 2]]", "[a 3]"]);
}

#[test]
fn keys_in_the_order_in_which_they_became_ready() {
    let all = ["BLPOP a b 0", "BLPOP b a 0", "BLPOP c a 0"];
    assert_eq!(served(&all, "MULTI;RPUSH b 1;RPUSH a 2;RPUSH c 3;EXEC"), ["[b 1]", "[a 2]", "[c 3]"]);
    assert_eq!(served(&all[..1], "MULTI;RPUSH b 1;RPUSH a 2;EXEC"), ["[b 1]"]);
    // A key is ready when it has the right type, not when it is touched.
    assert_eq!(served(&all[..1], "MULTI;SET a x;RPUSH b 1;DEL a;RPUSH a 2;EXEC"), ["[b 1]"]);
}

#[test]
fn only_what_is_there_when_the_unit_ends() {
    assert_eq!(served(&["BLPOP a 0"], "MULTI;RPUSH a 1;DEL a;EXEC"), [""]);
    assert_eq!(served(&["BLPOP a 0"], "MULTI;RPUSH a 1 2;LPOP a;EXEC"), ["[a 2]"]);
    assert_eq!(served(&["BLPOP a 0", "BZPOPMIN a 0"], "ZADD a 1 x"), ["", "[a x 1]"]);
}

#[test]
fn serving_one_makes_a_key_of_another_ready() {
    let chain = ["BLMOVE a b LEFT RIGHT 0", "BLMOVE b c LEFT RIGHT 0", "BLPOP c 0", "BRPOPLPUSH a b 0"];
    assert_eq!(served(&chain, "RPUSH a 1 2"), ["1", "2", "[c 2]", "2"]);
    assert_eq!(served(&["BRPOPLPUSH a a 0", "BLPOP a 0"], "RPUSH a 1"), ["1", "[a 1]"]);
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(served(&["BLMOVE a b LEFT LEFT 0", "BLPOP a 0"], "SET b x;RPUSH a 1"), [wrong, "[a 1]"]);
}

#[test]
fn every_way_in_which_a_key_gets_a_list() {
    for push in [
        "RPUSH b 1;RENAME b a",
        "RPUSH b 1;COPY b a",
        "SELECT 1;RPUSH a 1;MOVE a 0",
        "SELECT 1;RPUSH a 1;SWAPDB 0 1",
        "RPUSH b 1;SORT b STORE a",
        "RPUSH b 1;LMOVE b a LEFT LEFT",
    ] {
        assert_eq!(served(&["BLPOP a 0"], push), ["[a 1]"], "{push}");
    }
}

#[test]
fn a_wait_ends_to_the_millisecond() {
    let (mut bench, pusher, clients) = waiting(&["BLPOP a 0.05", "BLMOVE a b LEFT LEFT 0.02", "BLPOP a 0"]);
    bench.pass(19);
    assert_eq!(clients.iter().map(|id| bench.read(*id)).collect::<Vec<_>>(), ["", "", ""]);
    bench.pass(1);
    assert_eq!(clients.iter().map(|id| bench.read(*id)).collect::<Vec<_>>(), ["", "nil", ""]);
    bench.pass(29);
    assert_eq!(bench.read(clients[0]), "");
    bench.pass(1);
    assert_eq!(bench.read(clients[0]), "nil");
    assert_eq!(bench.call(pusher, "RPUSH a 1"), ":1");
    assert_eq!(clients.iter().map(|id| bench.read(*id)).collect::<Vec<_>>(), ["", "", "[a 1]"]);
    bench.pass(1_000_000);
    assert_eq!(clients.iter().map(|id| bench.read(*id)).collect::<Vec<_>>(), ["", "", ""]);
}

#[test]
fn an_earlier_end_is_asked_for_again() {
    let (mut bench, _, clients) = waiting(&["BLPOP a 10", "BLPOP a 1", "BLPOP a 5"]);
    for (ms, id) in [(1000, clients[1]), (4000, clients[2]), (5000, clients[0])] {
        bench.pass(ms - 1);
        assert_eq!(bench.read(id), "");
        bench.pass(1);
        assert_eq!(bench.read(id), "nil");
    }
}

#[test]
fn what_is_sent_behind_a_blocking_pop_waits_for_it() {
    let (mut bench, pusher, clients) = waiting(&["BLPOP a 0;PING;BLPOP a 0;PING"]);
    assert_eq!(bench.read(clients[0]), "");
    bench.send(pusher, "RPUSH a 1");
    assert_eq!(bench.read(clients[0]), "[a 1]\nPONG");
    bench.send(pusher, "RPUSH a 2");
    assert_eq!(bench.read(clients[0]), "[a 2]\nPONG");
}

#[test]
fn nobody_waits_inside_a_transaction() {
    let (mut bench, _, clients) =
        waiting(&["MULTI;BLPOP a 0;BLMOVE a b LEFT LEFT 0;BRPOPLPUSH a b 0;BLMPOP 0 1 a LEFT;BZPOPMIN a 0;EXEC"]);
    let replies = bench.read(clients[0]);
    assert_eq!(replies.lines().last(), Some("[nil nil nil nil nil]"), "{replies}");
}

#[test]
fn waits_that_are_ended() {
    let (mut bench, other, clients) = waiting(&["BLPOP a 0", "BLPOP a 0", "BLPOP a 0", "BLPOP a 0", "BLPOP a 0"]);
    let info = |bench: &mut Bench| {
        let text = bench.call(other, "INFO clients");
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
        (field("blocked_clients:"), field("total_blocking_keys:"))
    };
    assert_eq!(info(&mut bench), ("5".into(), "1".into()));
    assert_eq!(bench.call(other, &format!("CLIENT UNBLOCK {}", clients[0].0)), ":1");
    assert_eq!(bench.read(clients[0]), "nil");
    assert_eq!(bench.call(other, &format!("CLIENT UNBLOCK {}", clients[0].0)), ":0");
    assert_eq!(bench.call(other, &format!("CLIENT UNBLOCK {} ERROR", clients[1].0)), ":1");
    assert_eq!(bench.read(clients[1]), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert_eq!(bench.call(other, &format!("CLIENT KILL ID {}", clients[2].0)), ":1");
    bench.server.disconnect(clients[3]);
    // The killed one and the one that went away are not given anything.
    bench.send(other, "RPUSH a 1 2");
    assert_eq!(bench.read(clients[4]), "[a 1]");
    assert_eq!(bench.call(other, "INFO clients;LRANGE a 0 -1").lines().last(), Some("[2]"));
    assert_eq!(info(&mut bench), ("0".into(), "0".into()));
}

#[test]
fn a_pause_holds_serving_back() {
    let (mut bench, pusher, clients) = waiting(&["BLPOP a 0", "BLPOP b 0", "BLPOP c 0.05"]);
    bench.send(pusher, "MULTI;RPUSH a 1;RPUSH b 2;CLIENT PAUSE 100 WRITE;EXEC");
    assert_eq!(bench.read(clients[0]), "");
    bench.pass(99);
    bench.cron();
    assert_eq!(bench.read(clients[0]), "");
    assert_eq!(bench.read(clients[2]), "nil");
    bench.pass(1);
    bench.cron();
    assert_eq!(bench.read(clients[0]), "[a 1]");
    assert_eq!(bench.read(clients[1]), "[b 2]");
}

#[test]
fn a_server_that_becomes_a_replica_lets_go() {
    let (mut bench, other, clients) = waiting(&["BLPOP a 0"]);
    assert_eq!(bench.call(other, "REPLICAOF 127.0.0.1 1"), "OK");
    let text = bench.read(clients[0]);
    assert_eq!(text, "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
    assert!(bench.server.clients.get(clients[0]).unwrap().is_closing());
}

#[test]
fn a_reply_that_nobody_wants() {
    let (mut bench, pusher, clients) = waiting(&["CLIENT REPLY SKIP;BLPOP a 0;PING", "CLIENT REPLY OFF;BLPOP a 0"]);
    assert_eq!(bench.call(pusher, "RPUSH a 1 2 3"), ":3");
    assert_eq!(bench.read(clients[0]), "PONG");
    assert_eq!(bench.read(clients[1]), "");
    assert_eq!(bench.call(pusher, "LRANGE a 0 -1"), "[3]");
}

#[test]
fn what_goes_into_the_log() {
    let (mut bench, pusher, _) = waiting(&["BLPOP a b 0", "BLMOVE b c LEFT RIGHT 0", "BLMPOP 0 1 c LEFT COUNT 5"]);
    bench.log();
    bench.send(pusher, "RPUSH a 1");
    assert_eq!(bench.log(), "SELECT 0\nRPUSH a 1\nLPOP a");
    bench.send(pusher, "MULTI;RPUSH b 1;RPUSH d 2;EXEC");
    assert_eq!(bench.log(), "MULTI\nRPUSH b 1\nRPUSH d 2\nEXEC\nLMOVE b c LEFT RIGHT\nLPOP c 1");
    bench.send(pusher, "RPUSH a 1 2 3;BRPOP x a 0;BRPOPLPUSH a a 0");
    assert_eq!(bench.log(), "RPUSH a 1 2 3\nRPOP a\nRPOPLPUSH a a");
    bench.send(pusher, "BLPOP x 0.001");
    assert_eq!(bench.log(), "");
}
