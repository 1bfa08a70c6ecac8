//! How a `node` ends: SHUTDOWN and SIGTERM, with and without replicas that are behind.

use std::net::TcpStream;

use crate::support::{Server, ServerKind, eventually};
use crate::{cluster_of, field};

/// A primary with a replica that has stopped reading its stream.
fn with_a_stuck_replica(directives: &str) -> (Server, Server) {
    let primary = Server::start(ServerKind::Node, &format!("repl-diskless-sync-delay 0\n{directives}"));
    let replica = Server::start(ServerKind::Node, &format!("replicaof 127.0.0.1 {}", primary.port));
    eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
    eventually("it acknowledges", || primary.text("INFO replication").contains(",lag=0"));
    signal(&replica, rustix::process::Signal::STOP);
    assert_eq!(primary.text("SET a 1"), "OK");
    (primary, replica)
}

fn signal(server: &Server, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(server.pid() as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn has_ended(server: &Server) -> bool {
    TcpStream::connect(("127.0.0.1", server.port)).is_err()
}

/// Sends SHUTDOWN from a thread of its own: the answer is an error, or the end of the connection.
fn shutdown(server: &Server, words: &'static str) -> std::thread::JoinHandle<String> {
    let mut connection = server.connect();
    std::thread::spawn(move || {
        let mut cmd = redis::cmd("SHUTDOWN");
        for word in words.split_whitespace() {
            cmd.arg(word);
        }
        cmd.exec(&mut connection).unwrap_err().to_string()
    })
}

#[test]
fn a_shutdown_waits_for_replicas_and_can_be_called_off() {
    let (primary, replica) = with_a_stuck_replica("shutdown-timeout 100");
    let waiting = shutdown(&primary, "");
    eventually("it waits", || primary.log_tail().contains("Waiting for replicas before shutting down."));
    let left_ms: u64 = field(&primary.text("INFO server"), "shutdown_in_milliseconds").parse().unwrap();
    assert!((1..=100_000).contains(&left_ms), "{left_ms}");
    let late = shutdown(&primary, "");
    eventually("two wait", || field(&primary.text("INFO clients"), "blocked_clients") == "2");
    assert_eq!(primary.text("SHUTDOWN ABORT"), "OK");
    for thread in [waiting, late] {
        let error = thread.join().unwrap();
        assert!(error.contains("Errors trying to SHUTDOWN. Check logs."), "{error}");
    }
    eventually("the log says so", || primary.log_tail().contains("Shutdown manually aborted."));
    assert!(!primary.text("INFO server").contains("shutdown_in_milliseconds"));
    let error = primary.call::<String>("SHUTDOWN ABORT").unwrap_err().to_string();
    assert!(error.contains("No shutdown in progress."), "{error}");
    assert_eq!(primary.text("SET a 2"), "OK");
    // By signal it is the same; the write that came too late for the replica arrives after all.
    signal(&primary, rustix::process::Signal::TERM);
    eventually("it waits again", || {
        primary.log_tail().matches("Waiting for replicas before shutting down.").count() == 2
    });
    signal(&replica, rustix::process::Signal::CONT);
    eventually("it has ended", || has_ended(&primary));
    let log = primary.log_tail();
    for words in [
        "Received SIGTERM scheduling shutdown...",
        "1 of 1 replicas are in sync when shutting down.",
        "Redis is now ready to exit, bye bye...",
    ] {
        assert!(log.contains(words), "{log}");
    }
    assert_eq!(replica.text("GET a"), "2");
}

#[test]
fn a_shutdown_does_not_wait_longer_than_it_is_told() {
    let (primary, replica) = with_a_stuck_replica("shutdown-timeout 1");
    let _ = shutdown(&primary, "SAVE");
    eventually("it has ended", || has_ended(&primary));
    let log = primary.log_tail();
    assert!(log.contains("Saving the final RDB snapshot before exiting.") && log.contains("DB saved on disk"), "{log}");
    let lagging = format!("Lagging replica 127.0.0.1:{} reported", replica.port);
    assert!(log.contains(&lagging) && log.contains("0 of 1 replicas are in sync"), "{log}");
    signal(&replica, rustix::process::Signal::CONT);

    let (primary, replica) = with_a_stuck_replica("shutdown-timeout 100");
    let waiting = shutdown(&primary, "");
    eventually("it waits", || primary.log_tail().contains("Waiting for replicas before shutting down."));
    let _ = shutdown(&primary, "NOW");
    eventually("it has ended", || has_ended(&primary));
    waiting.join().unwrap();
    signal(&replica, rustix::process::Signal::CONT);
}

#[test]
fn a_server_that_cannot_save_ends_only_by_force() {
    let server = Server::start(ServerKind::Node, "save 3600 1\nenable-protected-configs yes");
    let dir = server.dir().join("gone");
    std::fs::create_dir(&dir).unwrap();
    let set = |words: &[&str]| redis::cmd("CONFIG").arg("SET").arg(words).exec(&mut server.connect());
    set(&["dir", dir.to_str().unwrap()]).unwrap();
    std::fs::remove_dir(&dir).unwrap();
    let error = shutdown(&server, "").join().unwrap();
    assert!(error.contains("Errors trying to SHUTDOWN. Check logs."), "{error}");
    assert!(server.log_tail().contains("Error trying to save the DB, can't exit."), "{}", server.log_tail());
    // Whoever asked for the save was told: nothing is kept from others for its sake.
    assert_eq!(field(&server.text("INFO persistence"), "rdb_last_bgsave_status"), "ok");
    assert_eq!(server.text("SET a 1"), "OK");
    let _ = shutdown(&server, "FORCE");
    eventually("it has ended", || has_ended(&server));
    assert!(server.log_tail().contains("Error trying to save the DB, ignoring..."), "{}", server.log_tail());
}

#[test]
fn a_log_that_is_not_complete_is_waited_for() {
    let server = Server::start(ServerKind::Node, "save 3600 1000000\nrdbcompression no");
    let mut pipe = redis::pipe();
    for i in 0..4000 {
        pipe.cmd("SET").arg(i).arg("x".repeat(500)).ignore();
    }
    // Without save points nothing else would hold the data.
    pipe.cmd("CONFIG").arg("SET").arg("save").arg("").ignore();
    pipe.cmd("CONFIG").arg("SET").arg("appendonly").arg("yes").ignore();
    pipe.cmd("SHUTDOWN").ignore();
    let error = pipe.query::<()>(&mut server.connect()).unwrap_err().to_string();
    assert!(error.contains("Errors trying to SHUTDOWN. Check logs."), "{error}");
    assert!(server.log_tail().contains("Writing initial AOF, can't exit."), "{}", server.log_tail());
    eventually("it is complete", || field(&server.text("INFO persistence"), "aof_rewrites") == "1");
    let _ = shutdown(&server, "");
    eventually("it has ended", || has_ended(&server));
}

#[test]
fn a_save_under_way_is_given_up() {
    let server = Server::start(ServerKind::Node, "save 3600 1000000\nrdbcompression no");
    let mut pipe = redis::pipe();
    for i in 0..4000 {
        pipe.cmd("SET").arg(i).arg("x".repeat(500)).ignore();
    }
    pipe.cmd("BGSAVE").ignore();
    pipe.cmd("SHUTDOWN").arg("NOSAVE").ignore();
    pipe.query::<()>(&mut server.connect()).unwrap_err();
    eventually("it has ended", || has_ended(&server));
    let left: Vec<_> = std::fs::read_dir(server.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("temp-")), "{left:?}");
}

/// What cannot be meant is refused in the words of a stock server.
#[test]
fn words_that_contradict_each_other_are_refused() {
    for kind in [ServerKind::Node, ServerKind::Stock].into_iter().filter(|kind| kind.is_available()) {
        let server = Server::start(kind, "");
        for (words, refused) in [
            ("later", "syntax error"),
            ("SAVE NOSAVE", "syntax error"),
            ("NOSAVE NOW SAVE", "syntax error"),
            ("ABORT NOW", "syntax error"),
            ("ABORT FORCE", "syntax error"),
            ("ABORT", "No shutdown in progress."),
            ("ABORT ABORT", "No shutdown in progress."),
            ("SAFE FORCE", "syntax error"),
            ("FAILOVER ABORT", "syntax error"),
        ] {
            let error = shutdown(&server, words).join().unwrap();
            assert!(error.contains(refused), "{} SHUTDOWN {words}: {error}", server.addr());
        }
        assert_eq!(server.text("PING"), "PONG");
    }
}

#[test]
fn a_primary_of_a_cluster_hands_over_before_it_ends() {
    // So long that nobody is missed.
    let servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 120000");
    let role = |server: &Server| field(&server.text("INFO replication"), "role");
    let primary = servers.iter().find(|server| role(server) == "master").unwrap();
    let followed = format!("master_port:{}\r\n", primary.port);
    let replica = servers.iter().find(|server| server.text("INFO replication").contains(&followed)).unwrap();
    eventually("it has its replica", || primary.text("INFO replication").contains("state=online"));
    let key = (0..).map(|i| i.to_string()).find(|key| primary.call::<String>(&format!("SET {key} v")).is_ok()).unwrap();
    let error = shutdown(primary, "SAFE").join().unwrap();
    assert!(error.contains("Errors trying to SHUTDOWN. Check logs."), "{error}");
    assert_eq!(primary.text(&format!("GET {key}")), "v");
    let _ = shutdown(primary, "FAILOVER NOSAVE");
    eventually("it has ended", || has_ended(primary));
    assert!(
        primary.log().contains(&format!("Replica 127.0.0.1:{} is to take over", replica.port)),
        "{}",
        primary.log()
    );
    eventually("the replica has taken over", || role(replica) == "master");
    eventually("it serves", || replica.call::<String>(&format!("GET {key}")).is_ok_and(|value| value == "v"));
    // Nobody needs a replica.
    let other = servers.iter().find(|server| !has_ended(server) && role(server) == "slave").unwrap();
    let _ = shutdown(other, "SAFE");
    eventually("it has ended as well", || has_ended(other));
}
