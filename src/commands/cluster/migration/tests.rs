//! Two whole servers and the connections between them, in one thread: slots move while commands run.

mod large;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use crate::base::{Millis, Rng, key_slot};
use crate::cluster::{Engine, Input, LinkId, Output};
use crate::commands::bench::Bench;
use crate::config::{Config, Guard};
use crate::data::Limits;
use crate::exec::loading::LoadedFacts;
use crate::exec::server::Stopwatch;
use crate::exec::slot_migration::{ExportLink, Pull};
use crate::exec::{ClientId, Effect, Server};
use crate::persist::rdb::{Event, RdbReader, ReadOptions};
use crate::resp::Argv;
use crate::resp::request::{Batch, RequestLimits, RequestParser};

/// Every look at the clock takes time, so that slices come to their end.
struct Ticking(Arc<AtomicU64>);

const LOOK_USEC: u64 = 150;

impl Stopwatch for Ticking {
    fn micros(&self) -> u64 {
        self.0.fetch_add(LOOK_USEC, Ordering::Relaxed)
    }

    fn wall_micros(&self) -> i64 {
        0
    }
}

/// The connection of one migration, seen from its source.
struct Wire {
    link: ExportLink,
    source: usize,
    client: ClientId,
    buf: Vec<u8>,
    parser: RequestParser,
    /// The source is to be asked for more.
    rung: bool,
}

struct Pair {
    nodes: Vec<Bench>,
    operators: Vec<ClientId>,
    clock: Arc<AtomicU64>,
    wires: Vec<Wire>,
    /// Packets of the bus get lost.
    partitioned: bool,
    /// Words of commands that the longest slice has sent.
    longest_slice: usize,
}

const IDS: [&str; 2] = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];

/// Two primaries: the first has the slots from 0 to 8191.
fn conf(me: usize) -> String {
    let line = |i: usize| {
        let (flags, slots) = (if i == me { "myself,master" } else { "master" }, ["0-8191", "8192-16383"][i]);
        let (id, port, shard) = (IDS[i], 7000 + i, IDS[i].replace(['a', 'b'], &i.to_string()));
        format!(
            "{id} 127.0.0.1:{port}@{},,tls-port=0,shard-id={shard} {flags} - 0 0 {} connected {slots}\n",
            port + 10_000,
            i + 1
        )
    };
    format!("{}{}vars currentEpoch 2 lastVoteEpoch 0\n", line(0), line(1))
}

fn config(me: usize) -> Config {
    let port = 7000 + me as u16;
    Config {
        cluster_enabled: true,
        cluster_databases: 2,
        port,
        enable_debug_command: Guard::Yes,
        // Large values need not be very large.
        limits: Limits { list_max_listpack_size: 64, ..Limits::default() },
        stream_node_max_entries: 50,
        ..Config::default()
    }
}

fn join(server: &mut Server, me: usize) {
    let cluster = Server::cluster_config(&server.config);
    let engine = Engine::restore(cluster, Rng::seeded(me as u64), server.clock(), &conf(me)).expect("a good file");
    server.join(engine);
}

/// Operation, slots, state and message of each job, the newest first.
fn jobs_of(server: &Server) -> String {
    let line = |job: &crate::exec::slot_migration::Job| {
        format!("{:?} {} {} {}", job.operation, job.ranges.text(), job.state.name(), job.message).trim().to_owned()
    };
    server.migrations.jobs().map(line).collect::<Vec<_>>().join("\n")
}

impl Pair {
    fn start() -> Pair {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let mut nodes: Vec<Bench> =
            (0..2).map(|i| Bench::start_by(config(i), Box::new(Ticking(Arc::clone(&clock))))).collect();
        for (i, bench) in nodes.iter_mut().enumerate() {
            join(&mut bench.server, i);
            bench.server.booted(None);
        }
        let operators = nodes.iter_mut().map(Bench::client).collect();
        let mut pair = Pair { nodes, operators, clock, wires: Vec::new(), partitioned: false, longest_slice: 0 };
        pair.run_until("the cluster is ok", |pair| {
            pair.nodes.iter().all(|node| node.server.cluster.as_ref().is_some_and(|engine| engine.state_ok()))
        });
        pair
    }

    fn now(&self) -> Millis {
        Millis(2_000_000 + (self.clock.load(Ordering::Relaxed) / 1000) as i64)
    }

    /// A tenth of a second with all that is due in it.
    fn tick(&mut self) {
        self.clock.fetch_add(100_000, Ordering::Relaxed);
        let now = self.now();
        for i in 0..2 {
            self.nodes[i].now = now;
            self.nodes[i].server.bus_tick(now);
            self.nodes[i].server.alarm(now);
            self.nodes[i].server.cron(now);
        }
        self.settle();
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Pair) -> bool) {
        for _ in 0..400 {
            if done(self) {
                return;
            }
            self.tick();
            while self.pull() {}
        }
        panic!("not in time: {what}\n{}\n{}", self.jobs(0), self.jobs(1));
    }

    /// Carries out what the servers want of the world, but for pulling at migrations.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for i in 0..2 {
                let mut effects = self.nodes[i].effects();
                effects.append(&mut self.nodes[i].server.outbox);
                for effect in effects {
                    quiet &= matches!(effect, Effect::Alarm { .. } | Effect::Log(..) | Effect::Wake(_));
                    self.perform(i, effect);
                }
            }
            for at in 0..self.wires.len() {
                self.return_messages(at);
            }
            if quiet {
                return;
            }
        }
    }

    fn perform(&mut self, i: usize, effect: Effect) {
        let (now, peer) = (self.now(), 1 - i);
        let other_end = |link: LinkId| match link {
            LinkId::Outbound(n) => LinkId::Inbound(n * 2 + i as u64),
            LinkId::Inbound(n) => LinkId::Outbound(n / 2),
        };
        match effect {
            Effect::Bus(Output::Connect { link, .. }) => {
                let ip = [127, 0, 0, 1].into();
                let accepted = Input::Accepted { link: other_end(link), peer_ip: ip, local_ip: ip };
                self.nodes[peer].server.bus_input(now, accepted);
                self.nodes[i].server.bus_input(now, Input::LinkUp { link });
            }
            Effect::Bus(Output::Send { link, bytes }) if !self.partitioned => {
                self.nodes[peer].server.bus_input(now, Input::Packet { link: other_end(link), bytes: &bytes });
            }
            Effect::Bus(Output::Close { link }) => {
                self.nodes[peer].server.bus_input(now, Input::LinkDown { link: other_end(link) });
            }
            Effect::OpenExport { link, .. } => {
                let client = self.nodes[peer].client();
                let parser = RequestParser::default();
                self.wires.push(Wire { link, source: i, client, buf: Vec::new(), parser, rung: true });
                self.nodes[i].server.export_connected(link, now, Ok(()));
            }
            Effect::WakeExport(link) => {
                self.wires.iter_mut().filter(|w| w.link == link && w.source == i).for_each(|w| w.rung = true);
            }
            Effect::CloseExport(link) => {
                if let Some(at) = self.wires.iter().position(|w| w.link == link && w.source == i) {
                    let wire = self.wires.remove(at);
                    self.nodes[peer].server.disconnect(wire.client);
                }
            }
            _ => {}
        }
    }

    /// What the target has said goes back to the source; a connection that it closes is lost.
    fn return_messages(&mut self, at: usize) {
        let now = self.now();
        let Some(Wire { link, source, client, .. }) = self.wires.get(at) else { return };
        let (link, source, client) = (*link, *source, *client);
        let target = &mut self.nodes[1 - source].server;
        let Some(state) = target.clients.get_mut(client) else { return };
        let (said, closing) = (std::mem::take(&mut state.reply.buf), state.is_closing());
        if !said.is_empty() {
            self.nodes[source].server.export_received(link, now, &said);
        }
        if closing {
            self.nodes[1 - source].server.disconnect(client);
            self.nodes[source].server.export_lost(link, now);
        }
    }

    /// Takes a chunk from each migration to its target. False when there was nothing.
    fn pull(&mut self) -> bool {
        let now = self.now();
        let mut moved = false;
        for at in 0..self.wires.len() {
            let Some(wire) = self.wires.get_mut(at) else { continue };
            if !std::mem::take(&mut wire.rung) {
                continue;
            }
            let mut chunk = Vec::new();
            let pull = self.nodes[wire.source].server.export_pull(wire.link, now, &mut chunk);
            wire.rung = matches!(pull, Pull::More | Pull::Later);
            wire.buf.extend_from_slice(&chunk);
            let limits = RequestLimits { bulk_max_bytes: 1 << 20, ..RequestLimits::default() };
            let mut batch = Batch::default();
            wire.parser.parse(&mut wire.buf, limits, &mut batch).expect("well-formed commands");
            let words = (0..batch.len()).map(|n| batch.command(&wire.buf, n).len()).sum();
            self.longest_slice = self.longest_slice.max(words);
            let target = &mut self.nodes[1 - wire.source].server;
            let done = target.run_batch(wire.client, &wire.buf, &batch, 0, now);
            let bytes = batch.done_bytes(done);
            wire.buf.drain(..bytes);
            wire.parser.shift(bytes);
            moved |= !chunk.is_empty() || wire.rung;
            self.return_messages(at);
            self.settle();
        }
        moved
    }

    fn call(&mut self, i: usize, line: &str) -> String {
        self.nodes[i].now = self.now();
        let reply = self.nodes[i].call(self.operators[i], line);
        self.settle();
        reply
    }

    fn jobs(&self, i: usize) -> String {
        jobs_of(&self.nodes[i].server)
    }

    fn migrate(&mut self, slots: &str) {
        let reply = self.call(0, &format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slots} NODE {}", IDS[1]));
        assert_eq!(reply, "OK");
    }

    fn is_over(&self) -> bool {
        self.nodes.iter().all(|node| node.server.migrations.jobs().all(|job| job.state.is_finished()))
    }

    fn is_paused(&self) -> bool {
        self.jobs(0).ends_with("failover-paused") || self.jobs(0).ends_with("failover-granted")
    }

    fn keys(&mut self, i: usize) -> usize {
        self.call(i, "DBSIZE").trim_start_matches(':').parse().expect("a number")
    }
}

/// A pair of which the first has its slots moved, and a server of its own that runs the same commands.
struct Beside {
    pair: Pair,
    alone: Bench,
    client: ClientId,
}

impl Beside {
    fn start() -> Beside {
        let config = Config { databases: 2, enable_debug_command: Guard::Yes, ..config(0) };
        let mut alone = Bench::start_with(Config { cluster_enabled: false, ..config });
        let client = alone.client();
        Beside { pair: Pair::start(), alone, client }
    }

    /// Runs a line at both, at whoever owns its slot. Streams take ids of the clock: it stands still for both.
    fn run(&mut self, line: &str) -> (String, String) {
        // A client would wait and then go to the new owner.
        while self.pair.is_paused() {
            if !self.pair.pull() {
                self.pair.tick();
            }
        }
        self.alone.now = self.pair.now();
        let expected = self.alone.call(self.client, line);
        let moved = self.pair.nodes[1].server.cluster.as_ref().is_some_and(|engine| engine.owns(key_slot(b"b")));
        let reply = self.pair.call(usize::from(moved && !line.contains("{c}")), line);
        (expected, reply)
    }

    /// Waits until everything has moved.
    fn finish(&mut self) {
        self.pair.run_until("it is over", Pair::is_over);
        assert_eq!(self.pair.jobs(1), "Import 3000-5100 success");
        self.pair.run_until("swept", |pair| pair.nodes[0].server.keyspace.slot_len(0, key_slot(b"b")) == 0);
    }
}

#[test]
fn slots_move_with_their_keys_and_are_hidden_until_then() {
    let mut pair = Pair::start();
    for n in 0..2000 {
        assert_eq!(pair.call(0, &format!("SET {{b}}{n} {n}")), "OK");
    }
    assert_eq!(pair.call(0, "SET {c} stays"), "OK");
    pair.migrate("3300 3300 0 10");
    for _ in 0..5 {
        pair.pull();
    }
    assert_eq!(pair.jobs(0), "Export 3300-3300 0-10 snapshotting");
    assert_eq!(pair.jobs(1), "Import 3300-3300 0-10 receiving-snapshot");
    assert!(pair.call(1, "CLUSTER COUNTKEYSINSLOT 3300") != ":0");
    assert_eq!(pair.call(1, "DBSIZE;SCAN 0;RANDOMKEY;KEYS *"), ":0\n[0 []]\nnil\n[]");
    assert_eq!(pair.call(1, "GET {b}1"), "-MOVED 3300 127.0.0.1:7000");
    assert_eq!(pair.call(0, "GET {b}1"), "1");
    pair.run_until("it is over", Pair::is_over);
    assert_eq!(
        (pair.jobs(0).as_str(), pair.jobs(1).as_str()),
        ("Export 3300-3300 0-10 success", "Import 3300-3300 0-10 success")
    );
    assert_eq!(pair.call(0, "GET {b}1"), "-MOVED 3300 127.0.0.1:7001");
    assert_eq!(pair.call(1, "GET {b}1999"), "1999");
    let slot = key_slot(b"b");
    pair.run_until("what is left is deleted", |pair| pair.nodes[0].server.keyspace.slot_len(0, slot) == 0);
    assert_eq!((pair.keys(0), pair.keys(1)), (1, 2000));
    assert_eq!(pair.call(0, "CLUSTER COUNTKEYSINSLOT 3300"), ":0");
}

#[test]
fn writes_to_the_slots_wait_for_the_hand_over_and_no_others() {
    let mut pair = Pair::start();
    pair.call(0, "SET {b} 1");
    pair.migrate("3300 3300");
    pair.partitioned = true;
    pair.run_until("writes wait", Pair::is_paused);
    let waiting = pair.nodes[0].client();
    assert_eq!(pair.nodes[0].call(waiting, "INCR {b}"), "");
    assert_eq!(pair.call(0, "GET {b};SET {c} x"), "1\nOK");
    pair.partitioned = false;
    pair.run_until("it is over", Pair::is_over);
    pair.settle();
    let now = pair.now();
    pair.nodes[0].now = now;
    pair.nodes[0].cron();
    assert_eq!(pair.nodes[0].call(waiting, "PING"), "-MOVED 3300 127.0.0.1:7001\nPONG");
}

#[test]
fn a_flush_a_cancellation_and_a_lost_link_leave_everything_at_the_source() {
    for (how, state, import) in [
        ("FLUSHDB", "failed Data was flushed", "failed Connection lost to source"),
        ("CLUSTER CANCELSLOTMIGRATIONS", "cancelled", "failed Connection lost to source"),
    ] {
        let mut pair = Pair::start();
        for n in 0..1000 {
            pair.call(0, &format!("SET {{b}}{n} {n}"));
        }
        pair.migrate("3300 3300");
        for _ in 0..6 {
            pair.pull();
        }
        assert_eq!(pair.call(0, how), "OK");
        pair.run_until("it is over", Pair::is_over);
        assert!(pair.jobs(0).ends_with(state), "{}", pair.jobs(0));
        assert!(pair.jobs(1).contains(import), "{}", pair.jobs(1));
        assert_eq!(pair.call(1, "CLUSTER COUNTKEYSINSLOT 3300"), ":0", "nothing is left at the target");
        let kept = if how == "FLUSHDB" { 0 } else { 1000 };
        assert_eq!(pair.keys(0), kept);
        assert_eq!(pair.call(0, "SET {b} x"), "OK");
        assert_eq!(pair.call(0, "CLUSTER CANCELSLOTMIGRATIONS"), "-ERR No migrations ongoing");
    }
}

#[test]
fn the_word_may_end_in_a_nul_as_valkey_cli_sends_it() {
    let mut pair = Pair::start();
    assert_eq!(pair.call(0, &format!("CLUSTER MIGRATESLOTS \"SLOTSRANGE\\x00\" 0 1 NODE {}", IDS[1])), "OK");
    pair.run_until("it is over", Pair::is_over);
    assert!(pair.jobs(0).ends_with("success"), "{}", pair.jobs(0));
}

#[test]
fn what_cannot_be_migrated_is_refused_in_the_words_clients_know() {
    let mut pair = Pair::start();
    let [a, b] = IDS;
    for (words, error) in [
        (format!("SLOTSRANGE 0 1 NODE {a}"), "Target node can not be this node."),
        (format!("SLOTSRANGE 0 1 NODE {}", "c".repeat(40)), &format!("Unknown node name: {}", "c".repeat(40))),
        ("SLOTSRANGE 0 1 NODE short".to_owned(), "Invalid node name: short"),
        (format!("SLOTSRANGE 0 1 3 NODE {b}"), "Invalid or out of range slot"),
        ("SLOTSRANGE 0 1 3".to_owned(), "No end slot for final slot range"),
        (format!("SLOTSRANGE 0 1 x 3 NODE {b}"), "syntax error"),
        (format!("SLOTSRANGE x 3 NODE {b}"), "No slot ranges specified"),
        ("SLOTSRANGE 0 1".to_owned(), "syntax error"),
        (format!("SLOTSRANGE 0 1 SLOTSRANGE 2 3 NODE {b}"), "syntax error"),
        ("SLOTSRANGE 8192 8192 NODE short".to_owned(), "Slots are not served by this node."),
        (format!("SLOTSRANGE NODE {b}"), "No slot ranges specified"),
        (format!("SLOTSRANGE 3 1 NODE {b}"), "Start slot number 3 is greater than end slot number 1."),
        (format!("SLOTSRANGE 0 5 5 6 NODE {b}"), "Slot range 5-6 overlaps with previous range 0-5."),
        (format!("SLOTSRANGE 8192 8192 NODE {b}"), "Slots are not served by this node."),
        (format!("SLOTSRANGE 8190 8192 NODE {b}"), "Requested slots span multiple shards"),
        (format!("SLOTSRANGE 0 1 NODE {b} SLOTSRANGE 1 2 NODE {b}"), "Slot ranges in migrations overlap"),
        (format!("SLOTSRANGE 0 16384 NODE {b}"), "Invalid or out of range slot"),
        (format!("SLOTS 0 1 NODE {b}"), "syntax error"),
    ] {
        assert_eq!(pair.call(0, &format!("CLUSTER MIGRATESLOTS {words}")), format!("-ERR {error}"), "{words}");
    }
    for (words, error) in [
        ("ACK", "CLUSTER SYNCSLOTS ACK should only be used by slot migration clients".to_owned()),
        ("ESTABLISH SOURCE x", "syntax error".to_owned()),
    ] {
        assert_eq!(pair.call(1, &format!("CLUSTER SYNCSLOTS {words}")), format!("-ERR {error}"));
    }
    let establish =
        |source: &str, slots: &str| format!("CLUSTER SYNCSLOTS ESTABLISH SOURCE {source} NAME {a} SLOTSRANGE {slots}");
    for (line, error) in [
        (establish(b, "8192 8192"), "Source node is target node itself"),
        (establish(&"c".repeat(40), "1 1"), "Target node does not know the source node"),
        (establish(a, "8192 8192"), "Target node does not agree about current slot ownership"),
    ] {
        assert_eq!(pair.call(1, &line), format!("-ERR {error}"));
    }
    assert_eq!(pair.call(0, &format!("CLUSTER SETSLOT 5 MIGRATING {b}")), "OK");
    let migrate = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 1 NODE {b}");
    assert_eq!(pair.call(0, &migrate), "-ERR Slots are being manually migrated");
    assert_eq!(pair.call(0, "CLUSTER SETSLOT 5 STABLE"), "OK");
    pair.migrate("0 1");
    assert_eq!(pair.call(0, &migrate), "-ERR I am already migrating slot 0.");
    assert_eq!(pair.call(0, &format!("CLUSTER SETSLOT 1 MIGRATING {b}")), "-ERR Slot export in progress.");
}

#[test]
fn what_ended_in_the_middle_of_an_import_starts_without_it() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let mut bench = Bench::start_by(config(1), Box::new(Ticking(clock)));
    let (now, server) = (bench.now, &mut bench.server);
    join(server, 1);
    server.begin_loading(now, 0, false);
    server.begin_replay(now);
    let name = "d".repeat(40);
    for line in [
        format!("CLUSTER SYNCSLOTS ESTABLISH SOURCE {} NAME {name} SLOTSRANGE 3300 3300", IDS[0]),
        "SET {b} x".to_owned(),
        "SET a x".to_owned(),
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        assert_eq!(server.replay(Argv::of(&words).args()), Ok(()));
    }
    server.end_replay();
    server.end_loading(now, &LoadedFacts::default(), Ok(()));
    assert_eq!(jobs_of(server), "Import 3300-3300 occurring-on-primary");
    assert_eq!(server.keyspace.len(), 1, "what was being imported is not shown");
    server.booted(None);
    for _ in 0..5 {
        server.cron(now);
        server.bus_tick(now);
    }
    assert_eq!(jobs_of(server), "Import 3300-3300 failed Process restarted");
    assert_eq!((server.keyspace.len(), server.keyspace.slot_len(0, key_slot(b"b"))), (1, 0));
}

#[test]
fn files_and_log_tell_of_imports() {
    let mut pair = Pair::start();
    for n in 0..1000 {
        pair.call(0, &format!("SET {{b}}{n} {n}"));
    }
    pair.nodes[1].log();
    pair.migrate("3300 3300");
    for _ in 0..8 {
        pair.pull();
    }
    let mut file = Vec::new();
    let written = pair.nodes[1].server.write_dataset(|bytes| {
        file.extend_from_slice(bytes);
        Ok::<(), ()>(())
    });
    assert_eq!(written, Ok(()));
    let mut reader = RdbReader::open(&file[..], ReadOptions::default(), &Limits::default()).expect("a good file");
    let (mut imports, mut keys) = (Vec::new(), 0);
    loop {
        match reader.next().expect("a good file") {
            Event::SlotImport { job, ranges } => imports.push((job.len(), ranges)),
            Event::Entry(_) => keys += 1,
            Event::End { .. } => break,
            _ => {}
        }
    }
    assert_eq!(imports, [(40, vec![(3300, 3300)])]);
    assert!(keys > 0 && keys < 1000, "{keys}");
    pair.run_until("it is over", Pair::is_over);
    let log = pair.nodes[1].log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].starts_with("CLUSTER SYNCSLOTS ESTABLISH SOURCE aaaa"), "{}", lines[0]);
    assert!(lines.last().is_some_and(|line| line.starts_with("CLUSTER SYNCSLOTS FINISH STATE success NAME ")), "{log}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("SET {b}")).count(), 1000);
}

fn line() -> impl Strategy<Value = String> {
    // `{bar}` is in slot 5061, `{b}` in 3300, `{c}` in 7365.
    (0usize..3, 0u8..6, 0u8..6, 0u8..25, 1u8..5).prop_map(|(tag, x, y, what, n)| {
        let tag = ["{b}", "{bar}", "{c}"][tag];
        let (x, y) = (format!("{tag}{x}"), format!("{tag}{y}"));
        match what {
            0 => format!("SET {x} {n}"),
            1 => format!("INCRBY {x} {n}"),
            2 => format!("APPEND {x} {n}"),
            3 | 4 => format!("RPUSH {x} {n} {y} z"),
            5 => format!("LMOVE {x} {y} LEFT RIGHT"),
            6 => format!("LPOP {x}"),
            7 => format!("SADD {x} {n} m"),
            8 => format!("SMOVE {x} {y} m"),
            9 => format!("SUNIONSTORE {x} {x} {y}"),
            10 => format!("ZADD {x} {n} m{n}"),
            11 => format!("ZUNIONSTORE {x} 2 {x} {y}"),
            12 => format!("HSET {x} f{n} v"),
            13 => format!("HINCRBY {x} f{n} {n}"),
            14 => format!("RENAME {x} {y}"),
            15 => format!("COPY {x} {y} REPLACE"),
            16 => format!("COPY {x} {y} DB 1 REPLACE"),
            17 => format!("DEL {x} {y}"),
            18 => format!("PEXPIREAT {x} 99999999999999"),
            19 => format!("MULTI;INCR {x};RENAME {x} {y};APPEND {y} w;SET {x} {n};EXEC"),
            20 => format!("SORT {x} BY {tag}* STORE {y}"),
            21 => format!("XADD {x} MAXLEN 3 * f {n}"),
            22 => format!("MOVE {x} 1"),
            23 => format!("SELECT 1;RENAME {x} {y};SET {x} {n};SELECT 0"),
            _ => format!("GETDEL {x}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is written while the slots move, afterwards every key is what it would be had nothing moved.
    #[test]
    fn nothing_is_lost_doubled_or_changed(
        before in proptest::collection::vec(line(), 0..60),
        during in proptest::collection::vec((line(), 0u8..3), 0..80),
    ) {
        let mut beside = Beside::start();
        // Filling, so that the walk takes many slices.
        for n in 0..150 {
            beside.run(&format!("SET {{b}}:{n} x;SET {{bar}}:{n} x"));
        }
        for line in before {
            beside.run(&line);
        }
        beside.pair.migrate("3000 5100");
        for (line, pulls) in during {
            beside.run(&line);
            for _ in 0..pulls {
                beside.pair.pull();
            }
        }
        beside.finish();
        for db in 0..2 {
            for tag in ["{b}", "{bar}", "{c}"] {
                for n in (0..6).map(|n| n.to_string()).chain((0..150).map(|n| format!(":{n}"))) {
                    let line = format!("SELECT {db};DEBUG DIGEST-VALUE {tag}{n};PEXPIRETIME {tag}{n}");
                    let (expected, reply) = beside.run(&line);
                    prop_assert_eq!(expected, reply, "{}", line);
                }
            }
        }
    }
}
