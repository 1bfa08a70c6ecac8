//! How nodes are reached: TLS, URIs, passwords, maps, address families and time limits.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::slots::{id_of, key_in, keys_in};
use crate::support::{Ran, Server, ServerKind, eventually, free_port, program_is_available};
use crate::{addrs, cluster, trib, trib_with};

/// An authority, and certificates of it for servers and clients.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let certificates = Certificates { dir: tempfile::tempdir().unwrap() };
        certificates.authority("ca");
        certificates.authority("stranger");
        for (name, extension) in
            [("server", "subjectAltName=DNS:node.example"), ("client", "extendedKeyUsage=clientAuth")]
        {
            certificates.sign(name, extension);
        }
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let made = Command::new("openssl").args(&words).current_dir(self.dir.path()).output().unwrap();
        assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        ));
    }

    fn sign(&self, name: &str, extension: &str) {
        std::fs::write(self.path("extensions"), extension).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
        ));
    }

    /// Directives of a server that wants client certificates.
    fn directives(&self, tls_port: u16) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "tls-port {tls_port}\ntls-cluster yes\ntls-replication yes\ntls-auth-clients yes\ntls-cert-file {}\n\
             tls-key-file {}\ntls-ca-cert-file {}\n",
            path("server.crt"),
            path("server.key"),
            path("ca.crt")
        )
    }

    fn options(&self, authority: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!("--cacert {} --cert {} --key {}", path(authority), path("client.crt"), path("client.key"))
    }
}

#[test]
fn a_cluster_that_speaks_only_tls() {
    if !ServerKind::Stock.is_available() || !program_is_available(Path::new("openssl")) {
        return;
    }
    let certificates = Certificates::new();
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let servers: Vec<Server> = ports
        .iter()
        .map(|port| Server::start_in_cluster_mode(ServerKind::Stock, &certificates.directives(*port)))
        .collect();
    let addr = |i: usize| format!("127.0.0.1:{}", ports[i]);
    let tls = format!("--tls {}", certificates.options("ca.crt"));
    let ran = trib(&format!("create --yes {tls} {} {} {}", addr(0), addr(1), addr(2)));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(trib(&format!("add-node {tls} {} {}", addr(3), addr(0))).code, 0);

    // Keys travel over TLS, too: the target is told by its TLS port.
    for slot in 0..5 {
        assert_eq!(servers[0].text(&format!("SET {} x", key_in(slot))), "OK");
    }
    let (from, to) = (id_of(&servers[0]), id_of(&servers[3]));
    let uri = format!("rediss://{}", addr(1));
    let known = certificates.options("ca.crt");
    let ran = trib(&format!("reshard {known} --yes --from {from} --to {to} --slots 5 {uri}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(servers[3].call::<usize>("DBSIZE").unwrap(), 5);
    let ran = trib(&format!("--cluster check {} {tls} --tls-ciphersuites TLS_AES_128_GCM_SHA256", addr(1)));
    assert_eq!(ran.code, 0, "{ran:?}");

    // A source without TLS cannot migrate there itself.
    let source = Server::start(ServerKind::Stock, "");
    assert_eq!(source.text("SET outside x"), "OK");
    let ran = trib(&format!("import {tls} --from {} {}", source.addr(), addr(0)));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((keys_in(&servers), source.call::<usize>("DBSIZE").unwrap()), (6, 0));

    let dir = tempfile::tempdir().unwrap();
    let ran = trib(&format!("backup {tls} {} {}", addr(0), dir.path().display()));
    assert_eq!(ran.code, 0, "{ran:?}");

    // Whom to trust, and whom not.
    let said = |line: &str, code: i32, text: &str| {
        let ran = trib(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stderr.contains(text) || ran.stdout.contains(text), "{line}: {ran:?}");
    };
    let seed = addr(0);
    said(&format!("check --tls {} {seed}", certificates.options("stranger.crt")), 1, "TLS: ");
    let ca_dir = certificates.path("authorities");
    std::fs::create_dir(&ca_dir).unwrap();
    std::fs::copy(certificates.path("ca.crt"), ca_dir.join("ca.crt")).unwrap();
    let client = known.split_once(" --cert").map(|(_, rest)| format!("--cert{rest}")).unwrap();
    said(&format!("check --tls --cacertdir {} {client} {seed}", ca_dir.display()), 0, "[OK]");
    said(&format!("check --tls --insecure {client} {seed}"), 0, "[OK]");
    said(&format!("check {tls} --verify-name {seed}"), 1, "TLS: ");
    said(&format!("check {tls} --verify-name --sni node.example {seed}"), 0, "[OK]");
    // The server wants to see a certificate, and says so only after the handshake.
    assert_ne!(trib(&format!("check --tls --cacert {} {seed}", certificates.path("ca.crt").display())).code, 0);
    // A client without TLS is told what may be missing.
    said(&format!("check {seed}"), 1, "does it expect --tls?");
    said(&format!("check --tls --cert x {seed}"), 2, "--cert and --key belong together");
    said(&format!("check --tls --cacert /nonexistent {seed}"), 1, "/nonexistent");
}

#[test]
fn a_source_is_called_by_its_name() {
    if !ServerKind::Stock.is_available() || !program_is_available(Path::new("openssl")) {
        return;
    }
    let certificates = Certificates::new();
    let port = free_port();
    let source = Server::start(ServerKind::Stock, &certificates.directives(port));
    for user in ["ferry on >s3cret ~* &* +@all", "default off"] {
        assert_eq!(source.text(&format!("ACL SETUSER {user}")), "OK");
    }
    let seen = |words: &str| {
        let tls = certificates.options("ca.crt");
        trib_with(&format!("cli --tls {tls} --user ferry -p {port} {words}"), "", &[("REDISCLI_AUTH", "s3cret")])
    };
    assert_eq!(seen("SET from-outside x").code, 0);
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("clusters.toml");
    let path = |name: &str| certificates.path(name).display().to_string();
    std::fs::write(home.path().join("old.auth"), "* ferry s3cret\n").unwrap();
    let entry = |name: &str, more: &str| {
        format!(
            "[{name}]\naddresses = [\"10.1.1.1:{port}\"]\nmap = [\"10.1.1.1=127.0.0.1\"]\ntls = true\ncacert = \"{}\"\n\
             cert = \"{}\"\nkey = \"{}\"\n{more}\n",
            path("ca.crt"),
            path("client.crt"),
            path("client.key")
        )
    };
    let here = format!("[here]\naddresses = [\"{seed}\"]\n");
    let all = entry("old", "auth-file = \"old.auth\"") + &entry("asks", "user = \"ferry\"") + &here;
    std::fs::write(&file, all).unwrap();
    let import =
        |line: &str, env: &[(&str, &str)]| trib_with(&format!("--inventory {} {line}", file.display()), "", env);
    let ran = import(&format!("import --copy --from @old {seed}"), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(keys_in(&servers), 1);
    // A password that the inventory does not name, and a cluster by its name as well.
    let ran = import("import --copy --from @asks --replace @here", &[("TRIB_FROM_AUTH", "s3cret")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = import(&format!("import --from @asks {seed}"), &[]);
    assert!(ran.code == 1 && ran.stderr.contains("TRIB_FROM_AUTH"), "{ran:?}");
    let ran = import(&format!("import --from @nobody {seed}"), &[]);
    assert!(ran.code == 2 && ran.stderr.contains("has no cluster 'nobody'; it has: "), "{ran:?}");
}

#[test]
fn every_node_may_have_its_own_password() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let passwords = ["one", "two words", "three"];
    let servers: Vec<Server> = passwords
        .iter()
        .map(|password| {
            let server = Server::start_in_cluster_mode(ServerKind::Stock, "");
            let set: String =
                redis::cmd("CONFIG").arg(&["SET", "requirepass", password]).query(&mut server.connect()).unwrap();
            assert_eq!(set, "OK");
            server
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("logins");
    let lines = format!("# by node\n{} one\n{} default \"two words\"\n* three\n", servers[0].addr(), servers[1].addr());
    std::fs::write(&file, lines).unwrap();
    let who = format!("--auth-file {}", file.display());
    let ran = trib(&format!("create --yes {who} {}", addrs(&servers)));
    assert_eq!(ran.code, 0, "{ran:?}");
    // A reshard with a key: the source has to know the target's password.
    let key = key_in(0);
    let mut connection = servers[0].connect();
    redis::cmd("AUTH").arg("one").exec(&mut connection).unwrap();
    redis::cmd("SET").arg(&key).arg("x").exec(&mut connection).unwrap();
    let ids: Vec<String> = trib_json(&format!("check --json {who} {}", servers[2].addr()))["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .collect();
    let first: String = redis::cmd("CLUSTER").arg("MYID").query(&mut connection).unwrap();
    let second = ids.iter().find(|id| **id != first).unwrap();
    let ran = trib(&format!("reshard --yes {who} --from {first} --to {second} --slots 1 {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(redis::cmd("DBSIZE").query::<usize>(&mut connection).unwrap(), 0);
    let ran = trib(&format!("check --auth-file {} {}", dir.path().join("none").display(), servers[0].addr()));
    assert!(ran.code == 1 && ran.stdout.contains("none"), "{ran:?}");
}

/// Runs `trib` and reads what it prints as JSON.
pub fn trib_json(line: &str) -> serde_json::Value {
    let ran = trib(line);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {ran:?}"))
}

#[test]
fn passwords_come_by_uri_dialog_and_environment() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "requirepass secret\nmasterauth secret");
    let seed = servers[0].addr();
    assert_eq!(servers[0].text("ACL SETUSER ann on >word ~* &* +@all"), "OK");
    let runs: Vec<(String, Ran)> = [
        (format!("check redis://:secret@{seed}"), "", ""),
        (format!("--cluster check {seed} -u redis://default:secret@ignored:1"), "", ""),
        (format!("check --askpass {seed}"), "secret\n", ""),
        (format!("check {seed}"), "", "REDISCLI_AUTH"),
        (format!("check --user default {seed}"), "", "VALKEYCLI_AUTH"),
    ]
    .into_iter()
    .map(|(line, input, name)| {
        let env = if name.is_empty() { vec![] } else { vec![(name, "secret")] };
        (line.clone(), trib_with(&line, input, &env))
    })
    .collect();
    for (line, ran) in &runs {
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert_eq!(ran.stderr.contains("Warning: Using a password"), line.contains("redis://"), "{line}: {ran:?}");
    }
    // The first node lets ann in, the others do not know her.
    let ran = trib(&format!("check redis://ann:word@{seed}"));
    assert!(ran.code == 3 && ran.stdout.contains("WRONGPASS"), "{ran:?}");
}

/// A gate to a port: what connects to it is connected there.
struct Gate {
    port: u16,
    passed: Arc<AtomicUsize>,
}

impl Gate {
    fn to(target: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Gate { port, passed }
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

#[test]
fn nodes_behind_a_map_are_reached_through_it_and_told_their_own_addresses() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "");
    let gates: Vec<Gate> = servers.iter().map(|server| Gate::to(server.port)).collect();
    let map: String = servers
        .iter()
        .zip(&gates)
        .map(|(server, gate)| format!("--map {}=localhost:{} ", server.addr(), gate.port))
        .collect();
    let outside: Vec<String> = gates.iter().map(|gate| format!("localhost:{}", gate.port)).collect();
    let ran = trib(&format!("create --yes {map} {}", outside.join(" ")));
    assert_eq!(ran.code, 0, "{ran:?}");
    let nodes = servers[0].text("CLUSTER NODES");
    for server in &servers {
        assert!(nodes.contains(&format!(" 127.0.0.1:{}@", server.port)), "{nodes}");
    }
    let before: Vec<usize> = gates.iter().map(Gate::passed).collect();
    let _: String = servers[0].text(&format!("SET {} x", key_in(0)));
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let ran = trib(&format!("reshard --yes {map} --from {from} --to {to} --slots 3 {}", outside[2]));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(servers[1].call::<usize>("DBSIZE").unwrap(), 1);
    for (gate, before) in gates.iter().zip(before) {
        assert!(gate.passed() > before, "every node was reached through its gate");
    }
    // Nodes are named by the address inside or outside.
    let ran = trib(&format!("reshard --yes {map} --from {} --to {} --slots 5 {}", outside[1], outside[0], outside[2]));
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        format!("rebalance --dry-run --weight {}=0 {}", outside[1], outside[2]),
        format!("drain --dry-run --weight {}=0 {} {}", outside[0], outside[2], outside[1]),
        format!("del-node --dry-run --drain {} {}", outside[2], servers[1].addr()),
    ] {
        let ran = trib(&format!("{line} {map}"));
        assert_eq!(ran.code, 4, "{line}: {ran:?}");
    }
    let ran = trib(&format!("failover {map} --to {} {}", outside[0], outside[2]));
    assert!(ran.code == 1 && ran.stdout.contains("is a primary already"), "{ran:?}");
    assert_eq!(trib(&format!("check --map nonsense {}", outside[0])).code, 2);
}

#[test]
fn a_stopped_node_costs_only_the_time_limit() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &servers[2].pid().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    let begun = Instant::now();
    let runs: Vec<Ran> = [
        format!("check --read-timeout 1 {seed}"),
        format!("check --read-timeout 1 {}", servers[2].addr()),
        format!("call --read-timeout 1 {seed} PING"),
        format!("reshard --read-timeout 1 --yes --from all --to {} --slots 3 {seed}", id_of(&servers[0])),
    ]
    .iter()
    .map(|line| trib(line))
    .collect();
    let took = begun.elapsed();
    signal("-CONT");
    assert_eq!(runs.iter().map(|ran| ran.code).collect::<Vec<_>>(), [3, 6, 1, 3], "{runs:?}");
    assert!(runs[0].stdout.contains("no answer within 1000 ms"), "{:?}", runs[0]);
    assert!(took < Duration::from_secs(60), "{took:?}");
    eventually("the node is back", || trib(&format!("check {seed}")).code == 0);
}

#[test]
fn names_and_brackets_and_families() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let server = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let port = server.port;
    assert_eq!(trib(&format!("info -4 localhost:{port}")).code, 0);
    assert_eq!(trib(&format!("info localhost {port}")).code, 0);
    let ran = trib(&format!("info -6 127.0.0.1:{port}"));
    assert!(ran.code == 1 && ran.stderr.contains("no address of the wanted kind"), "{ran:?}");
    assert_eq!(trib(&format!("info -4 -6 localhost:{port}")).code, 2);
    if TcpListener::bind("[::1]:0").is_ok() {
        let server = Server::start_in_cluster_mode(ServerKind::Stock, "bind 127.0.0.1 ::1");
        for form in [format!("[::1]:{}", server.port), format!("::1:{}", server.port)] {
            let ran = trib(&format!("info -6 {form}"));
            assert!(ran.code == 0 && ran.stdout.contains(&format!("[::1]:{} (", server.port)), "{ran:?}");
        }
    }
}
