//! Servers for tests that need real processes: stock `redis-server`, or our `node`.
//!
//! Every server listens on 127.0.0.1 on ports that were free a moment ago, lives in a directory of its
//! own, is killed when its value is dropped, and shows the end of its log when the test fails.
#![allow(dead_code, reason = "every test target uses its own part of the fixtures")]

pub mod cluster_client;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Which program to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// `redis-server` from `PATH`, or what `REDIS_SERVER` names.
    Stock,
    /// The `node` of this package.
    Node,
    /// Another server that `.ci/peers` has fetched, by the name of its program: `valkey-server-9.1`.
    Peer(&'static str),
}

impl ServerKind {
    #[must_use]
    pub fn program(self) -> PathBuf {
        match self {
            ServerKind::Stock => match std::env::var_os("REDIS_SERVER") {
                Some(path) if Path::new(&path).components().count() > 1 => {
                    std::path::absolute(path).expect("the working directory is there")
                }
                name => name.unwrap_or_else(|| "redis-server".into()).into(),
            },
            ServerKind::Node => env!("CARGO_BIN_EXE_node").into(),
            ServerKind::Peer(name) => peer_program(name),
        }
    }

    /// Whether the program is there. Where it is not, the test says so and is skipped; in CI it fails,
    /// if it is not one of those that `.ci/peers` fetches: a registry that does not answer is no fault of ours.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            ServerKind::Peer(name) => peer_is_available(name),
            ServerKind::Stock | ServerKind::Node => program_is_available(&self.program()),
        }
    }
}

/// Where a program lies that `.ci/peers` has fetched: in the directory `PEERS`, or in target/peers.
#[must_use]
pub fn peer_program(name: &str) -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");
    let dir = PathBuf::from(std::env::var_os("PEERS").unwrap_or_else(|| default.into()));
    // Servers are started in directories of their own.
    std::path::absolute(dir).expect("the working directory is there").join(name)
}

/// Whether it is there; says so where it is not.
#[must_use]
pub fn peer_is_available(name: &str) -> bool {
    let program = peer_program(name);
    let is_there = program.exists();
    if !is_there {
        eprintln!("SKIPPED: there is no {}: .ci/peers fetches it", program.display());
    }
    is_there
}

/// Whether `redis-cli` is there, with the same rule.
#[must_use]
pub fn redis_cli_is_available() -> bool {
    program_is_available(Path::new("redis-cli"))
}

/// Whether this program is there, with the same rule.
pub fn program_is_available(program: &Path) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{} is needed for this test", program.display());
        eprintln!("SKIPPED: {} is not installed", program.display());
    }
    found
}

/// How long a server may take to answer its first PING on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// A running server.
pub struct Server {
    pub kind: ServerKind,
    pub port: u16,
    child: Child,
    dir: tempfile::TempDir,
    password: Option<String>,
}

impl Server {
    /// Starts a server with these directives, one a line, beside those that keep it quiet and at home.
    #[must_use]
    pub fn start(kind: ServerKind, directives: &str) -> Server {
        for _ in 0..START_ATTEMPTS {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let mut server = Server::spawn(kind, free_port(), dir, directives);
            if server.wait_until_ready() {
                return server;
            }
            // Somebody else may have taken the port in between: look at the next one.
            eprintln!("{kind:?} did not come up:\n{}", server.log_tail());
        }
        panic!("{kind:?} did not come up in {START_ATTEMPTS} attempts");
    }

    /// A server in cluster mode. The node timeout is long enough for a busy machine.
    #[must_use]
    pub fn start_in_cluster_mode(kind: ServerKind, directives: &str) -> Server {
        Server::start(kind, &format!("cluster-enabled yes\ncluster-node-timeout 2000\n{directives}"))
    }

    /// Several servers in cluster mode, all starting at the same time.
    #[must_use]
    pub fn start_many(kind: ServerKind, count: usize, directives: &str) -> Vec<Server> {
        std::thread::scope(|scope| {
            let starting: Vec<_> =
                (0..count).map(|_| scope.spawn(|| Server::start_in_cluster_mode(kind, directives))).collect();
            starting.into_iter().map(|thread| thread.join().expect("the server starts")).collect()
        })
    }

    fn spawn(kind: ServerKind, port: u16, dir: tempfile::TempDir, directives: &str) -> Server {
        let mut config = format!("port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\n");
        let _ = writeln!(config, "dir {}\n{directives}", dir.path().display());
        let config_path = dir.path().join("redis.conf");
        fs::write(&config_path, config).expect("the configuration is written");
        let password = directives.lines().find_map(|line| line.strip_prefix("requirepass ")).map(str::to_owned);
        let child = launch(kind, &config_path, dir.path());
        Server { kind, port, child, dir, password }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory it lives in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if self.child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            if answers_ping(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Kills it without warning; the files stay.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with the same files.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(self.kind, &self.dir.path().join("redis.conf"), self.dir.path());
        assert!(self.wait_until_ready(), "{} did not come up again:\n{}", self.addr(), self.log_tail());
    }

    /// A connection of its own, authenticated where the server wants it.
    #[must_use]
    pub fn connect(&self) -> redis::Connection {
        let auth = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        let client = redis::Client::open(format!("redis://{auth}127.0.0.1:{}/", self.port)).expect("a valid address");
        client.get_connection_with_timeout(Duration::from_secs(5)).expect("the server accepts")
    }

    /// Sends one command, words separated by blanks.
    pub fn call<T: redis::FromRedisValue>(&self, command: &str) -> redis::RedisResult<T> {
        let mut words = command.split_whitespace();
        let mut cmd = redis::cmd(words.next().expect("a command"));
        for word in words {
            cmd.arg(word);
        }
        cmd.query(&mut self.connect())
    }

    /// The same where an error would be a failed test, with the reply as text.
    #[must_use]
    pub fn text(&self, command: &str) -> String {
        self.call(command).unwrap_or_else(|e| panic!("{command} on {}: {e}", self.addr()))
    }

    /// All of its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the log of {} ends ---\n{}", self.addr(), self.log_tail());
        }
    }
}

fn launch(kind: ServerKind, config: &Path, dir: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("the log is created");
    Command::new(kind.program())
        .arg(config)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file handle"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("{} cannot be started: {e}", kind.program().display()))
}

fn answers_ping(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut reply = [0; 7];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && (reply.starts_with(b"+PONG") || reply.starts_with(b"-NOAUTH"))
}

/// Below the range that systems take outgoing ports from, and so is the bus port 10000 above.
const PORTS: std::ops::Range<u16> = 11_000..22_000;

/// A port that is free, and whose bus port is.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Test programs that run side by side start in different places.
    let start = (std::process::id() % u32::from(span)) as u16;
    for _ in 0..span {
        let step = NEXT.fetch_add(7, Ordering::Relaxed);
        let port = PORTS.start + (start.wrapping_add(step)) % span;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
    panic!("no free port");
}

/// What a program that has ended printed.
#[derive(Clone, Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

/// Where `trib` keeps its journal in tests.
pub const STATE_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state");

/// Runs a program to its end, giving it `input`; one that takes too long fails the test.
#[must_use]
pub fn run(program: &str, args: &[&str], input: &str, env: &[(&str, &str)]) -> Ran {
    const LIMIT: Duration = Duration::from_secs(120);
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ours = ["REDISCLI_AUTH", "REDISCLI_CLUSTER_YES", "VALKEYCLI_AUTH", "VALKEYCLI_CLUSTER_YES", "NO_COLOR"];
    for name in ours {
        command.env_remove(name);
    }
    // What is changed here is not the user's business.
    command.env("XDG_STATE_HOME", STATE_HOME);
    // redis-cli colours by this alone, also what goes into a pipe.
    command.env("TERM", "dumb").envs(env.iter().copied());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{program} cannot be started: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    // It may end without reading its input.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{program} {args:?} did not end\n{}\n{}", stdout.join().unwrap(), stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().expect("the reader ends");
    Ran { stdout: text(stdout), stderr: text(stderr), code: status.code().unwrap_or(-1) }
}

fn collect<R: Read + Send + 'static>(stream: Option<R>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.expect("piped").read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Looks every few milliseconds until `done`, and fails the test with `what` when it takes too long.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    const LIMIT: Duration = Duration::from_secs(60);
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So many ports in a row that are free, with their bus ports.
#[must_use]
pub fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..PORTS.end - PORTS.start {
        let first = free_port();
        if (first..first + count).all(|port| is_free(port) && is_free(port + 10_000)) {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}
