//! `nodes.conf` and the processes that want it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Server, ServerKind, eventually};

/// Starts `node` with the configuration of a server that is down (or not), and waits for it to give up. Its log.
fn fails_to_start(server: &Server, extra: &[&str]) -> String {
    gives_up(ServerKind::Node, server, extra)
}

/// The same with either kind's program.
fn gives_up(kind: ServerKind, server: &Server, extra: &[&str]) -> String {
    let log = server.dir().join("second.log");
    let mut child = Command::new(kind.program())
        .arg(server.dir().join("redis.conf"))
        .args(extra)
        .args(["--logfile", &log.display().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be run");
    let mut ended = None;
    let mut ends = || {
        ended = child.try_wait().expect("the child is ours");
        ended.is_some()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ends() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // One that is up against expectation must not outlive the test.
    let _ = child.kill();
    let _ = child.wait();
    let text = fs::read_to_string(log).unwrap_or_default();
    assert!(ended.is_some_and(|status| !status.success()), "it starts:\n{text}");
    text
}

#[test]
fn a_damaged_file_stops_the_start_and_stays_as_it_is() {
    let mut server = Server::start_in_cluster_mode(ServerKind::Node, "");
    assert_eq!(server.text("CLUSTER ADDSLOTS 1 2 3"), "OK");
    server.kill();
    let path = server.dir().join("nodes.conf");
    let sound = fs::read(&path).unwrap();
    let text = String::from_utf8(sound.clone()).unwrap();
    assert!(text.contains(" 1-3\n"), "what was answered is on the disk:\n{text}");
    for damaged in [
        sound[..sound.len() - 1].to_vec(),
        sound[..sound.len() / 2].to_vec(),
        text.replace("myself,", "").into_bytes(),
        text.replace("1-3", "1-33333").into_bytes(),
        vec![0; sound.len()],
        [&sound[..], b"\xff\xfe"].concat(),
        b"appendonly yes\n".to_vec(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let log = fails_to_start(&server, &[]);
        assert!(log.contains("corrupted cluster config file") && log.contains("nodes.conf"), "{log}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "it was written to");
    }
    fs::write(&path, &sound).unwrap();
    server.restart();
    assert!(server.text("CLUSTER NODES").contains(" 1-3"));
}

#[test]
fn a_file_belongs_to_one_process_only() {
    let server = Server::start_in_cluster_mode(ServerKind::Node, "");
    let other_port = crate::support::free_port().to_string();
    let before = fs::read(server.dir().join("nodes.conf")).unwrap();
    let log = fails_to_start(&server, &["--port", &other_port]);
    assert!(log.contains("is already used by a different Redis Cluster node"), "{log}");
    assert_eq!(fs::read(server.dir().join("nodes.conf")).unwrap(), before);
    assert_eq!(server.text("PING"), "PONG");
}

/// Neither kind of server starts beside the other, however often the file has been replaced.
#[test]
fn a_file_belongs_to_one_process_of_either_kind() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    for (kind, other) in [(ServerKind::Node, ServerKind::Stock), (ServerKind::Stock, ServerKind::Node)] {
        let server = Server::start_in_cluster_mode(kind, "");
        for slots in ["", "1 2 3", "4"] {
            if !slots.is_empty() {
                assert_eq!(server.text(&format!("CLUSTER ADDSLOTS {slots}")), "OK");
            }
            let port = crate::support::free_port().to_string();
            let log = gives_up(other, &server, &["--port", &port]);
            assert!(log.contains("is already used by a different Redis Cluster node"), "{other:?}: {log}");
        }
        assert!(server.text("CLUSTER NODES").contains(" 1-4"));
        let file = fs::read_to_string(server.dir().join("nodes.conf")).unwrap();
        assert!(file.contains(" 1-4"), "{file}");
    }
}

#[test]
fn a_file_that_cannot_be_written_ends_the_server_or_is_only_logged() {
    for (behaviour, survives) in [("sync", false), ("best-effort", true)] {
        let mut server =
            Server::start_in_cluster_mode(ServerKind::Node, &format!("cluster-config-save-behavior {behaviour}"));
        // A directory in the place of the temporary file: not even root can write there.
        let name = format!("nodes.conf.tmp-{}", server.pid());
        fs::create_dir(server.dir().join(name)).unwrap();
        let refused = server.call::<String>("CLUSTER SAVECONFIG").unwrap_err();
        assert!(refused.to_string().contains("error saving the cluster node config"), "{refused}");
        let reply = server.call::<String>("CLUSTER ADDSLOTS 1");
        if survives {
            assert_eq!(reply.unwrap(), "OK");
            eventually("it says so", || server.log_tail().contains("Error saving the cluster node config"));
            assert_eq!(server.text("PING"), "PONG");
        } else {
            eventually("it ends", || server.has_ended());
            assert!(server.log_tail().contains("Fatal: can't update cluster config file"), "{}", server.log_tail());
        }
    }
}
