//! Waiting clients and the log, beside a stock server: the same scene at both, the same replies, the same log.

use std::time::{Duration, Instant};

use redis::{ConnectionLike, Value};

use crate::support::{Server, ServerKind, eventually};

/// Waiters of a line each (`> line`), and what another client sends, in order.
const SCENES: &[(&str, &str)] = &[
    ("order of arrival", "> BLPOP a 0; > BRPOP a 0; > BLPOP a 0; RPUSH a 1 2; RPUSH a 3 4"),
    ("overlapping keys", "> BLPOP a b 0; > BLPOP b a 0; > BLPOP c a 0; RPUSH c 1; RPUSH a 2; RPUSH b 3; RPUSH b 4"),
    ("a transaction", "> BLPOP a b 0; > BLPOP b a 0; > BLPOP c a 0; MULTI; RPUSH b 1 2 3; RPUSH a 9; RPUSH c 5; EXEC"),
    ("one served from the key that was first", "> BLPOP a b 0; MULTI; RPUSH b 1; RPUSH a 2; EXEC"),
    ("pushed and gone", "> BLPOP a 0; MULTI; RPUSH a 1; DEL a; EXEC; MULTI; RPUSH a 1 2; LPOP a; EXEC"),
    ("of another type first", "> BLPOP a b 0; MULTI; SET a x; RPUSH b 1; DEL a; RPUSH a 2; EXEC"),
    ("two kinds under one key", "> BLPOP a 0; > BZPOPMIN a 0; > BZPOPMAX a 0; ZADD a 1 x 2 y 3 z; DEL a; RPUSH a 1"),
    ("renamed", "> BLPOP a 0; > BLPOP b 0; RPUSH c x y; RENAME c a; RENAMENX a b"),
    ("copied and moved", "> BLPOP a 0; > BLPOP b 0; RPUSH c x; COPY c a; SELECT 1; RPUSH b y; MOVE b 0; SELECT 0"),
    ("swapped", "> BLPOP a 0; SELECT 1; RPUSH a x y; SWAPDB 0 1; SELECT 0"),
    ("sorted into", "> BLPOP a 0; RPUSH b 3 1 2; SORT b STORE a"),
    ("a chain", "> BLMOVE a b LEFT RIGHT 0; > BLMOVE b c LEFT RIGHT 0; > BLPOP c 0; RPUSH a x y"),
    (
        "a chain with a rival",
        "> BLMOVE a b LEFT RIGHT 0; > BLMOVE b c LEFT LEFT 0; > BLPOP c 0; > BRPOPLPUSH a b 0; RPUSH a 1 2",
    ),
    ("round and round", "> BLMOVE a b LEFT RIGHT 0; > BLMOVE b a LEFT RIGHT 0; > BRPOPLPUSH a a 0; RPUSH a x"),
    ("a target of another type", "> BLMOVE a b LEFT RIGHT 0; > BLPOP a 0; SET b x; RPUSH a 1"),
    ("several at once", "> BLMPOP 0 2 a b LEFT COUNT 3; > BLMPOP 0 2 b a RIGHT COUNT 10; RPUSH a 1 2 3 4 5"),
    ("sorted sets", "> BZMPOP 0 2 a b MAX COUNT 2; > BZPOPMAX b a 0; > BZPOPMIN b 0; ZADD b 1 x 2 y 3 z; ZADD b 4 q"),
    ("a key named twice", "> BLPOP a a 0; RPUSH a 1 2"),
    ("not at all", "> BLPOP a b 0; LPUSHX a 1; SADD a 1; DEL a; SET b 1; FLUSHALL"),
    (
        "at once",
        "RPUSH a 1 2 3 4; BLPOP x a 0; BRPOP a 0; BLMPOP 0 1 a LEFT COUNT 5; BLPOP a 0.001; BLMOVE a b LEFT LEFT 0.001",
    ),
    ("in a transaction", "RPUSH a 1; MULTI; BLPOP a 0; BLPOP a 0; BRPOPLPUSH a b 0; BZPOPMIN a 0; EXEC"),
    ("streams", "> XREAD BLOCK 0 STREAMS a $; > XREAD BLOCK 0 COUNT 1 STREAMS b a 0 $; XADD a 1-1 f v; XADD b 1-1 f v"),
    (
        "of a transaction all that is new",
        "XADD a 1-1 f v; > XREAD BLOCK 0 STREAMS b a $ $; > XREAD BLOCK 0 STREAMS a 1-2; > XREAD BLOCK 0 STREAMS a 1-3; \
         MULTI; XADD a 1-2 f v; XADD a 1-3 f v; XADD b 2-1 f v; EXEC",
    ),
    ("not yet", "XADD a 5-1 f v; > XREAD BLOCK 0 STREAMS a 7; XADD a 6-1 f v; XDEL a 6-1; XADD a 8-1 f v"),
    (
        "another stream of that name",
        "> XREAD BLOCK 0 STREAMS a $; SET a x; DEL a; XGROUP CREATE a g $ MKSTREAM; XADD a 1-1 f v",
    ),
    (
        "how ids and trims are told",
        "XADD a 99999999999999-0 f v; XADD a * f v; XADD a 99999999999999-* f v; XADD a MAXLEN ~ 2 * f v; XADD a MINID \
         ~ 5 LIMIT 9 * f v; XADD a MAXLEN 3 99999999999999-9 f v; XTRIM a MAXLEN ~ 2; XTRIM a MAXLEN ~ 0 LIMIT 0; \
         XTRIM a MINID 9; XDEL a 1-1",
    ),
    (
        "how groups are told",
        "XADD a 1-1 f v; XADD a 1-2 f v; XADD a 1-3 f v; XGROUP CREATE a g 0; XREADGROUP GROUP g x NOACK STREAMS a >; \
         XCLAIM a g x 0 1-1 1-2 1-3 9-9 FORCE; XCLAIM a g y 0 1-1 JUSTID IDLE 0 RETRYCOUNT 7; XDEL a 1-2; XAUTOCLAIM \
         a g z 0 0 COUNT 2; XCLAIM a g z 0 5-5 LASTID 9-9; XACK a g 1-1 1-1; XACK a g 5-5; XPENDING a g; XGROUP \
         DELCONSUMER a g y; XGROUP DESTROY a g; XSETID a 9-9; DEL a",
    ),
    ("units", "MULTI; SET a 1; EXEC; MULTI; SET a 1; INCR a; EXEC; MULTI; GET a; EXEC; MULTI; DEL a b; EXEC"),
    ("units of one call", "RPUSH l 1 2 3; LMPOP 2 x l LEFT COUNT 2; SADD s a; SPOP s; ZADD z 1 a; ZMPOP 1 z MIN"),
    ("found expired", "SET x 1 PX 1; past; SET x 2 KEEPTTL; SET x 1 PX 1; past; INCR x; SET y 1 PX 1; past; GET y"),
    ("found expired, several", "SET x 1 PX 1; SET y 1 PX 1; past; MGET x y; SET z 1; SET x 1 PX 1; past; RENAME z x"),
    (
        "found expired in a unit",
        "SET x 1 PX 1; past; MULTI; GET x; EXEC; SET x 1 PX 1; past; MULTI; GET x; INCR x; EXEC",
    ),
    (
        "found expired by a walk",
        "SET x 1 PX 1; past; SCAN 0; SET x 1 PX 1; past; RANDOMKEY; SET x 1 PX 1; past; KEYS *",
    ),
    ("found expired while popping", "> BLPOP k 0; RPUSH l 1; PEXPIRE l 1; past; BLPOP l k 0.001; RPUSH k 1"),
];

const DIRECTIVES: &str = "appendonly yes\nappendfsync always\naof-use-rdb-preamble no\nrdbcompression no\nenable-debug-command yes\n\
                          lazyfree-lazy-expire yes\nlazyfree-lazy-server-del yes";

fn start(kind: ServerKind) -> Server {
    let server = Server::start(kind, DIRECTIVES);
    assert_eq!(server.text("DEBUG SET-ACTIVE-EXPIRE 0"), "OK");
    server
}

fn words(line: &str) -> redis::Cmd {
    let mut words = line.split_whitespace();
    let mut cmd = redis::cmd(words.next().expect("a command"));
    words.for_each(|word| {
        cmd.arg(word);
    });
    cmd
}

fn info(server: &Server, section: &str, name: &str) -> i64 {
    crate::field(&server.text(&format!("INFO {section}")), name).parse().unwrap()
}

/// Plays a scene and tells everything that could be seen of it.
fn play(server: &Server, scene: &str) -> String {
    let mut told = String::new();
    let mut main = server.connect();
    let _: () = words("FLUSHALL").query(&mut main).unwrap();
    let log_from = log_of(server).len();
    let mut waiting = Vec::new();
    for line in scene.split(';').map(str::trim) {
        if let Some(line) = line.strip_prefix("> ") {
            let mut client = server.connect();
            let id: i64 = words("CLIENT ID").query(&mut client).unwrap();
            client.send_packed_command(&words(line).get_packed_command()).unwrap();
            waiting.push((id, client));
            let count = waiting.len() as i64;
            eventually("it waits", || info(server, "clients", "blocked_clients") == count);
        } else if line == "past" {
            // Keys that were to live for a millisecond have lived for longer, and nobody has looked at them.
            let mut micros = || {
                let (secs, micros): (u64, u64) = words("TIME").query(&mut main).unwrap();
                secs * 1_000_000 + micros
            };
            let set_before = micros();
            eventually("time passes", || micros() > set_before + 2000);
        } else {
            let reply = main.req_command(&words(line));
            told += &format!("{line} => {}\n", shown(reply));
        }
    }
    for (i, (id, mut client)) in waiting.into_iter().enumerate() {
        let waited: i64 = words(&format!("CLIENT UNBLOCK {id} ERROR")).query(&mut main).unwrap();
        told += &format!("waiter {i}: waited {waited}, {}\n", shown(client.recv_response()));
    }
    for key in ["a", "b", "c"] {
        told += &format!("{key}: {}\n", shown(main.req_command(&words(&format!("DUMP {key}")))));
    }
    for line in log_of(server).into_iter().skip(log_from) {
        told += &format!("log: {line}\n");
    }
    told
}

/// A reply as text. Which database a client is in does not show in what `redis` makes of an error.
fn shown(reply: redis::RedisResult<Value>) -> String {
    match reply {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?}", error.code(), error.detail()),
    }
}

/// The commands of the append-only file, in capitals and with moments left out. Where a SELECT stands is a matter of
/// taste (before MULTI, or behind it), so those are left out as well.
fn log_of(server: &Server) -> Vec<String> {
    let dir = server.dir().join("appendonlydir");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
    files.sort();
    let text: String = files.iter().map(|path| String::from_utf8(std::fs::read(path).unwrap()).unwrap()).collect();
    let mut lines = text.split("\r\n");
    let mut commands = Vec::new();
    while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
        let count: usize = count.parse().unwrap();
        let word = |_| {
            let _length = lines.next().unwrap();
            let word = lines.next().unwrap().to_uppercase();
            if word.len() == 13 && word.bytes().all(|b| b.is_ascii_digit()) { "<ms>".to_owned() } else { word }
        };
        let words: Vec<String> = (0..count).map(word).collect();
        if words[0] != "SELECT" {
            commands.push(words.join(" "));
        }
    }
    commands
}

#[test]
fn as_at_a_stock_server() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let (node, stock) = (start(ServerKind::Node), start(ServerKind::Stock));
    for (name, scene) in SCENES {
        assert_eq!(play(&node, scene), play(&stock, scene), "{name}\n(left: node, right: stock)");
    }
}

#[test]
fn a_wait_ends_when_it_was_to_end() {
    let server = Server::start(ServerKind::Node, "hz 1");
    // The best of several: the machine may be busy with something else.
    let late = |line: &str, ms: u64| {
        let tries = (0..10).map(|_| {
            let mut client = server.connect();
            let started = Instant::now();
            client.send_packed_command(&words(line).get_packed_command()).unwrap();
            let _ = client.recv_response();
            let took = started.elapsed();
            // The server's clock counts whole milliseconds.
            assert!(took + Duration::from_millis(1) >= Duration::from_millis(ms), "{line} took {took:?}");
            took.saturating_sub(Duration::from_millis(ms))
        });
        tries.min().unwrap()
    };
    for (line, ms) in [("BLPOP a 0.02", 20), ("BZPOPMIN a b 0.035", 35), ("WAIT 1 25", 25)] {
        let late = late(line, ms);
        assert!(late < Duration::from_millis(15), "{line} ended {late:?} late");
    }
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    let server = Server::start(ServerKind::Node, "");
    // Also when it has sent more behind the command that waits.
    for (line, behind) in [("BLPOP a 0", 0), ("BZPOPMIN b 0", 1), ("BLPOP a 0", 100)] {
        let mut client = server.connect();
        client.send_packed_command(&words(line).get_packed_command()).unwrap();
        for _ in 0..behind {
            client.send_packed_command(&words("INCR n").get_packed_command()).unwrap();
        }
        eventually("it waits", || info(&server, "clients", "blocked_clients") == 1);
        assert_eq!(info(&server, "clients", "total_blocking_keys"), 1);
        drop(client);
        eventually("it is gone", || info(&server, "clients", "blocked_clients") == 0);
        assert_eq!(info(&server, "clients", "total_blocking_keys"), 0);
    }
    assert_eq!(server.text("RPUSH a 1"), "1");
    assert_eq!(server.text("LLEN a"), "1");
    assert_eq!(server.text("EXISTS n"), "0");
}

/// The error that a client reads: its first word, and the rest.
fn error_told(client: &mut redis::Connection) -> (String, Option<String>) {
    match client.recv_response().unwrap() {
        Value::ServerError(error) => (error.code().to_owned(), error.details().map(str::to_owned)),
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn a_slot_that_goes_elsewhere_takes_its_waiters_along() {
    for kind in [ServerKind::Node, ServerKind::Stock] {
        if !kind.is_available() {
            continue;
        }
        let servers = Server::start_many(kind, 2, "cluster-require-full-coverage no");
        let [from, to] = &servers[..] else { panic!("two were started") };
        assert_eq!(from.text("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
        assert_eq!(to.text("CLUSTER BUMPEPOCH").split(' ').next(), Some("BUMPED"));
        assert_eq!(from.text(&format!("CLUSTER MEET 127.0.0.1 {}", to.port)), "OK");
        crate::wait_until_ok(&servers, 2);
        let mut waiting: Vec<_> = ["BLPOP {a}x {a}y 0", "BZPOPMIN {b}x 0", "BLMOVE {a}x {a}z LEFT LEFT 0"]
            .iter()
            .map(|line| {
                let mut client = from.connect();
                client.send_packed_command(&words(line).get_packed_command()).unwrap();
                client
            })
            .collect();
        eventually("they wait", || info(from, "clients", "blocked_clients") == 3);
        let slot = from.text("CLUSTER KEYSLOT a");
        let id = to.text("CLUSTER MYID");
        assert_eq!(to.text(&format!("CLUSTER SETSLOT {slot} NODE {id}")), "OK");
        assert_eq!(from.text(&format!("CLUSTER SETSLOT {slot} NODE {id}")), "OK");
        for i in [0, 2] {
            let wanted = ("MOVED".to_owned(), Some(format!("{slot} 127.0.0.1:{}", to.port)));
            assert_eq!(error_told(&mut waiting[i]), wanted, "{kind:?}");
        }
        // The other slot stayed.
        assert_eq!(from.text("ZADD {b}x 1 m"), "1", "{kind:?}");
        assert!(waiting[1].recv_response().is_ok(), "{kind:?}");
        // A cluster that is down serves nobody.
        let mut client = from.connect();
        client.send_packed_command(&words("BLPOP {b}x 0").get_packed_command()).unwrap();
        assert_eq!(from.text("CONFIG SET cluster-require-full-coverage yes"), "OK");
        eventually("it waits", || info(from, "clients", "blocked_clients") == 1);
        assert_eq!(from.text(&format!("CLUSTER DELSLOTS {slot}")), "OK");
        let wanted = ("CLUSTERDOWN".to_owned(), Some("The cluster is down".to_owned()));
        assert_eq!(error_told(&mut client), wanted, "{kind:?}");
    }
}
