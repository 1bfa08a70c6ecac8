//! The server's log, in Redis's format: `pid:role DD Mon YYYY HH:MM:SS.mmm level message`, or as `log-format` and
//! `log-timestamp-format` say; into a file or to the standard output, and to the system's log if that is asked for.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::os::local_time;
use super::syslog::Syslog;
use crate::config::{LogFormat, LogLevel, LogTimestamp};

/// What a line says the process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Role {
    Sentinel = b'X',
    Replica = b'S',
    Primary = b'M',
    /// Before the server is up, and in child processes.
    Child = b'C',
}

/// A handle on the log; clones write to the same one.
#[derive(Clone)]
pub struct Logger(Arc<Shared>);

struct Shared {
    /// The severity below which nothing is written.
    threshold: AtomicU8,
    role: AtomicU8,
    style: Mutex<(LogFormat, LogTimestamp)>,
    sink: Mutex<Sink>,
    syslog: Option<Syslog>,
}

enum Sink {
    Stdout,
    File(LogFile),
}

/// How often the path is looked at, to follow a file that was rotated away.
const ROTATION_CHECK: Duration = Duration::from_secs(1);

struct LogFile {
    path: PathBuf,
    file: File,
    checked: Instant,
}

impl Logger {
    /// A log on the standard output.
    #[must_use]
    pub fn stdout(level: LogLevel) -> Logger {
        Logger::new(level, Sink::Stdout)
    }

    /// A log appended to a file, which is created if it is not there. Renaming the file away begins a new one.
    pub fn file(level: LogLevel, path: PathBuf) -> io::Result<Logger> {
        let file = open(&path)?;
        Ok(Logger::new(level, Sink::File(LogFile { path, file, checked: Instant::now() })))
    }

    fn new(level: LogLevel, sink: Sink) -> Logger {
        let shared = Shared {
            threshold: AtomicU8::new(severity(level)),
            role: AtomicU8::new(Role::Child as u8),
            style: Mutex::new((LogFormat::Legacy, LogTimestamp::Legacy)),
            sink: Mutex::new(sink),
            syslog: None,
        };
        Logger(Arc::new(shared))
    }

    /// Sends every line to the system's log as well. To be called before the log is shared.
    #[must_use]
    pub fn with_syslog(mut self, syslog: Syslog) -> Logger {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.syslog = Some(syslog);
        }
        self
    }

    /// Changes the form of the lines.
    pub fn set_style(&self, format: LogFormat, timestamp: LogTimestamp) {
        *self.0.style.lock().unwrap_or_else(PoisonError::into_inner) = (format, timestamp);
    }

    /// Whether lines are shown to somebody at a terminal.
    #[must_use]
    pub fn is_at_terminal(&self) -> bool {
        let sink = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*sink, Sink::Stdout) && self.0.syslog.is_none() && io::stdout().is_terminal()
    }

    /// Writes a picture as it is.
    pub fn picture(&self, text: &str) {
        if self.writes(LogLevel::Notice) {
            self.write(text.as_bytes());
        }
    }

    /// Changes the least severe level that is written.
    pub fn set_level(&self, level: LogLevel) {
        self.0.threshold.store(severity(level), Ordering::Relaxed);
    }

    pub fn set_role(&self, role: Role) {
        self.0.role.store(role as u8, Ordering::Relaxed);
    }

    /// Whether a line of this level would be written: for callers to whom even its arguments are dear.
    #[must_use]
    pub fn writes(&self, level: LogLevel) -> bool {
        severity(level) >= self.0.threshold.load(Ordering::Relaxed)
    }

    pub fn debug(&self, message: fmt::Arguments<'_>) {
        self.log(LogLevel::Debug, message);
    }

    pub fn verbose(&self, message: fmt::Arguments<'_>) {
        self.log(LogLevel::Verbose, message);
    }

    pub fn notice(&self, message: fmt::Arguments<'_>) {
        self.log(LogLevel::Notice, message);
    }

    pub fn warning(&self, message: fmt::Arguments<'_>) {
        self.log(LogLevel::Warning, message);
    }

    /// Writes one line. A line that cannot be written is lost: there is nowhere to report that.
    pub fn log(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        if !self.writes(level) {
            return;
        }
        let style = *self.0.style.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&line(self.0.role.load(Ordering::Relaxed), level, style, message));
        if let Some(syslog) = &self.0.syslog {
            syslog.send(level, message);
        }
    }

    fn write(&self, line: &[u8]) {
        // A thread that panicked while it held the lock left nothing half done that matters here.
        match &mut *self.0.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                let _ = out.write_all(line).and_then(|()| out.flush());
            }
            Sink::File(log) => {
                log.follow_rotation();
                let _ = log.file.write_all(line);
            }
        }
    }
}

impl LogFile {
    fn follow_rotation(&mut self) {
        if self.checked.elapsed() < ROTATION_CHECK {
            return;
        }
        self.checked = Instant::now();
        let identity = |m: std::fs::Metadata| (m.dev(), m.ino());
        let at_path = std::fs::metadata(&self.path).map(identity).ok();
        if at_path.is_none() || at_path != self.file.metadata().map(identity).ok() {
            // Keeps the old file when a new one cannot be made.
            if let Ok(file) = open(&self.path) {
                self.file = file;
            }
        }
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Verbose => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Nothing => 4,
    }
}

fn line(role: u8, level: LogLevel, style: (LogFormat, LogTimestamp), message: fmt::Arguments<'_>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (format, timestamp) = style;
    let (pid, time) = (std::process::id(), time_text(timestamp, now));
    let mut out = Vec::with_capacity(128);
    let _ = match format {
        LogFormat::Legacy => {
            let mark = [b'.', b'-', b'*', b'#', b'#'][usize::from(severity(level))];
            writeln!(out, "{pid}:{} {time} {} {message}", char::from(role), char::from(mark))
        }
        LogFormat::Logfmt => {
            let level = ["debug", "info", "notice", "warning", "warning"][usize::from(severity(level))];
            let role = role_name(role);
            // A message must not break its quotes or its line.
            let message = message.to_string().replace('"', "'").replace(['\n', '\r'], " ");
            writeln!(out, "pid={pid} role={role} timestamp=\"{time}\" level={level} message=\"{message}\"")
        }
    };
    out
}

fn role_name(role: u8) -> &'static str {
    match role {
        b'X' => "sentinel",
        b'S' => "replica",
        b'M' => "primary",
        _ => "RDB/AOF",
    }
}

fn time_text(timestamp: LogTimestamp, since_epoch: Duration) -> String {
    let t = local_time(since_epoch.as_secs() as i64);
    let millis = since_epoch.subsec_millis();
    match timestamp {
        LogTimestamp::Legacy => {
            let month = month_name(t.month);
            format!("{:02} {month} {} {:02}:{:02}:{:02}.{millis:03}", t.day, t.year, t.hour, t.minute, t.second)
        }
        LogTimestamp::Iso8601 => {
            let sign = if t.offset_secs < 0 { '-' } else { '+' };
            let minutes = t.offset_secs.unsigned_abs() / 60;
            format!(
                "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{millis:03}{sign}{:02}:{:02}",
                t.year,
                t.month,
                t.day,
                t.hour,
                t.minute,
                t.second,
                minutes / 60,
                minutes % 60
            )
        }
        LogTimestamp::Milliseconds => since_epoch.as_millis().to_string(),
    }
}

/// The English abbreviation of month 1 to 12.
pub(super) fn month_name(month: u8) -> &'static str {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS[usize::from(month.saturating_sub(1)) % 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_redis_form_and_levels_filter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "old\n").unwrap();
        let logger = Logger::file(LogLevel::Notice, path.clone()).unwrap();
        let other = logger.clone();
        logger.verbose(format_args!("hidden"));
        logger.notice(format_args!("Ready {}", 1));
        other.set_role(Role::Primary);
        other.set_level(LogLevel::Debug);
        logger.debug(format_args!("details"));
        logger.set_level(LogLevel::Nothing);
        logger.warning(format_args!("hidden"));
        assert!(!logger.writes(LogLevel::Warning));

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "old");
        for (line, role, tail) in [(lines[1], 'C', " * Ready 1"), (lines[2], 'M', " . details")] {
            let rest = line.strip_prefix(&format!("{}:{role} ", std::process::id())).unwrap();
            let stamp = rest.strip_suffix(tail).unwrap();
            let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
            let month = &stamp[3..6];
            assert_eq!(shape, format!("99 {month} 9999 99:99:99.999"));
        }
    }

    #[test]
    fn other_styles() {
        let text = |style| {
            let line = line(b'M', LogLevel::Notice, style, format_args!("a \"b\"\nc"));
            String::from_utf8(line).unwrap()
        };
        let line = text((LogFormat::Logfmt, LogTimestamp::Milliseconds));
        let (head, rest) = line.split_once(" role=primary timestamp=\"").unwrap();
        assert_eq!(head, format!("pid={}", std::process::id()));
        let (millis, rest) = rest.split_once('"').unwrap();
        assert!(millis.parse::<u64>().unwrap() > 1_600_000_000_000);
        assert_eq!(rest, " level=notice message=\"a 'b' c\"\n");
        let time = time_text(LogTimestamp::Iso8601, Duration::from_millis(86_400_123));
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert!(["9999-99-99T99:99:99.999+99:99", "9999-99-99T99:99:99.999-99:99"].contains(&&*shape), "{time}");
        assert!(time.contains(".123"));
    }

    #[test]
    fn a_rotated_file_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("log"), dir.path().join("log.1"));
        let logger = Logger::file(LogLevel::Notice, path.clone()).unwrap();
        logger.notice(format_args!("one"));
        std::fs::rename(&path, &away).unwrap();
        if let Sink::File(log) = &mut *logger.0.sink.lock().unwrap() {
            log.checked -= ROTATION_CHECK;
        }
        logger.notice(format_args!("two"));
        assert!(std::fs::read_to_string(away).unwrap().ends_with("one\n"));
        assert!(std::fs::read_to_string(path).unwrap().ends_with("two\n"));
        assert!(Logger::file(LogLevel::Notice, dir.path().join("no/such")).is_err());
    }

    #[test]
    fn threads_do_not_mix_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let logger = Logger::file(LogLevel::Notice, path.clone()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let logger = logger.clone();
                scope.spawn(move || (0..100).for_each(|i| logger.notice(format_args!("<{thread} {i}>"))));
            }
        });
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().filter(|l| l.contains(" * <") && l.ends_with('>')).count(), 400);
    }
}
