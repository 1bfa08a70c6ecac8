//! Which nodes that others hold to have failed may be forgotten.
//!
//! Only what cannot be missed goes: a node that most of the primaries call failed, that does not answer here either,
//! and that owns no slot by anybody's account. A failed owner of slots is named instead, with what to do about it. And
//! nothing is decided from the smaller side of a partition, where the others look just as dead.

use thiserror::Error;

use crate::base::NodeId;
use crate::trib::nodes_text::Flags;
use crate::trib::view::{ClusterView, Node};

/// What is to become of a node that looks dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forget,
    /// It owns slots; there is a replica of it that answers, or none.
    OwnsSlots {
        replica: Option<NodeId>,
    },
    /// It does not answer here, but too few of the others call it failed.
    Doubtful,
    /// The others call it failed, but it answers here.
    Answers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FailedError {
    #[error("only {answering} of {all} primaries with slots answer: this may be the smaller side of a partition")]
    Minority { answering: usize, all: usize },
}

/// A verdict on every node that does not answer or is called failed by somebody, in view order.
pub fn judge(view: &ClusterView) -> Result<Vec<(NodeId, Verdict)>, FailedError> {
    let all = view.nodes.iter().filter(|node| node.is_primary() && !node.slots.is_empty()).count();
    let voters: Vec<&Node> = view.primaries().filter(|node| !node.slots.is_empty()).collect();
    let suspects: Vec<(NodeId, Verdict)> =
        view.nodes.iter().filter_map(|node| Some((node.id, verdict(view, &voters, node)?))).collect();
    if !suspects.is_empty() && voters.len() * 2 <= all {
        return Err(FailedError::Minority { answering: voters.len(), all });
    }
    Ok(suspects)
}

fn verdict(view: &ClusterView, voters: &[&Node], node: &Node) -> Option<Verdict> {
    let calls_failed = |voter: &&&Node| {
        let line = voter.report.as_ref().ok().and_then(|report| report.line(&node.id));
        line.is_some_and(|line| line.flags.contains(Flags::FAILED))
    };
    let failed_for = voters.iter().filter(calls_failed).count();
    if node.is_reachable() {
        return (failed_for > 0).then_some(Verdict::Answers);
    }
    let lines = view.reachable().filter_map(|other| other.report.as_ref().ok()?.line(&node.id));
    if !node.slots.is_empty() || lines.into_iter().any(|line| !line.slots.is_empty()) {
        return Some(Verdict::OwnsSlots { replica: view.replicas_of(&node.id).next().map(|replica| replica.id) });
    }
    // Those that have forgotten it already have no vote.
    let knowing =
        voters.iter().filter(|voter| voter.report.as_ref().is_ok_and(|report| report.line(&node.id).is_some()));
    let knowing = knowing.count();
    Some(if knowing == 0 || failed_for * 2 > knowing { Verdict::Forget } else { Verdict::Doubtful })
}

#[cfg(test)]
mod tests {
    use super::super::super::view::tests::{id, view};
    use super::*;

    /// Three primaries that answer, and four other nodes of which `lines` are told by each of them.
    fn judged(lines: [&str; 3]) -> Result<Vec<(NodeId, Verdict)>, FailedError> {
        let owners = ["0-5000", "5001-10000", "10001-16000"];
        let text = |own: usize| {
            let line = |n: usize| {
                let myself = if n == own { "myself," } else { "" };
                let letter = ['a', 'b', 'c'][n];
                format!("{letter} 10.0.0.{}:1 {myself}master - 0 0 1 connected {}\n", n + 1, owners[n])
            };
            (0..3).map(line).collect::<String>() + lines[own]
        };
        let texts: Vec<String> = (0..3).map(text).collect();
        judge(&view("10.0.0.1:1", &texts.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    #[test]
    fn the_dead_go_and_owners_stay() {
        let all = |line: &'static str| judged([line; 3]).unwrap();
        assert_eq!(all(""), []);
        assert_eq!(all("d 10.0.0.4:1 slave,fail a 0 0 1 disconnected"), [(id('d'), Verdict::Forget)]);
        assert_eq!(all("d 10.0.0.4:1 master,fail,noaddr - 0 0 1 disconnected"), [(id('d'), Verdict::Forget)]);
        assert_eq!(
            all("d 10.0.0.4:1 master,fail - 0 0 1 disconnected 16001-16383"),
            [(id('d'), Verdict::OwnsSlots { replica: None })]
        );
        assert_eq!(all("d 10.0.0.4:1 slave,fail? a 0 0 1 disconnected"), [(id('d'), Verdict::Doubtful)]);
    }

    #[test]
    fn most_primaries_must_call_it_failed() {
        let (dead, alive) = ("d 10.0.0.4:1 slave,fail a 0 0 1 disconnected", "d 10.0.0.4:1 slave a 0 0 1 connected");
        assert_eq!(judged([dead, dead, alive]).unwrap(), [(id('d'), Verdict::Forget)]);
        assert_eq!(judged([dead, alive, alive]).unwrap(), [(id('d'), Verdict::Doubtful)]);
        assert_eq!(judged([dead, "", ""]).unwrap(), [(id('d'), Verdict::Forget)], "the others have forgotten it");
        let owner = "d 10.0.0.4:1 master,fail - 0 0 1 disconnected 16001-16383";
        assert_eq!(judged([dead, owner, dead]).unwrap(), [(id('d'), Verdict::OwnsSlots { replica: None })]);
    }

    #[test]
    fn the_smaller_side_of_a_partition_decides_nothing() {
        let alone = view(
            "10.0.0.1:1",
            &["a 10.0.0.1:1 myself,master - 0 0 1 connected 0-8000\n\
               b 10.0.0.2:1 master,fail - 0 0 1 disconnected 8001-16383\n\
               c 10.0.0.3:1 slave,fail a 0 0 1 disconnected"],
        );
        assert_eq!(judge(&alone), Err(FailedError::Minority { answering: 1, all: 2 }));
    }
}
