//! `--check-rdb` and `--check-aof`: looks at files with the eyes of [`crate::persist::check`], and cuts what is damaged if
//! that is asked for. Also what the program does when it is called redis-check-rdb or redis-check-aof.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Stdin, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::log::Logger;
use super::shared::now;
use super::startup::plain;
use crate::config::args::Check;
use crate::config::{COMPAT_VERSION, LogLevel};
use crate::persist::aof::{LogFile, Manifest};
use crate::persist::check::aof::{Checker, Cut, Found, parse_number};
use crate::persist::check::rdb::{self, Outcome};

/// The end of a check before its end: what there is to say has been said.
struct Stop;

impl From<io::Error> for Stop {
    /// Nobody listens any more.
    fn from(_: io::Error) -> Stop {
        Stop
    }
}

type Checked<T> = Result<T, Stop>;

/// Runs a checker with its arguments.
#[must_use]
pub fn run(check: &Check) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match check {
        Check::Rdb { program, args } => check_rdb(&String::from_utf8_lossy(program), args, &mut out),
        Check::Log { program, args } => LogCheck::run(&String::from_utf8_lossy(program), args, &mut out),
    };
    let flushed = out.flush();
    if result.is_ok() && flushed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check_rdb(program: &str, args: &[Vec<u8>], out: &mut impl Write) -> Checked<()> {
    let [file] = args else {
        eprintln!("Usage: {program} <rdb-file-name>");
        return Err(Stop);
    };
    if matches!(file.as_slice(), b"-v" | b"--version") {
        writeln!(out, "redis-check-rdb {COMPAT_VERSION}")?;
        return Ok(());
    }
    let name = String::from_utf8_lossy(file);
    let Ok(source) = File::open(OsStr::from_bytes(file)) else {
        // Here the stock checker gives no reason.
        writeln!(out, "[offset 0] Checking RDB file {name}")?;
        return Err(Stop);
    };
    snapshot(BufReader::new(source), &name, out)?.map(drop).ok_or(Stop)
}

/// Checks a snapshot and gives back what is behind it; `None` when it is not good.
fn snapshot<R: Read>(source: BufReader<R>, name: &str, out: &mut impl Write) -> Checked<Option<BufReader<R>>> {
    match rdb::check(source, name, now(), out)? {
        Outcome::Good(rest) => Ok(Some(rest)),
        Outcome::Bad => Ok(None),
        Outcome::Malformed => {
            out.flush()?;
            Logger::stdout(LogLevel::Notice)
                .warning(format_args!("Terminating server after rdb file reading failure."));
            Err(Stop)
        }
    }
}

/// How a file of a log was.
enum Verdict {
    Good,
    Empty,
    /// Cut at the end of what was whole, or at a moment.
    Cut,
    CutAt(i64),
}

/// A check of a log: of one file, or of all that a manifest names.
struct LogCheck<'a, W> {
    out: &'a mut W,
    checker: Checker,
    fix: bool,
    /// What is later than this second is cut away; 0 for nothing.
    until_secs: i64,
}

impl<'a, W: Write> LogCheck<'a, W> {
    fn run(program: &str, args: &[Vec<u8>], out: &'a mut W) -> Checked<()> {
        let (fix, until_secs, file) = match args {
            [file] => (false, 0, file),
            [option, file] if option == b"--fix" => (true, 0, file),
            [option, moment, file] if option == b"--truncate-to-timestamp" => {
                let (secs, rest) = parse_number(moment);
                if !rest.is_empty() {
                    writeln!(out, "Invalid timestamp, aborting...")?;
                    return Err(Stop);
                }
                (false, secs, file)
            }
            _ => {
                writeln!(out, "Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>")?;
                return Err(Stop);
            }
        };
        let path = Path::new(OsStr::from_bytes(file));
        let mut check = LogCheck { out, checker: Checker::new(until_secs), fix, until_secs };
        if check.is_manifest(path)? { check.manifest(path) } else { check.single(path) }
    }

    /// Whether the first line that is no comment is one of a manifest.
    fn is_manifest(&mut self, path: &Path) -> Checked<bool> {
        let mut source = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) => return Err(self.cannot_open(path, &error, "")),
        };
        loop {
            let (first, is_file) = match source.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(bytes) => (bytes[0], bytes.starts_with(b"file")),
                Err(_) => {
                    writeln!(self.out, "Cannot read file: {}", path.display())?;
                    return Err(Stop);
                }
            };
            if first != b'#' {
                return Ok(is_file);
            }
            source.skip_until(b'\n')?;
        }
    }

    fn single(&mut self, path: &Path) -> Checked<()> {
        writeln!(self.out, "Start checking Old-Style AOF")?;
        let name = path.display().to_string();
        let verdict = self.file(path, &name, true)?;
        self.tell("AOF", &name, &verdict)
    }

    fn manifest(&mut self, path: &Path) -> Checked<()> {
        writeln!(self.out, "Start checking Multi Part AOF")?;
        let manifest = self.read_manifest(path)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let count = manifest.to_load().count();
        if let Some(base) = &manifest.base {
            let path = path_in(dir, base);
            let kind = if self.is_snapshot(&path)? { "RDB" } else { "RESP" };
            writeln!(self.out, "Start to check BASE AOF ({kind} format).")?;
            self.part("BASE AOF", &path, base, count == 1)?;
        }
        if !manifest.increments.is_empty() {
            writeln!(self.out, "Start to check INCR files.")?;
        }
        for (i, increment) in manifest.increments.iter().enumerate() {
            self.part("INCR AOF", &path_in(dir, increment), increment, i + 1 == manifest.increments.len())?;
        }
        writeln!(self.out, "All AOF files and manifest are valid")?;
        Ok(())
    }

    fn part(&mut self, what: &str, path: &Path, file: &LogFile, is_last: bool) -> Checked<()> {
        let name = String::from_utf8_lossy(&file.name);
        let verdict = self.file(path, &name, is_last)?;
        self.tell(what, &name, &verdict)
    }

    fn tell(&mut self, what: &str, name: &str, verdict: &Verdict) -> Checked<()> {
        match verdict {
            Verdict::Good => writeln!(self.out, "{what} {name} is valid")?,
            Verdict::Empty => writeln!(self.out, "{what} {name} is empty")?,
            Verdict::Cut => writeln!(self.out, "Successfully truncated AOF {name}")?,
            Verdict::CutAt(secs) => writeln!(self.out, "Successfully truncated AOF {name} to timestamp {secs}")?,
        }
        Ok(())
    }

    fn read_manifest(&mut self, path: &Path) -> Checked<Manifest> {
        let text = std::fs::read(path)?;
        match Manifest::parse(&text) {
            Ok(manifest) => Ok(manifest),
            Err(error) => {
                self.out.flush()?;
                // The server's words, a log entry each.
                let log = Logger::stdout(LogLevel::Notice);
                log.warning(format_args!("\n*** FATAL AOF MANIFEST FILE ERROR ***\n"));
                if let Some((number, line)) = &error.line {
                    log.warning(format_args!("Reading the manifest file, at line {number}\n"));
                    log.warning(format_args!(">>> '{}'\n", String::from_utf8_lossy(line)));
                }
                log.warning(format_args!("{}\n", error.fault));
                Err(Stop)
            }
        }
    }

    fn cannot_open(&mut self, path: &Path, error: &io::Error, then: &str) -> Stop {
        let line = writeln!(self.out, "Cannot open file {}: {}{then}", path.display(), plain(error));
        line.err().map_or(Stop, Stop::from)
    }

    fn open(&mut self, path: &Path) -> Checked<(File, u64)> {
        let opened = OpenOptions::new().read(true).write(self.fix || self.until_secs != 0).open(path);
        match opened.and_then(|file| file.metadata().map(|meta| (file, meta.len()))) {
            Ok(opened) => Ok(opened),
            Err(error) => Err(self.cannot_open(path, &error, ", aborting...")),
        }
    }

    fn is_snapshot(&mut self, path: &Path) -> Checked<bool> {
        let file = File::open(path).map_err(|error| self.cannot_open(path, &error, ""))?;
        let len = file.metadata()?.len();
        Ok(begins_with_snapshot(&mut BufReader::new(file), len)?)
    }

    /// Checks one file, and cuts it if that is asked for and may be done.
    fn file(&mut self, path: &Path, name: &str, is_last: bool) -> Checked<Verdict> {
        let (file, len) = self.open(path)?;
        if len == 0 {
            return Ok(Verdict::Empty);
        }
        let mut source = BufReader::new(file);
        let mut offset = 0;
        if begins_with_snapshot(&mut source, len)? {
            let Some(rest) = snapshot(source, name, self.out)? else {
                writeln!(self.out, "RDB preamble of AOF file is not sane, aborting.")?;
                return Err(Stop);
            };
            writeln!(self.out, "RDB preamble is OK, proceeding with AOF tail...")?;
            source = rest;
            offset = position(&mut source)?;
        }
        let found = self.checker.check(&mut source, offset, (name, &path.display().to_string()), self.out)?;
        let file = source.into_inner();
        match found {
            Found::BadTime => {
                writeln!(self.out, "Invalid timestamp annotation")?;
                Err(Stop)
            }
            Found::Later(cut) => self.cut_at_moment(&file, path, cut, is_last),
            Found::UpTo { offset, message } => self.judge(&file, name, len, offset, message.as_deref(), is_last),
        }
    }

    fn cut_at_moment(&mut self, file: &File, path: &Path, cut: Cut, is_last: bool) -> Checked<Verdict> {
        let (path, secs) = (path.display(), self.until_secs);
        let offset = match cut {
            Cut::Everything => {
                writeln!(self.out, "AOF {path} has nothing before timestamp {secs}, aborting...")?;
                return Err(Stop);
            }
            Cut::At(offset) => offset,
        };
        if !is_last {
            writeln!(
                self.out,
                "Failed to truncate AOF {path} to timestamp {secs} to offset {offset} because it is not the last \
                 file.\nIf you insist, please delete all files after this file according to the manifest file and \
                 delete the corresponding records in manifest file manually. Then re-run redis-check-aof."
            )?;
            return Err(Stop);
        }
        if cut_file(file, offset).is_err() {
            writeln!(self.out, "Failed to truncate AOF {path} to timestamp {secs}")?;
            return Err(Stop);
        }
        Ok(Verdict::CutAt(secs))
    }

    /// Tells how far the file is whole, and acts on that.
    fn judge(
        &mut self,
        file: &File,
        name: &str,
        len: u64,
        good_up_to: u64,
        message: Option<&[u8]>,
        is_last: bool,
    ) -> Checked<Verdict> {
        if let Some(message) = message {
            self.out.write_all(message)?;
            writeln!(self.out)?;
        }
        let damaged = len.saturating_sub(good_up_to);
        if damaged == 0 && self.until_secs != 0 {
            writeln!(self.out, "Truncate nothing in AOF {name} to timestamp {}", self.until_secs)?;
            return Ok(Verdict::Good);
        }
        writeln!(
            self.out,
            "AOF analyzed: filename={name}, size={len}, ok_up_to={good_up_to}, ok_up_to_line={}, diff={damaged}",
            self.checker.line
        )?;
        if damaged == 0 {
            return Ok(Verdict::Good);
        }
        if !self.fix {
            writeln!(self.out, "AOF {name} is not valid. Use the --fix option to try fixing it.")?;
            return Err(Stop);
        }
        if !is_last {
            writeln!(self.out, "Failed to truncate AOF {name} because it is not the last file")?;
            return Err(Stop);
        }
        writeln!(
            self.out,
            "This will shrink the AOF {name} from {len} bytes, with {damaged} bytes, to {good_up_to} bytes"
        )?;
        self.confirm(&io::stdin())?;
        if cut_file(file, good_up_to).is_err() {
            writeln!(self.out, "Failed to truncate AOF {name}")?;
            return Err(Stop);
        }
        Ok(Verdict::Cut)
    }

    fn confirm(&mut self, input: &Stdin) -> Checked<()> {
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer).is_ok() && answer.starts_with(['y', 'Y']) {
            return Ok(());
        }
        writeln!(self.out, "Aborting...")?;
        Err(Stop)
    }
}

/// Cuts a file so that the cut lasts.
fn cut_file(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    file.sync_all()
}

fn path_in(dir: &Path, file: &LogFile) -> PathBuf {
    dir.join(OsStr::from_bytes(&file.name))
}

/// Where a source stands in its file.
fn position(source: &mut BufReader<File>) -> io::Result<u64> {
    use std::io::Seek;
    source.stream_position()
}

fn begins_with_snapshot(source: &mut BufReader<File>, len: u64) -> io::Result<bool> {
    let head = source.fill_buf()?;
    Ok(len >= 8 && (head.starts_with(b"REDIS") || head.starts_with(b"VALKEY")))
}
