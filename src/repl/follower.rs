//! The following side: reaches the primary, asks for the stream, takes the snapshot, and acknowledges what was applied.

use bytes::Bytes;

use super::config::ms;
use super::event::{Endpoint, LinkId, Output};
use super::handshake::{self, Step};
use super::history::{History, ReplId};
use super::loading::Incoming;
use super::primary::Cx;
use super::second::Dual;
use super::select::command;
use super::transfer::Transfer;
use crate::base::Millis;

use std::collections::VecDeque;

/// How long to wait before the primary is tried again.
pub(super) const RETRY_MS: i64 = 1000;
/// How often to acknowledge, and to show a sign of life while loading.
const ACK_PERIOD_MS: i64 = 1000;
/// The longest line of a handshake.
pub(super) const LINE_MAX: usize = 16 << 10;
/// How much of the stream is taken while a snapshot is loaded, before the primary has to keep the rest.
const HELD_MAX_BYTES: usize = 64 << 20;

/// What the engine has to do to its own history and replicas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The data are about to be replaced.
    Detach,
    /// The stream goes on where it stopped, perhaps under a new id.
    Continue(Option<ReplId>),
}

pub(super) enum Phase {
    /// No link. `None`: not before the node has started up.
    Idle {
        retry_at: Option<Millis>,
    },
    Connecting,
    Handshake {
        line: Vec<u8>,
        steps: VecDeque<Step>,
    },
    Transfer {
        transfer: Box<Transfer>,
        incoming: Incoming,
    },
    /// The snapshot comes over a second link.
    Dual(Box<Dual>),
    /// The snapshot is here and is being loaded. What follows it on the link is held.
    Loading {
        incoming: Incoming,
        held: Vec<Bytes>,
        link_gone: bool,
    },
    Connected {
        legacy: bool,
    },
}

/// The state of following one primary.
pub(super) struct Follower {
    pub endpoint: Endpoint,
    pub phase: Phase,
    pub link: LinkId,
    /// Whether our history is one that a primary may know: then it is offered with PSYNC.
    pub can_resume: bool,
    pub last_io: Millis,
    /// Since when the stream is broken; `None` while it never was up.
    pub down_since: Option<Millis>,
    /// What is here are not data of this primary: those of another, or what a load has left.
    pub foreign: bool,
    /// Bytes given out for execution and not reported back yet.
    pub unapplied: u64,
    pub held_bytes: usize,
    pub held_peak: usize,
    /// The AOF's offset, for acknowledgements.
    pub fsynced: Option<u64>,
    /// The primary has asked for this offset, and the AOF was not there yet: it is told when it is.
    pub owed: Option<u64>,
    /// Whether PSYNC asks the other side to take the role of the primary.
    pub asks_failover: bool,
    /// Whether it did; `None` until it answered.
    pub failover_answer: Option<bool>,
    last_said: Millis,
}

impl Follower {
    pub fn new(endpoint: Endpoint, last_link: LinkId, can_resume: bool) -> Follower {
        Follower {
            endpoint,
            phase: Phase::Idle { retry_at: None },
            link: last_link,
            can_resume,
            last_io: Millis::ZERO,
            down_since: None,
            foreign: false,
            unapplied: 0,
            held_bytes: 0,
            held_peak: 0,
            fsynced: None,
            owed: None,
            asks_failover: false,
            failover_answer: None,
            last_said: Millis::ZERO,
        }
    }

    /// The word in ROLE.
    pub fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Idle { .. } => "connect",
            Phase::Connecting => "connecting",
            Phase::Handshake { .. } => "handshake",
            Phase::Transfer { .. } | Phase::Dual(_) | Phase::Loading { .. } => "sync",
            Phase::Connected { .. } => "connected",
        }
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected { .. })
    }

    /// The snapshot that is arriving or being loaded.
    pub fn incoming(&self) -> Option<&Incoming> {
        match &self.phase {
            Phase::Transfer { incoming, .. } | Phase::Loading { incoming, .. } => Some(incoming),
            Phase::Dual(dual) => Some(&dual.incoming),
            _ => None,
        }
    }

    /// Whether more bytes of a link may be read now. Otherwise the primary shall keep them.
    pub fn accepts_bytes(&self, link: LinkId) -> bool {
        link.is_second() || self.held_bytes < HELD_MAX_BYTES
    }

    /// Opens a new link.
    pub fn connect(&mut self, cx: &mut Cx<'_>) {
        self.link = LinkId(self.link.0 + 1);
        self.phase = Phase::Connecting;
        self.last_io = cx.now;
        cx.notice(format!("Connecting to MASTER {}", self.endpoint));
        cx.out.push_back(Output::Connect { link: self.link, to: self.endpoint.clone() });
    }

    /// The link stands.
    pub fn link_up(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.phase, Phase::Connecting) {
            self.last_io = cx.now;
            self.phase = Phase::Handshake { line: Vec::new(), steps: VecDeque::from([Step::Ping]) };
            self.send(cx, handshake::ping());
        }
    }

    /// The link is gone. A snapshot that is here completely is loaded all the same.
    pub fn link_down(&mut self, cx: &mut Cx<'_>) {
        match &mut self.phase {
            Phase::Idle { .. } => {}
            Phase::Loading { link_gone, .. } => *link_gone = true,
            Phase::Connected { .. } => {
                self.abandon(cx);
                cx.notice("Connection with master lost.".to_owned());
                self.connect(cx);
            }
            Phase::Connecting | Phase::Handshake { .. } | Phase::Transfer { .. } | Phase::Dual(_) => {
                cx.warn(format!(
                    "Connection with MASTER {} failed or broke while {}",
                    self.endpoint,
                    self.state_name()
                ));
                self.abandon(cx);
            }
        }
    }

    /// The stream cannot be understood. Whoever went on from the same place would meet the same bytes again: all data are asked
    /// for anew.
    pub fn stream_broken(&mut self, cx: &mut Cx<'_>) {
        if self.is_connected() {
            self.can_resume = false;
            self.leave(cx);
        }
    }

    /// Takes back what the current phase began outside, except for the link itself, and plans the next try.
    fn abandon(&mut self, cx: &mut Cx<'_>) {
        match &self.phase {
            Phase::Transfer { incoming, .. } if incoming.framing.is_some() => cx.out.push_back(Output::AbortLoad),
            Phase::Loading { .. } => cx.out.push_back(Output::AbortLoad),
            Phase::Dual(dual) => {
                if dual.incoming.framing.is_some() {
                    cx.out.push_back(Output::AbortLoad);
                }
                if dual.has_link() {
                    cx.out.push_back(Output::CloseLink(self.second_link()));
                }
            }
            Phase::Connected { .. } => {
                cx.out.push_back(Output::StreamEnds);
                self.down_since = Some(cx.now);
            }
            Phase::Handshake { steps, .. } if self.asks_failover && steps.front() == Some(&Step::Psync) => {
                self.failover_answer = Some(false);
            }
            _ => {}
        }
        self.unapplied = 0;
        self.held_bytes = 0;
        self.phase = Phase::Idle { retry_at: Some(cx.now + RETRY_MS) };
    }

    /// Ends whatever is going on with the link, and the link.
    pub fn leave(&mut self, cx: &mut Cx<'_>) {
        let open = match self.phase {
            Phase::Idle { .. } => false,
            Phase::Loading { link_gone, .. } => !link_gone,
            _ => true,
        };
        self.abandon(cx);
        if open {
            cx.out.push_back(Output::CloseLink(self.link));
        }
    }

    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, why: String) {
        cx.warn(why);
        self.leave(cx);
    }

    pub(super) fn send(&mut self, cx: &mut Cx<'_>, bytes: impl Into<Bytes>) {
        self.last_said = cx.now;
        cx.out.push_back(Output::SendToPrimary { link: self.link, bytes: bytes.into() });
    }

    /// Understands some of `data`, from its front. At least one byte is taken, unless there is none.
    pub fn step(&mut self, cx: &mut Cx<'_>, history: &History, data: &mut Bytes) -> Option<Turn> {
        self.last_io = cx.now;
        match &mut self.phase {
            Phase::Idle { .. } | Phase::Connecting => {
                data.clear();
                None
            }
            Phase::Handshake { line, .. } => {
                let end = data.iter().position(|&b| b == b'\n');
                line.extend_from_slice(&data.split_to(end.map_or(data.len(), |at| at + 1)));
                if line.len() > LINE_MAX {
                    self.fail(cx, "The master's answer in the handshake is too long".to_owned());
                    data.clear();
                    return None;
                }
                end?;
                let line = std::mem::take(line);
                let turn = self.answer(cx, history, line.trim_ascii_end());
                if matches!(self.phase, Phase::Idle { .. }) {
                    data.clear();
                }
                turn
            }
            Phase::Transfer { .. } => self.transfer(cx, data),
            Phase::Dual(_) => self.dual_first(cx, data),
            Phase::Loading { held, .. } => {
                let data = std::mem::take(data);
                self.held_bytes += data.len();
                self.held_peak = self.held_peak.max(self.held_bytes);
                held.push(data);
                None
            }
            Phase::Connected { .. } => {
                self.apply(cx, std::mem::take(data));
                None
            }
        }
    }

    pub(super) fn apply(&mut self, cx: &mut Cx<'_>, data: Bytes) {
        self.unapplied += data.len() as u64;
        cx.out.push_back(Output::Apply(data));
    }

    /// Tells the primary how far we are.
    pub fn acknowledge(&mut self, cx: &mut Cx<'_>, offset: u64) {
        if !matches!(self.phase, Phase::Connected { legacy: false }) {
            return;
        }
        let offset = offset.to_string();
        let bytes = match self.fsynced {
            Some(fsynced) => {
                command(&[b"REPLCONF", b"ACK", offset.as_bytes(), b"FACK", fsynced.to_string().as_bytes()])
            }
            None => command(&[b"REPLCONF", b"ACK", offset.as_bytes()]),
        };
        self.send(cx, bytes);
    }

    /// The periodic work.
    pub fn tick(&mut self, cx: &mut Cx<'_>, history: &History) {
        let silent = cx.now.since(self.last_io) > ms(cx.config.timeout_secs);
        let quiet = cx.now.since(self.last_said) >= ACK_PERIOD_MS;
        match self.phase {
            Phase::Idle { retry_at } => {
                if retry_at.is_some_and(|at| cx.now >= at) {
                    self.connect(cx);
                }
            }
            Phase::Loading { link_gone, .. } => {
                // A primary must not take a long load for a dead replica.
                if quiet && !link_gone {
                    self.send(cx, &b"\n"[..]);
                }
            }
            Phase::Connected { .. } if silent => {
                self.fail(cx, "MASTER timeout: no data nor PING received...".to_owned());
                self.connect(cx);
            }
            Phase::Connected { .. } => {
                if quiet {
                    self.acknowledge(cx, history.offset);
                }
            }
            Phase::Connecting | Phase::Handshake { .. } | Phase::Transfer { .. } | Phase::Dual(_) => {
                if silent {
                    self.fail(cx, format!("Timeout with MASTER {} while {}", self.endpoint, self.state_name()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Rng;
    use crate::repl::bench::{Bench, upstream};
    use crate::repl::*;

    const NONE: [String; 0] = [];

    fn id(seed: u64) -> ReplId {
        ReplId::random(&mut Rng::seeded(seed))
    }

    fn ack(offset: u64) -> String {
        format!("up 1: *3|$8|REPLCONF|$3|ACK|${}|{offset}|", offset.to_string().len())
    }

    /// A replica that sent its PSYNC over link 1.
    fn asking() -> Bench {
        let mut bench = Bench::boot(Config::default(), Some(upstream()), None);
        bench.handshake(1);
        let said = bench.said();
        assert_eq!(said[0], "connect 1 primary:6000");
        assert_eq!(said[1], "up 1: *1|$4|PING|");
        assert_eq!(said[3..], ["up 1: *3|$5|PSYNC|$1|?|$2|-1|"]);
        bench
    }

    #[test]
    fn a_full_synchronisation() {
        let mut bench = asking();
        assert!(bench.info().contains("slave_repl_offset:1\r\n"));
        bench.receive(1, "\n\n+FULLRES");
        bench.receive(1, &format!("YNC {} 100\r\n\n", id(1)));
        assert_eq!(bench.said(), NONE);
        assert_eq!(bench.engine.role_view(), role("sync", -1));
        bench.receive(1, "$3\r\nRDBSET");
        assert_eq!(bench.said(), ["begin load offset=Some(100) len=Some(3)", "load RDB", "EndLoad"]);
        // A long load is not silence: neither side gives up.
        bench.wait(100_000);
        let said = bench.said();
        assert!(said.len() >= 99 && said.iter().all(|line| line == "up 1: ~"));
        bench.receive(1, "GET");
        bench.input(Input::LoadDone { ok: true });
        assert_eq!(bench.said(), ["StreamBegins { resumed: false }", &ack(100), "apply SET", "apply GET"]);
        assert_eq!(bench.engine.role_view(), role("connected", 100));
        assert_eq!(bench.engine.history().id, id(1));
    }

    fn role(state: &'static str, offset: i64) -> RoleView {
        RoleView::Replica { host: "primary".into(), port: 6000, state, offset }
    }

    #[test]
    fn only_what_was_applied_counts() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.receive(1, "0123456789");
        assert_eq!(bench.said(), ["apply 0123456789"]);
        let now = bench.now;
        bench.engine.applied(now, b"0123");
        assert!(bench.info().contains("slave_read_repl_offset:110\r\nslave_repl_offset:104\r\n"));
        bench.engine.on_getack(now);
        assert_eq!(bench.said(), [ack(104)]);
        bench.input(Input::Fsynced(Some(102)));
        bench.wait(1000);
        assert_eq!(bench.said(), ["up 1: *5|$8|REPLCONF|$3|ACK|$3|104|$4|FACK|$3|102|"]);

        // What it asks for is told at once, and again when it is on disk.
        let now = bench.now;
        bench.engine.on_getack(now);
        assert_eq!(bench.said(), ["up 1: *5|$8|REPLCONF|$3|ACK|$3|104|$4|FACK|$3|102|"]);
        bench.input(Input::Fsynced(Some(103)));
        assert!(bench.said().is_empty());
        bench.input(Input::Fsynced(Some(104)));
        assert_eq!(bench.said(), ["up 1: *5|$8|REPLCONF|$3|ACK|$3|104|$4|FACK|$3|104|"]);
        bench.input(Input::Fsynced(Some(104)));
        assert!(bench.said().is_empty());

        bench.input(Input::LinkDown(LinkId(1)));
        assert_eq!(bench.said(), ["StreamEnds", "connect 2 primary:6000"]);
        assert!(bench.info().contains("slave_read_repl_offset:104\r\nslave_repl_offset:104\r\n"));
        bench.handshake(2);
        assert_eq!(bench.said().last().unwrap(), "up 2: *3|$5|PSYNC|$40|ID|$3|105|");
        bench.receive(2, "+CONTINUE\r\n4567");
        assert_eq!(bench.said(), ["StreamBegins { resumed: true }", "apply 4567"]);
        // What is left of the old link is of no interest.
        bench.receive(1, "garbage");
        bench.input(Input::LinkDown(LinkId(1)));
        assert_eq!(bench.said(), NONE);
    }

    #[test]
    fn a_new_id_is_taken_over_and_passed_on() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.attach_online_below(7);
        bench.input(Input::LinkDown(LinkId(1)));
        bench.handshake(2);
        bench.said();
        bench.receive(2, &format!("+CONTINUE {}\r\n", id(1)));
        assert_eq!(bench.said(), ["StreamBegins { resumed: true }"]);
        bench.input(Input::LinkDown(LinkId(2)));
        bench.handshake(3);
        bench.said();
        bench.receive(3, &format!("+CONTINUE {}\r\n", id(2)));
        assert_eq!(bench.said(), ["StreamBegins { resumed: true }", "close 7 HistoryChanged"]);
        assert_eq!(bench.engine.history().previous, Some(Previous { id: id(1), until: 101 }));
    }

    #[test]
    fn errors_are_tried_again_later() {
        for answer in ["-LOADING x\r\n", "-NOMASTERLINK x\r\n", "+FULLRESYNC what\r\n"] {
            let mut bench = asking();
            bench.receive(1, answer);
            assert_eq!(bench.said(), ["close link 1"], "{answer}");
            bench.wait(900);
            assert_eq!(bench.said(), NONE);
            bench.wait(100);
            assert_eq!(bench.said(), ["connect 2 primary:6000"]);
        }
        let mut bench = Bench::boot(Config::default(), Some(upstream()), None);
        bench.input(Input::LinkUp(LinkId(1)));
        bench.said();
        bench.receive(1, "-ERR who are you\r\n");
        assert_eq!(bench.said(), ["close link 1"]);

        let config = Config { primary_auth: Some(b"no".to_vec()), ..Config::default() };
        let mut bench = Bench::boot(config, Some(upstream()), None);
        bench.input(Input::LinkUp(LinkId(1)));
        bench.receive(1, "-NOAUTH Authentication required.\r\n");
        bench.said();
        bench.receive(1, "-WRONGPASS invalid\r\n+OK\r\n");
        assert_eq!(bench.said(), ["close link 1"]);
    }

    #[test]
    fn a_primary_without_psync_is_asked_in_the_old_way() {
        let mut bench = asking();
        bench.receive(1, "-ERR unknown command 'PSYNC'\r\n");
        assert_eq!(bench.said(), ["up 1: SYNC|"]);
        bench.receive(1, "\n$3\r\nRDB");
        assert_eq!(bench.said(), ["begin load offset=None len=Some(3)", "load RDB", "EndLoad"]);
        bench.input(Input::LoadDone { ok: true });
        // It would not understand an acknowledgement.
        bench.wait(3000);
        assert_eq!(bench.said(), ["StreamBegins { resumed: false }"]);
        bench.input(Input::LinkDown(LinkId(1)));
        bench.handshake(2);
        assert_eq!(bench.said().last().unwrap(), "up 2: *3|$5|PSYNC|$1|?|$2|-1|");
    }

    #[test]
    fn a_broken_transfer_leaves_nothing_to_go_on_from() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.input(Input::LinkDown(LinkId(1)));
        bench.handshake(2);
        bench.receive(2, &format!("+FULLRESYNC {} 500\r\n$10\r\nRD", id(2)));
        bench.said();
        bench.input(Input::LinkDown(LinkId(2)));
        assert_eq!(bench.said(), ["AbortLoad"]);
        bench.wait(1000);
        bench.handshake(3);
        assert_eq!(bench.said().last().unwrap(), "up 3: *3|$5|PSYNC|$1|?|$2|-1|");
        // Nor does a load that failed.
        bench.receive(3, &format!("+FULLRESYNC {} 500\r\n$1\r\nX", id(2)));
        bench.said();
        bench.input(Input::LoadDone { ok: false });
        assert_eq!(bench.said(), ["close link 3"]);
        bench.wait(1000);
        bench.handshake(4);
        assert_eq!(bench.said().last().unwrap(), "up 4: *3|$5|PSYNC|$1|?|$2|-1|");
    }

    #[test]
    fn a_link_lost_while_loading_is_made_good_afterwards() {
        let mut bench = asking();
        bench.receive(1, &format!("+FULLRESYNC {} 500\r\n$1\r\nXlost", id(2)));
        bench.input(Input::LinkDown(LinkId(1)));
        bench.said();
        bench.wait(2000);
        assert_eq!(bench.said(), NONE);
        bench.input(Input::LoadDone { ok: true });
        assert_eq!(bench.said(), ["StreamBegins { resumed: false }", "StreamEnds", "connect 2 primary:6000"]);
        bench.handshake(2);
        assert_eq!(bench.said().last().unwrap(), "up 2: *3|$5|PSYNC|$40|ID|$3|501|");
    }

    #[test]
    fn a_stream_that_is_none_is_not_gone_on_with() {
        let mut bench = Bench::replica(Config::default(), id(1));
        bench.receive(1, "garbage");
        bench.said();
        bench.input(Input::StreamBroken);
        assert_eq!(bench.said(), ["StreamEnds", "close link 1"]);
        bench.wait(1000);
        bench.handshake(2);
        assert_eq!(bench.said().last().unwrap(), "up 2: *3|$5|PSYNC|$1|?|$2|-1|");
        // Nothing but the stream can be broken.
        bench.input(Input::StreamBroken);
        assert_eq!(bench.said(), NONE);
    }

    #[test]
    fn every_phase_has_a_timeout() {
        let config = Config { timeout_secs: 5, ..Config::default() };
        let mut bench = Bench::boot(config.clone(), Some(upstream()), None);
        bench.said();
        bench.wait(5100);
        assert_eq!(bench.said(), ["close link 1"]);
        bench.wait(1000);
        bench.input(Input::LinkUp(LinkId(2)));
        bench.said();
        bench.wait(5100);
        assert_eq!(bench.said(), ["close link 2"]);
        bench.wait(1000);
        bench.handshake(3);
        bench.receive(3, &format!("+FULLRESYNC {} 500\r\n$10\r\nX", id(2)));
        bench.said();
        bench.wait(5100);
        assert_eq!(bench.said(), ["AbortLoad", "close link 3"]);

        let mut bench = Bench::replica(config, id(1));
        bench.wait(5000);
        bench.said();
        bench.wait(100);
        assert_eq!(bench.said(), ["StreamEnds", "close link 1", "connect 2 primary:6000"]);
    }

    #[test]
    fn endless_lines_and_floods_while_loading_are_bounded() {
        let mut bench = asking();
        for _ in 0..20 {
            bench.receive(1, &"x".repeat(1000));
        }
        assert_eq!(bench.said(), ["close link 1"]);

        let mut bench = asking();
        bench.receive(1, &format!("+FULLRESYNC {} 500\r\n$1\r\nX", id(2)));
        let flood = "x".repeat(1 << 20);
        let taken = (0..100)
            .take_while(|_| bench.engine.accepts_bytes(LinkId(1)).then(|| bench.receive(1, &flood)).is_some())
            .count();
        assert_eq!(taken, 64);
        bench.input(Input::LoadDone { ok: true });
        assert!(bench.engine.accepts_bytes(LinkId(1)));
    }
}
