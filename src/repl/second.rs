//! Dual-channel full synchronisation, following side: the snapshot comes over a second link while the stream already comes
//! over the first and is kept until the snapshot is loaded.
//!
//! ```text
//!  first link                             second link
//!  PSYNC ? -1  → +DUALCHANNELSYNC
//!                                         REPLCONF … rdb-channel 1, SYNC → $ENDOFF:<offset> <id> <db> <client>
//!  REPLCONF set-rdb-client-id, PSYNC      $EOF:<mark> snapshot <mark>
//!  → +CONTINUE, the stream
//! ```
//!
//! When either link fails, both are given up and everything begins anew.

use std::collections::VecDeque;

use bytes::Bytes;

use super::event::{LinkId, Output, SavedHistory};
use super::follower::{Follower, LINE_MAX, Phase, Turn};
use super::handshake::{self, PsyncReply, Step};
use super::history::ReplId;
use super::loading::{self, Incoming};
use super::primary::Cx;
use super::select::command;
use super::transfer::Transfer;
use crate::base::num::parse_i64;

/// How far the first link is.
enum First {
    /// The second one has not told where the stream begins.
    Idle,
    /// What is awaited: the answer to REPLCONF, then that to PSYNC.
    Asking {
        line: Vec<u8>,
        identified: bool,
    },
    Streaming,
}

/// How far the second link is.
enum Second {
    Connecting,
    Greeting {
        line: Vec<u8>,
        steps: VecDeque<Step>,
    },
    /// SYNC was sent.
    Offset {
        line: Vec<u8>,
    },
    Snapshot(Box<Transfer>),
    /// All of it is here, and the link is closed.
    Complete,
}

/// The two links of one synchronisation.
pub(super) struct Dual {
    first: First,
    second: Second,
    pub incoming: Incoming,
    /// The stream behind the snapshot, as far as it has come.
    pub held: Vec<Bytes>,
}

impl Dual {
    /// Whether the second link is, or is about to be, open.
    pub fn has_link(&self) -> bool {
        !matches!(self.second, Second::Complete)
    }
}

/// `$ENDOFF:<offset> <id> <db> <client>`: what the snapshot will be, and the primary's name for the second link.
fn end_offset(line: &[u8]) -> Option<(SavedHistory, u64)> {
    let text = std::str::from_utf8(line.strip_prefix(b"$ENDOFF:")?).ok()?;
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let number = |word: Option<&str>| parse_i64(word?.as_bytes()).and_then(|n| u64::try_from(n).ok());
    let offset = number(words.next())?;
    let id = ReplId::parse(words.next()?.as_bytes())?;
    // The database that the stream has selected is told by the snapshot, too.
    words.next()?;
    Some((SavedHistory { id, offset }, number(words.next())?))
}

impl Follower {
    /// The link that the snapshot of a dual-channel synchronisation comes over.
    pub(super) fn second_link(&self) -> LinkId {
        self.link.second()
    }

    /// The primary wants to send the snapshot over a second link.
    pub(super) fn begin_dual(&mut self, cx: &mut Cx<'_>) {
        cx.notice("PSYNC is not possible, initialize RDB channel.".to_owned());
        self.can_resume = false;
        let incoming = Incoming { history: None, framing: None, read: 0 };
        self.phase =
            Phase::Dual(Box::new(Dual { first: First::Idle, second: Second::Connecting, incoming, held: Vec::new() }));
        cx.out.push_back(Output::Connect { link: self.second_link(), to: self.endpoint.clone() });
    }

    /// The second link stands.
    pub(super) fn second_up(&mut self, cx: &mut Cx<'_>) {
        let link = self.second_link();
        let Phase::Dual(dual) = &mut self.phase else { return };
        if matches!(dual.second, Second::Connecting) {
            self.last_io = cx.now;
            let (bytes, steps) = handshake::second_introduction(cx.config);
            dual.second = Second::Greeting { line: Vec::new(), steps };
            cx.out.push_back(Output::SendToPrimary { link, bytes: bytes.into() });
        }
    }

    /// The second link is gone.
    pub(super) fn second_down(&mut self, cx: &mut Cx<'_>) {
        if let Phase::Dual(dual) = &self.phase
            && dual.has_link()
        {
            self.fail(cx, "The link for the snapshot failed or broke".to_owned());
        }
    }

    /// Bytes of the first link.
    pub(super) fn dual_first(&mut self, cx: &mut Cx<'_>, data: &mut Bytes) -> Option<Turn> {
        let Phase::Dual(dual) = &mut self.phase else { return None };
        match &mut dual.first {
            First::Streaming => {
                self.held_bytes += data.len();
                self.held_peak = self.held_peak.max(self.held_bytes);
                dual.held.push(std::mem::take(data));
                None
            }
            // Signs of life.
            First::Idle => {
                data.clear();
                None
            }
            First::Asking { line, identified } => {
                let line = next_line(line, data)?;
                if line.is_empty() {
                    return None;
                }
                let text = String::from_utf8_lossy(&line).into_owned();
                if !*identified {
                    if line[0] == b'-' {
                        self.fail(cx, format!("The primary does not know the second link: {text}"));
                        data.clear();
                    } else if let Some(history) = dual.incoming.history {
                        *identified = true;
                        let psync = handshake::psync(Some((history.id, history.offset)), false);
                        cx.out.push_back(Output::SendToPrimary { link: self.link, bytes: psync.into() });
                    }
                    return None;
                }
                if let PsyncReply::Continue(_) = handshake::psync_reply(&line) {
                    dual.first = First::Streaming;
                    return self.dual_complete(cx);
                }
                self.fail(cx, format!("PSYNC behind the snapshot was answered: {text}"));
                data.clear();
                None
            }
        }
    }

    /// Bytes of the second link.
    pub(super) fn dual_second(&mut self, cx: &mut Cx<'_>, data: &mut Bytes) -> Option<Turn> {
        self.last_io = cx.now;
        let (first_link, link) = (self.link, self.second_link());
        let Phase::Dual(dual) = &mut self.phase else {
            data.clear();
            return None;
        };
        match &mut dual.second {
            Second::Connecting | Second::Complete => data.clear(),
            Second::Greeting { line, steps } => {
                let line = next_line(line, data)?;
                let step = steps.pop_front();
                if step == Some(Step::Auth) && line.first() == Some(&b'-') {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    self.fail(cx, format!("Unable to AUTH to MASTER: {text}"));
                    data.clear();
                } else if steps.is_empty() {
                    dual.second = Second::Offset { line: Vec::new() };
                    cx.out.push_back(Output::SendToPrimary { link, bytes: Bytes::from_static(b"SYNC\r\n") });
                }
            }
            Second::Offset { line } => {
                let line = next_line(line, data)?;
                if line.is_empty() {
                    return None;
                }
                let Some((history, client)) = end_offset(&line) else {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    self.fail(cx, format!("The primary did not tell where its snapshot ends: {text}"));
                    data.clear();
                    return None;
                };
                dual.incoming.history = Some(history);
                dual.second = Second::Snapshot(Box::default());
                dual.first = First::Asking { line: Vec::new(), identified: false };
                let words = command(&[b"REPLCONF", b"set-rdb-client-id", client.to_string().as_bytes()]);
                cx.out.push_back(Output::SendToPrimary { link: first_link, bytes: words.into() });
            }
            Second::Snapshot(transfer) => match loading::take(cx, transfer, &mut dual.incoming, data) {
                Err(error) => {
                    self.fail(cx, format!("MASTER <-> REPLICA sync: {error}"));
                    data.clear();
                }
                Ok(taken) if taken.ended => {
                    dual.second = Second::Complete;
                    data.clear();
                    cx.out.push_back(Output::CloseLink(link));
                    return self.dual_complete(cx);
                }
                Ok(taken) => return (taken.begun && loading::old_data_goes_first(cx)).then(|| self.give_data_up()),
            },
        }
        None
    }

    /// When the snapshot is here and the stream behind it flows, it is loaded like any other.
    fn dual_complete(&mut self, cx: &mut Cx<'_>) -> Option<Turn> {
        let Phase::Dual(dual) = &mut self.phase else { return None };
        if !matches!((&dual.first, &dual.second), (First::Streaming, Second::Complete)) {
            return None;
        }
        let (incoming, held) = (dual.incoming, std::mem::take(&mut dual.held));
        self.phase = Phase::Loading { incoming, held, link_gone: false };
        cx.out.push_back(Output::EndLoad);
        Some(self.give_data_up())
    }
}

/// Takes bytes up to the end of a line; the line without its end, when that is there. One that is too long counts as one that
/// says nothing sensible.
fn next_line(line: &mut Vec<u8>, data: &mut Bytes) -> Option<Vec<u8>> {
    let end = data.iter().position(|&byte| byte == b'\n');
    line.extend_from_slice(&data.split_to(end.map_or(data.len(), |at| at + 1)));
    (end.is_some() || line.len() > LINE_MAX).then(|| std::mem::take(line).trim_ascii_end().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::repl::Config;
    use crate::repl::Input;
    use crate::repl::bench::{Bench, upstream};

    fn id() -> ReplId {
        ReplId::random(&mut Rng::seeded(1))
    }

    fn config() -> Config {
        Config { dual_channel: true, ..Config::default() }
    }

    /// A replica that was told to open a second link, which stands.
    fn asked() -> Bench {
        let mut bench = Bench::boot(config(), Some(upstream()), None);
        bench.handshake(1);
        bench.said();
        bench.receive(1, "+DUALCHANNELSYNC\r\n");
        assert_eq!(bench.said(), ["connect 1b primary:6000"]);
        bench.input(Input::LinkUp(LinkId(1).second()));
        assert!(bench.said()[0].contains("|rdb-channel|$1|1|"));
        bench
    }

    fn receive_second(bench: &mut Bench, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        bench.input(Input::FromPrimary { link: LinkId(1).second(), bytes });
    }

    #[test]
    fn the_snapshot_comes_over_one_link_and_the_stream_over_the_other() {
        let mut bench = asked();
        receive_second(&mut bench, "+OK\r\n");
        assert_eq!(bench.said(), ["up 1b: SYNC|"]);
        receive_second(&mut bench, &format!("\n$ENDOFF:100 {} -1 77\r\n", id()));
        assert_eq!(bench.said(), ["up 1: *3|$8|REPLCONF|$17|set-rdb-client-id|$2|77|"]);
        let mark = "m".repeat(40);
        receive_second(&mut bench, &format!("$EOF:{mark}\r\nR"));
        bench.said();
        bench.receive(1, "+OK\r\n");
        assert_eq!(bench.said(), ["up 1: *3|$5|PSYNC|$40|ID|$3|101|"]);
        bench.receive(1, "+CONT");
        bench.receive(1, "INUE\r\nSET");
        receive_second(&mut bench, "DB");
        bench.said();
        receive_second(&mut bench, &mark);
        let said: Vec<String> = bench.said().into_iter().filter(|line| !line.starts_with("load ")).collect();
        assert_eq!(said, ["close link 1b", "EndLoad"]);
        bench.receive(1, "GET");
        bench.input(Input::LoadDone { ok: true });
        assert_eq!(
            bench.said(),
            ["StreamBegins { resumed: false }", "up 1: *3|$8|REPLCONF|$3|ACK|$3|100|", "apply SET", "apply GET"]
        );
        assert_eq!(bench.engine.history().id, id());
    }

    #[test]
    fn a_snapshot_that_is_faster_than_the_answer_waits_for_it() {
        let mut bench = asked();
        let mark = "m".repeat(40);
        receive_second(&mut bench, &format!("+OK\r\n$ENDOFF:100 {} 0 77\r\n$EOF:{mark}\r\nRDB{mark}", id()));
        assert!(bench.said().ends_with(&["load RDB".into(), "close link 1b".into()]));
        bench.receive(1, "+OK\r\n");
        bench.said();
        bench.receive(1, "+CONTINUE\r\n");
        assert_eq!(bench.said(), ["EndLoad"]);
    }

    #[test]
    fn either_link_takes_the_other_along() {
        for first in [true, false] {
            let mut bench = asked();
            receive_second(&mut bench, &format!("+OK\r\n$ENDOFF:100 {} 0 77\r\n$EOF:{}\r\nRDB", id(), "m".repeat(40)));
            bench.said();
            bench.input(Input::LinkDown(if first { LinkId(1) } else { LinkId(1).second() }));
            let said = bench.said();
            assert!(said.contains(&"AbortLoad".into()), "{said:?}");
            assert!(said.contains(&if first { "close link 1b".into() } else { "close link 1".to_owned() }), "{said:?}");
            bench.wait(2000);
            assert_eq!(bench.said(), ["connect 2 primary:6000"]);
        }
    }

    #[test]
    fn refusals() {
        for (second, first) in [("+OK\r\n-ERR no\r\n", ""), ("+OK\r\n$ENDOFF:x\r\n", "")] {
            let mut bench = asked();
            receive_second(&mut bench, second);
            bench.receive(1, first);
            assert!(bench.said().contains(&"close link 1b".into()), "{second}");
        }
        for answer in ["-ERR Unrecognized RDB client id 77\r\n", "+OK\r\n+FULLRESYNC x\r\n", "+OK\r\n-ERR no\r\n"] {
            let mut bench = asked();
            receive_second(&mut bench, &format!("+OK\r\n$ENDOFF:100 {} 0 77\r\n", id()));
            bench.said();
            bench.receive(1, answer);
            let said = bench.said();
            assert!(
                said.contains(&"close link 1".into()) && said.contains(&"close link 1b".into()),
                "{answer} {said:?}"
            );
        }
    }
}
