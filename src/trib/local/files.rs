//! The files of a local cluster: a directory for each node, and what is in it.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layout::{HOST, value_of};
use super::state::State;
use crate::trib::error::Error;

pub const CONFIG: &str = "node.conf";
const LOG: &str = "node.log";
/// What a server makes in its directory: the directive that names it, and what it is called without that.
const MADE_BY_SERVERS: [(&str, Option<&str>); 6] = [
    ("cluster-config-file", Some("nodes.conf")),
    ("dbfilename", Some("dump.rdb")),
    ("appenddirname", Some("appendonlydir")),
    ("appendfilename", Some("appendonly.aof")),
    ("logfile", None),
    ("pidfile", None),
];
/// How much of a log is shown when a node does not come up.
const TAIL_LINES: usize = 15;

/// The directory of the node on this port.
#[must_use]
pub fn node_dir(dir: &Path, port: u16) -> PathBuf {
    dir.join(port.to_string())
}

#[must_use]
pub fn log_path(dir: &Path, port: u16) -> PathBuf {
    node_dir(dir, port).join(LOG)
}

/// Makes the directory of the cluster; whether it was not there before.
pub fn make_dir(dir: &Path) -> Result<bool, Error> {
    let made = !dir.exists();
    fs::create_dir_all(dir).map_err(|e| cannot_write(dir, &e))?;
    Ok(made)
}

/// Writes the node's configuration, into a directory that is made if need be.
pub fn write_config(dir: &Path, port: u16, directives: &[String]) -> Result<(), Error> {
    let home = node_dir(dir, port);
    fs::create_dir_all(&home).map_err(|e| cannot_write(&home, &e))?;
    let path = home.join(CONFIG);
    // It may contain passwords.
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| io::Write::write_all(&mut file, config(port, directives).as_bytes()))
        .map_err(|e| cannot_write(&path, &e))
}

/// No paths: the server is started in its directory.
fn config(port: u16, directives: &[String]) -> String {
    let mut text = format!(
        "# Written by 'trib up' at every start. Directives of your own: trib up -- NAME VALUE ...\n\
         port {port}\n\
         bind {HOST}\n\
         cluster-enabled yes\n\
         cluster-config-file nodes.conf\n\
         cluster-node-timeout 2000\n\
         repl-diskless-sync-delay 0\n\
         appendonly yes\n\
         daemonize no\n\
         logfile \"\"\n"
    );
    for line in directives {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("[ERR] {} cannot be written: {error}", path.display()))
        .hint("choose a directory of your own with --dir")
}

/// The last lines of a node's log, or why there are none.
#[must_use]
pub fn log_tail(dir: &Path, port: u16) -> String {
    let path = log_path(dir, port);
    match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        }
        Err(e) => format!("({}: {e})", path.display()),
    }
}

/// Deletes what this program and its servers made, and directories that are empty then. Gives the
/// directories that are not, because somebody has put something there.
pub fn purge(dir: &Path, state: &State) -> io::Result<Vec<PathBuf>> {
    let mut kept = purge_nodes(dir, state)?;
    for name in State::files() {
        remove(&dir.join(name))?;
    }
    if state.made_dir {
        remove_if_empty(dir.to_owned(), &mut kept)?;
    }
    Ok(kept)
}

/// The same for the directories of the nodes only.
pub fn purge_nodes(dir: &Path, state: &State) -> io::Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for node in &state.nodes {
        let home = node_dir(dir, node.port);
        for entry in fs::read_dir(&home).into_iter().flatten().flatten() {
            if is_ours(&entry.file_name().to_string_lossy(), &state.directives) {
                remove(&entry.path())?;
            }
        }
        remove_if_empty(home, &mut kept)?;
    }
    Ok(kept)
}

/// Whether a server with these directives makes a file of this name: for good, or until it takes its name.
fn is_ours(name: &str, directives: &[String]) -> bool {
    let of_server = MADE_BY_SERVERS.iter().any(|(directive, usual)| {
        let made = value_of(directives, directive).or(*usual).filter(|made| !made.is_empty());
        made.and_then(|made| name.strip_prefix(made)).is_some_and(|rest| rest.is_empty() || rest.starts_with(".tmp-"))
    });
    of_server || name == CONFIG || name == LOG || name.starts_with("temp-")
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

fn remove_if_empty(dir: PathBuf, kept: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::remove_dir(&dir) {
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => kept.push(dir),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::layout::Shape;
    use super::*;

    #[test]
    fn only_what_was_made_is_deleted() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("cluster");
        assert!(make_dir(&dir).unwrap());
        assert!(!make_dir(&dir).unwrap());
        let directives = vec!["dbfilename other.rdb".to_owned()];
        let state = State::new(Shape { primaries: 2, replicas: 0 }, &[7000, 7001], Vec::new(), directives, true);
        state.save(&dir).unwrap();
        for port in [7000, 7001] {
            write_config(&dir, port, &["maxmemory 1mb".into()]).unwrap();
            fs::create_dir(node_dir(&dir, port).join("appendonlydir")).unwrap();
            for name in ["temp-1.rdb", "other.rdb", "nodes.conf", "nodes.conf.tmp-77", LOG] {
                fs::write(node_dir(&dir, port).join(name), "").unwrap();
            }
        }
        let text = fs::read_to_string(node_dir(&dir, 7001).join(CONFIG)).unwrap();
        assert!(text.contains("\nport 7001\n") && text.ends_with("\nmaxmemory 1mb\n"));
        fs::write(node_dir(&dir, 7001).join("notes.txt"), "mine").unwrap();
        assert_eq!(purge(&dir, &state).unwrap(), [node_dir(&dir, 7001), dir.clone()]);
        assert!(!node_dir(&dir, 7000).exists());
        assert_eq!(fs::read_to_string(node_dir(&dir, 7001).join("notes.txt")).unwrap(), "mine");
        fs::remove_file(node_dir(&dir, 7001).join("notes.txt")).unwrap();
        assert_eq!(purge(&dir, &state).unwrap(), Vec::<PathBuf>::new());
        assert!(!dir.exists());
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("7000")).unwrap();
        assert!(log_tail(base.path(), 7000).contains("No such file"));
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        fs::write(log_path(base.path(), 7000), lines.join("\n")).unwrap();
        assert!(log_tail(base.path(), 7000).starts_with("85\n"));
    }
}
