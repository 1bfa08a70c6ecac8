//! Joining nodes: who is told to meet whom, and when everybody knows everybody.

use std::collections::BTreeMap;

use super::addr::Addr;
use super::client::{Pool, command, join_all};
use super::error::{Error, Failure};
use super::fresh::Fresh;
use super::nodes_text::Flags;
use super::ui::Ui;
use super::view::Report;
use crate::base::NodeId;

/// Up to this many nodes every pair is introduced. Beyond it everybody meets this many neighbours, and
/// gossip does the rest: introductions grow with the square of the number.
const FULL_MESH_MAX: usize = 64;

/// Whom each node is told to meet, by place. Every pair at most once.
#[must_use]
pub fn introductions(count: usize) -> Vec<Vec<usize>> {
    let reach = if count <= FULL_MESH_MAX { count } else { FULL_MESH_MAX / 2 };
    (0..count)
        .map(|i| {
            let neighbours = (1..=reach).map(|step| i + step).filter(|&j| j < count);
            // The chain of neighbours is long in a large cluster; through the first node it is short.
            let to_first = (i > reach).then_some(0);
            neighbours.chain(to_first).collect()
        })
        .collect()
}

/// The command that introduces `node`; names the bus port when it is not the usual one.
#[must_use]
pub fn meet(node: &Addr) -> redis::Cmd {
    let mut cmd = command("CLUSTER MEET");
    cmd.arg(&node.host).arg(node.port);
    if let Some(bus_port) = node.unusual_bus_port() {
        cmd.arg(bus_port);
    }
    cmd
}

/// Introduces all nodes to each other, every node at the same time.
pub async fn introduce(pool: &Pool, nodes: &[Fresh]) -> Result<(), Error> {
    let pairs = introductions(nodes.len());
    let others = pairs.iter().map(|others| others.iter().map(|&other| &nodes[other]).collect());
    greet(pool, nodes.iter().zip(others)).await
}

/// Introduces the new node to the members, to some of them in a large cluster.
pub async fn introduce_to(pool: &Pool, new: &Fresh, members: &[Fresh]) -> Result<(), Error> {
    greet(pool, [(new, members.iter().take(FULL_MESH_MAX).collect())]).await
}

/// Introduces the members to the new node, some of them in a large cluster.
pub async fn introduce_each(pool: &Pool, members: &[Fresh], new: &Fresh) -> Result<(), Error> {
    greet(pool, members.iter().take(FULL_MESH_MAX).map(|member| (member, vec![new]))).await
}

/// Every node greets some others, all at the same time.
///
/// A first greeting makes two nodes known to each other. What the greeting one owns and whom it replicates
/// is only taken from those that are known already, so a second greeting tells it; of its own accord a
/// server would do so after a second or, in a large cluster, after half of the node timeout.
pub async fn greet<'n>(
    pool: &Pool,
    greetings: impl IntoIterator<Item = (&'n Fresh, Vec<&'n Fresh>)>,
) -> Result<(), Error> {
    let work = greetings.into_iter().map(|(node, others)| async move {
        let cmds: Vec<redis::Cmd> = others.iter().map(|other| meet(&other.meet)).collect();
        let client = pool.client(&node.addr).await?;
        client.pipeline(client.timeouts().reply, &cmds).await?.into_iter().collect::<Result<Vec<_>, Failure>>()
    });
    for result in join_all(work).await {
        result?;
    }
    Ok(())
}

/// Whom each node does not know yet or has no link to: `(who is missed, by whom)`. Empty when all of
/// `members` are joined. A node that does not answer is missed by all.
#[must_use]
pub fn missing_links(
    members: &BTreeMap<NodeId, Addr>,
    reports: &[(Addr, Result<Report, Failure>)],
) -> Vec<(Addr, Vec<Addr>)> {
    let mut missed = Vec::new();
    for (id, addr) in members {
        let lacks = |report: &Report| {
            report.own().id != *id
                && report.line(id).is_none_or(|line| line.flags.contains(Flags::HANDSHAKE) || !line.connected)
        };
        let by: Vec<Addr> = reports
            .iter()
            .filter(|(_, report)| report.as_ref().is_ok_and(lacks))
            .map(|(addr, _)| addr.clone())
            .collect();
        if !by.is_empty() {
            missed.push((addr.clone(), by));
        }
    }
    missed
}

/// Says which bus ports cannot be reached from where. A link that is missing is missing on both sides; it
/// is laid to the charge of the node that is missed by more.
pub fn explain(ui: &Ui, missed: &[(Addr, Vec<Addr>)]) {
    let misses = |addr: &Addr| missed.iter().find(|(other, _)| other == addr).map_or(0, |(_, by)| by.len());
    let suspects: Vec<(&Addr, Vec<&Addr>)> = missed
        .iter()
        .map(|(addr, by)| (addr, by.iter().filter(|from| misses(from) <= by.len()).collect::<Vec<_>>()))
        .filter(|(_, by)| !by.is_empty())
        .collect();
    ui.warning(format!("Warning: {} node(s) may be unreachable", suspects.len()));
    for (addr, by) in suspects {
        ui.line(format!(" - The port {} of node {addr} may be unreachable from:", addr.bus_port_or_usual()));
        for from in by {
            ui.line(format!("   {from}"));
        }
    }
    ui.line("Cluster bus ports must be reachable by every node.");
    ui.line("Remember that cluster bus ports are different from standard instance ports.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::ui::Wording;
    use super::super::ui::tests::captured;
    use super::super::view::tests::id;
    use super::*;

    #[test]
    fn a_bus_port_is_told_only_when_it_is_unusual() {
        let packed = |addr: &str| String::from_utf8(meet(&addr.parse().unwrap()).get_packed_command()).unwrap();
        assert_eq!(packed("10.0.0.1:7000@17000").matches('$').count(), 4);
        assert!(packed("10.0.0.1:7000@7100").ends_with("$4\r\n7100\r\n"));
    }

    proptest! {
        #[test]
        fn introductions_connect_everybody(count in 1usize..400) {
            let pairs = introductions(count);
            let mut seen = BTreeSet::new();
            let mut group: Vec<usize> = (0..count).collect();
            for (i, others) in pairs.iter().enumerate() {
                prop_assert!(others.len() <= FULL_MESH_MAX);
                for &j in others {
                    prop_assert!(i != j && j < count);
                    prop_assert!(seen.insert((i.min(j), i.max(j))), "{} and {} twice", i, j);
                    let (from, to) = (group[i], group[j]);
                    group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
                }
            }
            prop_assert!(group.iter().all(|&g| g == group[0]));
            if count <= FULL_MESH_MAX {
                prop_assert_eq!(seen.len(), count * (count - 1) / 2);
            }
        }
    }

    #[test]
    fn the_node_that_everybody_misses_is_the_suspect() {
        let addr = |n: u16| Addr::new("h", n);
        let missed = [(addr(1), vec![addr(3)]), (addr(2), vec![addr(3)]), (addr(3), vec![addr(1), addr(2)])];
        let (ui, out, _) = captured(Wording::RedisCli, "");
        explain(&ui, &missed);
        assert!(out.text().starts_with(
            "Warning: 1 node(s) may be unreachable\n - The port 10003 of node h:3 may be unreachable from:\n   h:1\n   h:2\nCluster"
        ));
    }

    #[test]
    fn nodes_without_a_link_are_named_with_their_bus_port() {
        let members: BTreeMap<NodeId, Addr> =
            [('a', "h:7000"), ('b', "h:7001")].map(|(letter, addr)| (id(letter), addr.parse().unwrap())).into();
        let report = |text: String| {
            let addr: Addr = "h:7000".parse().unwrap();
            (addr.clone(), Report::parse(&addr, &text))
        };
        let alone = report(format!("{} h:7000@17000 myself,master - 0 0 1 connected", id('a')));
        let missed = missing_links(&members, &[alone]);
        let (ui, out, _) = captured(Wording::RedisCli, "");
        explain(&ui, &missed);
        insta::assert_snapshot!(out.text(), @r"
        Warning: 1 node(s) may be unreachable
         - The port 17001 of node h:7001 may be unreachable from:
           h:7000
        Cluster bus ports must be reachable by every node.
        Remember that cluster bus ports are different from standard instance ports.
        ");
        let joined = report(format!(
            "{} h:7000@17000 myself,master - 0 0 1 connected\n{} h:7001@17001 master - 0 0 1 connected",
            id('a'),
            id('b')
        ));
        assert_eq!(missing_links(&members, &[joined]), []);
    }
}
