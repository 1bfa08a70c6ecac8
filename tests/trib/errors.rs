//! Every error of the reference tools, provoked: what is done, what is said and where, and the exit code.
//!
//! The texts are those that scripts look for. Where `trib` says something better the row names the text that it stands
//! for. What the references say and `trib` has no reason to say, because it does the thing they give up:
//!
//! - `[ERR] Can't select a slot owner. Impossible to fix.` and `[ERR] Sorry, redis-cli can't fix this slot yet`: every
//!   state of open slots has a repair, see `open_slots_are_closed_whatever_their_state`.
//! - `Failed to fix multiple owners for slot`: see `keys_astray_are_brought_home`.
//! - `*** Assertion failed: Reshard table != number of slots`: the planner moves as many slots as there are, and says
//!   so, see `the_plan_is_shown_slot_by_slot`.
//! - `*** Value check failed!`: without DEBUG values are compared by their DUMP.
//! - `WARNING: you cannot use --cluster-weight more than once`: it may be given more than once.
//! - `>>> Failed retrieving Functions from the cluster, skip...` is no error there either.

use std::fs;

use crate::slots::{id_of, key_in, plant};
use crate::support::{Ran, Server, ServerKind, eventually, free_port};
use crate::{addrs, cluster, trib, trib_with};

/// Where it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stream {
    Out,
    Err,
}
use Stream::{Err, Out};

/// One error: the command line, the answers typed, where the text is, the text, and the exit code.
struct Row {
    line: String,
    answers: &'static str,
    stream: Stream,
    text: String,
    code: i32,
}

fn row(line: impl ToString, code: i32, stream: Stream, text: impl Into<String>) -> Row {
    Row { line: line.to_string(), answers: "", stream, text: text.into(), code }
}

impl Row {
    /// What is typed at the questions.
    fn typing(self, answers: &'static str) -> Row {
        Row { answers, ..self }
    }

    /// The reference says this instead.
    fn stands_for(self, _text: &'static str) -> Row {
        self
    }

    fn check(&self) {
        let ran = trib_with(&self.line, self.answers, &[]);
        let Ran { stdout, stderr, code } = &ran;
        let said = if self.stream == Out { stdout } else { stderr };
        assert!(
            *code == self.code && said.contains(&self.text),
            "{} should end with {} and say on {:?}: {}\n{ran:?}",
            self.line,
            self.code,
            self.stream,
            self.text
        );
    }
}

fn check(rows: Vec<Row>) {
    rows.iter().for_each(Row::check);
}

const BAD_ADDRESS: &str = "[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or \
                           space separated IP and port (ie. 120.0.0.1 7000)\n";
const ARITY: &str = "[ERR] Wrong number of arguments for specified --cluster sub command\n";

#[test]
fn errors_of_the_command_line() {
    let mut rows = vec![
        row("--cluster nonsense", 1, Err, "Unknown --cluster subcommand\n"),
        row("nonsense", 2, Err, "unrecognized subcommand 'nonsense'").stands_for("Unknown redis-trib subcommand 'x'"),
        row("check --nonsense h:1", 2, Err, "unexpected argument '--nonsense' found")
            .stands_for("Unknown option 'x' for command 'y'"),
        row(
            "--cluster check h:1 --cluster-x",
            1,
            Err,
            "Unrecognized option or bad number of args for: '--cluster-x'\n",
        ),
        row("--cluster create nonsense", 1, Err, "Invalid address format: nonsense\n"),
        row("--cluster create", 1, Err, ARITY),
        row("--cluster help", 1, Out, "Cluster Manager Commands:\n"),
        row(
            "--cluster set-timeout h:1 99",
            1,
            Err,
            "Setting a node timeout of less than 100 milliseconds is a bad idea.\n",
        ),
        row("set-timeout h:1 99", 2, Err, "Setting a node timeout of less than 100 milliseconds is a bad idea.\n"),
        row("--cluster import h:1", 1, Err, "[ERR] Option '--cluster-from' is required for subcommand 'import'.\n"),
        row("import h:1", 2, Err, "[ERR] Option '--from' is required for subcommand 'import'.\n"),
        row(
            "--cluster import h:1 --cluster-from x",
            1,
            Err,
            "[ERR] Invalid --cluster-from host. You need to pass a valid address (ie. 120.0.0.1:7000).\n",
        ),
    ];
    for sub in ["check", "info", "fix", "reshard", "rebalance"] {
        rows.push(row(format!("--cluster {sub}"), 1, Err, ARITY));
        rows.push(row(format!("--cluster {sub} nonsense"), 1, Err, BAD_ADDRESS));
        rows.push(row(format!("{sub} nonsense"), 2, Err, BAD_ADDRESS));
    }
    for line in ["add-node h:1", "del-node h:1", "set-timeout h:1", "call h:1", "backup h:1", "import"] {
        rows.push(row(format!("--cluster {line}"), 1, Err, ARITY));
    }
    check(rows);
}

#[test]
fn errors_of_servers_that_are_no_cluster() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let dead = format!("127.0.0.1:{}", free_port());
    let servers = Server::start_many(ServerKind::Stock, 4, "");
    let [a, b, c, barred] = [0, 1, 2, 3].map(|n| servers[n].addr());
    let alone = Server::start(ServerKind::Stock, "requirepass secret");
    let locked = alone.addr();
    check(vec![
        row(
            format!("--cluster check {dead}"),
            1,
            Err,
            format!("Could not connect to Redis at {dead}: Connection refused\n"),
        ),
        row(format!("check {dead}"), 1, Out, format!("[ERR] Sorry, can't connect to node {dead}\n")),
        row(
            format!("--cluster create {a} {b} {dead}"),
            1,
            Err,
            format!("Could not connect to Redis at {dead}: Connection refused\n"),
        ),
        row(format!("--cluster check {locked}"), 1, Out, format!("Node {locked} replied with error:\nNOAUTH ")),
        row(
            format!("check {locked}"),
            1,
            Err,
            "hint: give the password with -a, --askpass or the environment variable REDISCLI_AUTH",
        ),
        row(format!("check -a wrong --no-auth-warning {locked}"), 1, Out, "WRONGPASS"),
        row(
            format!("check -a secret --no-auth-warning {locked}"),
            1,
            Out,
            format!("[ERR] Node {locked} is not configured as a cluster node.\n"),
        ),
        row(
            format!("--cluster check -a secret --no-auth-warning {locked}"),
            1,
            Out,
            format!("[ERR] Node {locked} is not configured as a cluster node.\n"),
        ),
        row(format!("--cluster check --tls --insecure -t 1 {a}"), 1, Err, "TLS: ").stands_for("TLS Error: %s"),
        row(
            "--cluster create no.host.invalid:7000 no.host.invalid:7001 no.host.invalid:7002",
            1,
            Err,
            "Could not connect to Redis at no.host.invalid:7000: the host name could not be looked up",
        )
        .stands_for("Invalid IP address or hostname specified: %s"),
        row(
            format!("--cluster create {a} {b} --cluster-replicas 1"),
            1,
            Out,
            "*** ERROR: Invalid configuration for cluster creation.\n*** Redis Cluster requires at least 3 master nodes.\n\
             *** This is not possible with 2 nodes and 1 replicas per node.\n*** At least 6 nodes are required.\n",
        ),
        row(format!("--cluster create {a} {b} {a}"), 1, Out, format!("[ERR] Node {a} is given more than once.\n")),
        row(
            format!("--cluster create {a} {b} {c}"),
            0,
            Out,
            "Can I set the above configuration? (type 'yes' to accept): ",
        )
        .typing("no\n"),
        row(format!("create {a} {b} {c}"), 5, Out, "*** Aborting...\n").typing("no\n"),
        row(format!("create {a} {b} {c}"), 1, Out, "*** Aborting: the input ended before the question was answered.\n"),
    ]);
    // One that takes no orders to meet others.
    assert_eq!(servers[3].text("ACL SETUSER default -cluster|meet"), "OK");
    assert_eq!(servers[0].text("ACL SETUSER default -cluster|meet"), "OK");
    check(vec![
        row(format!("--cluster create {a} {b} {barred} --cluster-yes"), 1, Out, "replied with error:\nNOPERM ")
            .stands_for("Failed to send CLUSTER MEET command."),
    ]);
    assert_eq!(servers[0].text("ACL SETUSER default +@all"), "OK");
    // What a failed attempt has begun is taken back; what was there before is not touched.
    assert_eq!(servers[1].text("CLUSTER INFO").matches("cluster_slots_assigned:0").count(), 1);
    assert_eq!(servers[2].text("CLUSTER ADDSLOTS 0"), "OK");
    check(vec![
        row(
            format!("--cluster create {a} {b} {c} --cluster-yes"),
            1,
            Out,
            format!("[ERR] Node {c} already owns 1 slot.\n"),
        )
        .stands_for("ERR Slot 0 is already busy"),
    ]);
    assert_eq!(servers[2].text("CLUSTER INFO").matches("cluster_slots_assigned:1\r").count(), 1);
}

#[test]
fn errors_of_a_cluster() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "");
    let [a, b, c] = [0, 1, 2].map(|n| servers[n].addr());
    let [id_a, id_b] = [0, 1].map(|n| id_of(&servers[n]));
    let new = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let alone = Server::start(ServerKind::Stock, "");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let unknown = "0123456789012345678901234567890123456789";
    let (empty, outside) = (new.addr(), alone.addr());
    let no_node = format!("*** The specified node ({unknown}) is not known or not a master, please retry.\n");
    let is_target = "*** It is not possible to use the target node as source node.\n";
    let none_given = "*** No source nodes given, operation aborted.\n";
    let reshard = |from: &str, to: &str| {
        format!("--cluster reshard {a} --cluster-from {from} --cluster-to {to} --cluster-slots 1 --cluster-yes")
    };
    check(vec![
        row(
            format!("--cluster create {a} {b} {c}"),
            1,
            Out,
            format!(
                "[ERR] Node {b} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.\n"
            ),
        ),
        row(reshard(unknown, &id_a), 1, Out, no_node.clone()),
        row(reshard(&id_a, unknown), 1, Out, no_node.clone()),
        row(reshard(&id_a, &id_a), 1, Out, is_target),
        row(reshard(",", &id_a), 1, Err, none_given),
        row(format!("reshard --from , --to {id_a} --slots 1 {a}"), 2, Err, none_given),
        row(format!("--cluster reshard {a} --cluster-to {id_a} --cluster-slots 1"), 1, Err, none_given)
            .typing("done\n"),
        row(
            format!("--cluster reshard {a} --cluster-to {id_a} --cluster-slots 1"),
            1,
            Out,
            "*** Aborting: the input ended",
        )
        .typing("nobody\n"),
        row(
            format!("--cluster reshard {a} --cluster-from {id_a} --cluster-to {id_b} --cluster-slots 1"),
            1,
            Out,
            "Do you want to proceed with the proposed reshard plan (yes/no)? ",
        )
        .typing("no\n"),
        row(format!("reshard --from {id_a} --to {id_b} --slots 1 {a}"), 5, Out, "*** Aborting...\n").typing("no\n"),
        row(format!("--cluster rebalance {a} --cluster-weight nonsense"), 1, Out, "*** invalid input nonsense\n"),
        row(
            format!("--cluster rebalance {a} --cluster-weight {id_a}=many"),
            1,
            Out,
            format!("*** invalid input {id_a}=many\n"),
        ),
        row(
            format!("--cluster rebalance {a} --cluster-weight {unknown}=1"),
            1,
            Out,
            format!("*** No such master node {unknown}\n"),
        ),
        row(
            format!("--cluster rebalance {a}"),
            0,
            Out,
            "*** No rebalancing needed! All nodes are within the 2.00% threshold.\n",
        ),
        row(
            format!("--cluster add-node {empty} {a} --cluster-slave --cluster-master-id {unknown}"),
            1,
            Out,
            format!("[ERR] No such master ID {unknown}\n"),
        ),
        row(
            format!("--cluster add-node {outside} {a}"),
            1,
            Out,
            format!("[ERR] Node {outside} is not configured as a cluster node.\n"),
        ),
        row(
            format!("--cluster add-node {b} {a}"),
            1,
            Out,
            format!("[ERR] Node {b} is not empty. Either the node already knows other nodes"),
        ),
        row(format!("--cluster add-node 127.0.0.1:1 {a}"), 1, Out, "[ERR] Sorry, can't connect to node 127.0.0.1:1\n"),
        row(format!("--cluster del-node {a} {unknown}"), 1, Out, format!("[ERR] No such node ID {unknown}\n")),
        row(
            format!("--cluster del-node {a} {id_b}"),
            1,
            Out,
            format!("[ERR] Node {b} is not empty! Reshard data away and try again.\n"),
        ),
        row(
            format!("--cluster import {a} --cluster-from {b}"),
            1,
            Out,
            "[ERR] The source node should not be a cluster node.\n",
        ),
        row(format!("--cluster call {a} NONSENSE"), 0, Out, format!("{b}: ERR unknown command 'NONSENSE'")),
        row(format!("call {a} NONSENSE"), 1, Out, format!("{b}: ERR unknown command 'NONSENSE'")),
        row(format!("--cluster backup {a} {}", path("none")), 1, Out, "cannot be used: it does not exist\n"),
    ]);

    // What servers refuse.
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    redis::cmd("FUNCTION").arg("LOAD").arg(library).exec(&mut new.connect()).unwrap();
    assert_eq!(servers[1].text("ACL SETUSER default -config"), "OK");
    assert_eq!(servers[0].text(&format!("SET {} ours", key_in(0))), "OK");
    assert_eq!(alone.text(&format!("SET {} theirs", key_in(0))), "OK");
    fs::create_dir_all(dir.path().join("blocked/nodes.json")).unwrap();
    check(vec![
        row(
            format!("--cluster add-node {empty} {a}"),
            1,
            Out,
            ">>> New node already contains functions and can not be added to the cluster. Use FUNCTION FLUSH and try again.\n",
        ),
        row(format!("--cluster set-timeout {a} 2000"), 0, Out, format!("ERR setting node-timeout for {b}: NOPERM ")),
        row(format!("set-timeout {a} 2000"), 1, Out, ">>> New node timeout set. 2 OK, 1 ERR.\n"),
        row(
            format!("--cluster import {a} --cluster-from {outside}"),
            1,
            Out,
            format!("Source {outside} replied with error:\nERR Target instance replied with error: BUSYKEY"),
        ),
        row(format!("import --from {outside} {a}"), 1, Out, "[ERR] 1 key was not imported.\n"),
        row(
            format!("--cluster backup {a} {}", path("blocked")),
            1,
            Out,
            format!("Could not save nodes to: {}", path("blocked/nodes.json")),
        ),
    ]);
    assert_eq!(servers[0].text("ACL SETUSER default -migrate"), "OK");
    check(vec![
        row(reshard(&id_a, &id_b), 1, Out, format!("Node {a} replied with error:\nNOPERM "))
            .stands_for("clusterManagerMoveSlot failed: %s"),
    ]);
    for server in &servers {
        assert_eq!(server.text("ACL SETUSER default +@all"), "OK");
    }
    assert_eq!(trib(&format!("fix {a}")).code, 0);

    // Values that differ, an open slot, and keys in two places.
    let first = trib_first_slot(&servers[0]);
    assert_eq!(servers[0].text(&format!("SET {} right", key_in(first))), "OK");
    plant(&servers, 0, 1, first, "wrong");
    check(vec![
        row(
            format!("--cluster check {a} --cluster-search-multiple-owners"),
            1,
            Out,
            format!("[WARNING] Slot {first} has 2 owners:\n    {a}\n    {b}\n"),
        ),
        row(reshard(&id_a, &id_b), 1, Out, "exist with different values")
            .stands_for("*** Found %d key(s) in both source node and target node having different values."),
        row(
            format!("--cluster check {a}"),
            1,
            Out,
            format!("[WARNING] Node {a} has slots in migrating state {first}.\n"),
        ),
        row(format!("--cluster check {a}"), 1, Out, format!("[WARNING] The following slots are open: {first}.\n")),
        row(reshard(&id_a, &id_b), 1, Err, "*** Please fix your cluster problems before resharding\n"),
        row(format!("--cluster rebalance {a}"), 1, Out, "*** Please fix your cluster problems before rebalancing\n"),
        row(
            format!("--cluster backup {a} {}", dir.path().display()),
            0,
            Out,
            "*** Cluster seems to have some problems, please be aware of it if you're going to restore this backup.\n",
        ),
    ]);
    assert_eq!(trib(&format!("fix --replace {a}")).code, 0);

    // A node that disagrees, and one that is dead.
    assert_eq!(servers[0].text("CLUSTER DELSLOTS 5000"), "OK");
    check(vec![
        row(format!("--cluster check {b}"), 1, Out, "[ERR] Nodes don't agree about configuration!\n"),
        row(format!("--cluster check {b}"), 1, Out, "[ERR] Not all 16384 slots are covered by nodes.\n\n"),
        row(format!("--cluster add-node {empty} {b}"), 1, Out, "[ERR] Not all 16384 slots are covered by nodes.\n\n"),
        row(
            format!("--cluster fix {b}"),
            1,
            Out,
            "Fix these slots by covering with a random node? (type 'yes' to accept): ",
        ),
    ]);
    servers[2].kill();
    eventually("the failure is noticed", || servers[0].text("CLUSTER NODES").contains("master,fail "));
    check(vec![
        row(format!("--cluster check {a}"), 1, Out, format!("[ERR] Node {c} "))
            .stands_for("[ERR] Unable to load info for node %s:%d"),
        row(
            format!("--cluster fix {a} --cluster-yes"),
            1,
            Out,
            "*** Fixing slots coverage with 1 unreachable masters is dangerous",
        ),
        row(format!("--cluster fix {a}"), 1, Out, "use the --cluster-fix-with-unreachable-masters option."),
        row(format!("--cluster call {a} PING"), 0, Out, format!("{c}: Failed!\n")),
        row(format!("call {a} PING"), 1, Out, format!("{c}: ")),
        row(format!("--cluster backup {a} {}", dir.path().display()), 1, Out, "[ERR] Failed to back cluster!\n"),
        row(
            format!("--cluster del-node {a} {}", id_of_dead(&servers[0], &c)),
            1,
            Out,
            format!("[ERR] Node {c} is not empty! Reshard data away and try again.\n"),
        ),
    ]);
}

#[test]
fn a_primary_that_one_node_has_forgotten_is_found_by_the_others() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let (forgotten, asked) = (&servers[0], &servers[1]);
    assert_eq!(asked.text(&format!("CLUSTER FORGET {}", id_of(forgotten))), "OK");
    let line = format!("--cluster check {}", asked.addr());
    check(vec![
        row(&line, 1, Out, format!("M: {} {}\n", id_of(forgotten), forgotten.addr()))
            .stands_for("*** WARNING: %s:%d claims to be slave of unknown node ID %s."),
        row(&line, 1, Out, "[ERR] Nodes don't agree about configuration!\n"),
        row(&line, 1, Err, format!("{} says that {} does not own 0-5460", asked.addr(), forgotten.addr())),
    ]);
}

/// The first slot that it owns.
fn trib_first_slot(server: &Server) -> u16 {
    let nodes = server.text("CLUSTER NODES");
    let own = nodes.lines().find(|line| line.contains("myself")).expect("its own line");
    let range = own.split(' ').nth(8).expect("it owns slots");
    range.split('-').next().expect("a first one").parse().expect("a slot")
}

/// The id of the node at this address, by another one's account.
fn id_of_dead(server: &Server, addr: &str) -> String {
    let nodes = server.text("CLUSTER NODES");
    let line = nodes.lines().find(|line| line.contains(addr)).expect("it is known");
    line.split(' ').next().expect("an id").to_owned()
}

#[test]
fn errors_of_a_bus_that_cannot_be_reached() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Nobody listens where this one says that its bus is.
    let port = free_port();
    let mut servers = Server::start_many(ServerKind::Stock, 2, "");
    servers.push(Server::start_in_cluster_mode(ServerKind::Stock, &format!("cluster-announce-bus-port {port}")));
    let (all, c) = (addrs(&servers), servers[2].addr());
    let create = format!("--cluster create {all} --cluster-yes --cluster-wait 2");
    let no_answer =
        format!("[WARNING] The cluster bus port {port} of {c} does not answer from here (Connection refused)");
    check(vec![
        row(&create, 1, Err, no_answer),
        row(
            &create,
            1,
            Out,
            format!(
                "Warning: 1 node(s) may be unreachable\n - The port {port} of node {c} may be unreachable from:\n   127.0.0.1:"
            ),
        ),
        row(
            &create,
            1,
            Out,
            "Cluster bus ports must be reachable by every node.\nRemember that cluster bus ports are different from \
             standard instance ports.\n\n[ERR] not within 2 s: 127.0.0.1:",
        ),
    ]);
}
