//! Failovers in the middle of a slot's move.

use crate::support::cluster_client::ClusterClient;
use crate::support::{Server, ServerKind, eventually};
use crate::{cluster_of, role, trib, wait_until_ok};

const KEYS: usize = 60;

fn nodes_line(server: &Server) -> String {
    let nodes = server.call::<String>("CLUSTER NODES").unwrap_or_default();
    nodes.lines().find(|line| line.contains("myself")).unwrap_or_default().to_owned()
}

#[test]
fn promoted_replicas_go_on_with_a_slot_that_is_half_moved() {
    let mut servers = cluster_of(&[ServerKind::Node], "");
    wait_until_ok(&servers, 6);
    let [source, target, source_heir, target_heir] = [0, 1, 3, 4].map(|i| servers[i].text("CLUSTER MYID"));
    let slot = servers[0].text("CLUSTER KEYSLOT b");
    for i in 0..KEYS {
        assert_eq!(servers[0].text(&format!("SET {{b}}{i} v{i}")), "OK");
    }
    assert_eq!(servers[1].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}")), "OK");
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}")), "OK");
    // What was answered is known to the replicas.
    assert!(nodes_line(&servers[3]).contains(&format!("[{slot}->-{target}]")), "{}", nodes_line(&servers[3]));
    assert!(nodes_line(&servers[4]).contains(&format!("[{slot}-<-{source}]")), "{}", nodes_line(&servers[4]));
    for i in 0..KEYS / 2 {
        assert_eq!(servers[0].text(&format!("MIGRATE 127.0.0.1 {} {{b}}{i} 0 5000", servers[1].port)), "OK");
    }
    for (primary, replica) in [(0, 3), (1, 4)] {
        eventually("the replica has what its primary has", || {
            servers[primary].text("DBSIZE") == servers[replica].text("DBSIZE")
        });
    }

    servers[0].kill();
    eventually("the source's replica takes over", || role(&servers[3]) == "master");
    eventually("and still migrates", || nodes_line(&servers[3]).contains(&format!("[{slot}->-{target}]")));
    eventually("the target imports from the successor", || {
        nodes_line(&servers[1]).contains(&format!("[{slot}-<-{source_heir}]"))
    });
    eventually("what has moved is asked for at the target", || {
        servers[3].call::<String>("GET {b}0").is_err_and(|error| error.code() == Some("ASK"))
    });
    assert_eq!(servers[3].text(&format!("GET {{b}}{}", KEYS - 1)), format!("v{}", KEYS - 1));

    // It comes back without its data: the full synchronisation tells it of the open slot.
    servers[0].restart();
    eventually("the old source is a replica that knows", || {
        role(&servers[0]) == "slave" && nodes_line(&servers[0]).contains(&format!("[{slot}->-{target}]"))
    });
    wait_until_ok(&servers, 6);

    servers[1].kill();
    eventually("the target's replica takes over", || role(&servers[4]) == "master");
    eventually("and still imports", || nodes_line(&servers[4]).contains(&format!("[{slot}-<-{source_heir}]")));
    eventually("the source migrates to the successor", || {
        nodes_line(&servers[3]).contains(&format!("[{slot}->-{target_heir}]"))
    });
    servers[1].restart();
    wait_until_ok(&servers, 6);

    let fixed = trib(&format!("fix {}", servers[3].addr()));
    assert_eq!(fixed.code, 0, "{fixed:?}");
    let checked = trib(&format!("check {}", servers[3].addr()));
    assert_eq!(checked.code, 0, "{checked:?}");
    let mut client = ClusterClient::new(servers[3].port);
    for i in 0..KEYS {
        let key = format!("{{b}}{i}");
        let value = client.query(redis::cmd("GET").arg(&key), &key).unwrap();
        assert_eq!(redis::from_redis_value::<String>(value).unwrap(), format!("v{i}"));
    }
    let held: usize =
        [3, 4].map(|i| servers[i].call::<usize>(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).unwrap()).iter().sum();
    assert_eq!(held, KEYS);
}
