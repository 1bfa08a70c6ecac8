//! Large values move in pieces, and clients write to them meanwhile.

use super::*;

/// Elements of each value: many pieces.
const ELEMENTS: usize = 3000;

/// Names of one large value of each type.
const NAMES: [&str; 5] = ["{b}hash", "{b}set", "{b}zset", "{b}list", "{b}stream"];

/// Entries of the stream with ids up to this are held by nobody: what is held and deleted is not moved, for there is no
/// command that makes it.
const FREE: usize = 1000;

/// Lines that make large values. The stream has entries from `1-0` on and three groups with consumers that hold some.
fn filling(elements: usize) -> Vec<String> {
    let [hash, set, zset, list, stream] = NAMES;
    let mut lines = Vec::new();
    for from in (0..elements).step_by(500) {
        let words = |word: &dyn Fn(usize) -> String| (from..from + 500).map(word).collect::<Vec<_>>().join(" ");
        lines.push(format!("HSET {hash} {}", words(&|n| format!("f{n} {n}"))));
        lines.push(format!("SADD {set} {}", words(&|n| format!("m{n}"))));
        lines.push(format!("ZADD {zset} {}", words(&|n| format!("{} m{n}", n % 97))));
        lines.push(format!("RPUSH {list} {}", words(&|n| format!("e{n}"))));
        let fields = (from..from + 500).step_by(7).map(|n| format!("f{n}")).collect::<Vec<_>>();
        lines.push(format!("HPEXPIREAT {hash} 99999999999999 FIELDS {} {}", fields.len(), fields.join(" ")));
    }
    lines.extend((0..elements).map(|n| format!("XADD {stream} {}-0 f {n}", n + 1)));
    for group in ["a", "g", "z"] {
        lines.push(format!("XGROUP CREATE {stream} {group} {FREE}"));
        for consumer in ["c1", "c2", "c3"] {
            lines.push(format!("XREADGROUP GROUP {group} {consumer} COUNT 700 STREAMS {stream} >"));
        }
    }
    lines
}

/// What clients do to large values that can be followed.
fn gentle() -> impl Strategy<Value = String> {
    let [hash, set, zset, list, stream] = NAMES;
    (0usize..30, 0usize..ELEMENTS + 50, 0usize..ELEMENTS + 50, 0usize..3).prop_map(move |(what, n, m, i)| {
        let group = ["a", "g", "z"][i];
        match what {
            0 => format!("HSET {hash} f{n} changed f{m} too"),
            1 => format!("HDEL {hash} f{n} f{m}"),
            2 => format!("HINCRBY {hash} new{n} 5"),
            3 => format!("HPEXPIREAT {hash} 88888888888888 FIELDS 2 f{n} f{m}"),
            4 => format!("HPERSIST {hash} FIELDS 1 f{n}"),
            5 => format!("HSETEX {hash} FXX PXAT 77777777777777 FIELDS 2 f{n} x f{m} y"),
            6 => format!("SADD {set} m{n} new{m}"),
            7 => format!("SREM {set} m{n} m{m}"),
            8 => format!("ZADD {zset} XX {m} m{n}"),
            9 => format!("ZADD {zset} -{m} m{n} {m} new{n}"),
            10 => format!("ZINCRBY {zset} 1000 m{n}"),
            11 => format!("ZREM {zset} m{n} m{m}"),
            12 => format!("ZREMRANGEBYSCORE {zset} {} {}", n % 97, n % 97),
            13 => format!("RPUSH {list} r{n} r{m}"),
            14 => format!("LPUSH {list} l{n} l{m}"),
            15 => format!("LPOP {list} {}", n % 200 + 1),
            16 => format!("RPOP {list} {}", n % 200 + 1),
            17 => format!("LSET {list} {} set", [n as i64 % 1000, -1 - m as i64 % 1000][i % 2]),
            18 => format!("LTRIM {list} {} -{}", n % 90, m % 90 + 1),
            19 => format!("MULTI;RPOP {list} {n};LPUSH {list} a b;RPUSH {list} c;EXEC"),
            20 => format!("XADD {stream} * f {n}"),
            21 => format!("XADD {stream} MAXLEN {} * f {n}", ELEMENTS - n % 300),
            22 => format!("XDEL {stream} {}-0 {}-0", n % FREE, m % FREE),
            23 => format!("XACK {stream} {group} {n}-0 {m}-0"),
            24 => format!("XREADGROUP GROUP {group} c{} COUNT {} STREAMS {stream} >", n % 5, m % 90 + 1),
            25 => format!("XCLAIM {stream} {group} c{} 0 {n}-0 {m}-0", n % 5),
            26 => format!("XTRIM {stream} MINID {}", n % 400),
            27 => format!("XGROUP SETID {stream} {group} {}", FREE + n),
            28 => format!("XGROUP CREATECONSUMER {stream} {group} d{n}"),
            _ => format!("PEXPIREAT {} 9999999999999{i}", NAMES[n % 5]),
        }
    })
}

/// What makes values begin anew.
fn rough() -> impl Strategy<Value = String> {
    let [hash, set, zset, list, stream] = NAMES;
    (0usize..18, 0usize..ELEMENTS, 0usize..NAMES.len()).prop_map(move |(what, n, i)| match what {
        0 => format!("LREM {list} 1 e{n}"),
        1 => format!("LINSERT {list} BEFORE e{n} x"),
        2 => format!("ZPOPMIN {zset} {}", n % 50 + 1),
        3 => format!("ZREMRANGEBYRANK {zset} {} {n}", n / 2),
        4 => format!("SMOVE {set} {{b}}other m{n}"),
        // Which ones is each server's own affair.
        5 => format!("SPOP {set} 3;DEL {set}"),
        6 => format!("RENAME {} {{b}}other", NAMES[i]),
        7 => format!("RENAME {{b}}other {}", NAMES[i]),
        8 => format!("COPY {} {{b}}other REPLACE", NAMES[i]),
        9 => format!("DEL {}", NAMES[i]),
        10 => format!("MULTI;DEL {list};RPUSH {list} a b c;EXEC"),
        11 => format!("MULTI;DEL {hash};SADD {hash} a b c;EXEC"),
        12 => format!("XGROUP DESTROY {stream} g"),
        13 => format!("XGROUP DELCONSUMER {stream} g c{}", n % 3 + 1),
        14 => format!("XTRIM {stream} MAXLEN 0"),
        15 => format!("SORT {set} ALPHA LIMIT 0 100 STORE {list}"),
        16 => format!("LMOVE {list} {list} LEFT RIGHT"),
        _ => format!("MOVE {} 1", NAMES[i]),
    })
}

/// `holds`: whether what consumers hold is to be the same as well.
fn moves_the_same(during: Vec<(String, u8)>, holds: bool) {
    let mut beside = Beside::start();
    for line in filling(ELEMENTS) {
        beside.run(&line);
    }
    beside.pair.migrate("3000 5100");
    for (line, pulls) in during {
        let (expected, reply) = beside.run(&line);
        let may_differ = line.starts_with("SPOP") || !holds && line.starts_with('X');
        assert!(expected == reply || may_differ, "{line}: {expected} {reply}");
        for _ in 0..pulls {
            beside.pair.pull();
        }
    }
    beside.finish();
    for db in 0..2 {
        for name in NAMES.iter().chain(&["{b}other"]) {
            let mut lines = format!("SELECT {db};DEBUG DIGEST-VALUE {name};PEXPIRETIME {name};");
            if *name == "{b}hash" && db == 0 {
                let fields: Vec<String> = (0..ELEMENTS).map(|n| format!("f{n}")).collect();
                lines.push_str(&format!("HPEXPIRETIME {name} FIELDS {} {};", fields.len(), fields.join(" ")));
            }
            if name.ends_with("stream") && db == 0 && holds {
                for group in ["a", "g", "z"] {
                    lines.push_str(&format!("XPENDING {name} {group};XPENDING {name} {group} - + 5000;"));
                }
                lines.push_str(&format!("XINFO GROUPS {name};XLEN {name};"));
            }
            lines.push_str("SELECT 0");
            let (expected, reply) = beside.run(&lines);
            let differs = expected.lines().zip(reply.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{db} {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn large_values_are_followed_by_what_is_written_to_them(
        during in proptest::collection::vec((gentle(), 0u8..3), 0..80),
    ) {
        moves_the_same(during, true);
    }

    #[test]
    fn large_values_begin_anew_where_they_cannot_be_followed(
        during in proptest::collection::vec((prop_oneof![3 => gentle(), 1 => rough()], 0u8..3), 0..60),
    ) {
        moves_the_same(during, false);
    }
}

/// However large they are, and although clients write to each of them after every slice.
#[test]
fn no_slice_carries_more_than_its_share_of_a_large_value() {
    let longest = |elements: usize| {
        let mut pair = Pair::start();
        for line in filling(elements) {
            pair.call(0, &line);
        }
        pair.migrate("3000 5100");
        let [hash, set, zset, list, stream] = NAMES;
        let mut slices = 0;
        while ["connecting", "establish", "snapshot"].iter().any(|state| pair.jobs(0).contains(state)) {
            pair.pull();
            slices += 1;
            for line in [
                format!("HSET {hash} f{slices} x"),
                format!("SADD {set} x{slices}"),
                format!("ZADD {zset} {slices} m{slices}"),
                format!("LPUSH {list} a"),
                format!("RPUSH {list} b"),
                format!("XADD {stream} MAXLEN {elements} * f x"),
            ] {
                assert!(!pair.call(0, &line).starts_with('-'), "{line}");
            }
        }
        (slices, pair.longest_slice)
    };
    let (few_slices, of_few) = longest(ELEMENTS);
    let (many_slices, of_many) = longest(4 * ELEMENTS);
    assert!(many_slices > 2 * few_slices, "{few_slices} slices, then {many_slices}");
    // As many as fit into what may wait for the target; all there are of the stream alone are five times that.
    assert!(of_many < 30_000 && of_many < 2 * of_few, "{of_few} words at most, then {of_many}");
}
