//! A server without a process, for tests: clients send lines and read replies, and time passes when the test says so.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Millis;
use crate::config::Config;
use crate::exec::memory::MemoryMeter;
use crate::exec::server::{Facts, Stopwatch};
use crate::exec::table::CommandTable;
use crate::exec::{ClientId, Effect, Server, Setup};
use crate::resp::client::{ReplyParser, ReplyValue};
use crate::resp::request::{Batch, RequestLimits, RequestParser};

/// Commands take no time and no memory.
struct Still;

impl Stopwatch for Still {
    fn micros(&self) -> u64 {
        0
    }

    fn wall_micros(&self) -> i64 {
        0
    }
}

impl MemoryMeter for Still {
    fn used_bytes(&self) -> u64 {
        0
    }
}

pub struct Bench {
    pub server: Server,
    pub now: Millis,
    /// What a client has sent and the server has not run yet.
    sent: BTreeMap<ClientId, VecDeque<String>>,
    effects: Vec<Effect>,
}

impl Bench {
    pub fn start() -> Bench {
        Bench::start_with(Config::default())
    }

    pub fn start_with(config: Config) -> Bench {
        Bench::start_by(config, Box::new(Still))
    }

    /// With a clock of the test's own for what is done in slices.
    pub fn start_by(config: Config, stopwatch: Box<dyn Stopwatch>) -> Bench {
        let now = Millis(1_000_000);
        let server = Server::new(Setup {
            config,
            commands: CommandTable::new(&super::all()),
            stopwatch,
            memory: Box::new(Still),
            seed: 1,
            now,
            facts: Facts::default(),
        });
        Bench { server, now, sent: BTreeMap::new(), effects: Vec::new() }
    }

    pub fn client(&mut self) -> ClientId {
        self.server.connect(String::new(), String::new(), self.now).expect("there is room")
    }

    /// Sends lines, and runs as many of them as the server runs now.
    pub fn send(&mut self, id: ClientId, lines: &str) {
        self.sent.entry(id).or_default().extend(lines.split(';').map(str::to_owned));
        self.run(id);
    }

    fn run(&mut self, id: ClientId) {
        while let Some(line) = self.sent.get_mut(&id).and_then(VecDeque::pop_front) {
            let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
            let limits = RequestLimits { bulk_max_bytes: 1 << 20, ..RequestLimits::default() };
            let mut buf = format!("{line}\r\n").into_bytes();
            parser.parse(&mut buf, limits, &mut batch).expect("a well-formed line");
            if self.server.run_batch(id, &buf, &batch, 0, self.now) == 0 {
                self.sent.entry(id).or_default().push_front(line);
                break;
            }
        }
        self.perform();
    }

    /// Woken clients go on; what else the server asked for is kept.
    fn perform(&mut self) {
        let mut effects = std::mem::take(&mut self.server.outbox);
        let woken: Vec<ClientId> = effects
            .extract_if(.., |e| matches!(e, Effect::Wake(_)))
            .filter_map(|e| match e {
                Effect::Wake(id) => Some(id),
                _ => None,
            })
            .collect();
        self.effects.append(&mut effects);
        woken.into_iter().for_each(|id| self.run(id));
    }

    /// The other things that the server asked of the world since the last time.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Time passes. The server is called at the moments that it asked for, and only then.
    pub fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        let alarm = |e: &Effect| match e {
            Effect::Alarm { at } => Some(*at),
            _ => None,
        };
        while let Some(at) = self.effects.iter().filter_map(alarm).min().filter(|at| *at <= end) {
            self.effects.retain(|e| alarm(e).is_none());
            self.now = at;
            self.server.alarm(at);
            self.perform();
        }
        self.now = end;
    }

    pub fn cron(&mut self) {
        self.server.cron(self.now);
        self.perform();
    }

    /// What the client has to read, one reply a line; empty when there is nothing.
    pub fn read(&mut self, id: ClientId) -> String {
        let Some(client) = self.server.clients.get_mut(id) else { return "gone".to_owned() };
        let mut parser = ReplyParser::default();
        parser.feed(&std::mem::take(&mut client.reply.buf));
        let mut lines = Vec::new();
        while let Some(reply) = parser.next_reply().expect("well-formed replies") {
            lines.push(shown(&reply));
        }
        lines.join("\n")
    }

    /// Sends lines and reads what there is to read.
    pub fn call(&mut self, id: ClientId, lines: &str) -> String {
        self.send(id, lines);
        self.read(id)
    }

    /// What went into the log since the last time, one command a line. The first call switches the log on.
    pub fn log(&mut self) -> String {
        if !self.server.aof.is_on() {
            self.server.aof.switch(true);
        }
        let mut bytes = Vec::new();
        self.server.aof.take(&mut bytes);
        let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
        let limits = RequestLimits { bulk_max_bytes: 1 << 20, ..RequestLimits::default() };
        parser.parse(&mut bytes, limits, &mut batch).expect("well-formed commands");
        let line = |i| {
            let words: Vec<String> =
                batch.command(&bytes, i).iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
            words.join(" ")
        };
        (0..batch.len()).map(line).collect::<Vec<_>>().join("\n")
    }
}

fn shown(reply: &ReplyValue) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        ReplyValue::Status(t) | ReplyValue::Bulk(t) => text(t),
        ReplyValue::Error(t) => format!("-{}", text(t)),
        ReplyValue::Integer(n) => format!(":{n}"),
        ReplyValue::Null => "nil".to_owned(),
        ReplyValue::Array(items) | ReplyValue::Set(items) | ReplyValue::Push(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}
