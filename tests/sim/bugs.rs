//! Mistakes made on purpose, in the engine or around it: each must be seen.

use bytes::Bytes;
use trib::cluster::Breakage;

/// One mistake, made by every machine of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    Engine(Breakage),
    /// nodes.conf is never written again.
    SavesForgotten,
    /// Replicas acknowledge more than they have.
    LyingAcks,
    /// Some bytes of the primary's stream are lost.
    StreamSkips,
    /// Some bytes of the primary's stream come twice.
    StreamRepeats,
    /// MIGRATE reports keys as moved that were never sent.
    MigrateForgets,
}

pub const ALL: [(&str, Bug); 12] = [
    ("votes-twice", Bug::Engine(Breakage::VotesTwice)),
    ("vote-not-durable", Bug::Engine(Breakage::VoteNotDurable)),
    ("minority-wins", Bug::Engine(Breakage::MinorityWins)),
    ("epoch-not-raised", Bug::Engine(Breakage::EpochNotRaised)),
    ("stale-claim-wins", Bug::Engine(Breakage::StaleClaimWins)),
    ("collision-stays", Bug::Engine(Breakage::CollisionStays)),
    ("foreign-data-wins", Bug::Engine(Breakage::ForeignDataWins)),
    ("saves-forgotten", Bug::SavesForgotten),
    ("lying-acks", Bug::LyingAcks),
    ("stream-skips", Bug::StreamSkips),
    ("stream-repeats", Bug::StreamRepeats),
    ("migrate-forgets", Bug::MigrateForgets),
];

pub fn find(name: &str) -> Option<Bug> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, bug)| *bug)
}

/// An acknowledgement that promises more than is there; other bytes as they are.
pub fn exaggerate(bytes: Bytes) -> Bytes {
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    let Some(at) = lines.iter().position(|line| line == "ACK") else { return bytes };
    let Some(offset) = lines.get(at + 2).and_then(|line| line.parse::<u64>().ok()) else { return bytes };
    let offset = (offset + 300).to_string();
    lines[at + 1] = format!("${}", offset.len());
    lines[at + 2] = offset;
    Bytes::from(lines.join("\r\n"))
}
