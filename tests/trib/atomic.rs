//! Slots that the servers move themselves, where they can.

use crate::slots::{id_of, key_in, keys_in};
use crate::support::{Server, ServerKind};
use crate::{addrs, cluster, trib};

#[test]
fn nodes_move_slots_themselves_and_stock_servers_are_helped() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let nodes = Server::start_many(ServerKind::Node, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&nodes))).code, 0);
    let stock = cluster(3, 0, "");
    for (servers, options, refused) in [
        (&nodes, "", false),
        (&nodes, "--engine atomic", false),
        (&nodes, "--engine migrate", false),
        (&nodes, "--cluster-use-atomic-slot-migration", false),
        (&stock, "", false),
        (&stock, "--engine atomic", true),
    ] {
        let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
        let seed = servers[2].addr();
        let before = keys_in(servers);
        let nodes_text = servers[0].text("CLUSTER NODES");
        let own = nodes_text.lines().find(|line| line.contains("myself")).unwrap();
        let first: u16 = own.split(' ').nth(8).and_then(|range| range.split('-').next()).unwrap().parse().unwrap();
        for slot in first..first + 3 {
            assert_eq!(servers[0].text(&format!("SET {} x", key_in(slot))), "OK");
        }
        let ran = trib(&format!("reshard --yes {options} --from {from} --to {to} --slots 3 {seed}"));
        assert_eq!(ran.code, i32::from(refused), "{options}: {ran:?}");
        let jobs = servers[0].call::<Vec<redis::Value>>("CLUSTER GETSLOTMIGRATIONS").map_or(0, |jobs| jobs.len());
        match options {
            "--engine migrate" => assert_eq!(jobs, 2, "none was added"),
            _ if refused => assert!(ran.stdout.contains("unknown subcommand"), "{ran:?}"),
            _ => assert!(std::ptr::eq(servers, &stock) || jobs > 0, "{options}"),
        }
        assert_eq!(keys_in(servers), before + 3);
        assert_eq!(trib(&format!("check {seed}")).code, 0);
        let has_left = servers[0].call::<String>(&format!("GET {}", key_in(first))).is_err();
        assert_eq!(has_left, !refused, "{options}");
    }
    let hot = crate::connections::trib_json(&format!("slots --hot 3 --json {}", nodes[0].addr()));
    assert!(hot.as_array().unwrap().len() == 3 && hot[0]["keys"].as_u64() >= hot[2]["keys"].as_u64(), "{hot}");
    // Many at once, in both directions.
    let seed = nodes[0].addr();
    let ran = trib(&format!("rebalance --threshold 0 {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("Moving 12 slots from"), "{ran:?}");
    assert_eq!(trib(&format!("check {seed}")).code, 0);
}
