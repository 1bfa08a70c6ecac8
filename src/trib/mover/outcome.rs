//! How a move ends: how far it went, what stopped it, and how to go on.

use thiserror::Error;

use super::super::addr::Addr;
use super::super::error::{Error as RunError, Failure, Kind, STOPPED, TOO_OLD, is_unread_text};
use super::super::keytext;
use super::super::plan::SlotMove;
use super::super::quarantine::NotKept;
use super::super::slots::SlotSet;
use super::super::table;
use super::room;
use crate::base::{NodeId, Slot};

/// What can stop a move.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    #[error(transparent)]
    Node(#[from] Failure),
    #[error("node {0} is not a reachable primary of the cluster")]
    NoPrimary(NodeId),
    /// Keys that exist on both sides, with different values.
    #[error("slot {slot}: {} key(s) exist with different values on {from} and on {to}: {}", keys.len(), name_keys(keys))]
    Conflict { slot: Slot, from: Addr, to: Addr, keys: Vec<Vec<u8>> },
    /// Keys that do not leave, though the server reports no error.
    #[error("slot {slot}: node {from} still holds {keys} key(s) that it does not list or that do not leave")]
    Stuck { slot: Slot, from: Addr, keys: u64 },
    /// The servers did not move the slots, and nothing has changed.
    #[error("{from} did not move the slots to {to}: {text}")]
    Refused { from: Addr, to: Addr, text: String },
    /// The target holds keys of the slots already, which the servers would drop unseen.
    #[error("{to} holds keys of slots {slots} already, which an atomic migration would drop")]
    Occupied { to: Addr, slots: SlotSet },
    /// What comes is more than the target may use.
    #[error(
        "{to} may use {} and uses {}; about {} in {} keys would come",
        table::bytes(memory.limit), table::bytes(memory.used), table::bytes(coming.bytes), coming.keys
    )]
    NoRoom { to: Addr, memory: room::Memory, coming: room::Coming },
    /// The target does not read what the source would send.
    #[error("{to} ({version}) does not read the keys of {from} ({sender})")]
    TooOld { to: Addr, version: String, from: Addr, sender: String },
    /// A value that was to be saved first; nothing was overwritten.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// The operator pressed Ctrl-C, or another transfer failed.
    #[error("stopped before everything was moved")]
    Stopped,
}

/// The first keys by name, for a message of one line.
fn name_keys(keys: &[Vec<u8>]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = keys.iter().take(SHOWN).map(|key| format!("'{}'", keytext::shown(key))).collect();
    if keys.len() > SHOWN {
        names.push("...".to_owned());
    }
    names.join(", ")
}

/// How far it went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Slots that are where they were meant to go.
    pub moved: Vec<SlotMove>,
    /// Slots that are migrating or importing still.
    pub left_open: Vec<SlotMove>,
    /// Why it stopped, if it did; the first reason.
    pub trouble: Option<Trouble>,
}

impl Outcome {
    /// The end of a run: fine, or what happened and how to go on. `seed` is what the operator typed.
    pub fn into_result(self, seed: &Addr, wanted: usize) -> Result<Self, RunError> {
        let Some(trouble) = &self.trouble else { return Ok(self) };
        let mut error = match trouble {
            Trouble::Node(failure) => RunError::from(failure.clone()),
            Trouble::Stopped => RunError { kind: Kind::Failed, ..RunError::failed(STOPPED) },
            Trouble::NoRoom { .. } => RunError::failed(format!("*** {trouble}."))
                .hint("raise its maxmemory, move fewer slots, or use --ignore-memory"),
            Trouble::Occupied { .. } => RunError::failed(format!("*** {trouble}."))
                .hint("--engine migrate compares them, 'trib check' names them"),
            Trouble::TooOld { .. } => RunError::failed(format!("*** {trouble}.")).hint(TOO_OLD),
            other => RunError::failed(format!("*** {other}")),
        };
        let mut hint = format!("{} of {wanted} slots were moved", self.moved.len());
        if self.left_open.is_empty() {
            hint.push_str(match trouble {
                Trouble::Node(failure) if failure.reply().is_some_and(is_unread_text) => {
                    ", and none is left open; the rest cannot go there"
                }
                Trouble::TooOld { .. } => ", and none was opened; they cannot go there",
                _ => ", and none is left open: run the same command again for the rest",
            });
        } else {
            let open: SlotSet = self.left_open.iter().map(|left| left.slot).collect();
            let replace = match trouble {
                Trouble::Conflict { .. } => " --replace (the source's values win)",
                _ => "",
            };
            hint.push_str(&format!(
                "; open: {open} (clients are still served). Close with: trib fix {seed}{replace}, then go on"
            ));
        }
        error.hint = Some(match error.hint.take() {
            Some(first) => format!("{hint} ({first})"),
            None => hint,
        });
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u16) -> Slot {
        Slot::new(n).unwrap()
    }

    #[test]
    fn the_end_says_how_to_go_on() {
        let seed: Addr = "127.0.0.1:7000".parse().unwrap();
        let id = |digit: u8| NodeId::parse(&[digit; 40]).unwrap();
        let moved = |n| SlotMove { slot: slot(n), from: id(b'a'), to: id(b'b') };
        let failed = Failure::Lost { node: seed.clone(), reason: "broken pipe".into() };
        let outcome =
            Outcome { moved: vec![moved(1)], left_open: vec![moved(2), moved(3)], trouble: Some(failed.into()) };
        let error = outcome.into_result(&seed, 10).unwrap_err();
        assert_eq!(
            error.hint.unwrap(),
            "1 of 10 slots were moved; open: 2-3 (clients are still served). Close with: trib fix 127.0.0.1:7000, \
             then go on (did 127.0.0.1:7000 stop, or does it expect --tls?)"
        );
        let stopped = Outcome { trouble: Some(Trouble::Stopped), ..Outcome::default() };
        let error = stopped.into_result(&seed, 10).unwrap_err();
        assert!(error.hint.unwrap().contains("none is left open"));
    }

    #[test]
    fn keys_are_named_in_one_readable_line() {
        let keys: Vec<Vec<u8>> = [&b"it's"[..], b"a\nb", b"\xff", b"4", b"5", b"6"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(name_keys(&keys), r"'it's', 'a\nb', '\xff', '4', '5', ...");
    }
}
