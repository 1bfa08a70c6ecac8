//! Processes that outlive the command that started them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// One process for ever: numbers are used again, so the start belongs to the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// When it started, in whatever form the system tells; empty when it was gone before it could be asked.
    pub started: String,
}

impl Identity {
    /// Of a process that runs now.
    #[must_use]
    pub fn of(pid: u32) -> Identity {
        Identity { pid, started: started(pid).unwrap_or_default() }
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.started.is_empty() && started(self.pid).is_some_and(|now| now == self.started)
    }

    /// Asks it to end, or makes it end. Does nothing when it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match pid.filter(|_| self.is_running()) {
            Some(pid) => match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                Err(e) => Err(e.into()),
            },
            None => Ok(()),
        }
    }
}

/// Starts a program that stays when this one ends, and that Ctrl-C here does not reach. What it prints
/// goes to the end of `log`.
pub fn spawn(program: &[String], arguments: &[&str], dir: &Path, log: &Path) -> io::Result<Child> {
    let out: File = OpenOptions::new().create(true).append(true).open(log)?;
    let (first, rest) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(first)
        .args(rest)
        .args(arguments)
        .current_dir(dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
}

/// Boot and clock ticks of the start; `None` when there is no such process, or only what is left of one
/// that nobody has waited for.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let (state, ticks) = parse_stat(&stat)?;
    (!matches!(state, 'Z' | 'X')).then(|| format!("{}:{ticks}", boot.trim()))
}

/// The state and the start time of a line of `/proc/PID/stat`. The name in it may contain anything.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is the third field, the start the twenty-second.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> Option<String> {
    let shown = Command::new("ps").args(["-o", "state=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8(shown.stdout).ok()?;
    let (state, start) = line.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| start.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id());
        assert!(identity.is_running());
        let other = Identity { started: "some other time".into(), ..identity.clone() };
        assert!(!other.is_running());
        other.signal(Signal::KILL).unwrap();
        assert!(identity.is_running(), "a process of another start is left alone");
        identity.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(!identity.is_running());
        identity.signal(Signal::TERM).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_do_not_confuse_the_fields() {
        let stat = "7 (a) R (b) S 1 7 7 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 555 9 9";
        assert_eq!(parse_stat(stat), Some(('S', 555)));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }
}
