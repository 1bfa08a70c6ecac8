//! Starting the nodes of a local cluster and making sure that they came up, or stopping them again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::state::State;
use super::{files, layout, process};
use crate::trib::addr::BUS_PORT_OFFSET;
use crate::trib::client::{Pool, command};
use crate::trib::error::{Error, Failure};
use crate::trib::ui::Ui;

/// From a start to the first answer.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A server that is busy with its first log refuses to end, and forgets that it was asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// A local cluster that is being started.
pub struct Launch {
    pub dir: PathBuf,
    pub state: State,
    /// What this run has started.
    children: Vec<(u16, Child)>,
}

impl Launch {
    #[must_use]
    pub fn new(dir: PathBuf, state: State) -> Launch {
        Launch { dir, state, children: Vec::new() }
    }

    /// Starts every node that does not run and waits until all that were started answer. Gives their number.
    pub async fn start_missing(&mut self, pool: &Pool) -> Result<usize, Error> {
        let missing: Vec<usize> = (0..self.state.nodes.len()).filter(|&i| !self.state.nodes[i].is_running()).collect();
        for &index in &missing {
            expect_free(self.state.nodes[index].port)?;
        }
        for &index in &missing {
            self.start(index)?;
        }
        for &index in &missing {
            self.wait_until_ready(pool, self.state.nodes[index].port).await?;
        }
        Ok(missing.len())
    }

    fn start(&mut self, index: usize) -> Result<(), Error> {
        let port = self.state.nodes[index].port;
        files::write_config(&self.dir, port, &self.state.directives)?;
        let home = files::node_dir(&self.dir, port);
        let child = process::spawn(&self.state.server, &[files::CONFIG], &home, &files::log_path(&self.dir, port));
        let child = child.map_err(|e| {
            Error::failed(format!("[ERR] {} cannot be started: {e}", self.state.server.join(" ")))
                .hint("the program 'node' belongs beside 'trib'")
        })?;
        self.state.nodes[index].process = Some(process::Identity::of(child.id()));
        self.children.push((port, child));
        // Before the next one: whatever happens now, this one can be found.
        self.state.save(&self.dir)
    }

    async fn wait_until_ready(&mut self, pool: &Pool, port: u16) -> Result<(), Error> {
        let begun = Instant::now();
        let addr = layout::addr(port);
        loop {
            if let Some(ended) = self.has_ended(port) {
                return Err(self.did_not_come_up(port, &format!("ended at once ({ended})")));
            }
            match pool.call(&addr, &command("PING")).await {
                Ok(_) => return Ok(()),
                Err(Failure::Reply { text, .. }) if !text.starts_with("LOADING") => {
                    return Err(self.did_not_come_up(port, &format!("answers {text}")));
                }
                Err(_) if begun.elapsed() > READY_LIMIT => {
                    return Err(self.did_not_come_up(port, "does not answer"));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    fn has_ended(&mut self, port: u16) -> Option<String> {
        let (_, child) = self.children.iter_mut().find(|(of, _)| *of == port)?;
        child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    fn did_not_come_up(&self, port: u16, what: &str) -> Error {
        Error::failed(format!(
            "[ERR] The node on port {port} {what}. Its log ends with:\n{}",
            files::log_tail(&self.dir, port)
        ))
    }

    /// Stops what this run has started. Where the cluster was never formed, its files go, too.
    pub async fn undo(&mut self, ui: &Ui) -> Result<(), Error> {
        let started: Vec<u16> = self.children.iter().map(|(port, _)| *port).collect();
        if !started.is_empty() {
            ui.note(format!("Stopping the {} node(s) that were started...", started.len()));
        }
        // Nobody else waits for them, so they have to be waited for here.
        let mut children = std::mem::take(&mut self.children);
        stop(
            ui,
            &mut self.state,
            |port| started.contains(&port),
            Duration::from_secs(5),
            || {
                for (_, child) in &mut children {
                    let _ = child.try_wait();
                }
            },
        )
        .await;
        if self.state.formed {
            return self.state.save(&self.dir);
        }
        files::purge(&self.dir, &self.state)
            .map(drop)
            .map_err(|e| Error::failed(format!("[ERR] {} cannot be cleaned up: {e}", self.dir.display())))
    }
}

/// Stops the nodes that `picked` names by their ports: asks them, waits for `grace`, then makes those end
/// that still run. Gives how many ran. `reap` is called while waiting.
pub async fn stop(
    ui: &Ui,
    state: &mut State,
    picked: impl Fn(u16) -> bool,
    grace: Duration,
    mut reap: impl FnMut(),
) -> usize {
    let running = |state: &State| -> Vec<(u16, process::Identity)> {
        let nodes = state.nodes.iter().filter(|node| picked(node.port) && node.is_running());
        nodes.filter_map(|node| Some((node.port, node.process.clone()?))).collect()
    };
    let asked = running(state);
    let signal_all = |processes: &[(u16, process::Identity)], signal| {
        for (port, process) in processes {
            if let Err(e) = process.signal(signal) {
                ui.note(format!("process {} of the node on port {port} cannot be signalled: {e}", process.pid));
            }
        }
    };
    signal_all(&asked, Signal::TERM);
    let mut asked_at = Instant::now();
    let mut deadline = Instant::now() + grace;
    let mut insisted = false;
    loop {
        reap();
        let left = running(state);
        if left.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            if insisted {
                break;
            }
            let ports: Vec<String> = left.iter().map(|(port, _)| port.to_string()).collect();
            ui.note(format!("Not stopped within {} s, killing: {}", grace.as_secs(), ports.join(", ")));
            signal_all(&left, Signal::KILL);
            (insisted, deadline) = (true, Instant::now() + grace);
        }
        if !insisted && asked_at.elapsed() >= ASK_AGAIN {
            signal_all(&left, Signal::TERM);
            asked_at = Instant::now();
        }
        tokio::time::sleep(POLL).await;
    }
    for node in state.nodes.iter_mut().filter(|node| picked(node.port)) {
        if !node.is_running() {
            node.process = None;
        }
    }
    asked.len()
}

/// Both ports of a node have to be free, and saying which one is not is all the help there is.
fn expect_free(port: u16) -> Result<(), Error> {
    for (port, what) in [(port, "port"), (port + BUS_PORT_OFFSET, "cluster bus port")] {
        if let Err(e) = TcpListener::bind((layout::HOST, port)) {
            return Err(Error::failed(format!("[ERR] The {what} {port} cannot be used: {e}"))
                .hint("--port names the first port of another range"));
        }
    }
    Ok(())
}

/// What to start: the program given, else the `node` beside this program, else this program as a node.
pub fn server_program(given: Option<&Path>) -> Result<Vec<String>, Error> {
    let text = |path: &Path| {
        let path = path.to_str().map(str::to_owned);
        path.ok_or_else(|| Error::failed("[ERR] The path of the server program is not readable as text"))
    };
    if let Some(path) = given {
        // A bare name is looked up in PATH; a path has to hold from the node's directory, too.
        let is_name = path.components().count() == 1;
        let path = if is_name { path.to_owned() } else { std::path::absolute(path).unwrap_or(path.to_owned()) };
        return Ok(vec![text(&path)?]);
    }
    let own = std::env::current_exe().map_err(|e| Error::failed(format!("[ERR] Where is this program? {e}")))?;
    let beside = own.with_file_name("node");
    if beside.is_file() { Ok(vec![text(&beside)?]) } else { Ok(vec![text(&own)?, "node".to_owned()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind((layout::HOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if let Some(below) = port.checked_sub(BUS_PORT_OFFSET).filter(|below| *below > 1024) {
            let error = expect_free(below).unwrap_err();
            assert!(format!("{error:?}").contains(&format!("cluster bus port {port} cannot be used")));
        }
    }

    #[test]
    fn the_program_is_found() {
        assert_eq!(server_program(Some(Path::new("redis-server"))).unwrap(), ["redis-server"]);
        let path = server_program(Some(Path::new("./here/server"))).unwrap();
        assert!(path[0].starts_with('/') && path[0].ends_with("/here/server"));
        // Beside a test program stands no node.
        assert_eq!(server_program(None).unwrap().last().map(String::as_str), Some("node"));
    }
}
