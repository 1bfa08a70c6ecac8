//! A bus that only holders of a key speak on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Server, ServerKind, eventually};
use crate::{trib, wait_until_ok};

const KEY: &str = "0123456789abcdef";
const OTHER: &str = "fedcba9876543210";

fn start(directives: &str) -> Server {
    Server::start_in_cluster_mode(ServerKind::Node, directives)
}

fn known_nodes(server: &Server) -> usize {
    let nodes = server.text("CLUSTER NODES");
    nodes.lines().filter(|line| !line.contains("handshake")).count()
}

fn create(servers: &[Server]) {
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let made = trib(&format!("create --yes --replicas 0 {}", addrs.join(" ")));
    assert_eq!(made.code, 0, "{made:?}");
    wait_until_ok(servers, servers.len());
}

#[test]
fn a_cluster_is_switched_over_while_it_runs_and_then_keeps_strangers_out() {
    let servers = [start(""), start(""), start("")];
    create(&servers);
    let all = |line: &str| servers.iter().for_each(|server| assert_eq!(server.text(line), "OK", "{line}"));
    all(&format!("CONFIG SET cluster-auth-key {KEY} cluster-auth-mode accept"));
    for round in ["send", "require"] {
        for server in &servers {
            assert_eq!(server.text(&format!("CONFIG SET cluster-auth-mode {round}")), "OK");
            // Nobody suspects anybody meanwhile.
            wait_until_ok(&servers, 3);
        }
    }
    eventually("all links stand again", || {
        servers.iter().all(|server| {
            let nodes = server.text("CLUSTER NODES");
            !nodes.contains("disconnected")
                && !nodes.contains("fail")
                && server.text("CLUSTER INFO").contains("state:ok")
        })
    });
    let pings = |server: &Server| {
        crate::number(&crate::field(&server.text("CLUSTER INFO"), "cluster_stats_messages_pong_received"))
    };
    let before = pings(&servers[0]);
    eventually("packets go to and fro", || pings(&servers[0]) > before + 5);

    for stranger in [start(""), start(&format!("cluster-auth-key {OTHER}\ncluster-auth-mode require"))] {
        // It asks, and it is asked.
        assert_eq!(stranger.text(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port)), "OK");
        assert_eq!(servers[1].text(&format!("CLUSTER MEET 127.0.0.1 {}", stranger.port)), "OK");
        let before = pings(&servers[0]);
        eventually("some time passes", || pings(&servers[0]) > before + 5);
        assert_eq!(known_nodes(&stranger), 1);
        assert!(servers.iter().all(|server| known_nodes(server) == 3));
    }
    let friend = start(&format!("cluster-auth-key {KEY}\ncluster-auth-mode require"));
    assert_eq!(friend.text(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port)), "OK");
    eventually("who has the key is let in", || servers.iter().all(|server| known_nodes(server) == 4));
}

#[test]
fn a_key_is_replaced_while_the_cluster_runs() {
    let servers = [KEY, KEY, KEY].map(|key| start(&format!("cluster-auth-key {key}\ncluster-auth-mode require")));
    create(&servers);
    for keys in [format!("{KEY} {OTHER}"), format!("{OTHER} {KEY}"), OTHER.to_owned()] {
        for server in &servers {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("cluster-auth-key").arg(&keys);
            set.exec(&mut server.connect()).unwrap();
        }
    }
    let late = start(&format!("cluster-auth-key {OTHER}\ncluster-auth-mode require"));
    assert_eq!(late.text(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port)), "OK");
    eventually("the new key opens all doors", || servers.iter().all(|server| known_nodes(server) == 4));
    wait_until_ok(&servers, 4);
}

#[test]
fn what_cannot_be_proven_is_not_answered() {
    let server = start(&format!("cluster-auth-key {KEY}\ncluster-auth-mode require"));
    for greeting in
        [&b"RCmb"[..], b"GET / HTTP/1.1\r\n", &[b"RCma\x01\0\0\0".as_slice(), &[7; 64]].concat(), b"RCma\x02"]
    {
        let mut link = TcpStream::connect(("127.0.0.1", server.port + 10_000)).unwrap();
        link.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        link.write_all(greeting).unwrap();
        let mut answer = Vec::new();
        // Closed by the server, sooner or later; a reset is as good as an end.
        let _ = link.read_to_end(&mut answer);
        // At most its own nonce; nothing that is made with the key.
        assert!(answer.len() <= 40, "{answer:?}");
    }
    assert_eq!(server.text("PING"), "PONG");
}

#[test]
fn a_mode_without_a_key_is_refused() {
    let server = start("");
    for mode in ["accept", "send", "require"] {
        let error = server.call::<String>(&format!("CONFIG SET cluster-auth-mode {mode}")).unwrap_err();
        assert!(error.to_string().contains("needs a cluster-auth-key"), "{error}");
    }
    let error = server.call::<String>("CONFIG SET cluster-auth-key short").unwrap_err();
    assert!(error.to_string().contains("at least 16"), "{error}");
}
