//! `trib undo` of what was cut off half-way.

use crate::addrs;
use crate::drain::own_line;
use crate::links::{Links, Trouble};
use crate::slots::id_of;
use crate::support::{Server, ServerKind};
use crate::trib;

fn is_known_to(server: &Server, id: &str) -> bool {
    server.text("CLUSTER NODES").lines().any(|line| line.starts_with(id))
}

/// A primary without slots, its replica, and a cluster of which they are members.
struct Stage {
    servers: Vec<Server>,
    leaver: Server,
    replica: Server,
}

impl Stage {
    fn new(kind: ServerKind, directives: &str) -> Stage {
        let directives = format!("repl-diskless-sync-delay 0\n{directives}");
        let servers = Server::start_many(kind, 3, &directives);
        let [leaver, replica]: [Server; 2] = Server::start_many(kind, 2, &directives).try_into().ok().unwrap();
        let done = |line: String| {
            let ran = trib(&line);
            assert_eq!(ran.code, 0, "{line}: {ran:?}");
        };
        done(format!("create --yes {}", addrs(&servers)));
        done(format!("add-node {} {}", leaver.addr(), servers[0].addr()));
        done(format!("add-node --slave --master-id {} {} {}", id_of(&leaver), replica.addr(), servers[0].addr()));
        Stage { servers, leaver, replica }
    }

    fn others(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().chain([&self.replica])
    }

    /// Has `del-node` killed when it has given the replica away, which is before anybody has forgotten anybody.
    fn cut_off(&self, journal: &str) {
        let links = Links::new(self.others().chain([&self.leaver]));
        links.count_from("REPLICATE");
        let (seed, id) = (self.servers[0].addr(), id_of(&self.leaver));
        let (ran, _) = links.run(&["--journal", journal, "del-node", &seed, &id], Some((1, Trouble::KillTrib)));
        assert_eq!(ran.code, -1, "{ran:?}");
        let is_given = || !own_line(&self.replica).contains(&id);
        crate::support::eventually("the replica has another primary", is_given);
    }

    fn is_as_before(&self, told: &str) {
        let id = id_of(&self.leaver);
        for server in self.others() {
            assert!(is_known_to(server, &id), "{told}: {} does not know it", server.addr());
            assert!(is_known_to(&self.leaver, &id_of(server)), "{told}: {} is not known", server.addr());
        }
        assert!(own_line(&self.leaver).contains("myself,master"), "{told}: {}", own_line(&self.leaver));
        assert!(own_line(&self.replica).contains(&format!("slave {id}")), "{told}: {}", own_line(&self.replica));
        let ran = trib(&format!("check {}", self.servers[0].addr()));
        assert_eq!(ran.code, 0, "{told}: {ran:?}");
    }
}

#[test]
fn a_removal_that_was_cut_off_is_taken_back() {
    // Servers that pass on whom they were told to forget do so for a minute; in this test not for so long.
    for (kind, directives) in [(ServerKind::Stock, ""), (ServerKind::Node, "cluster-blacklist-ttl 3")] {
        if !kind.is_available() {
            continue;
        }
        let stage = Stage::new(kind, directives);
        let id = id_of(&stage.leaver);
        // How many have forgotten it, and whether it was reset.
        for (count, is_reset) in [(0, false), (1, false), (4, false), (4, true), (3, true)] {
            let told = format!("{kind:?}, {count} have forgotten it, reset: {is_reset}");
            let dir = tempfile::tempdir().unwrap();
            let journal = dir.path().display().to_string();
            stage.cut_off(&journal);
            for server in stage.others().take(count) {
                // Others may have told it already.
                let _ = server.call::<String>(&format!("CLUSTER FORGET {id}"));
            }
            if is_reset {
                assert_eq!(stage.leaver.text("CLUSTER RESET SOFT"), "OK");
            }
            let plan = trib(&format!("undo --dry-run --journal {journal}"));
            assert_eq!(plan.code, 4, "{told}: {plan:?}");
            let ran = trib(&format!("undo --yes --journal {journal}"));
            assert_eq!(ran.code, 0, "{told}: {ran:?}");
            stage.is_as_before(&told);
        }
    }
}

#[test]
fn what_cannot_be_taken_back_of_a_removal_is_said() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut stage = Stage::new(ServerKind::Stock, "");
    let (id, addr) = (id_of(&stage.leaver), stage.leaver.addr());
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().display().to_string();
    stage.cut_off(&journal);
    assert_eq!(stage.servers[1].text(&format!("CLUSTER FORGET {id}")), "OK");
    stage.leaver.kill();
    let ran = trib(&format!("undo --yes --journal {journal}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = format!("[ERR] {addr} is forgotten by some nodes already, and cannot join again: ");
    assert!(ran.stdout.contains(&said) && ran.stderr.contains("'trib resume "), "{ran:?}");
    assert!(is_known_to(&stage.servers[0], &id), "nothing was changed");
    // Another one there is not taken for it.
    stage.leaver.restart();
    assert_eq!(stage.leaver.text("CLUSTER RESET HARD"), "OK");
    let ran = trib(&format!("undo --yes --journal {journal}"));
    assert!(ran.code == 1 && ran.stdout.contains("is another node by now"), "{ran:?}");
}
