//! What the operator sees, of every subcommand, as transcripts in `snapshots/`: review them as the tool's face.
//!
//! One cluster serves most of them, one scene after the other, because a cluster takes seconds to come up.

use std::fs;

use clap::CommandFactory;
use trib::base::key_slot;
use trib::trib::cli::{Cli, REDIS_CLI_SUBCOMMANDS};

use crate::addrs;
use crate::slots::{id_of, slots_of};
use crate::support::{Server, ServerKind, eventually, free_port, free_ports};
use crate::transcript::{DIR, Transcript};

/// Six members, three primaries and then their replicas, two that wait, and a server without cluster mode.
struct Stage {
    members: Vec<Server>,
    spare: Vec<Server>,
    alone: Server,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let mut members = Server::start_many(ServerKind::Stock, 8, "");
        // As they are named, so they are sorted.
        members.sort_by_key(|server| server.port);
        let spare = members.split_off(6);
        let alone = Server::start(ServerKind::Stock, "");
        Stage { members, spare, alone, dir: tempfile::tempdir().expect("a directory") }
    }

    fn transcript(&self, name: &'static str) -> Transcript {
        let servers: Vec<&Server> = self.members.iter().chain(&self.spare).chain([&self.alone]).collect();
        let mut transcript = Transcript::new(name, &servers);
        transcript.call_it(self.dir.path().display(), "DIR");
        transcript
    }

    fn seed(&self) -> String {
        self.members[0].addr()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes where the slot was in the beginning.
    fn set(&self, key: &str, value: &str) {
        let primary = usize::from(key_slot(key.as_bytes()).get()) * 3 / 16_384;
        assert_eq!(self.members[primary].text(&format!("SET {key} {value}")), "OK");
    }

    /// Until replicas have what their primaries have.
    fn settle(&self) {
        eventually("replicas have the keys", || {
            (0..3).all(|n| self.members[n].text("DBSIZE") == self.members[n + 3].text("DBSIZE"))
        });
    }
}

#[test]
fn snapshots_of_a_cluster_s_life() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut stage = Stage::new();
    create(&stage);
    for n in 1..=9 {
        stage.set(&format!("key:{n}"), "value");
    }
    stage.settle();
    look(&stage);
    fleet(&stage);
    data(&stage);
    slots(&stage);
    ailing(&stage);
    members(&stage);
    roles(&stage);
    failed(&mut stage);
}

fn create(stage: &Stage) {
    let mut t = stage.transcript("create");
    let (all, three) = (addrs(&stage.members), addrs(&stage.members[..3]));
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| stage.members[n].addr());
    t.run(&format!("create --dry-run --replicas 1 {all}"));
    t.run(&format!("create --dry-run --json --allow-few {a}"));
    t.run(&format!("create --dry-run --spread host --replicas 1 {all}"));
    t.run(&format!("create --dry-run {a}[{d}] {b}[{e}|{f}] {c}"));
    t.answer(&format!("create {three}"), &["no"]);
    t.answer(&format!("--cluster create {three}"), &["no"]);
    t.run(&format!("create --yes --replicas 1 {all}"));
    t.run(&format!("create {three}"));
    t.run(&format!("--cluster create {three} --cluster-yes"));
    t.end();
}

fn look(stage: &Stage) {
    let mut t = stage.transcript("look");
    let seed = stage.seed();
    for line in [
        "check",
        "check --verbose --search-multiple-owners",
        "check --json",
        "info",
        "info --json",
        "status",
        "status --csv",
        "status --json",
        "slots",
        "slots --csv",
        "slots --json",
        "slots --hot 3",
        "slots --hot 3 --csv",
        "slots --hot 1 --json",
        "bigkeys --top 2",
        "bigkeys --top 2 --csv",
        "bigkeys --top 1 --json",
        "top",
        "--cluster check",
        "--cluster check --cluster-search-multiple-owners",
        "--cluster info",
    ] {
        t.run(&format!("{line} {seed}"));
    }
    for options in ["", " --csv", " --json"] {
        t.run(&format!("where{options} {seed} key:1 nothing"));
    }
    t.note("From a replica, host and port apart.");
    t.run(&format!("info 127.0.0.1 {}", stage.members[4].port));
    t.end();
}

/// The same to every node.
fn fleet(stage: &Stage) {
    let mut t = stage.transcript("fleet");
    let seed = stage.seed();
    t.run(&format!("call {seed} PING"));
    t.run(&format!("call --on primaries --json {seed} DBSIZE"));
    t.run(&format!("call --on replicas {seed} INCR x"));
    t.run(&format!("--cluster call {seed} PING"));
    t.run(&format!("--cluster call {seed} DBSIZE --cluster-only-masters"));
    t.run(&format!("config get {seed} maxmemory-policy hz"));
    t.run(&format!("config get --csv {seed} hz"));
    t.run(&format!("config get --json {seed} hz"));
    t.run(&format!("config set --dry-run {seed} hz 20"));
    t.run(&format!("config set {seed} hz 20"));
    t.run(&format!("config set {seed} nonsense 1"));
    t.run(&format!("config diff {seed}"));
    assert_eq!(stage.members[1].text("CONFIG SET hz 30"), "OK");
    for options in ["", " --csv", " --json"] {
        t.run(&format!("config diff{options} {seed}"));
    }
    t.run(&format!("set-timeout --dry-run {seed} 2000"));
    t.run(&format!("set-timeout {seed} 2000"));
    t.run(&format!("--cluster set-timeout {seed} 2000"));
    t.run(&format!("cli -c {seed} GET key:1"));
    t.run(&format!("cli {seed} GET key:1"));
    for options in ["--csv", "--json"] {
        t.run(&format!("cli -c {options} {seed} COMMAND GETKEYS MSET a 1 b 2"));
    }
    t.answer(&format!("cli -c {seed}"), &["PING", "SET {k}:1 \"two words\"", "GET {k}:1", "DEL {k}:1", "NONSENSE"]);
    t.end();
}

fn data(stage: &Stage) {
    let mut t = stage.transcript("data");
    let (seed, source) = (stage.seed(), stage.alone.addr());
    let backup = stage.path("backup");
    fs::create_dir(&backup).expect("the directory is made");
    t.run(&format!("--cluster backup {seed} {}", stage.path("none")));
    t.run(&format!("--cluster backup {seed} {backup}"));
    t.run(&format!("backup {seed} {backup}"));
    t.run(&format!("verify {backup}"));
    t.run(&format!("verify --csv {backup}"));
    t.run(&format!("verify --json {backup} {seed}"));
    t.run(&format!("restore --dry-run {backup} {seed}"));
    for server in &stage.members[..3] {
        assert_eq!(server.text("FLUSHALL"), "OK");
    }
    stage.set("key:1", "another");
    t.run(&format!("restore {backup} {seed}"));
    t.run("jobs --unfinished");
    let job = t.job(1);
    t.run(&format!("resume --dry-run {job}"));
    t.run(&format!("undo --dry-run {job}"));
    t.run(&format!("restore --on-conflict replace {backup} {seed}"));

    for (key, value) in [("key:1", "another"), ("new", "x")] {
        assert_eq!(stage.alone.text(&format!("SET {key} {value}")), "OK");
    }
    t.run(&format!("import --dry-run --from {source} {seed}"));
    t.run(&format!("import --from {source} {seed}"));
    t.run(&format!("--cluster import {seed} --cluster-from {source}"));
    t.run(&format!("import --copy --replace --json --from {source} {seed}"));
    t.run(&format!("--cluster import {seed} --cluster-from {source} --cluster-replace"));
    t.run(&format!("import --from {} {seed}", stage.members[1].addr()));
    t.run(&format!("import --from nonsense {seed}"));
    t.end();
}

fn slots(stage: &Stage) {
    let mut t = stage.transcript("slots");
    let seed = stage.seed();
    let [a, b, _] = [0, 1, 2].map(|n| id_of(&stage.members[n]));
    t.answer(&format!("reshard {seed}"), &["5", &b[..9], "nobody", "all", "no"]);
    t.answer(&format!("--cluster reshard {seed}"), &["5", &b, &a, "done", "no"]);
    t.run(&format!("reshard {seed}"));
    t.run(&format!("reshard --dry-run --from {a} --to {b} --slots 2 {seed}"));
    let plan = t.run(&format!("reshard --dry-run --json --from {a} --to {b} --slots 2 {seed}")).stdout;
    fs::write(stage.path("plan.json"), plan).expect("the plan is written");
    t.run(&format!("apply {}", stage.path("plan.json")));
    t.note("The cluster has changed since.");
    t.run(&format!("apply {}", stage.path("plan.json")));
    t.run(&format!("--cluster reshard {seed} --cluster-from {b} --cluster-to {a} --cluster-slots 2 --cluster-yes"));
    t.run("jobs");
    t.run("jobs --csv");
    t.run("jobs --json");
    t.run("undo --dry-run");
    t.run("undo --yes");
    t.run("undo --yes job000");
    t.run("resume");
    t.run(&format!("rebalance {seed}"));
    t.run(&format!("rebalance --dry-run --weight {}=1.5 {seed}", &a[..8]));
    t.run(&format!("rebalance --dry-run --by keys {seed}"));
    t.run(&format!("rebalance --threshold 0 {seed}"));
    t.run(&format!("--cluster rebalance {seed} --cluster-threshold 0.1 --cluster-weight {a}=1.01 --cluster-simulate"));
    t.run(&format!("drain --dry-run {seed} {}", &a[..8]));
    t.end();
}

fn ailing(stage: &Stage) {
    stage.settle();
    let mut t = stage.transcript("ailing");
    let seed = stage.seed();
    t.note("A slot is on its way.");
    let to = id_of(&stage.members[1]);
    assert_eq!(stage.members[0].text(&format!("CLUSTER SETSLOT 77 MIGRATING {to}")), "OK");
    t.run(&format!("check {seed}"));
    t.run(&format!("--cluster check {seed}"));
    t.run(&format!("rebalance {seed}"));
    t.run(&format!("fix --dry-run {seed}"));
    t.run(&format!("fix {seed}"));
    t.note("Nobody owns a slot.");
    uncover(stage, 100);
    t.run(&format!("check {seed}"));
    t.run(&format!("check --json {seed}"));
    t.run(&format!("info {seed}"));
    t.run(&format!("fix --dry-run {seed}"));
    t.answer(&format!("fix {seed}"), &["no"]);
    t.answer(&format!("--cluster fix {seed} --cluster-yes"), &["yes"]);
    t.end();
}

/// Until all nodes hold that the slot is nobody's, and so serve nothing.
fn uncover(stage: &Stage, slot: u16) {
    let owns = |server: &Server| server.text("CLUSTER NODES").contains(&format!(" 0-{} ", slot - 1));
    eventually("the slot is nobody's", || {
        for server in &stage.members {
            let _: redis::RedisResult<String> = server.call(&format!("CLUSTER DELSLOTS {slot}"));
        }
        stage.members.iter().all(|server| owns(server) && server.text("CLUSTER INFO").contains("cluster_state:fail"))
    });
}

fn members(stage: &Stage) {
    let mut t = stage.transcript("members");
    let (seed, a) = (stage.seed(), id_of(&stage.members[0]));
    let [empty, other] = [0, 1].map(|n| stage.spare[n].addr());
    t.run(&format!("add-node --dry-run --slave {empty} {seed}"));
    t.run(&format!("add-node {empty} {seed}"));
    t.run(&format!("add-node {} {seed}", stage.alone.addr()));
    t.run(&format!("--cluster add-node {other} {seed} --cluster-slave --cluster-master-id {a}"));
    t.run(&format!("check --verbose {seed}"));
    let empty_id = id_of(&stage.spare[0]);
    crate::trib(&format!("reshard --yes --from {a} --to {empty_id} --slots 1 {seed}"));
    assert_eq!(slots_of(&stage.spare[0]), 1);
    t.run(&format!("del-node {seed} {empty_id}"));
    t.run(&format!("drain {seed} {empty}"));
    t.run(&format!("del-node --dry-run {seed} {empty}"));
    t.run(&format!("del-node {seed} {empty}"));
    t.run(&format!("--cluster del-node {seed} {}", id_of(&stage.spare[1])));
    t.run(&format!("del-node {seed} nobody"));
    t.run(&format!("forget-failed {seed}"));
    t.run(&format!("reset --dry-run --hard {empty}"));
    t.answer(&format!("reset {empty} {other}"), &["no"]);
    t.run(&format!("reset --yes --hard {empty} {other}"));
    t.run(&format!("reset --yes {seed}"));
    t.end();
}

fn roles(stage: &Stage) {
    let mut t = stage.transcript("roles");
    let (seed, old, new) = (stage.seed(), stage.members[2].addr(), stage.members[5].addr());
    t.run(&format!("failover --dry-run --shard {old} {seed}"));
    t.run(&format!("failover --to {new} {seed}"));
    t.run(&format!("failover --to {new} {seed}"));
    t.run(&format!("rebalance-roles --dry-run --prefer {old} {seed}"));
    t.run(&format!("rebalance-roles --prefer {old} {seed}"));
    t.run(&format!("rebalance-roles {seed}"));
    let zones = ["--zone 127.0.0.1=east".to_owned(), format!("--zone {}=west", stage.members[3].addr())].join(" ");
    t.run(&format!("rebalance-roles --dry-run {zones} {seed}"));
    t.run(&format!("rebalance-roles {zones} {seed}"));
    t.run(&format!("rebalance-roles {zones} --by host {seed}"));
    t.run(&format!("rebalance-roles --prefer {} {seed}", stage.members[0].addr()));
    t.run(&format!("roll --dry-run --restart restart-{{port}} {seed}"));
    t.run(&format!("roll --restart true {seed}"));
    t.end();
}

fn failed(stage: &mut Stage) {
    stage.settle();
    let mut t = stage.transcript("failed");
    let seed = stage.seed();
    stage.members[5].kill();
    eventually("it is held to have failed", || {
        let told = |server: &Server| server.text("CLUSTER NODES").contains(" slave,fail ");
        stage.members[..5].iter().all(told)
    });
    t.run(&format!("check {seed}"));
    t.run(&format!("--cluster check {seed}"));
    t.run(&format!("status {seed}"));
    t.run(&format!("call {seed} PING"));
    t.run(&format!("forget-failed --dry-run {seed}"));
    t.run(&format!("forget-failed {seed}"));
    t.run("jobs");
    t.run(&format!("forget-failed --yes {seed}"));
    t.run(&format!("check {} --fail-on warn", stage.members[1].addr()));
    t.end();
}

#[test]
fn snapshots_of_a_local_cluster() {
    let home = tempfile::tempdir().expect("a directory");
    let mut t = Transcript::new("local", &[]);
    t.call_it(home.path().display(), "DIR");
    let port = free_ports(3);
    t.ports(port..port + 3);
    let dir = home.path().join("cluster");
    let dir = dir.display();
    t.run(&format!("ps --dir {dir}"));
    t.run(&format!("up 1x1 --dir {dir} --port {port}"));
    t.run(&format!("up 3x0 --dir {dir} --port {port}"));
    t.run(&format!("up --dir {dir}"));
    t.run(&format!("ps --dir {dir}"));
    t.run(&format!("ps --json --dir {dir}"));
    t.run(&format!("down --dir {dir} --purge"));
    t.run(&format!("down --dir {dir}"));
    t.end();
}

#[test]
fn snapshots_of_help_and_mistakes() {
    let mut t = Transcript::new("usage", &[]);
    let dead = free_port();
    t.ports([dead]);
    for line in [
        "--version",
        "help",
        "help where",
        "help nonsense",
        "nonsense",
        "check",
        "check nonsense",
        "check --nonsense 127.0.0.1:1",
        "create --replicas many 127.0.0.1:1",
        "@prod check",
        "resume",
        "jobs",
        "undo",
        "apply nothing.json",
        "--cluster",
        "--cluster help",
        "--cluster nonsense",
        "--cluster check",
        "--cluster check nonsense",
        "--cluster check 127.0.0.1:1 --cluster-nonsense",
    ] {
        t.run(line);
    }
    t.run(&format!("check 127.0.0.1:{dead}"));
    t.run(&format!("--cluster check 127.0.0.1:{dead}"));
    t.run(&format!("check --json 127.0.0.1:{dead}"));
    t.end();
}

/// What was typed in all transcripts, a line each.
fn typed() -> Vec<String> {
    let files = fs::read_dir(DIR).expect("the transcripts are there").flatten();
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file.path()).expect("text")).collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("$ trib ").map(str::to_owned))
        .collect()
}

#[test]
fn snapshots_show_every_subcommand_its_plan_and_its_data() {
    let typed = typed();
    let is_shown = |sub: &str, option: &str| {
        typed.iter().any(|line| {
            let mut words = line.split(' ');
            words.next() == Some(sub) && (option.is_empty() || words.any(|word| word == option))
        })
    };
    let mut missing = Vec::new();
    for sub in Cli::command().get_subcommands() {
        let own = std::iter::once(sub).chain(sub.get_subcommands());
        let options: Vec<String> = own
            .flat_map(clap::Command::get_arguments)
            .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
            .collect();
        let mut wanted = vec![""];
        for option in ["--csv", "--dry-run"] {
            if options.iter().any(|own| own == option) {
                wanted.push(option);
            }
        }
        if options.iter().any(|own| own == "--csv") {
            wanted.push("--json");
        }
        missing.extend(
            wanted
                .iter()
                .filter(|option| !is_shown(sub.get_name(), option))
                .map(|option| format!("{} {option}", sub.get_name())),
        );
    }
    for sub in REDIS_CLI_SUBCOMMANDS {
        let line = format!("--cluster {sub}");
        if !typed.iter().any(|typed| typed.starts_with(&line)) {
            missing.push(line);
        }
    }
    assert!(missing.is_empty(), "no transcript shows: {missing:?}");
}
