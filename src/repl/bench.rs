//! One engine on a bench, for tests of single decisions: its outputs are shown as short lines.

use bytes::Bytes;

use super::*;
use crate::base::{Millis, Rng};

pub struct Bench {
    pub engine: Engine,
    pub now: Millis,
    pub log: Vec<String>,
}

pub fn upstream() -> Endpoint {
    Endpoint { host: "primary".into(), port: 6000 }
}

impl Bench {
    /// A primary that started up empty.
    pub fn primary(config: Config) -> Bench {
        Bench::boot(config, None, None)
    }

    pub fn boot(config: Config, primary: Option<Endpoint>, saved: Option<SavedHistory>) -> Bench {
        let mut bench = Bench::starting(config, primary);
        bench.input(Input::Booted { saved });
        bench
    }

    /// A node that has not loaded its data yet.
    pub fn starting(config: Config, primary: Option<Endpoint>) -> Bench {
        Bench { engine: Engine::new(config, Rng::seeded(42), primary), now: Millis(5000), log: vec![] }
    }

    /// A replica that went through the handshake and got `+FULLRESYNC <id> 100` with an empty snapshot.
    pub fn replica(config: Config, id: ReplId) -> Bench {
        let mut bench = Bench::boot(config, Some(upstream()), None);
        bench.handshake(1);
        bench.receive(1, &format!("+FULLRESYNC {id} 100\r\n$3\r\nRDB"));
        bench.input(Input::LoadDone { ok: true });
        bench.said();
        bench
    }

    /// Answers the handshake of link `link` up to PSYNC.
    pub fn handshake(&mut self, link: u64) {
        self.input(Input::LinkUp(LinkId(link)));
        self.receive(link, "+PONG\r\n");
        self.receive(link, "+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n");
    }

    pub fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
    }

    pub fn receive(&mut self, link: u64, bytes: &str) {
        let bytes = Bytes::copy_from_slice(bytes.as_bytes());
        self.input(Input::FromPrimary { link: LinkId(link), bytes });
    }

    /// Lets time pass in ticks of a tenth of a second.
    pub fn wait(&mut self, ms: i64) {
        for _ in 0..ms / 100 {
            self.now += 100;
            self.input(Input::Tick);
        }
    }

    /// REPLCONF with these words; the reply as on the wire.
    pub fn replconf(&mut self, client: u64, words: &str) -> String {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        match self.engine.replconf(self.now, ReplicaId(client), &words) {
            Ok(ReplconfReply::Ok) => "+OK".into(),
            Ok(ReplconfReply::Silent) => String::new(),
            Err(error) => format!("-{error}"),
        }
    }

    pub fn sync(&mut self, client: u64, kind: SyncKind<'_>) -> Result<Synced, SyncError> {
        let request = SyncRequest { kind, peer_ip: "10.1.1.1", output_pending: false };
        self.engine.sync(self.now, ReplicaId(client), request)
    }

    pub fn psync(&mut self, client: u64, id: &str, offset: i64) -> Result<Synced, SyncError> {
        self.sync(client, SyncKind::Psync { id: id.as_bytes(), offset, failover: false })
    }

    /// A replica that asks for everything and can do everything.
    pub fn attach(&mut self, client: u64) {
        assert_eq!(self.replconf(client, &format!("listening-port {} capa eof capa psync2", 7000 + client)), "+OK");
        self.psync(client, "?", -1).unwrap();
    }

    /// Attaches a replica and brings it online through a snapshot.
    pub fn attach_online(&mut self, client: u64) {
        self.attach(client);
        let snapshot = self.snapshot_asked();
        self.input(Input::SnapshotStarted(snapshot));
        self.input(Input::SnapshotDone { snapshot, len: 3 });
        self.input(Input::FileSent(ReplicaId(client)));
        self.replconf(client, &format!("ack {}", self.engine.offset()));
        self.said();
    }

    /// A replica below a replica that goes on from where this one is.
    pub fn attach_online_below(&mut self, client: u64) {
        let history = *self.engine.history();
        self.replconf(client, "capa psync2");
        assert_eq!(self.psync(client, history.id.as_str(), history.offset as i64 + 1), Ok(Synced::Partial));
        self.said();
    }

    /// The snapshot asked for in the outputs, which are dropped.
    pub fn snapshot_asked(&mut self) -> SnapshotId {
        let mut found = None;
        while let Some(output) = self.engine.next_output() {
            if let Output::StartSnapshot(request) = output {
                found = Some(request.snapshot);
            }
        }
        found.expect("a snapshot was asked for")
    }

    /// A write to database 0.
    pub fn write(&mut self, bytes: &str) {
        self.engine.propagate(self.now, Some(0), bytes.as_bytes());
    }

    /// What is pending for a replica, which is taken as written.
    pub fn stream(&mut self, client: u64) -> String {
        let bytes = self.engine.pending(ReplicaId(client), 1 << 20).concat();
        self.engine.advance(ReplicaId(client), bytes.len());
        String::from_utf8(bytes).unwrap()
    }

    pub fn info(&self) -> String {
        let mut out = String::new();
        self.engine.push_info(&mut out, self.now);
        out
    }

    /// The outputs so far, one line each; ids of 40 characters are shown as `ID`, log lines are kept apart.
    pub fn said(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Log { text, .. } => self.log.push(text),
                other => lines.push(short(other)),
            }
        }
        lines
    }
}

fn name(link: LinkId) -> String {
    if link.is_second() { format!("{}b", link.0 << 1 >> 1) } else { link.0.to_string() }
}

fn short(output: Output) -> String {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "|").replace('\n', "~");
        let is_id = |w: &str| w.len() == MARK_LEN && w.bytes().all(|b| b.is_ascii_hexdigit());
        let words: Vec<&str> = text.split_inclusive([' ', '|', ':']).collect();
        words
            .iter()
            .map(|w| if is_id(w.trim_end_matches([' ', '|', ':'])) { w.replace(&w[..40], "ID") } else { (*w).into() })
            .collect::<String>()
    };
    match output {
        Output::ToReplica { replica, bytes } => format!("to {}: {}", replica.0, text(&bytes)),
        Output::CloseReplica { replica, after_flush, reason } => {
            format!("close {}{} {reason:?}", replica.0, if after_flush { " after flush" } else { "" })
        }
        Output::StartSnapshot(request) => {
            let target = if request.target == SnapshotTarget::Disk { "disk" } else { "socket" };
            let ids: Vec<u64> = request.replicas.iter().map(|r| r.0).collect();
            format!("snapshot {} {target} {ids:?}", request.snapshot.0)
        }
        Output::CancelSnapshot(id) => format!("cancel {}", id.0),
        Output::SendSnapshotFile { snapshot, replica } => format!("file {} to {}", snapshot.0, replica.0),
        Output::Connect { link, to } => format!("connect {} {to}", name(link)),
        Output::SendToPrimary { link, bytes } => format!("up {}: {}", name(link), text(&bytes)),
        Output::CloseLink(link) => format!("close link {}", name(link)),
        Output::BeginLoad { history, framing } => {
            let offset = history.map(|h| h.offset);
            let len = if let Framing::Length(len) = framing { Some(len) } else { None };
            format!("begin load offset={offset:?} len={len:?}")
        }
        Output::LoadChunk(bytes) => format!("load {}", text(&bytes)),
        Output::Apply(bytes) => format!("apply {}", text(&bytes)),
        other => format!("{other:?}"),
    }
}
