//! Changing a `node` that runs: its sockets, its directory, its log; and looking at how it does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use redis::Value;

use crate::field;
use crate::support::{Server, ServerKind, eventually, free_port};

fn set(server: &Server, words: &[&str]) -> Result<(), String> {
    redis::cmd("CONFIG").arg("SET").arg(words).exec(&mut server.connect()).map_err(|error| error.to_string())
}

fn config(server: &Server, name: &str) -> String {
    server.call::<Vec<String>>(&format!("CONFIG GET {name}")).unwrap().remove(1)
}

fn accepts(ip: &str, port: u16) -> bool {
    TcpStream::connect((ip, port)).is_ok()
}

#[test]
fn the_port_can_be_moved() {
    let mut server = Server::start(ServerKind::Node, "enable-protected-configs yes");
    let (old, new) = (server.port, free_port());
    let mut before = server.connect();
    set(&server, &["port", &new.to_string()]).unwrap();
    eventually("the old port is closed", || !accepts("127.0.0.1", old));
    // Connections stay.
    assert_eq!(redis::cmd("PING").query(&mut before), Ok("PONG".to_owned()));
    server.port = new;
    assert_eq!(config(&server, "port"), new.to_string());
    // A port that is taken leaves everything as it was, whatever else was to be set.
    let taken = free_port();
    let _other = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let dir = config(&server, "dir");
    let error = set(&server, &["dir", "/", "timeout", "5", "port", &taken.to_string()]).unwrap_err();
    assert!(
        error.contains("(possibly related to argument 'port') - Unable to listen on this port. Check server logs."),
        "{error}"
    );
    assert_eq!((config(&server, "port"), config(&server, "timeout")), (new.to_string(), "0".into()));
    assert_eq!((config(&server, "dir"), server.text("PING")), (dir, "PONG".into()));
}

#[test]
fn addresses_can_be_moved() {
    let server = Server::start(ServerKind::Node, "");
    let port = server.port;
    set(&server, &["bind", "127.0.0.1 127.0.0.2"]).unwrap();
    assert!(accepts("127.0.0.2", port));
    let error = set(&server, &["bind", "192.0.2.1"]).unwrap_err();
    assert!(
        error.contains("(possibly related to argument 'bind') - Failed to bind to specified addresses."),
        "{error}"
    );
    assert!(accepts("127.0.0.1", port) && accepts("127.0.0.2", port));
    // The sockets of before are in the way of one for all addresses, and have to close first.
    set(&server, &["bind", "*"]).unwrap();
    assert!(accepts("127.0.0.1", port) && accepts("127.0.0.3", port));
    set(&server, &["bind", "127.0.0.1"]).unwrap();
    eventually("the others are closed", || !accepts("127.0.0.3", port));
    assert_eq!(server.text("PING"), "PONG");
}

#[test]
fn a_cluster_node_that_moves_is_found_again() {
    let mut servers = Server::start_many(ServerKind::Node, 2, "");
    for server in &servers {
        assert_eq!(server.text(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port)), "OK");
    }
    eventually("they know each other", || {
        servers.iter().all(|s| field(&s.text("CLUSTER INFO"), "cluster_known_nodes") == "2")
    });
    let new = free_port();
    set(&servers[1], &["port", &new.to_string()]).unwrap();
    servers[1].port = new;
    eventually("the other knows the new address", || {
        let nodes = servers[0].text("CLUSTER NODES");
        nodes.contains(&format!("127.0.0.1:{new}@{} ", new + 10_000)) && !nodes.contains("disconnected")
    });
}

#[test]
fn the_directory_can_be_moved_and_must_exist() {
    let server = Server::start(ServerKind::Node, "enable-protected-configs yes");
    let error = set(&server, &["dir", "/nonexistent"]).unwrap_err();
    assert!(error.contains("(possibly related to argument 'dir') - No such file or directory"), "{error}");
    let there = server.dir().join("there");
    std::fs::create_dir(&there).unwrap();
    set(&server, &["dir", "there"]).unwrap();
    assert_eq!(config(&server, "dir"), there.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(server.text("SAVE"), "OK");
    assert!(there.join("dump.rdb").is_file());
}

#[test]
fn more_clients_than_the_system_has_files_for_are_refused() {
    let server = Server::start(ServerKind::Node, "");
    let before = config(&server, "maxclients");
    let error = set(&server, &["maxclients", "4000000000"]).unwrap_err();
    let words = "The operating system is not able to handle the specified number of clients, try with ";
    let usable: usize = error.split_once(words).unwrap().1.parse().unwrap();
    assert_eq!(config(&server, "maxclients"), before);
    set(&server, &["maxclients", &usable.min(100).to_string()]).unwrap();
    set(&server, &["maxclients", "1"]).unwrap();
    let _only = server.connect();
    let mut second = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut second, &mut text).unwrap();
    assert_eq!(text, "-ERR max number of clients reached\r\n");
}

#[test]
fn idle_clients_are_closed_once_there_is_a_timeout() {
    let server = Server::start(ServerKind::Node, "hz 1");
    let mut idle = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    // With one look a second it would take longer by seconds; the new pace counts at once.
    set(&server, &["hz", "100", "timeout", "1"]).unwrap();
    idle.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    assert_eq!(std::io::Read::read(&mut idle, &mut [0; 1]).unwrap(), 0);
    assert_eq!(field(&server.text("INFO server"), "hz"), "100");
}

#[test]
fn time_has_microseconds() {
    let server = Server::start(ServerKind::Node, "");
    let mut connection = server.connect();
    let mut fine = false;
    let mut last = (0, 0);
    for _ in 0..50 {
        let now: (u64, u64) = redis::cmd("TIME").query(&mut connection).unwrap();
        assert!(now > last && now.1 < 1_000_000, "{now:?} after {last:?}");
        fine |= !now.1.is_multiple_of(1000);
        last = now;
    }
    assert!(fine, "never anything but whole milliseconds");
}

#[test]
fn the_log_is_begun_anew_when_it_has_grown() {
    let mut server = Server::start(
        ServerKind::Node,
        "appendonly yes\nauto-aof-rewrite-min-size 4kb\nauto-aof-rewrite-percentage 100",
    );
    let persistence = |server: &Server, name: &str| field(&server.text("INFO persistence"), name);
    let mut connection = server.connect();
    for i in 0..500 {
        redis::cmd("SET").arg("same").arg(i).exec(&mut connection).unwrap();
    }
    eventually("it was begun anew", || persistence(&server, "aof_rewrites") != "0");
    eventually("nothing is being written", || persistence(&server, "aof_rewrite_in_progress") == "0");
    let log = server.log_tail();
    for words in ["Starting automatic rewriting of AOF on ", "Background AOF rewrite finished successfully"] {
        assert!(log.contains(words), "{log}");
    }
    // Old files go after the new ones are in force.
    let on_disk = || {
        let files = std::fs::read_dir(server.dir().join("appendonlydir")).unwrap().map(Result::unwrap);
        let logs = files.filter(|file| !file.file_name().to_string_lossy().ends_with(".manifest"));
        logs.map(|file| file.metadata().map_or(0, |meta| meta.len())).sum::<u64>().to_string()
    };
    eventually("the size is that of the files", || persistence(&server, "aof_current_size") == on_disk());
    let on_disk = on_disk();
    server.restart();
    assert_eq!(server.text("GET same"), "499");
    assert_eq!(persistence(&server, "aof_base_size"), on_disk);
}

#[test]
fn a_base_can_be_written_while_the_log_is_off() {
    let mut server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("SET a 1"), "OK");
    assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started");
    let manifest = server.dir().join("appendonlydir/appendonly.aof.manifest");
    let is = |text: &str| std::fs::read_to_string(&manifest).is_ok_and(|found| found == text);
    eventually("the base is there", || is("file appendonly.aof.1.base.rdb seq 1 type b\n"));
    assert_eq!(server.text("SET a 2"), "OK");
    // Switched on later, the log goes on from the files that are there and does not mistake them for its own.
    set(&server, &["appendonly", "yes"]).unwrap();
    let on = "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    eventually("the log is on", || is(on));
    assert_eq!(server.text("SET a 3"), "OK");
    set(&server, &["appendonly", "no"]).unwrap();
    assert_eq!(server.text("SET a 4"), "OK");
    set(&server, &["appendonly", "yes"]).unwrap();
    let again = "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    eventually("the log is on again", || is(again));
    assert_eq!(server.text("INCR b"), "1");
    let path = server.dir().join("redis.conf");
    let text = std::fs::read_to_string(&path).unwrap().replace("appendonly no", "appendonly yes");
    std::fs::write(&path, text).unwrap();
    // Everything was flushed before the reply of the second switch.
    eventually("the increment is written", || {
        std::fs::metadata(server.dir().join("appendonlydir/appendonly.aof.2.incr.aof")).is_ok_and(|m| m.len() > 0)
    });
    server.restart();
    assert_eq!((server.text("GET a"), server.text("GET b")), ("4".into(), "1".into()));
}

#[test]
fn the_log_tells_a_save_from_one_in_the_background() {
    let server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("SAVE"), "OK");
    eventually("it is saved", || server.log_tail().contains("DB saved on disk"));
    assert!(!server.log_tail().contains("Background"), "{}", server.log_tail());
    assert_eq!(server.text("BGSAVE"), "Background saving started");
    eventually("it is saved", || server.log_tail().contains("Background saving terminated with success"));
    assert!(server.log_tail().contains("Background saving started by pid "), "{}", server.log_tail());
}

#[test]
fn slow_and_large_commands_are_told() {
    let server = Server::start(
        ServerKind::Node,
        "slowlog-log-slower-than 0\ncommandlog-request-larger-than 1000\ncommandlog-reply-larger-than 1000\n\
         latency-monitor-threshold 1",
    );
    let mut connection = server.connect();
    redis::cmd("SET").arg("k").arg("x".repeat(2000)).exec(&mut connection).unwrap();
    redis::cmd("GET").arg("k").exec(&mut connection).unwrap();
    let entries = |kind: &str| -> Vec<(u64, u64, u64, Vec<String>, String, String)> {
        server.call(&format!("COMMANDLOG GET -1 {kind}")).unwrap()
    };
    let requests = entries("large-request");
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].2, &requests[0].3[..2]), (2029, &["SET".to_owned(), "k".to_owned()][..]));
    let replies = entries("large-reply");
    assert_eq!((replies.len(), replies[0].2, replies[0].3[0].as_str()), (1, 2009, "GET"));
    assert!(entries("slow").iter().any(|entry| entry.3[0] == "GET"));
    assert_eq!(server.text("COMMANDLOG RESET large-reply"), "OK");
    assert_eq!(server.text("COMMANDLOG LEN large-reply"), "0");
    assert_eq!(server.text("COMMANDLOG LEN large-request"), "1");

    let stats = server.text("INFO latencystats");
    let get = field(&stats, "latency_percentiles_usec_get");
    assert!(get.starts_with("p50=") && get.contains(",p99=") && get.contains(",p99.9="), "{stats}");
    let histogram: Vec<Value> = server.call("LATENCY HISTOGRAM set nosuch").unwrap();
    assert_eq!(histogram[0], Value::BulkString(b"set".to_vec()));
    assert_eq!(histogram.len(), 2);

    // Something that takes longer than a millisecond: all keys of a large database.
    let mut pipe = redis::pipe();
    for i in 0..20_000 {
        pipe.cmd("SET").arg(format!("key:{i}")).arg(i).ignore();
    }
    pipe.exec(&mut connection).unwrap();
    eventually("a slow command was seen", || {
        server.call::<Vec<String>>("KEYS *").unwrap();
        let events: Vec<(String, u64, u64, u64)> = server.call("LATENCY LATEST").unwrap();
        events.iter().any(|event| event.0 == "command" && event.3 >= 1)
    });
    assert!(!server.call::<Vec<(u64, u64)>>("LATENCY HISTORY command").unwrap().is_empty());
    assert!(server.text("LATENCY GRAPH command").starts_with("command - high "));
    assert!(server.text("LATENCY DOCTOR").contains("1. command: "));
    assert_eq!(server.text("LATENCY RESET command nosuch"), "1");
}

#[test]
fn clients_come_by_the_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.sock");
    std::fs::write(&path, "left by an earlier server").unwrap();
    let directives = format!("unixsocket {}\nunixsocketperm 700\nenable-protected-configs local", path.display());
    let server = Server::start(ServerKind::Node, &directives);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"CONFIG SET dbfilename other.rdb\r\nCLIENT INFO\r\nQUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let shown = path.display();
    assert!(text.starts_with("+OK\r\n"), "{text}");
    assert!(text.contains(&format!(" addr={shown}:0 laddr={shown}:0 ")) && text.contains(" flags=U "), "{text}");
    server.call::<()>("SHUTDOWN NOSAVE").unwrap_err();
    eventually("the socket is gone", || !path.exists());
}

#[test]
fn a_service_manager_hears_of_the_start_and_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let port = free_port().to_string();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_node"))
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--supervised", "systemd"])
        .env("NOTIFY_SOCKET", &path)
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let heard = || {
        let mut buffer = [0; 200];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(heard(), "READY=1\nSTATUS=Ready to accept connections\n");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(heard(), "STOPPING=1\n");
    assert!(child.wait().unwrap().success());
}
