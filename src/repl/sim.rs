//! A virtual machine room for tests: several engines, each with a toy data set, joined by pipes that carry bytes in random
//! pieces and can be cut or stalled. Everything follows from one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::*;
use crate::base::{Millis, Rng};

/// The toy data set: (database, key) → value.
pub type Data = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// How long one step takes.
const STEP_MS: i64 = 50;

/// The first command in `bytes` with its length: a bulk-string array, or an inline line.
fn first_command(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let line_end = |from: usize| bytes.get(from..)?.iter().position(|&b| b == b'\n').map(|n| from + n + 1);
    let end = line_end(0)?;
    let number = |line: &[u8]| std::str::from_utf8(line.trim_ascii()).unwrap().parse::<usize>().unwrap();
    if bytes[0] != b'*' {
        let words = bytes[..end].split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
        return Some((words.map(<[u8]>::to_vec).collect(), end));
    }
    let (mut words, mut at) = (Vec::new(), end);
    for _ in 0..number(&bytes[1..end]) {
        let body = line_end(at)?;
        let len = number(&bytes[at + 1..body]);
        words.push(bytes.get(body..body + len)?.to_vec());
        at = body + len + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

/// The toy snapshot: the selected database of the stream, then the commands that make the data.
fn dump(data: &Data, stream_db: u32) -> Vec<u8> {
    let mut out = command(&[b"DB", stream_db.to_string().as_bytes()]);
    for ((db, key), value) in data {
        out.extend(command(&[db.to_string().as_bytes(), key, value]));
    }
    out
}

fn undump(mut bytes: &[u8]) -> (Data, u32) {
    let text = |word: &[u8]| std::str::from_utf8(word).unwrap().parse::<u32>().unwrap();
    let (mut data, mut db) = (Data::new(), 0);
    while let Some((words, used)) = first_command(bytes) {
        match &words[..] {
            [_, stream_db] => db = text(stream_db),
            [db, key, value] => drop(data.insert((text(db), key.clone()), value.clone())),
            other => panic!("bad snapshot entry {other:?}"),
        }
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty(), "a snapshot ends with a whole entry");
    (data, db)
}

struct Snapshot {
    request: SnapshotRequest,
    bytes: Bytes,
    sent: usize,
}

pub struct Node {
    pub engine: Engine,
    pub data: Data,
    /// Snapshots taken, and loads finished.
    pub snapshots: usize,
    pub loads: usize,
    /// Database the primary's stream has selected.
    stream_db: u32,
    unapplied: Vec<u8>,
    load: Vec<u8>,
    load_ready_at: Option<Millis>,
    taking: Option<Snapshot>,
    files: BTreeMap<SnapshotId, Bytes>,
    pub closed: Vec<CloseReason>,
    /// Whether clients' writes are held back.
    pub paused: bool,
}

struct Pipe {
    follower: usize,
    link: LinkId,
    server: usize,
    client: ReplicaId,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    /// What the server has received and not understood yet.
    request: Vec<u8>,
    is_replica: bool,
    closing: bool,
}

pub struct Room {
    pub now: Millis,
    pub nodes: Vec<Node>,
    pub rng: Rng,
    pipes: Vec<Pipe>,
    /// Pairs between which nothing moves, without anybody being told.
    pub stalled: BTreeSet<(usize, usize)>,
    clients: u64,
}

pub fn endpoint(node: usize) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port: node as u16 }
}

impl Room {
    /// `primaries[i]` says whom node `i` follows from the start.
    pub fn new(seed: u64, primaries: &[Option<usize>], config: &Config) -> Room {
        let mut rng = Rng::seeded(seed);
        let nodes = primaries.iter().enumerate().map(|(i, primary)| {
            let config = Config { announce_port: i as u16, ..config.clone() };
            let mut engine = Engine::new(config, Rng::seeded(rng.next_u64()), primary.map(endpoint));
            engine.handle(Millis(1000), Input::Booted { saved: None });
            Node {
                engine,
                data: Data::new(),
                snapshots: 0,
                loads: 0,
                stream_db: 0,
                unapplied: Vec::new(),
                load: Vec::new(),
                load_ready_at: None,
                taking: None,
                files: BTreeMap::new(),
                closed: Vec::new(),
                paused: false,
            }
        });
        let nodes = nodes.collect();
        Room { now: Millis(1000), nodes, rng, pipes: Vec::new(), stalled: BTreeSet::new(), clients: 0 }
    }

    pub fn engine(&mut self, node: usize) -> &mut Engine {
        &mut self.nodes[node].engine
    }

    /// A client's write: executed and streamed.
    pub fn set(&mut self, node: usize, db: u32, key: &str, value: &str) {
        let now = self.now;
        let node = &mut self.nodes[node];
        node.data.insert((db, key.into()), value.into());
        node.engine.propagate(now, Some(db), &command(&[b"SET", key.as_bytes(), value.as_bytes()]));
    }

    /// Two writes in one transaction.
    pub fn set_both(&mut self, node: usize, db: u32, keys: [&str; 2], value: &str) {
        let now = self.now;
        self.nodes[node].engine.propagate(now, None, &command(&[b"MULTI"]));
        keys.iter().for_each(|key| self.set(node, db, key, value));
        self.nodes[node].engine.propagate(now, None, &command(&[b"EXEC"]));
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: i64) {
        for _ in 0..ms / STEP_MS {
            self.step();
        }
    }

    pub fn step(&mut self) {
        self.now += STEP_MS;
        for node in 0..self.nodes.len() {
            let now = self.now;
            self.nodes[node].engine.handle(now, Input::Tick);
            self.perform(node);
            self.work(node);
            self.perform(node);
        }
        self.stream();
        self.deliver();
        self.check();
    }

    /// Breaks all links between two nodes; both sides are told.
    pub fn cut(&mut self, a: usize, b: usize) {
        let broken = |p: &Pipe| (p.follower, p.server) == (a, b) || (p.follower, p.server) == (b, a);
        let (gone, kept) = std::mem::take(&mut self.pipes).into_iter().partition(broken);
        self.pipes = kept;
        self.tell_gone(gone);
    }

    fn tell_gone(&mut self, pipes: Vec<Pipe>) {
        for pipe in pipes {
            let now = self.now;
            self.nodes[pipe.follower].engine.handle(now, Input::LinkDown(pipe.link));
            self.nodes[pipe.server].engine.handle(now, Input::ClientGone(pipe.client));
            self.perform(pipe.follower);
            self.perform(pipe.server);
        }
    }

    fn is_stalled(&self, a: usize, b: usize) -> bool {
        self.stalled.contains(&(a, b)) || self.stalled.contains(&(b, a))
    }

    fn pipe_to(&mut self, server: usize, client: ReplicaId) -> Option<&mut Pipe> {
        self.pipes.iter_mut().find(|p| p.server == server && p.client == client)
    }

    /// Does what a node's engine asks for.
    pub fn perform(&mut self, at: usize) {
        while let Some(output) = self.nodes[at].engine.next_output() {
            let now = self.now;
            match output {
                Output::ToReplica { replica, bytes } => {
                    if let Some(pipe) = self.pipe_to(at, replica) {
                        pipe.down.extend(bytes);
                    }
                }
                Output::CloseReplica { replica, after_flush, reason } => {
                    self.nodes[at].closed.push(reason);
                    if after_flush {
                        self.pipe_to(at, replica).into_iter().for_each(|p| p.closing = true);
                    } else {
                        self.close(|p| p.server == at && p.client == replica);
                    }
                }
                Output::StartSnapshot(request) => {
                    let node = &mut self.nodes[at];
                    let id = request.snapshot;
                    if node.taking.is_some() {
                        node.engine.handle(now, Input::SnapshotPostponed(id));
                        continue;
                    }
                    node.snapshots += 1;
                    node.engine.handle(now, Input::SnapshotStarted(id));
                    let (_, db) = node.engine.save_info(node.stream_db).expect("a serving node has a history");
                    node.taking = Some(Snapshot { request, bytes: dump(&node.data, db).into(), sent: 0 });
                }
                Output::CancelSnapshot(id) => {
                    let node = &mut self.nodes[at];
                    node.taking.take_if(|s| s.request.snapshot == id);
                }
                Output::SendSnapshotFile { snapshot, replica } => {
                    let file = self.nodes[at].files[&snapshot].clone();
                    if let Some(pipe) = self.pipe_to(at, replica) {
                        pipe.down.extend(file);
                        self.nodes[at].engine.handle(now, Input::FileSent(replica));
                    }
                }
                Output::PauseWrites(paused) => self.nodes[at].paused = paused,
                Output::AcksAdvanced | Output::Log { .. } => {}
                Output::Connect { link, to } => self.connect(at, link, &to),
                Output::SendToPrimary { link, bytes } => {
                    let pipe = self.pipes.iter_mut().find(|p| p.follower == at && p.link == link);
                    pipe.into_iter().for_each(|p| p.up.extend(&bytes));
                }
                Output::CloseLink(link) => self.close(|p| p.follower == at && p.link == link),
                Output::BeginLoad { .. } | Output::AbortLoad => {
                    self.nodes[at].load.clear();
                    self.nodes[at].load_ready_at = None;
                }
                Output::LoadChunk(bytes) => self.nodes[at].load.extend_from_slice(&bytes),
                Output::EndLoad => self.nodes[at].load_ready_at = Some(now + 300),
                Output::StreamBegins { resumed } => {
                    assert!(resumed || self.nodes[at].loads > 0);
                    self.nodes[at].unapplied.clear();
                }
                Output::Apply(bytes) => {
                    self.nodes[at].unapplied.extend_from_slice(&bytes);
                    self.apply(at);
                }
                Output::StreamEnds => self.nodes[at].unapplied.clear(),
            }
        }
    }

    fn close(&mut self, which: impl Fn(&Pipe) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.pipes).into_iter().partition(which);
        self.pipes = kept;
        self.tell_gone(gone);
    }

    fn connect(&mut self, at: usize, link: LinkId, to: &Endpoint) {
        let (server, now) = (usize::from(to.port), self.now);
        if self.is_stalled(at, server) {
            self.nodes[at].engine.handle(now, Input::LinkDown(link));
            return;
        }
        self.clients += 1;
        self.pipes.push(Pipe {
            follower: at,
            link,
            server,
            client: ReplicaId(self.clients),
            up: VecDeque::new(),
            down: VecDeque::new(),
            request: Vec::new(),
            is_replica: false,
            closing: false,
        });
        self.nodes[at].engine.handle(now, Input::LinkUp(link));
    }

    /// Executes the whole units of the primary's stream.
    fn apply(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        let (mut unit, mut used, mut queue) = (0, 0, None);
        while let Some((words, len)) = first_command(&node.unapplied[used..]) {
            used += len;
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            match (&words[..], &mut queue) {
                ([b"MULTI"], queue) => *queue = Some(Vec::new()),
                ([b"SELECT", db], _) => node.stream_db = std::str::from_utf8(db).unwrap().parse().unwrap(),
                ([b"SET", key, value], Some(queue)) => queue.push((node.stream_db, key.to_vec(), value.to_vec())),
                ([b"SET", key, value], None) => drop(node.data.insert((node.stream_db, key.to_vec()), value.to_vec())),
                ([b"EXEC"], queue) => {
                    for (db, key, value) in queue.take().expect("EXEC after MULTI") {
                        node.data.insert((db, key), value);
                    }
                }
                ([b"PING"], _) => {}
                ([b"REPLCONF", b"GETACK", b"*"], _) => node.engine.on_getack(now),
                (other, _) => panic!("unexpected in the stream: {other:?}"),
            }
            if queue.is_none() {
                node.engine.applied(now, &node.unapplied[unit..used]);
                unit = used;
            }
        }
        node.unapplied.drain(..unit);
    }

    /// Goes on with the node's snapshot and load.
    fn work(&mut self, at: usize) {
        let now = self.now;
        if self.nodes[at].load_ready_at.is_some_and(|ready| now >= ready) {
            let node = &mut self.nodes[at];
            node.load_ready_at = None;
            (node.data, node.stream_db) = undump(&std::mem::take(&mut node.load));
            node.loads += 1;
            node.engine.handle(now, Input::LoadDone { ok: true });
        }
        let Some(mut snapshot) = self.nodes[at].taking.take() else { return };
        let id = snapshot.request.snapshot;
        let chunk = snapshot.bytes.slice(snapshot.sent..snapshot.bytes.len().min(snapshot.sent + 256));
        snapshot.sent += chunk.len();
        if matches!(snapshot.request.target, SnapshotTarget::Socket { .. }) {
            for replica in snapshot.request.replicas.clone() {
                if let Some(pipe) = self.pipe_to(at, replica) {
                    pipe.down.extend(&chunk);
                    self.nodes[at].engine.handle(now, Input::SnapshotProgress(replica));
                }
            }
        }
        let len = snapshot.bytes.len();
        if snapshot.sent == len {
            self.nodes[at].files.insert(id, snapshot.bytes);
            self.nodes[at].engine.handle(now, Input::SnapshotDone { snapshot: id, len: len as u64 });
        } else {
            self.nodes[at].taking = Some(snapshot);
        }
    }

    /// Writes pending stream bytes to the pipes.
    fn stream(&mut self) {
        for at in 0..self.nodes.len() {
            for replica in self.nodes[at].engine.ready().collect::<Vec<_>>() {
                let max = 1 + self.rng.below(3000) as usize;
                let bytes = self.nodes[at].engine.pending(replica, max).concat();
                let pipe = self.pipe_to(at, replica).expect("a ready replica has its connection");
                if pipe.down.len() < 8000 {
                    pipe.down.extend(&bytes);
                    self.nodes[at].engine.advance(replica, bytes.len());
                }
            }
        }
    }

    /// Moves some bytes in both directions of every pipe.
    fn deliver(&mut self) {
        let ids: Vec<(usize, ReplicaId)> = self.pipes.iter().map(|p| (p.server, p.client)).collect();
        for (server, client) in ids {
            let Some(pipe) = self.pipe_to(server, client) else { continue };
            let (follower, link) = (pipe.follower, pipe.link);
            if self.is_stalled(follower, server) {
                continue;
            }
            let (n, m) = (1 + self.rng.below(4000) as usize, 1 + self.rng.below(4000) as usize);
            let Some(pipe) = self.pipe_to(server, client) else { continue };
            let count = n.min(pipe.up.len());
            pipe.request.extend(pipe.up.drain(..count));
            let count = m.min(pipe.down.len());
            let bytes: Bytes = pipe.down.drain(..count).collect();
            let ended = pipe.closing && pipe.down.is_empty();
            self.serve(server, client);
            if !bytes.is_empty() {
                let now = self.now;
                self.nodes[follower].engine.handle(now, Input::FromPrimary { link, bytes });
                self.perform(follower);
            }
            if ended {
                self.close(|p| p.server == server && p.client == client);
            }
        }
    }

    /// The server's side of a connection: understands whole requests.
    fn serve(&mut self, at: usize, client: ReplicaId) {
        loop {
            let now = self.now;
            let Some(pipe) = self.pipe_to(at, client) else { return };
            let Some((words, used)) = first_command(&pipe.request) else { return };
            pipe.request.drain(..used);
            let (is_replica, pending) = (pipe.is_replica, !pipe.down.is_empty());
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let engine = &mut self.nodes[at].engine;
            let kind = match &words[..] {
                [] => continue,
                [b"PING"] => Ok("+PONG\r\n".to_owned()),
                [b"REPLCONF", args @ ..] => Ok(match engine.replconf(now, client, args) {
                    Ok(ReplconfReply::Ok) => "+OK\r\n".to_owned(),
                    Ok(ReplconfReply::Silent) => String::new(),
                    Err(error) => format!("-{error}\r\n"),
                }),
                [b"PSYNC", id, offset, rest @ ..] => {
                    let offset = std::str::from_utf8(offset).unwrap().parse().unwrap();
                    Err(SyncKind::Psync { id, offset, failover: rest == [b"FAILOVER"] })
                }
                [b"SYNC"] => Err(SyncKind::Sync),
                other => panic!("unexpected request: {other:?}"),
            };
            let reply = match kind {
                Ok(reply) => reply,
                Err(kind) => {
                    let request = SyncRequest { kind, peer_ip: "127.0.0.1", output_pending: pending && !is_replica };
                    match engine.sync(now, client, request) {
                        Ok(_) => {
                            self.pipe_to(at, client).into_iter().for_each(|p| p.is_replica = true);
                            String::new()
                        }
                        Err(error) => format!("-{error}\r\n"),
                    }
                }
            };
            self.pipe_to(at, client).into_iter().for_each(|p| p.down.extend(reply.as_bytes()));
            self.perform(at);
        }
    }

    /// What replication promises: the same id and the same offset mean the same data.
    fn check(&self) {
        let mut known: BTreeMap<(ReplId, u64), &Data> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let history = node.engine.history();
            let data = known.entry((history.id, history.offset)).or_insert(&node.data);
            assert!(*data == &node.data, "node {at} differs at {}:{}", history.id, history.offset);
        }
    }

    /// Whether all these nodes have the same data, id and offset.
    pub fn are_equal(&self, nodes: &[usize]) -> bool {
        let first = &self.nodes[nodes[0]];
        nodes[1..].iter().map(|n| &self.nodes[*n]).all(|node| {
            let (history, other) = (node.engine.history(), first.engine.history());
            node.data == first.data && history.id == other.id && history.offset == other.offset
        })
    }

    pub fn assert_equal(&self, nodes: &[usize]) {
        if !self.are_equal(nodes) {
            for at in nodes {
                let mut info = String::new();
                self.nodes[*at].engine.push_info(&mut info, self.now);
                println!("node {at}: {} keys\n{info}", self.nodes[*at].data.len());
            }
            panic!("nodes {nodes:?} differ");
        }
    }
}
