//! Clusters whose nodes have several databases.

use crate::slots::{id_of, key_in};
use crate::support::{Server, ServerKind, eventually};
use crate::{addrs, trib};

pub fn in_database<T: redis::FromRedisValue>(server: &Server, database: u32, command: &str) -> T {
    let mut connection = server.connect();
    redis::cmd("SELECT").arg(database).exec(&mut connection).unwrap();
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd.query(&mut connection).unwrap_or_else(|e| panic!("{command} on {}: {e}", server.addr()))
}

#[test]
fn keys_of_all_databases_travel_with_their_slots() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Node, 3, "cluster-databases 4");
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    let seed = servers[2].addr();
    travel(&servers, "migrate");

    // A source's databases stay apart where there is room for them, and are folded where there is none.
    let source = Server::start(ServerKind::Stock, "");
    for database in [1, 9] {
        assert_eq!(in_database::<String>(&source, database, "SET imported x"), "OK");
    }
    for via in ["migrate", "dump"] {
        let ran = trib(&format!("import --copy --replace --via {via} --from {} {seed}", source.addr()));
        assert_eq!(ran.code, 0, "{ran:?}");
        let at = |node: &Server, database| in_database::<Vec<String>>(node, database, "KEYS imported").len();
        let found: Vec<usize> = (0..4).map(|database| servers.iter().map(|node| at(node, database)).sum()).collect();
        assert_eq!(found, [1, 1, 0, 0], "{via}");
    }
}

/// Moves slots with keys in several of the four databases from the first node to the second.
pub fn travel(servers: &[Server], engine: &str) {
    let seed = servers[2].addr();
    for (database, slot) in [(0, 0), (1, 1), (3, 1), (3, 2)] {
        let set = format!("SET {} value-{database}", key_in(slot));
        assert_eq!(in_database::<String>(&servers[0], database, &set), "OK");
    }
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let ran = trib(&format!("reshard --yes --engine {engine} --from {from} --to {to} --slots 3 {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    for (database, slot) in [(0, 0), (1, 1), (3, 1), (3, 2)] {
        let get = format!("GET {}", key_in(slot));
        assert_eq!(in_database::<String>(&servers[1], database, &get), format!("value-{database}"));
    }
    // What has moved atomically is deleted in the background.
    eventually("the source has nothing left", || (0..4).all(|n| in_database::<usize>(&servers[0], n, "DBSIZE") == 0));
}
