//! Commands that only a cluster has, and numbered databases in one.

use crate::support::{Server, ServerKind, eventually};
use crate::{cluster_of, wait_until_ok};

/// A server that owns all slots.
fn alone(directives: &str) -> Server {
    let server = Server::start_in_cluster_mode(ServerKind::Node, directives);
    assert_eq!(server.text("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    eventually("it serves", || server.call::<String>("CLUSTER INFO").is_ok_and(|info| info.contains("state:ok")));
    server
}

type Page = (String, Vec<String>);

/// Walks to the end as a client does: every cursor is sent to who serves its slot.
fn walk(servers: &[Server], options: &str) -> Vec<String> {
    let (mut cursor, mut keys, mut at, mut steps) = ("0".to_owned(), Vec::new(), 0, 0);
    loop {
        let page = servers[at].call::<Page>(&format!("CLUSTERSCAN {cursor} {options}"));
        match page {
            Ok((next, found)) => {
                keys.extend(found);
                cursor = next;
            }
            Err(error) => {
                let moved = error.redirect_node().unwrap_or_else(|| panic!("{cursor}: {error}")).0.to_owned();
                at = servers.iter().position(|server| server.addr() == moved).expect("one of ours");
            }
        }
        steps += 1;
        assert!(steps < 50_000, "it goes on for ever");
        if cursor == "0" {
            keys.sort();
            return keys;
        }
    }
}

#[test]
fn clusterscan_sees_every_key_once() {
    let servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 15000");
    wait_until_ok(&servers, 6);
    let urls: Vec<String> = servers.iter().map(|s| format!("redis://{}/", s.addr())).collect();
    let mut client = redis::cluster::ClusterClient::new(urls).unwrap().get_connection().unwrap();
    let mut expected = Vec::new();
    for n in 0..300 {
        let key = if n % 3 == 0 { format!("{{tag}}{n}") } else { format!("key:{n}") };
        redis::cmd("SET").arg(&key).arg(n).exec(&mut client).unwrap();
        expected.push(key);
    }
    redis::cmd("SADD").arg("{tag}set").arg(1).exec(&mut client).unwrap();
    expected.push("{tag}set".to_owned());
    expected.sort();
    assert_eq!(walk(&servers[..3], ""), expected);
    assert_eq!(walk(&servers[..3], "COUNT 1000 TYPE set"), ["{tag}set"]);
    let tagged: Vec<String> = expected.iter().filter(|key| key.starts_with("{tag}")).cloned().collect();
    assert_eq!(walk(&servers[..3], "MATCH {tag}*"), tagged);
    let slot = servers[0].call::<u16>("CLUSTER KEYSLOT {tag}").unwrap();
    assert_eq!(walk(&servers[..3], &format!("SLOT {slot} COUNT 7")), tagged);
    assert_eq!(walk(&servers[..3], "SLOT 0 MATCH {tag}*"), [""; 0]);
}

#[test]
fn clusterscan_refuses_nonsense() {
    let server = alone("");
    let error = |line: &str| server.call::<Page>(line).unwrap_err().to_string();
    for (line, part) in [
        ("CLUSTERSCAN x", "Invalid cursor"),
        ("CLUSTERSCAN 0-{06S}", "Invalid cursor"),
        ("CLUSTERSCAN 0-{06S}-0 SLOT 1", "Cursor slot mismatch with SLOT argument"),
        ("CLUSTERSCAN 0 SLOT 1 SLOT 1", "SLOT option can only be specified once"),
        ("CLUSTERSCAN 0 SLOT 16384", "Invalid or out of range slot"),
        ("CLUSTERSCAN 0 COUNT 0", "syntax error"),
        ("CLUSTERSCAN 0 COUNT", "syntax error"),
        ("CLUSTERSCAN 0 FOO 1", "syntax error"),
    ] {
        assert!(error(line).to_lowercase().contains(&part.to_lowercase()), "{line}: {}", error(line));
    }
    let plain = Server::start(ServerKind::Node, "");
    assert!(plain.call::<Page>("CLUSTERSCAN 0").unwrap_err().to_string().contains("cluster support disabled"));
}

type SlotRow = (u16, std::collections::BTreeMap<String, u64>);

#[test]
fn slot_stats_count_what_slots_cost() {
    let server = alone("cluster-slot-stats-enabled yes");
    // Slots of "a", "b" and "c".
    let slot = |key: &str| server.call::<u16>(&format!("CLUSTER KEYSLOT {key}")).unwrap();
    assert_eq!(server.text("SET a 12345"), "OK");
    assert_eq!(server.text("SET b 1"), "OK");
    assert_eq!(server.text("GET b"), "1");
    let rows = |line: &str| server.call::<Vec<SlotRow>>(&format!("CLUSTER SLOT-STATS {line}")).unwrap();
    let of = |key: &str| {
        let n = slot(key);
        let (number, row) = rows(&format!("SLOTSRANGE {n} {n}")).remove(0);
        assert_eq!(number, n);
        row
    };
    let (a, b, c) = (of("a"), of("b"), of("c"));
    assert_eq!((a["key-count"], a["network-bytes-in"], a["network-bytes-out"]), (1, 31, 5));
    assert_eq!((b["network-bytes-in"], b["network-bytes-out"]), (27 + 20, 5 + 7));
    assert!(c.values().all(|n| *n == 0) && c.len() == 4, "{c:?}");
    assert_eq!(rows("SLOTSRANGE 0 16383").len(), 16384);
    let mut listener = server.connect();
    let confirmed: (String, String, u64) = redis::cmd("SSUBSCRIBE").arg("c").query(&mut listener).unwrap();
    assert_eq!(confirmed, ("ssubscribe".to_owned(), "c".to_owned(), 1));
    assert_eq!(server.call::<u64>("SPUBLISH c hello"), Ok(1));
    let c = of("c");
    // The subscription and the message; its confirmation, the reply of one digit and what the listener gets.
    let (asked, told) = (28 + 36, 32 + 4 + 36);
    assert_eq!((c["network-bytes-in"], c["network-bytes-out"]), (asked, told));
    let top = rows("ORDERBY network-bytes-in LIMIT 3");
    let top = &top[1..];
    assert_eq!([top[0].0, top[1].0], [slot("b"), slot("a")]);
    assert_eq!(rows("ORDERBY key-count LIMIT 1 ASC")[0].0, 0);
    let error =
        |line: &str| server.call::<Vec<SlotRow>>(&format!("CLUSTER SLOT-STATS {line}")).unwrap_err().to_string();
    for (line, part) in [
        ("SLOTSRANGE 2 1", "start slot number 2 is greater than end slot number 1"),
        ("SLOTSRANGE 1 16384", "invalid or out of range slot"),
        ("SLOTSRANGE 1", "wrong number of arguments"),
        ("ORDERBY colour", "unrecognized sort metric for orderby."),
        ("ORDERBY key-count LIMIT 0", "limit has to lie in between 1 and 16384 (maximum number of slots)."),
        ("ORDERBY key-count ASC DESC", "multiple filters of the same type are disallowed."),
        ("ORDERBY key-count FOO", "syntax error"),
    ] {
        assert!(error(line).to_lowercase().contains(part), "{line}: {}", error(line));
    }
    assert_eq!(server.text("CONFIG RESETSTAT"), "OK");
    assert_eq!(of("a")["network-bytes-in"], 0);
    assert_eq!(server.text("CONFIG SET cluster-slot-stats-enabled no"), "OK");
    assert_eq!(of("a").into_iter().collect::<Vec<_>>(), [("key-count".to_owned(), 1)]);
    assert!(error("ORDERBY cpu-usec").contains("nrecognized"), "what is not counted is no metric");
}

#[test]
fn the_bus_listens_where_it_is_told_and_says_where_it_is() {
    let port = crate::support::free_port();
    let server = Server::start_in_cluster_mode(ServerKind::Node, &format!("cluster-port {port}"));
    assert!(server.text("CLUSTER NODES").contains(&format!("@{port} ")), "{}", server.text("CLUSTER NODES"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let other = Server::start_in_cluster_mode(ServerKind::Node, "");
    assert_eq!(other.text(&format!("CLUSTER MEET 127.0.0.1 {} {port}", server.port)), "OK");
    eventually("they meet", || server.text("CLUSTER NODES").contains(&format!(":{}@", other.port)));
    for (directive, value, part) in [
        ("cluster-announce-ip", "127.0.0.9", "127.0.0.9:"),
        ("cluster-announce-port", "7999", ":7999@"),
        ("cluster-announce-bus-port", "17999", "@17999"),
        ("cluster-announce-hostname", "host.example", ",host.example "),
    ] {
        assert_eq!(server.text(&format!("CONFIG SET {directive} {value}")), "OK");
        assert!(server.text("CLUSTER NODES").contains(part), "{directive}: {}", server.text("CLUSTER NODES"));
    }
    eventually("the other knows", || other.text("CLUSTER NODES").contains(" 127.0.0.9:7999@17999,host.example "));
}

#[test]
fn numbered_databases_work_in_a_cluster_and_outlive_a_restart() {
    let mut server = alone("cluster-databases 4\nappendonly yes");
    {
        let mut link = server.connect();
        let mut call = |line: &str| -> redis::RedisResult<redis::Value> {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            for word in words {
                command.arg(word);
            }
            command.query(&mut link)
        };
        let ok = Ok(redis::Value::Okay);
        let int = |n| Ok(redis::Value::Int(n));
        assert_eq!(call("SELECT 3"), ok);
        assert_eq!(call("SET {t}a three"), ok);
        assert_eq!(call("MOVE {t}a 2"), int(1));
        assert_eq!(call("SET {t}a again"), ok);
        assert_eq!(call("COPY {t}a {t}b DB 1"), int(1));
        let slot = server.call::<i64>("CLUSTER KEYSLOT t").unwrap();
        assert_eq!(call(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), int(1));
        assert!(call("SELECT 4").unwrap_err().to_string().contains("out of range"));
        assert!(call("SWAPDB 0 1").unwrap_err().to_string().contains("not allowed in cluster mode"));
    }
    for file in ["the log", "a snapshot"] {
        if file == "a snapshot" {
            assert_eq!(server.text("CONFIG SET appendonly no"), "OK");
            assert_eq!(server.text("SAVE"), "OK");
            std::fs::remove_dir_all(server.dir().join("appendonlydir")).unwrap();
            let conf = server.dir().join("redis.conf");
            let text = std::fs::read_to_string(&conf).unwrap().replace("appendonly yes", "appendonly no");
            std::fs::write(conf, text).unwrap();
        }
        server.restart();
        let mut link = server.connect();
        let mut get = |db: u32, key: &str| -> Option<String> {
            redis::cmd("SELECT").arg(db).exec(&mut link).unwrap();
            redis::cmd("GET").arg(key).query(&mut link).unwrap()
        };
        eventually("it serves", || server.call::<String>("CLUSTER INFO").is_ok_and(|info| info.contains("state:ok")));
        assert_eq!(get(3, "{t}a").as_deref(), Some("again"), "{file}");
        assert_eq!(get(2, "{t}a").as_deref(), Some("three"), "{file}");
        assert_eq!(get(1, "{t}b").as_deref(), Some("again"), "{file}");
        assert_eq!(get(0, "{t}a"), None, "{file}");
    }
}

#[test]
fn numbered_databases_are_replicated_migrated_and_flushed_slot_by_slot() {
    let servers = cluster_of(&[ServerKind::Node], "cluster-databases 2\ncluster-node-timeout 15000");
    wait_until_ok(&servers, 6);
    let key = "a{06S}";
    let slot = servers[0].call::<u16>(&format!("CLUSTER KEYSLOT {key}")).unwrap();
    let owner = |key: &str| {
        let served = |server: &&Server| server.call::<i64>(&format!("EXISTS {key}")).is_ok();
        servers[..3].iter().find(served).expect("somebody serves it")
    };
    let source = owner(key);
    let mut link = source.connect();
    for db in 0..2 {
        redis::cmd("SELECT").arg(db).exec(&mut link).unwrap();
        redis::cmd("SET").arg(key).arg(format!("in {db}")).exec(&mut link).unwrap();
    }
    let acked: i64 = redis::cmd("WAIT").arg(1).arg(10_000).query(&mut link).unwrap();
    assert_eq!(acked, 1);
    let replica = servers[3..].iter().find(|s| {
        let mut link = s.connect();
        redis::cmd("READONLY").exec(&mut link).unwrap();
        redis::cmd("GET").arg(key).query::<Option<String>>(&mut link).is_ok()
    });
    let mut copy = replica.expect("its replica").connect();
    redis::cmd("READONLY").exec(&mut copy).unwrap();
    redis::cmd("SELECT").arg(1).exec(&mut copy).unwrap();
    assert_eq!(redis::cmd("GET").arg(key).query::<String>(&mut copy).unwrap(), "in 1");

    // An open slot: whole keys move within a database, and none changes its database meanwhile.
    let target = servers[..3].iter().find(|s| s.port != source.port).unwrap();
    let (from, to) = (source.text("CLUSTER MYID"), target.text("CLUSTER MYID"));
    assert_eq!(target.text(&format!("CLUSTER SETSLOT {slot} IMPORTING {from}")), "OK");
    assert_eq!(source.text(&format!("CLUSTER SETSLOT {slot} MIGRATING {to}")), "OK");
    let moved = redis::cmd("MOVE").arg(key).arg(0).query::<i64>(&mut link).unwrap_err();
    assert_eq!(moved.code(), Some("TRYAGAIN"), "{moved}");
    for db in 0..2 {
        redis::cmd("SELECT").arg(db).exec(&mut link).unwrap();
        let reply: String = redis::cmd("MIGRATE")
            .arg("127.0.0.1")
            .arg(target.port)
            .arg(key)
            .arg(db)
            .arg(5000)
            .query(&mut link)
            .unwrap();
        assert_eq!(reply, "OK");
    }
    for server in [target, source] {
        assert_eq!(server.text(&format!("CLUSTER SETSLOT {slot} NODE {to}")), "OK");
    }
    let mut there = target.connect();
    for db in 0..2 {
        redis::cmd("SELECT").arg(db).exec(&mut there).unwrap();
        assert_eq!(redis::cmd("GET").arg(key).query::<String>(&mut there).unwrap(), format!("in {db}"));
    }
    redis::cmd("CLUSTER").arg("FLUSHSLOT").arg(slot).arg("SYNC").exec(&mut there).unwrap();
    for db in 0..2 {
        redis::cmd("SELECT").arg(db).exec(&mut there).unwrap();
        assert_eq!(redis::cmd("GET").arg(key).query::<Option<String>>(&mut there).unwrap(), None);
    }
}
