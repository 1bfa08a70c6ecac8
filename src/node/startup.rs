//! From the command line to a configured process: version and help, configuration file, directory, daemon, log.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::check;
use super::log::Logger;
use super::os;
use super::syslog::{self, Syslog};
use crate::config::Host;
use crate::config::args::{self, Invocation, Serve};
use crate::config::{COMPAT_VERSION, Config};

/// A process ready to become a server.
pub struct Prepared {
    pub config: Config,
    pub logger: Logger,
    /// Absolute.
    pub config_file: Option<PathBuf>,
    pub executable: PathBuf,
    /// What the process was called, for its title.
    pub program: String,
    pub title: Option<os::ProcessTitle>,
    pub start: Start,
}

/// How the process was started, for a start of the same kind.
#[derive(Clone, Debug)]
pub struct Start {
    pub program: PathBuf,
    /// All of them, the program's name first.
    pub args: Vec<Vec<u8>>,
    pub directory: PathBuf,
}

/// Reads the command line (`argv[0]` first) and prepares the process, or says how it ends at once.
///
/// # Errors
/// The exit code of a process that is not to become a server.
pub fn prepare(argv: &[Vec<u8>]) -> Result<Prepared, ExitCode> {
    let program = argv.first().and_then(|p| p.rsplit(|b| *b == b'/').next()).unwrap_or_default();
    let program = String::from_utf8_lossy(program).into_owned();
    match args::parse(argv) {
        Invocation::Version => {
            println!("{}", version_line(&program));
            Err(ExitCode::SUCCESS)
        }
        Invocation::Help => {
            eprint!("{}", help(&program));
            Err(ExitCode::FAILURE)
        }
        Invocation::Check(check) => Err(check::run(&check)),
        Invocation::CheckSystem | Invocation::TestMemory(_) => {
            eprintln!("This build has no system check and no memory test.");
            Err(ExitCode::FAILURE)
        }
        Invocation::Serve(serve) if serve.sentinel => {
            eprintln!("Sentinel mode is not in this version of node: start a stock sentinel, it watches node as well.");
            Err(ExitCode::FAILURE)
        }
        Invocation::Serve(serve) => serving(&serve, program, argv),
    }
}

fn serving(serve: &Serve, program: String, argv: &[Vec<u8>]) -> Result<Prepared, ExitCode> {
    // The configuration may lead elsewhere.
    let directory = std::env::current_dir().unwrap_or_default();
    let executable = std::env::current_exe().unwrap_or_default();
    let config_file = serve.config_file.as_deref().map(|p| absolute(Path::new(OsStr::from_bytes(p))));
    let config = load_config(serve).map_err(|text| {
        eprintln!("{text}");
        ExitCode::FAILURE
    })?;
    let title = os::ProcessTitle::claim();
    if config.daemonize
        && let Err(error) = os::daemonize()
    {
        eprintln!("Can't become a daemon: {error}");
        return Err(ExitCode::FAILURE);
    }
    let logger = open_log(&config).map_err(|text| {
        eprintln!("{text}");
        ExitCode::FAILURE
    })?;
    let start = Start { program: executable.clone(), args: argv.to_vec(), directory };
    Ok(Prepared { config, logger, config_file, executable, program, title, start })
}

fn load_config(serve: &Serve) -> Result<Config, String> {
    let file = match &serve.config_file {
        None => Vec::new(),
        Some(path) => fs::read(OsStr::from_bytes(path)).map_err(|error| {
            format!(
                "Fatal error, can't open config file '{}': {error}",
                absolute(Path::new(OsStr::from_bytes(path))).display()
            )
        })?,
    };
    let mut stdin = Vec::new();
    if serve.from_stdin {
        io::stdin().read_to_end(&mut stdin).map_err(|error| format!("Can't read the standard input: {error}"))?;
    }
    let text = serve.config_text(&file, &stdin);
    let mut config = Config::load(&text, serve.sentinel, &mut Machine).map_err(|error| error.to_string())?;
    // Commands show and later operations use the directory as an absolute path.
    config.dir =
        std::env::current_dir().map_err(|error| format!("No current directory: {error}"))?.into_os_string().into_vec();
    Ok(config)
}

/// The file system as the configuration loader needs it.
struct Machine;

impl Host for Machine {
    fn read(&mut self, path: &[u8]) -> Result<Vec<u8>, String> {
        fs::read(OsStr::from_bytes(path)).map_err(|error| plain(&error))
    }

    fn expand(&mut self, pattern: &[u8]) -> Vec<Vec<u8>> {
        let path = Path::new(OsStr::from_bytes(pattern));
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Some(name) = path.file_name() else { return Vec::new() };
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        let mut found: Vec<Vec<u8>> = entries
            .flatten()
            .filter(|e| crate::base::glob::matches(name.as_bytes(), e.file_name().as_bytes(), false))
            .map(|e| e.path().into_os_string().into_vec())
            .collect();
        found.sort();
        found
    }

    fn enter(&mut self, dir: &[u8]) -> Result<Vec<u8>, String> {
        std::env::set_current_dir(OsStr::from_bytes(dir)).map_err(|error| plain(&error))?;
        let here = std::env::current_dir().map_err(|error| plain(&error))?;
        Ok(here.into_os_string().into_vec())
    }

    fn rename(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Err("rename-command is not in this version of node".into())
    }
}

/// The system's words for an error, without the number that the standard library adds.
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn open_log(config: &Config) -> Result<Logger, String> {
    let logger = if config.logfile.is_empty() {
        Logger::stdout(config.loglevel)
    } else {
        let path = absolute(Path::new(OsStr::from_bytes(&config.logfile)));
        Logger::file(config.loglevel, path).map_err(|error| format!("Can't open the log file: {}", plain(&error)))?
    };
    logger.set_style(config.log_format, config.log_timestamp_format);
    if !config.syslog_enabled {
        return Ok(logger);
    }
    match Syslog::open(Path::new(syslog::SOCKET), &config.syslog_ident, config.syslog_facility) {
        Ok(syslog) => Ok(logger.with_syslog(syslog)),
        Err(error) => {
            logger.warning(format_args!("Can't reach the system's log at {}: {}", syslog::SOCKET, plain(&error)));
            Ok(logger)
        }
    }
}

/// The line of `--version`, in redis-server's form.
fn version_line(program: &str) -> String {
    let name = if program.starts_with("redis") { "Redis server" } else { "Node server" };
    format!(
        "{name} v={} sha=00000000:0 malloc={} bits={} build=node-{}",
        if program.starts_with("redis") { COMPAT_VERSION } else { env!("CARGO_PKG_VERSION") },
        ALLOCATOR,
        usize::BITS,
        env!("CARGO_PKG_VERSION"),
    )
}

/// The allocator, as INFO and `--version` name it.
pub const ALLOCATOR: &str = "jemalloc-5.3.0";

fn help(program: &str) -> String {
    format!(
        "Usage: ./{program} [/path/to/redis.conf] [options] [-]\n       ./{program} - (read config from stdin)\n       \
         ./{program} -v or --version\n       ./{program} -h or --help\n       ./{program} --check-rdb <rdb-file-name>\n       \
         ./{program} --check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n\nExamples:\n       ./{program} (run the server \
         with default conf)\n       echo 'maxmemory 128mb' | ./{program} -\n       ./{program} /etc/redis/6379.conf\n       \
         ./{program} --port 7777\n       ./{program} --port 7777 --replicaof 127.0.0.1 8888\n       ./{program} \
         /etc/myredis.conf --loglevel verbose -\n"
    )
}

/// Says in the log what starts here, as redis-server does.
pub fn announce(prepared: &Prepared) {
    let log = &prepared.logger;
    let pid = std::process::id();
    log.notice(format_args!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo"));
    log.notice(format_args!(
        "Redis version={COMPAT_VERSION}, bits={}, commit=00000000, modified=0, pid={pid}, just started (node {})",
        usize::BITS,
        env!("CARGO_PKG_VERSION")
    ));
    if prepared.config_file.is_some() {
        log.notice(format_args!("Configuration loaded"));
    } else {
        log.warning(format_args!(
            "Warning: no config file specified, using the default config. In order to specify a config file use {} \
             /path/to/redis.conf",
            prepared.program
        ));
    }
    for warning in prepared.config.startup_warnings() {
        log.warning(format_args!("{warning}"));
    }
    if prepared.config.always_show_logo || log.is_at_terminal() {
        log.picture(&logo(&prepared.config, pid));
    }
}

/// Three nodes that know each other, and what starts here.
fn logo(config: &Config, pid: u32) -> String {
    let mode = if config.cluster_enabled { "cluster" } else { "standalone" };
    format!(
        "\n        ( )\n       /   \\          node {} (Redis {COMPAT_VERSION})\n      /     \\         mode: {mode}\n   ( )-------( )      \
         port: {}\n                      pid:  {pid}\n\n",
        env!("CARGO_PKG_VERSION"),
        config.port
    )
}

/// Where the pid file is, if one is wanted: always for a daemon.
#[must_use]
pub fn pid_path(config: &Config) -> Option<&Path> {
    let path: &[u8] = match (config.pidfile.is_empty(), config.daemonize) {
        (false, _) => &config.pidfile,
        (true, true) => b"/var/run/redis.pid",
        (true, false) => return None,
    };
    Some(Path::new(OsStr::from_bytes(path)))
}

/// Writes the pid file, if one is wanted.
pub fn write_pid(config: &Config, logger: &Logger) {
    let Some(path) = pid_path(config) else { return };
    if let Err(error) = os::write_pid_file(path) {
        logger.warning(format_args!("Failed to write PID file {}: {}", path.display(), plain(&error)));
    }
}

/// Ends the start with one clear line, in the log and for whoever watches.
pub fn give_up(logger: &Logger, text: &str) -> ExitCode {
    logger.warning(format_args!("{text}"));
    let _ = io::stdout().flush();
    ExitCode::FAILURE
}
