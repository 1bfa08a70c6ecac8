//! Telling the service manager that started this server how it is getting on: `supervised systemd` (or
//! `auto`) with a unit of `Type=notify`, and the older upstart.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::config::Supervised;

/// The manager that waits to hear from this process.
pub enum Supervisor {
    /// Reads datagrams on the socket that `NOTIFY_SOCKET` names.
    Systemd(SocketAddr),
    /// Waits for the process to stop itself.
    Upstart,
}

impl Supervisor {
    /// The manager that the `supervised` directive asks for, if it is there. `env` reads a variable of the
    /// environment.
    pub fn find(mode: Supervised, env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<Supervisor> {
        let upstart = || env("UPSTART_JOB").map(|_| Supervisor::Upstart);
        let systemd = || address(&env("NOTIFY_SOCKET")?).ok().map(Supervisor::Systemd);
        match mode {
            Supervised::No => None,
            Supervised::Upstart => upstart(),
            Supervised::Systemd => systemd(),
            Supervised::Auto => upstart().or_else(systemd),
        }
    }

    /// As INFO names it.
    pub fn name(&self) -> &'static str {
        match self {
            Supervisor::Systemd(_) => "systemd",
            Supervisor::Upstart => "upstart",
        }
    }

    /// The server is up.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        match self {
            Supervisor::Systemd(_) => self.send(&format!("READY=1\nSTATUS={status}\n")),
            Supervisor::Upstart => {
                Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?)
            }
        }
    }

    /// The server is shutting down.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1\n")
    }

    fn send(&self, text: &str) -> io::Result<()> {
        if let Supervisor::Systemd(address) = self {
            let socket = UnixDatagram::unbound()?;
            // A manager that does not read must not hang the server.
            socket.set_nonblocking(true)?;
            socket.send_to_addr(text.as_bytes(), address)?;
        }
        Ok(())
    }
}

/// A path, or a name without one behind `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_of_readiness_on_both_kinds_of_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let hidden = format!("node-supervisor-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&hidden).unwrap()).unwrap(),
                format!("@{hidden}").into(),
            ),
        ];
        for (socket, name) in sockets {
            let env = |variable: &str| (variable == "NOTIFY_SOCKET").then(|| name.clone());
            let supervisor = Supervisor::find(Supervised::Auto, env).unwrap();
            supervisor.ready("Ready to accept connections").unwrap();
            supervisor.stopping().unwrap();
            let mut buffer = [0; 100];
            for expected in ["READY=1\nSTATUS=Ready to accept connections\n", "STOPPING=1\n"] {
                let n = socket.recv(&mut buffer).unwrap();
                assert_eq!(std::str::from_utf8(&buffer[..n]), Ok(expected));
            }
        }
    }

    #[test]
    fn nobody_is_told_when_nobody_asked() {
        for mode in [Supervised::No, Supervised::Systemd, Supervised::Upstart, Supervised::Auto] {
            assert!(Supervisor::find(mode, |_| None).is_none());
        }
        assert!(Supervisor::find(Supervised::No, |_| Some("/x".into())).is_none());
    }
}
