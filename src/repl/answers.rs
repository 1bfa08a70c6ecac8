//! The following side during the handshake: what a primary's lines mean, and what is said next. The words themselves are in
//! `handshake.rs`.

use super::event::{LogLevel, Output, SavedHistory};
use super::follower::{Follower, Phase, Turn};
use super::handshake::{self, PsyncReply, Step};
use super::history::History;
use super::primary::Cx;

impl Follower {
    /// A line of the handshake. Empty ones only keep the link alive.
    pub(super) fn answer(&mut self, cx: &mut Cx<'_>, history: &History, line: &[u8]) -> Option<Turn> {
        let Phase::Handshake { steps, .. } = &mut self.phase else { return None };
        if line.is_empty() {
            return None;
        }
        let text = || String::from_utf8_lossy(line).into_owned();
        match steps.pop_front()? {
            Step::Ping if handshake::ping_accepted(line) => {
                let (bytes, awaited) = handshake::introduction(cx.config);
                *steps = awaited;
                self.send(cx, bytes);
            }
            Step::Ping => self.fail(cx, format!("Error reply to PING from master: '{}'", text())),
            Step::Auth if line[0] == b'-' => self.fail(cx, format!("Unable to AUTH to MASTER: {}", text())),
            Step::Auth | Step::Option => {
                if line[0] == b'-' {
                    let text = format!("Master does not understand REPLCONF: {}", text());
                    cx.out.push_back(Output::Log { level: LogLevel::Debug, text });
                }
                if steps.is_empty() {
                    steps.push_back(Step::Psync);
                    let past = self.can_resume.then_some((history.id, history.offset));
                    match past {
                        Some((id, offset)) => {
                            cx.notice(format!("Trying a partial resynchronization (request {id}:{}).", offset + 1));
                        }
                        None => cx.notice("Partial resynchronization not possible (no cached master)".to_owned()),
                    }
                    self.send(cx, handshake::psync(past, self.asks_failover));
                }
            }
            Step::Psync => return self.psync_answer(cx, line),
        }
        None
    }

    fn psync_answer(&mut self, cx: &mut Cx<'_>, line: &[u8]) -> Option<Turn> {
        let text = String::from_utf8_lossy(line).into_owned();
        let reply = handshake::psync_reply(line);
        if std::mem::take(&mut self.asks_failover) {
            let taken =
                matches!(reply, PsyncReply::FullResync { .. } | PsyncReply::Continue(_) | PsyncReply::DualChannel);
            self.failover_answer = Some(taken);
            if !taken {
                self.fail(cx, format!("PSYNC with FAILOVER was answered: {text}"));
                return None;
            }
        }
        match reply {
            PsyncReply::FullResync { id, offset } => {
                cx.notice(format!("Full resync from master: {id}:{offset}"));
                self.expect_snapshot(Some(SavedHistory { id, offset }));
                None
            }
            PsyncReply::Continue(id) => {
                cx.notice("Successful partial resynchronization with master.".to_owned());
                self.phase = Phase::Connected { legacy: false };
                self.down_since = None;
                self.foreign = false;
                cx.out.push_back(Output::StreamBegins { resumed: true });
                Some(Turn::Continue(id))
            }
            PsyncReply::DualChannel => {
                self.begin_dual(cx);
                None
            }
            PsyncReply::Later => {
                self.fail(cx, format!("Master is currently unable to PSYNC but should be in the future: {text}"));
                None
            }
            PsyncReply::Malformed => {
                self.can_resume = false;
                self.fail(cx, format!("Master replied with wrong +FULLRESYNC syntax: {text}"));
                None
            }
            PsyncReply::Unsupported => {
                cx.notice(format!("Master does not support PSYNC ({text}), retrying with SYNC"));
                self.expect_snapshot(None);
                self.send(cx, &b"SYNC\r\n"[..]);
                None
            }
        }
    }
}
