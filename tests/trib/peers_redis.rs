//! Redis 6.2 and 8.2, beside the 7.0 that all other tests have: the life of a cluster on each, all three in one cluster and
//! with nodes, the way up from one to the next, and values that go from any to any.

use std::collections::BTreeSet;

use crate::drain::own_line;
use crate::import::fill_types;
use crate::roll::{Restarter, replica_of, roll, stock};
use crate::slots::{fill, id_of, key_in, keys_in, slots_of};
use crate::support::cluster_client::Writer;
use crate::support::{
    Ran, Server, ServerKind, eventually, peer_is_available, peer_program, redis_cli_is_available, run,
};
use crate::{addrs, trib};

const OLD: ServerKind = ServerKind::Peer("redis-server-6.2");
const NEW: ServerKind = ServerKind::Peer("redis-server-8.2");

/// A replica that hangs on an older or newer primary must not be replaced meanwhile.
const QUIET: &str = "repl-diskless-sync-delay 0";

fn are_available(kinds: &[ServerKind]) -> bool {
    kinds.iter().all(|kind| kind.is_available())
}

fn done(line: &str) -> Ran {
    ends(line, 0)
}

fn ends(line: &str, code: i32) -> Ran {
    let ran = trib(line);
    assert_eq!(ran.code, code, "{line}: {ran:?}");
    ran
}

/// A server of each kind, in cluster mode.
fn start(kinds: &[ServerKind]) -> Vec<Server> {
    kinds.iter().map(|kind| Server::start_in_cluster_mode(*kind, QUIET)).collect()
}

/// A cluster of one node.
fn lone(kind: ServerKind) -> Server {
    let server = Server::start_in_cluster_mode(kind, QUIET);
    done(&format!("create --yes --allow-few {}", server.addr()));
    server
}

fn become_well(seed: &str) {
    let mut said = String::new();
    eventually("the cluster is well", || {
        let ran = trib(&format!("check {seed}"));
        if ran.code != 0 && ran.stdout != said {
            eprintln!("{ran:?}");
            said = ran.stdout;
        }
        ran.code == 0
    });
}

/// Everything that is done to a cluster, once.
fn live(kind: ServerKind, version: &str, directives: &str) {
    if !are_available(&[kind]) {
        return;
    }
    let servers = Server::start_many(kind, 7, &format!("{QUIET}\n{directives}"));
    let (first, spare) = servers.split_at(6);
    let (seed, ids) = (first[1].addr(), first.iter().map(id_of).collect::<Vec<_>>());
    done(&format!("create --yes --replicas 1 {}", addrs(first)));
    fill(first[0].port, 400);
    let writer = Writer::start(first[2].port, "live", 100);

    // What there is to see.
    let ran = done(&format!("status {seed}"));
    assert_eq!(ran.stdout.matches(&format!(" redis {version}")).count(), 6, "{ran:?}");
    assert_eq!(done(&format!("slots --hot 2 --csv {seed}")).stdout.lines().count(), 3, "and a head");
    let ran = trib(&format!("slots --hot 2 --by cpu --csv {seed}"));
    match directives.is_empty() {
        true => assert!(ran.code == 1 && ran.stderr.contains("since Valkey 8 and Redis 8.2"), "{ran:?}"),
        false => assert_eq!((ran.code, ran.stdout.lines().count()), (0, 3), "{ran:?}"),
    }
    assert!(done(&format!("where {seed} fill:1")).stdout.contains("127.0.0.1:"));
    assert!(done(&format!("bigkeys --csv {seed}")).stdout.contains("fill:"));
    assert_eq!(done(&format!("call --on replicas {seed} ECHO bell")).stdout.matches(": bell\n").count(), 3);
    done(&format!("config set {seed} maxmemory-samples 7"));
    assert!(done(&format!("config get --csv {seed} maxmemory-samples")).stdout.contains(",7,"));
    assert_eq!(first[0].text("CONFIG SET maxmemory-samples 5"), "OK");
    assert!(ends(&format!("config diff {seed}"), 3).stdout.contains("maxmemory-samples"));
    done(&format!("config set {seed} maxmemory-samples 5"));
    done(&format!("config diff {seed}"));

    // Slots, members and roles change.
    done(&format!("reshard --yes --from {} --to {} --slots 200 {seed}", ids[0], ids[1]));
    done(&format!("rebalance --threshold 0 {seed}"));
    done(&format!("add-node {} {seed}", spare[0].addr()));
    done(&format!("rebalance --use-empty-masters {seed}"));
    assert_eq!(slots_of(&spare[0]), 4096);
    done(&format!("del-node --drain {seed} {}", id_of(&spare[0])));
    let heir = replica_of(first, &first[0]);
    done(&format!("failover --to {} {seed}", heir.addr()));
    assert!(own_line(heir).contains("master"));
    done(&format!("failover --to {} {seed}", first[0].addr()));
    let slot = (0..).find(|slot| !first[0].text(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).starts_with('0')).unwrap();
    assert_eq!(first[1].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[0])), "OK");
    assert_eq!(first[0].text(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[1])), "OK");
    assert!(ends(&format!("check {seed}"), 3).stdout.contains(&format!("The following slots are open: {slot}\n")));
    done(&format!("fix --yes {seed}"));
    become_well(&seed);
    assert!(writer.finish(first[2].port) > 100);

    // Kept, lost, and had again.
    let (dir, keys) = (tempfile::tempdir().unwrap(), keys_in(&first[..3]));
    let dir = dir.path().display();
    done(&format!("backup {seed} {dir}"));
    done(&format!("verify {dir} {seed}"));
    first[..3].iter().for_each(|server| assert_eq!(server.text("FLUSHALL"), "OK"));
    done(&format!("restore --verify {dir} {seed}"));
    assert_eq!(keys_in(&first[..3]), keys);
    done(&format!("reset --yes --hard --flush {}", addrs(first)));
    assert!(first.iter().all(|server| server.text("CLUSTER NODES").lines().count() == 1));
}

#[test]
fn a_cluster_of_redis_6_2() {
    live(OLD, "6.2", "");
}

#[test]
fn a_cluster_of_redis_8_2() {
    live(NEW, "8.2", "cluster-slot-stats-enabled yes");
}

/// What scripts read, as the tool of that time says it.
#[test]
fn reports_are_those_of_redis_cli_6_2() {
    if !are_available(&[OLD]) || !peer_is_available("redis-cli-6.2") {
        return;
    }
    let servers = Server::start_many(OLD, 6, QUIET);
    let seed = servers[1].addr();
    done(&format!("create --yes --replicas 1 {}", addrs(&servers)));
    fill(servers[0].port, 20);
    let program = peer_program("redis-cli-6.2").display().to_string();
    let compare = |line: &str, code: i32| {
        let theirs = run(&program, &line.split(' ').collect::<Vec<_>>(), "", &[]);
        let ours = trib(line);
        assert_eq!((&ours.stdout, ours.code, theirs.code), (&theirs.stdout, code, code), "{line}: {ours:?}");
    };
    compare(&format!("--cluster info {seed}"), 0);
    compare(&format!("--cluster check {seed}"), 0);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    assert_eq!(servers[1].text(&format!("CLUSTER SETSLOT 7 IMPORTING {from}")), "OK");
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {to}")), "OK");
    compare(&format!("--cluster check {}", servers[2].addr()), 1);
}

/// Each shard may only give slots to one that is as new: nothing is lost by trying.
#[test]
fn three_versions_in_one_cluster() {
    if !are_available(&[OLD, ServerKind::Stock, NEW]) {
        return;
    }
    let servers = start(&[OLD, ServerKind::Stock, NEW, NEW, ServerKind::Node]);
    let (seed, ids) = (servers[0].addr(), servers.iter().map(id_of).collect::<Vec<_>>());
    let made = format!("{}[{}] {} {}", seed, servers[3].addr(), servers[1].addr(), servers[2].addr());
    assert!(done(&format!("create --yes {made}")).stdout.contains("The nodes differ: "));
    done(&format!("add-node {} {seed}", servers[4].addr()));
    become_well(&seed);
    fill(servers[0].port, 600);
    let primaries = [0, 1, 2, 4];
    let keys = || primaries.iter().map(|&n| servers[n].call::<usize>("DBSIZE").unwrap()).sum::<usize>();
    let give = |from: usize, to: usize| {
        trib(&format!("reshard --yes --from {} --to {} --slots 200 {seed}", ids[from], ids[to]))
    };
    for (from, to) in [(0, 1), (0, 4), (1, 4), (4, 1), (1, 2)] {
        let ran = give(from, to);
        assert_eq!((ran.code, keys()), (0, 600), "{from} to {to}: {ran:?}");
    }
    // What is there already is compared by what it is, not by the form in which it is told.
    let (slot, from, to) = (1000, &servers[0], &servers[1]);
    let key = key_in(slot);
    assert_eq!(to.text(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[0])), "OK");
    for (server, elements) in [(from, "a b"), (to, "b a")] {
        let mut connection = server.connect();
        redis::cmd("ASKING").exec(&mut connection).unwrap();
        redis::cmd("SADD").arg(&key).arg(elements.split(' ').collect::<Vec<_>>()).exec(&mut connection).unwrap();
    }
    assert_eq!(from.text(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[1])), "OK");
    done(&format!("fix --yes {seed}"));
    assert_eq!(
        (from.call::<i64>(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), to.call(&format!("SCARD {key}"))),
        (Ok(0), Ok(2))
    );
    assert_eq!(to.text(&format!("DEL {key}")), "1");
    for (from, to) in [(1, 0), (2, 0), (2, 1), (2, 4)] {
        let before = slots_of(&servers[from]);
        let ran = give(from, to);
        assert_eq!(ran.code, 1, "{from} to {to}: {ran:?}");
        let said = format!("*** {} (", servers[to].addr());
        assert!(ran.stdout.contains(&said) && ran.stdout.contains(") does not read the keys of "), "{ran:?}");
        let none = "0 of 200 slots were moved, and none was opened; they cannot go there (the target is older than";
        assert!(ran.stderr.contains(none), "{ran:?}");
        become_well(&seed);
        assert_eq!(slots_of(&servers[from]), before);
        assert_eq!(keys(), 600, "{from} to {to}");
    }
    // One that is told to read what it does not know is not judged by its version.
    assert_eq!(servers[4].text("CONFIG SET rdb-version-check relaxed"), "OK");
    let ran = give(2, 4);
    assert_eq!((ran.code, keys()), (0, 600), "{ran:?}");

    // Nor can it be the replica of one that is newer, which is said.
    let late = Server::start_in_cluster_mode(ServerKind::Node, QUIET);
    let ran = ends(&format!("add-node --slave --master-id {} --wait 10s {} {seed}", ids[2], late.addr()), 6);
    assert!(ran.stdout.contains(&format!("[ERR] not within 10 s: {} has no link", late.addr())), "{ran:?}");
    assert!(ran.stderr.contains("cannot replicate one that is newer than itself"), "{ran:?}");
    // While it is being fed once more it seems well.
    eventually("it is found", || {
        let (check, status) = (trib(&format!("check {seed}")), trib(&format!("status {seed}")));
        let why = check.stdout.contains("is down (it is node ") && check.stdout.contains(", the primary redis 8.2.");
        check.code == 3 && why && status.code == 3 && status.stdout.contains(" link down ")
    });
    done(&format!("del-node {seed} {}", id_of(&late)));
    become_well(&seed);
}

#[test]
fn an_upgrade_from_6_2_to_8_2() {
    if !are_available(&[OLD, ServerKind::Stock, NEW]) || !redis_cli_is_available() {
        return;
    }
    let servers = Server::start_many(OLD, 6, QUIET);
    let seed = servers[1].addr();
    done(&format!("create --yes --replicas 1 {}", addrs(&servers)));
    fill(servers[0].port, 500);
    let restarter = Restarter::new(&servers);
    let newest = NEW.program().display().to_string();
    let versions = || -> BTreeSet<String> {
        let version = |server: &Server| {
            let info = server.text("INFO server");
            info.lines().find_map(|line| line.strip_prefix("redis_version:")).expect("it tells").to_owned()
        };
        servers.iter().map(version).collect()
    };
    let before = versions();
    for program in [&stock(), &newest] {
        let writer = Writer::start(servers[1].port, program, 200);
        let ran = roll(&restarter.command(program), &format!("--back --wait 60s {seed}"));
        assert_eq!(ran.code, 0, "{program}: {ran:?}");
        assert!(writer.finish(servers[1].port) > 100);
        become_well(&seed);
    }
    let after = versions();
    assert!(after.len() == 1 && after.is_disjoint(&before), "{before:?} {after:?}");
    assert!(servers[..3].iter().all(|server| own_line(server).contains("master")));
    assert!(keys_in(&servers[..3]) >= 500);

    // There is no way back: an older replica does not read what the primary sends, which ends the roll in time.
    let ran = roll(&restarter.command(&stock()), &format!("--only replicas --wait 3s {seed}"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(
        ran.stdout.contains("has no link to its primary (it is redis 7.0.")
            && ran.stderr.contains("0 of 3 steps are done"),
        "{ran:?}"
    );
    let ran = roll(&restarter.command(&newest), &format!("--only replicas --wait 60s {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    become_well(&seed);
}

/// Values of all types, a hash whose fields expire, and a set of vectors, which is a module's.
const KEYS: usize = 9;

fn fill_new(server: &Server) {
    fill_types(server);
    assert_eq!(server.call::<i64>("HSET expiring f 1 g 2").unwrap(), 2);
    assert_eq!(server.call::<Vec<i64>>("HPEXPIRE expiring 5000000 FIELDS 1 f").unwrap(), [1]);
    assert_eq!(server.call::<i64>("VADD vectors VALUES 2 1 2 element").unwrap(), 1);
}

/// Whether the field still expires.
fn expires(server: &Server) -> bool {
    server.call::<Vec<i64>>("HPTTL expiring FIELDS 1 f").is_ok_and(|ttl| (4_000_000..=5_000_000).contains(&ttl[0]))
}

const NO_EXPIRY: &str = "(fields of it expire, which only Redis since 7.4 and Valkey since 9 know)";
const NO_MODULE: &str = "a value of module type vectorset is not supported yet";

#[test]
fn values_go_from_any_version_to_any() {
    if !are_available(&[OLD, ServerKind::Stock, NEW]) {
        return;
    }
    let (old, new) = (Server::start(OLD, ""), Server::start(NEW, ""));
    fill_types(&old);
    fill_new(&new);
    let cluster = lone(NEW);
    fill_new(&cluster);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display();
    done(&format!("backup {} {dir}", cluster.addr()));
    let ran = done(&format!("verify --csv {dir}"));
    assert!(ran.stdout.contains(&format!(",{KEYS},")) && ran.stdout.contains(",ok,"), "{ran:?}");
    let both = [("expiring", NO_EXPIRY), ("vectors", NO_MODULE)];
    for (kind, refused) in
        [(OLD, &both[..]), (ServerKind::Stock, &both[..]), (ServerKind::Node, &both[1..]), (NEW, &both[..0])]
    {
        let target = lone(kind);
        let seed = target.addr();
        let ran = done(&format!("import --copy --verify --from {} {seed}", old.addr()));
        assert_eq!(target.text("DBSIZE"), "7", "{kind:?}: {ran:?}");

        // Live, and from the files of a backup: all but what the server has no room for, and that is said.
        let code = i32::from(!refused.is_empty());
        let import = format!("import --copy --verify --replace --from {} {seed}", new.addr());
        let restore = format!("restore --verify --replace {dir} {seed}");
        for line in [import, restore] {
            assert_eq!(target.text("FLUSHALL"), "OK");
            let ran = ends(&line, code);
            assert_eq!(target.text("DBSIZE"), (KEYS - refused.len()).to_string(), "{kind:?} {line}: {ran:?}");
            assert_eq!(expires(&target), refused.len() < 2, "{kind:?} {line}: {ran:?}");
            for (key, why) in refused {
                let said = ran.stdout.lines().find(|said| said.starts_with(&format!("[ERR] {key} was not ")));
                assert!(said.is_some_and(|said| said.contains(why)), "{kind:?} {line}: {ran:?}");
            }
            assert!(!ran.stdout.contains(" differs: "), "{ran:?}");
        }
        let ran = ends(&format!("verify {dir} {seed}"), code);
        for (key, _) in refused {
            assert!(ran.stdout.contains(&format!("[ERR] {key} differs: it is not in the cluster")), "{ran:?}");
        }
    }

    // What is moved stays where it was as long as it is nowhere else.
    let target = lone(ServerKind::Stock);
    let ran = ends(&format!("import --via migrate --from {} {}", new.addr(), target.addr()), 1);
    assert!(ran.stderr.contains("--via dump has this program write the values anew"), "{ran:?}");
    assert_eq!((new.text("DBSIZE"), target.text("DBSIZE")), (KEYS.to_string(), "0".to_owned()));
    ends(&format!("import --from {} {}", new.addr(), target.addr()), 1);
    assert_eq!((new.text("DBSIZE"), target.text("DBSIZE")), ("2".to_owned(), (KEYS - 2).to_string()));
    assert!(expires(&new));
}
