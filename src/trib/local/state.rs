//! `trib.json`: what was started, and as which processes. Written after every start, so that what runs can
//! be stopped whatever happens to the one who started it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Shape;
use super::process::Identity;
use crate::trib::error::Error;

const FILE: &str = "trib.json";
const LOCK: &str = "trib.lock";
const VERSION: u32 = 1;

/// A local cluster on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    pub shape: Shape,
    /// The program with its leading arguments.
    pub server: Vec<String>,
    /// Lines for the configuration of every node.
    pub directives: Vec<String>,
    /// Whether the directory was not there before.
    pub made_dir: bool,
    /// Whether the nodes have become a cluster.
    pub formed: bool,
    pub nodes: Vec<NodeState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    pub port: u16,
    /// The process it was last started as.
    pub process: Option<Identity>,
}

impl NodeState {
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Identity::is_running)
    }
}

impl State {
    #[must_use]
    pub fn new(shape: Shape, ports: &[u16], server: Vec<String>, directives: Vec<String>, made_dir: bool) -> State {
        let nodes = ports.iter().map(|&port| NodeState { port, process: None }).collect();
        State { version: VERSION, shape, server, directives, made_dir, formed: false, nodes }
    }

    /// What `dir` holds; `None` where there is no cluster.
    pub fn load(dir: &Path) -> Result<Option<State>, Error> {
        let path = dir.join(FILE);
        let bad = |why: String| {
            Error::failed(format!("[ERR] {} cannot be read: {why}", path.display()))
                .hint("it is written by 'trib up'; without it the processes have to be stopped by hand")
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(bad(e.to_string())),
        };
        let state: State = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if state.version != VERSION {
            return Err(bad(format!("it is of version {}, this program knows {VERSION}", state.version)));
        }
        Ok(Some(state))
    }

    /// The cluster in `dir`, where there has to be one.
    pub fn expect(dir: &Path) -> Result<State, Error> {
        State::load(dir)?.ok_or_else(|| {
            Error::failed(format!("[ERR] There is no local cluster in {}.", dir.display()))
                .hint("'trib up' starts one; --dir names another directory")
        })
    }

    /// Replaces the file as a whole: whoever reads it sees the old or the new one.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let new = dir.join(format!("{FILE}.new"));
        let text = serde_json::to_string_pretty(self).expect("plain data is always JSON") + "\n";
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|e| Error::failed(format!("[ERR] {} cannot be written: {e}", path.display())))
    }

    /// The names of the files it makes in the directory.
    #[must_use]
    pub fn files() -> [String; 3] {
        [FILE.to_owned(), format!("{FILE}.new"), LOCK.to_owned()]
    }
}

/// Held while a cluster is started or stopped, by one program at a time.
pub struct Lock {
    _file: fs::File,
}

impl Lock {
    /// Takes the lock of a directory that exists, or says who has it.
    pub fn take(dir: &Path) -> Result<Lock, Error> {
        let path: PathBuf = dir.join(LOCK);
        let unusable = |e: io::Error| {
            Error::failed(format!("[ERR] {} cannot be written: {e}", path.display()))
                .hint("choose a directory of your own with --dir")
        };
        let file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(unusable)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::failed(format!(
                "[ERR] Another trib is starting or stopping the cluster in {} right now.",
                dir.display()
            ))),
            Err(e) => Err(unusable(e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(State::load(dir.path()), Ok(None));
        assert_eq!(State::load(&dir.path().join("missing")), Ok(None));
        assert!(State::expect(dir.path()).is_err());
        let mut state = State::new(Shape::default(), &[1, 2], vec!["node".into()], Vec::new(), true);
        state.nodes[0].process = Some(Identity::of(std::process::id()));
        state.save(dir.path()).unwrap();
        let loaded = State::expect(dir.path()).unwrap();
        assert_eq!(loaded, state);
        assert!(loaded.nodes[0].is_running() && !loaded.nodes[1].is_running());
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"version\": 2}"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(State::load(dir.path()).is_err(), "{text}");
        }
        let state = State { version: 9, ..State::new(Shape::default(), &[], Vec::new(), Vec::new(), false) };
        state.save(dir.path()).unwrap();
        assert!(State::load(dir.path()).is_err());
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        assert!(Lock::take(dir.path()).is_err());
        drop(first);
        assert!(Lock::take(dir.path()).is_ok());
    }
}
