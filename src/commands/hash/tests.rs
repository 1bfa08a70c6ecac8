//! Fields that expire, as Valkey 9.1 answers of them: what is named twice, times of zero, and what is noticed first.

use crate::commands::bench::Bench;

/// Lines, each with its reply.
fn check(lines: &[(&str, &str)]) {
    let mut bench = Bench::start();
    let client = bench.client();
    for (line, reply) in lines {
        assert_eq!(bench.call(client, line), *reply, "{line}");
    }
}

const COUNT: &str = "-ERR numfields should be greater than 0 and match the provided number of fields";

#[test]
fn what_is_named_twice_is_changed_once() {
    check(&[
        ("HSET h a 1 b 2 c 3", ":3"),
        ("HEXPIRE h 100 FIELDS 2 a a", "[:1 :1]"),
        ("HPERSIST h FIELDS 2 a a", "[:1 :-1]"),
        ("HPEXPIREAT h 4102444800000 NX FIELDS 2 a a", "[:1 :0]"),
        ("HPEXPIREAT h 4102444800001 GT FIELDS 2 a a", "[:1 :0]"),
        ("HGETEX h EX 100 FIELDS 2 a a", "[1 1]"),
        ("HEXPIRE h 0 FIELDS 2 a a", "[:2 :-2]"),
        ("HGETDEL h FIELDS 2 b b", "[2 nil]"),
        ("HGETEX h EX 0 FIELDS 2 c c", "[3 nil]"),
        ("EXISTS h", ":0"),
    ]);
}

#[test]
fn a_time_of_zero_ends_a_field_at_once() {
    check(&[
        ("HSET h a 1 b 2", ":2"),
        ("HGETEX h PXAT 0 FIELDS 1 a", "[1]"),
        ("HSETEX h EX 0 FIELDS 2 b 3 new 4", ":1"),
        ("EXISTS h", ":0"),
        ("HSETEX h EX 0 FIELDS 1 a 1", ":1"),
        ("EXISTS h", ":0"),
        ("HGETEX h EX -1 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command"),
        ("HSETEX h EX -1 FIELDS 1 a 1", "-ERR invalid expire time in 'hsetex' command"),
    ]);
}

#[test]
fn what_is_noticed_first() {
    check(&[
        ("HSET h a 1", ":1"),
        ("SET s text", "OK"),
        ("HEXPIRE h x foo FIELDS 2 a", "-ERR Unsupported option foo"),
        ("HEXPIRE h x NX FIELDS 2 a", COUNT),
        ("HEXPIRE h 100 NX a b", COUNT),
        ("HTTL h FIELDS 2 a", "-ERR syntax error"),
        ("HPERSIST h FIELDS 2 a", COUNT),
        ("HGETEX h EX 100 FIELDS", COUNT),
        ("HGETEX h EX FIELDS FIELDS 1 a", "-ERR syntax error"),
        ("HGETEX s EX x FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGETEX h EX x FIELDS 1 a", "-ERR value is not an integer or out of range"),
        // The condition on the key is looked at before the time, that on the fields after it.
        ("HSETEX h NX EX x FIELDS 1 a 1", ":0"),
        ("HSETEX h FNX EX x FIELDS 1 a 1", "-ERR value is not an integer or out of range"),
        ("HSETEX h FNX EX 100 FIELDS 1 a 1", ":0"),
        ("HSETEX h FIELDS 1 FIELDS x", ":1"),
    ]);
}
