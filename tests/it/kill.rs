//! A server that is killed again and again in the middle of its work: what it has answered is there when it comes back.
//! The system lives on, so that holds whatever `appendfsync` says.
//!
//! `KILLS=200 cargo test --release --test it kill::` is the long run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use trib::base::Rng;

use crate::support::{Server, ServerKind};

/// Kills in the short run.
const KILLS: u64 = 5;

/// Clients that write at the same time, each to keys of its own.
const WRITERS: u64 = 4;

fn kills() -> u64 {
    std::env::var("KILLS").ok().map_or(KILLS, |text| text.parse().expect("a number"))
}

/// Writes `n`, `n + 1` and so on to a value of every type, together, until the server is gone; `answered` is the last one
/// that was.
fn write(mut connection: redis::Connection, writer: u64, from: u64, answered: &AtomicU64) {
    for n in from.. {
        let mut pipe = redis::pipe();
        let key = |kind: &str| format!("{kind}:{writer}");
        pipe.cmd("MULTI").ignore();
        pipe.cmd("SET").arg(key("string")).arg(n).ignore();
        pipe.cmd("RPUSH").arg(key("list")).arg(n).ignore();
        pipe.cmd("LTRIM").arg(key("list")).arg(-500).arg(-1).ignore();
        pipe.cmd("HSET").arg(key("hash")).arg(n % 700).arg(n).ignore();
        pipe.cmd("SADD").arg(key("set")).arg(n).ignore();
        pipe.cmd("ZADD").arg(key("zset")).arg(n).arg(n % 300).ignore();
        pipe.cmd("XADD").arg(key("stream")).arg("MAXLEN").arg(100).arg(format!("{}-1", n + 1)).arg("n").arg(n).ignore();
        pipe.cmd("SET").arg(key("expiring")).arg(n).arg("PX").arg(100_000_000).ignore();
        pipe.cmd("EXEC").ignore();
        if pipe.query::<()>(&mut connection).is_err() {
            break;
        }
        answered.store(n, Ordering::Relaxed);
    }
}

/// The number that all values of a writer agree on: they were written together.
fn found(server: &Server, writer: u64) -> u64 {
    let text = |command: String| server.call::<Option<String>>(&command).unwrap().unwrap_or_else(|| "0".to_owned());
    let n: u64 = text(format!("GET string:{writer}")).parse().unwrap();
    if n == 0 {
        assert_eq!(server.text(&format!("EXISTS list:{writer} set:{writer} stream:{writer}")), "0");
        return 0;
    }
    assert_eq!(text(format!("LINDEX list:{writer} -1")), n.to_string());
    assert_eq!(text(format!("HGET hash:{writer} {}", n % 700)), n.to_string());
    assert_eq!(text(format!("SCARD set:{writer}")), n.to_string());
    assert_eq!(text(format!("ZSCORE zset:{writer} {}", n % 300)), n.to_string());
    assert_eq!(text(format!("GET expiring:{writer}")), n.to_string());
    let last: Vec<(String, Vec<String>)> =
        server.call(&format!("XREVRANGE stream:{writer} + - COUNT 1")).expect("a stream");
    assert_eq!(last[0].1, ["n".to_owned(), n.to_string()]);
    n
}

fn kill_again_and_again(appendfsync: &str) {
    let mut server = Server::start(
        ServerKind::Node,
        &format!("appendonly yes\nappendfsync {appendfsync}\nauto-aof-rewrite-min-size 200kb\nsave 1 1"),
    );
    let mut rng = Rng::seeded(7);
    let mut next = [1; WRITERS as usize];
    let mut written = 0;
    for round in 0..kills() {
        let answered: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
        let done = AtomicBool::new(false);
        let span = Duration::from_millis(50 + rng.below(if appendfsync == "everysec" { 3000 } else { 900 }));
        let pid = rustix::process::Pid::from_raw(server.pid() as i32).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (connection, next, answered) = (server.connect(), &next, &answered);
                let at = writer as usize;
                scope.spawn(move || write(connection, writer, next[at], &answered[at]));
            }
            let mut connection = server.connect();
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // Either may be under way already.
                    let _ = redis::cmd("BGREWRITEAOF").exec(&mut connection);
                    let _ = redis::cmd("BGSAVE").exec(&mut connection);
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
            std::thread::sleep(span);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        server.restart();
        for writer in 0..WRITERS {
            let at = writer as usize;
            let last = answered[at].load(Ordering::Relaxed).max(next[at] - 1);
            let n = found(&server, writer);
            assert!(
                (last..=last + 1).contains(&n),
                "round {round}, writer {writer}: {n} is there, {last} was answered"
            );
            written += n + 1 - next[at];
            next[at] = n + 1;
        }
    }
    assert!(written > kills(), "{written} writes show nothing");
}

#[test]
fn always_loses_nothing_that_was_answered() {
    kill_again_and_again("always");
}

#[test]
fn everysec_loses_nothing_that_was_answered() {
    kill_again_and_again("everysec");
}

#[test]
fn without_syncs_nothing_is_lost_that_was_answered() {
    kill_again_and_again("no");
}
