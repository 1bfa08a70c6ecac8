//! An EXEC that stands still in its middle is still one unit for everybody.

use crate::commands::bench::Bench;
use crate::exec::effect::{MigrateOutcome, Token};
use crate::exec::{ClientId, Effect};

const MIGRATE: &str = "MIGRATE 127.0.0.1 1 b 0 1000";

/// A client whose EXEC has come to a MIGRATE of `b`, another client, and the token of the answer.
fn suspended(behind: &str) -> (Bench, ClientId, ClientId, Token) {
    let mut bench = Bench::start();
    let (one, other) = (bench.client(), bench.client());
    bench.send(one, "SET b 1");
    bench.read(one);
    bench.log();
    bench.send(one, &format!("MULTI;SET a 1;{MIGRATE};{behind};EXEC"));
    let token = migration(&mut bench).expect("the keys are on their way");
    (bench, one, other, token)
}

fn migration(bench: &mut Bench) -> Option<Token> {
    bench.effects().into_iter().find_map(|effect| match effect {
        Effect::Migrate(request) => Some(request.token),
        _ => None,
    })
}

#[test]
fn the_answer_of_migrate_is_waited_for() {
    let (mut bench, one, other, token) = suspended("GET b;INCR a");
    let queued = "OK\nQUEUED\nQUEUED\nQUEUED\nQUEUED";
    assert_eq!(bench.read(one), queued);
    // Nobody sees half of it.
    assert_eq!(bench.call(other, "GET a"), "");
    assert_eq!(bench.log(), "");
    bench.server.migrated(token, MigrateOutcome::Answered(vec![Ok(())]));
    bench.cron();
    assert_eq!(bench.read(one), "[OK OK nil :2]");
    assert_eq!(bench.read(other), "2");
    assert_eq!(bench.log(), "MULTI\nSELECT 0\nSET a 1\nDEL b\nINCR a\nEXEC");
}

#[test]
fn one_migrate_behind_the_other() {
    let (mut bench, one, other, token) = suspended("SET b 2;MIGRATE 127.0.0.1 1 b 0 1000;SET c 1");
    bench.read(one);
    bench.server.migrated(token, MigrateOutcome::Answered(vec![Ok(())]));
    let token = migration_after(&mut bench);
    assert_eq!((bench.read(one), bench.call(other, "EXISTS b")), (String::new(), String::new()));
    bench.server.migrated(token, MigrateOutcome::ConnectFailed);
    bench.cron();
    assert_eq!(bench.read(one), "[OK OK OK -IOERR error or timeout connecting to the client OK]");
    assert_eq!(bench.read(other), ":1");
    assert_eq!(bench.log(), "MULTI\nSELECT 0\nSET a 1\nDEL b\nSET b 2\nSET c 1\nEXEC");
}

fn migration_after(bench: &mut Bench) -> Token {
    bench.cron();
    migration(bench).expect("the second migration")
}

#[test]
fn it_ends_without_its_connection() {
    let (mut bench, one, other, token) = suspended("SET c 1");
    bench.server.disconnect(one);
    assert_eq!(bench.call(other, "GET c"), "");
    bench.server.migrated(token, MigrateOutcome::Answered(vec![Ok(())]));
    bench.cron();
    assert_eq!(bench.read(other), "1");
    assert_eq!(bench.read(one), "gone");
    assert_eq!(bench.log(), "MULTI\nSELECT 0\nSET a 1\nDEL b\nSET c 1\nEXEC");
}

#[test]
fn who_waits_for_a_key_is_served_at_its_end() {
    let (mut bench, _, other, token) = suspended("RPUSH l 2");
    assert_eq!(bench.call(other, "PING"), "");
    bench.server.migrated(token, MigrateOutcome::Answered(vec![Ok(())]));
    bench.cron();
    assert_eq!(bench.read(other), "PONG");
    let third = bench.client();
    bench.send(third, "BLPOP m 0");
    bench.send(other, &format!("SET b 1;MULTI;RPUSH m 1;{MIGRATE};RPUSH m 2;EXEC"));
    let token = migration(&mut bench).unwrap();
    bench.cron();
    assert_eq!(bench.read(third), "");
    bench.server.migrated(token, MigrateOutcome::Answered(vec![Ok(())]));
    bench.cron();
    assert_eq!(bench.read(third), "[m 1]");
}

#[test]
fn other_answers_from_outside_stand_in_their_place() {
    let mut bench = Bench::start();
    let one = bench.client();
    bench.send(one, "MULTI;SET a 1;CONFIG REWRITE;GET a;EXEC");
    let token = bench.effects().into_iter().find_map(|effect| match effect {
        Effect::RewriteConfig { token, .. } => Some(token),
        _ => None,
    });
    bench.server.finish_ok(token.expect("CONFIG REWRITE asks the outside"), Ok(()));
    assert_eq!(bench.read(one).lines().last(), Some("[OK OK 1]"));
}

#[test]
fn a_unit_is_wrapped_when_it_is_more_than_one_command() {
    let mut bench = Bench::start();
    let one = bench.client();
    bench.send(one, "SET x 1");
    bench.log();
    bench.send(one, "MULTI;SET a 1;EXEC;MULTI;GET a;EXEC;MULTI;SELECT 1;SET a 1;SELECT 0;INCR a;EXEC");
    assert_eq!(bench.log(), "SELECT 0\nSET a 1\nMULTI\nSELECT 1\nSET a 1\nSELECT 0\nINCR a\nEXEC");
    bench.send(one, "SET x 1 PX 10;SET y 1 PX 10");
    bench.log();
    bench.pass(11);
    bench.send(one, "INCR x;GET y;SET y 1 PX 10");
    assert_eq!(bench.log(), "MULTI\nUNLINK x\nINCR x\nEXEC\nUNLINK y\nSET y 1 PXAT 1000021");
    bench.send(one, "SET x 1 PX 10");
    bench.log();
    bench.pass(11);
    bench.send(one, "SCAN 0");
    let mut deleted: Vec<String> = bench.log().lines().map(str::to_owned).collect();
    deleted.sort();
    assert_eq!(deleted, ["UNLINK x", "UNLINK y"]);
}
