//! Slots that their new owner fetches itself (CLUSTER MIGRATION IMPORT, Redis 8.4): all at once or not at all, as with
//! [`atomic`](super::atomic), but asked of the target.
//!
//! The target tries again by itself when something fails, without an end; here it has a few tries.

use std::cell::Cell;
use std::time::Instant;

use redis::Value;

use super::atomic;
use super::link::Link;
use super::{Stop, Trouble};
use crate::base::Slot;
use crate::trib::client::{Pool, command, pairs_of, text_of};
use crate::trib::error::Failure;
use crate::trib::slots::SlotSet;
use crate::trib::view::Node;

/// What the command is called by COMMAND INFO.
pub const COMMAND: &str = "cluster|migration";

/// Tries of the target that may fail.
const TRIES: u64 = 3;

/// Has the target fetch the slots, and waits for the end of it. They are at the target if this is well, and where they
/// were if not.
pub async fn migrate(link: &Link<'_>, slots: &[Slot], stop: &Cell<Stop>) -> Result<(), Trouble> {
    let target = link.pool.client(&link.target.addr).await?;
    let wanted: SlotSet = slots.iter().copied().collect();
    let mut begin = command("CLUSTER MIGRATION IMPORT");
    for (first, last) in wanted.ranges() {
        begin.arg(first.get()).arg(last.get());
    }
    let reply = target.call(&begin).await?;
    let task = text_of(&reply).ok_or_else(|| Failure::Unexpected {
        node: link.target.addr.clone(),
        reason: "CLUSTER MIGRATION IMPORT gives no task".to_owned(),
    })?;
    let about = |verb: &str| {
        let mut cmd = command("CLUSTER MIGRATION");
        cmd.arg(verb).arg("ID").arg(&task);
        cmd
    };
    let refused =
        |text: String| Trouble::Refused { from: link.source.addr.clone(), to: link.target.addr.clone(), text };
    let (begun, mut given_up) = (Instant::now(), None);
    loop {
        let Some(state) = read(&target.call(&about("STATUS")).await?).pop() else {
            return Err(refused("the target has forgotten the migration".to_owned()));
        };
        match state.name.as_str() {
            "completed" => return Ok(()),
            _ if state.is_over() => {
                return Err(given_up.unwrap_or_else(|| refused(format!("{}: {}", state.name, state.error))));
            }
            _ => {}
        }
        if given_up.is_none() {
            if stop.get() != Stop::No {
                given_up = Some(Trouble::Stopped);
            } else if state.retries >= TRIES {
                given_up = Some(refused(format!("{} tries failed: {}", state.retries, state.error)));
            }
            if given_up.is_some() {
                // It may be over by now, which the next look tells.
                let _ = target.call(&about("CANCEL")).await;
            }
        }
        tokio::time::sleep(atomic::pause(begun)).await;
    }
}

/// Whether the node fetches slots, or gives some to a node that does.
pub async fn is_busy(pool: &Pool, node: &Node) -> Result<bool, Failure> {
    let tasks = read(&pool.call(&node.addr, &command("CLUSTER MIGRATION STATUS ALL")).await?);
    Ok(tasks.iter().any(|task| !task.is_over()))
}

/// How far a task is.
#[derive(Debug, PartialEq, Eq)]
struct State {
    name: String,
    error: String,
    retries: u64,
}

impl State {
    fn is_over(&self) -> bool {
        ["completed", "failed", "canceled", "cancelled"].contains(&self.name.as_str())
    }
}

/// The tasks of a reply to STATUS: pairs of names and values, or maps of them.
fn read(reply: &Value) -> Vec<State> {
    let Value::Array(tasks) = reply else { return Vec::new() };
    let read_one = |task: &Value| {
        let pairs = pairs_of(task);
        let field = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        State { name: field("state"), error: field("last_error"), retries: field("retries").parse().unwrap_or(0) }
    };
    tasks.iter().map(read_one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};

    use super::*;
    use crate::trib::access::Access;
    use crate::trib::addr::Addr;
    use crate::trib::view::tests::{id, small};

    fn task(state: &str, error: &str, retries: u64) -> String {
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let pairs = ["id", "t", "state", state, "last_error", error, "retries"].map(bulk).concat();
        format!("*1\r\n*8\r\n{pairs}:{retries}\r\n")
    }

    /// A target that answers like Redis 8.4: each look gives the next state, CANCEL the one after `cancelled`.
    fn target(states: Vec<String>) -> Addr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut states = states.into_iter();
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                let asked = String::from_utf8_lossy(&buffer[..n]).into_owned();
                let reply = if asked.contains("IMPORT") {
                    match asked.contains("$1\r\n5\r\n$1\r\n7\r\n$1\r\n9\r\n$1\r\n9\r\n") {
                        true => "$1\r\nt\r\n".to_owned(),
                        false => "-ERR other slots\r\n".to_owned(),
                    }
                } else if asked.contains("CANCEL") {
                    states = vec![task("canceled", "", 0)].into_iter();
                    ":1\r\n".to_owned()
                } else {
                    states.next().unwrap_or_else(|| "*0\r\n".to_owned())
                };
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        Addr::new("127.0.0.1", port)
    }

    fn fetch(states: Vec<String>, stop: Stop) -> Result<(), Trouble> {
        let view = small();
        let mut node = view.node(&id('b')).unwrap().clone();
        node.addr = target(states);
        let slots: Vec<Slot> = [5, 6, 7, 9].into_iter().filter_map(Slot::new).collect();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let pool = Pool::new(Access::default());
            let source = view.node(&id('a')).unwrap();
            let link = Link { pool: &pool, source, target: &node, others: Vec::new(), counts: BTreeMap::new() };
            migrate(&link, &slots, &Cell::new(stop)).await
        })
    }

    #[test]
    fn a_task_is_waited_for() {
        let working = task("in_progress", "", 0);
        assert_eq!(fetch(vec![working.clone(), working, task("completed", "", 1)], Stop::No), Ok(()));
    }

    #[test]
    fn a_task_that_fails_or_is_stopped_is_told_apart() {
        let text = |result: Result<(), Trouble>| result.unwrap_err().to_string();
        assert!(text(fetch(vec![task("failed", "no room", 0)], Stop::No)).ends_with("failed: no room"));
        assert!(text(fetch(Vec::new(), Stop::No)).ends_with("forgotten the migration"));
        // It would try on for ever.
        let trying = task("in_progress", "connection refused", 3);
        assert!(text(fetch(vec![trying], Stop::No)).ends_with("3 tries failed: connection refused"));
        assert_eq!(fetch(vec![task("in_progress", "", 0)], Stop::Soon), Err(Trouble::Stopped));
        // Too late to stop it.
        assert_eq!(fetch(vec![task("completed", "", 0)], Stop::Soon), Ok(()));
    }
}
