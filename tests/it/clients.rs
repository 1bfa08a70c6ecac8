//! Clients as applications use them: redis-py, and redis-benchmark.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Server, ServerKind, eventually, run};
use crate::{cluster_of, trib, wait_until_ok};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients.py");

/// A Python that has redis-py: the virtual environment that `.ci/run` makes, else the system's. Without one the test says
/// so and is skipped; in CI it fails.
fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/py/bin/python");
    let has_client = |python: &PathBuf| {
        let import = ["-c", "from redis.cluster import RedisCluster"];
        let status = Command::new(python).args(import).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = [made, "python3".into(), "/usr/bin/python3".into()].into_iter().find(has_client);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "this test needs a Python with redis-py 4.1 or later");
        eprintln!("SKIPPED: no Python with redis-py");
    }
    found
}

fn scenario(python: &Path, name: &str, port: u16) {
    let ran = run(python.to_str().expect("a path in UTF-8"), &[SCRIPT, name, &port.to_string()], "", &[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
}

/// A writer of the script, at work.
struct Writer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Writer {
    fn start(python: &Path, name: &str, port: u16) -> Writer {
        let mut child = Command::new(python)
            .args([SCRIPT, name, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it writes");
        let mut writer = Writer { child, output };
        assert_eq!(line, "writing\n", "{}", writer.errors());
        writer
    }

    fn errors(&mut self) -> String {
        drop(self.child.stdin.take());
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Ends it and gives the numbers it tells.
    fn finish(mut self) -> Vec<u64> {
        let errors = self.errors();
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("it writes");
        assert!(self.child.wait().expect("it is ours").success(), "{errors}");
        text.split_whitespace().map(|n| n.parse().expect("a number")).collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_py_on_one_server() {
    let Some(python) = python() else { return };
    scenario(&python, "single", Server::start(ServerKind::Node, "").port);
}

#[test]
fn redis_py_on_a_cluster() {
    let Some(python) = python() else { return };
    let servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 15000");
    wait_until_ok(&servers, 6);
    scenario(&python, "cluster", servers[0].port);
}

#[test]
fn redis_py_writes_while_slots_move() {
    let Some(python) = python() else { return };
    let servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 15000");
    wait_until_ok(&servers, 6);
    let writer = Writer::start(&python, "steady_writer", servers[0].port);
    let (from, to) = (servers[0].text("CLUSTER MYID"), servers[1].text("CLUSTER MYID"));
    let ran = trib(&format!("reshard --from {from} --to {to} --slots 300 --yes {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = trib(&format!("rebalance {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = writer.finish();
    assert!(told[0] > 100, "{told:?}");
}

#[test]
fn redis_py_writes_while_a_primary_is_lost() {
    let Some(python) = python() else { return };
    let mut servers = cluster_of(&[ServerKind::Node], "");
    wait_until_ok(&servers, 6);
    let writer = Writer::start(&python, "stubborn_writer", servers[1].port);
    servers[0].kill();
    eventually("its replica has taken over", || {
        servers[3].call::<String>("CLUSTER INFO").is_ok_and(|info| info.contains("cluster_state:ok"))
            && crate::role(&servers[3]) == "master"
    });
    let told = writer.finish();
    assert!(told[0] > 300, "{told:?}");
}

#[test]
fn redis_benchmark_ends_without_an_error() {
    if !crate::support::program_is_available(Path::new("redis-benchmark")) {
        return;
    }
    let servers = Server::start_many(ServerKind::Node, 3, "cluster-node-timeout 15000");
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let made = trib(&format!("create --yes {}", addrs.join(" ")));
    assert_eq!(made.code, 0, "{made:?}");
    wait_until_ok(&servers, 3);
    let port = servers[0].port.to_string();
    let kinds = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset";
    for more in [&["-P", "1"][..], &["-P", "16"], &["--threads", "2"]] {
        let mut args = vec!["--cluster", "-h", "127.0.0.1", "-p", &port, "-q", "-n", "3000", "-c", "20", "-t", kinds];
        args.extend(more);
        let ran = run("redis-benchmark", &args, "", &[]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, 0, "{text}");
        assert!(text.contains("Cluster has 3 master nodes"), "{text}");
        assert!(text.matches("requests per second").count() >= 15, "{text}");
        assert!(!text.to_lowercase().contains("error") && !text.contains("WARNING"), "{text}");
    }
}
