//! The system's log, for `syslog-enabled`: datagrams to the socket on which it listens.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::log::month_name;
use super::os::local_time;
use crate::config::{LogLevel, SyslogFacility};

/// Where the system's log listens.
pub const SOCKET: &str = "/dev/log";

/// A connection to the system's log.
pub struct Syslog {
    socket: UnixDatagram,
    /// How the lines name the program.
    ident: String,
    facility: SyslogFacility,
}

impl Syslog {
    /// Connects to the log that listens at `path`.
    ///
    /// # Errors
    /// What the system says: nobody listens there.
    pub fn open(path: &Path, ident: &[u8], facility: SyslogFacility) -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A log that does not keep up must not hold the server up.
        socket.set_nonblocking(true)?;
        Ok(Syslog { socket, ident: String::from_utf8_lossy(ident).into_owned(), facility })
    }

    /// Sends one line. A line that cannot be sent is lost: there is nowhere to report that.
    pub fn send(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let t = local_time(now);
        let line = format!(
            "<{}>{} {:2} {:02}:{:02}:{:02} {}[{}]: {message}",
            8 * facility_code(self.facility) + severity(level),
            month_name(t.month),
            t.day,
            t.hour,
            t.minute,
            t.second,
            self.ident,
            std::process::id()
        );
        let _ = self.socket.send(line.as_bytes());
    }
}

fn facility_code(facility: SyslogFacility) -> u8 {
    match facility {
        SyslogFacility::User => 1,
        SyslogFacility::Local0 => 16,
        SyslogFacility::Local1 => 17,
        SyslogFacility::Local2 => 18,
        SyslogFacility::Local3 => 19,
        SyslogFacility::Local4 => 20,
        SyslogFacility::Local5 => 21,
        SyslogFacility::Local6 => 22,
        SyslogFacility::Local7 => 23,
    }
}

/// As the system's log counts: the less the graver.
fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 7,
        LogLevel::Verbose => 6,
        LogLevel::Notice => 5,
        LogLevel::Warning | LogLevel::Nothing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_the_system_log_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(Syslog::open(&path, b"redis", SyslogFacility::User).is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open(&path, b"redis", SyslogFacility::Local3).unwrap();
        syslog.send(LogLevel::Warning, format_args!("hello {}", 1));
        let mut buf = [0; 256];
        let n = listener.recv(&mut buf).unwrap();
        let line = std::str::from_utf8(&buf[..n]).unwrap();
        assert!(line.starts_with("<156>"), "{line}");
        assert!(line.ends_with(&format!(" redis[{}]: hello 1", std::process::id())), "{line}");
    }
}
