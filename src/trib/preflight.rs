//! Before the first change: whether every node that is to become a member can be one, with everything that
//! speaks against it at once.
//!
//! Whether the nodes reach each other's cluster bus is only known when they have met: no command has a node dial
//! another one and nothing else. What can be looked at without a trace is whether the bus port answers from here;
//! since an operator's machine may have no business there, a silent one is a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::net::TcpStream;

use super::addr::Addr;
use super::client::{Pool, command, info_field, join_all, text_of};
use super::dial;
use super::error::{Error, Failure};
use super::fresh::{self, Fresh};
use super::nodes_text::Flags;
use super::table::count;
use super::ui::{Ui, Wording};
use super::view::{Report, not_a_cluster_node};
use super::vitals;
use crate::base::NodeId;

/// What was found out about a node that may join.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub node: Fresh,
    /// `redis 7.0.15`.
    pub version: String,
    /// What the server says of its zone; empty when it does not.
    pub zone: String,
    /// Why its bus port does not answer from here, if it does not.
    pub silent_bus: Option<(u16, String)>,
}

/// How long a bus port may take to answer.
const BUS_LIMIT: Duration = Duration::from_secs(2);

/// What is known here of a node that is not empty, and what to do about it.
pub type Advice<'a> = &'a dyn Fn(&NodeId) -> Option<String>;

/// Looks at all nodes at the same time and complains about everything that keeps any of them from joining; the last
/// complaint is the error.
pub async fn examine_all(ui: &Ui, pool: &Pool, addrs: &[Addr], advice: Advice<'_>) -> Result<Vec<Candidate>, Error> {
    let mut candidates = Vec::with_capacity(addrs.len());
    let mut complaints = Vec::new();
    for result in join_all(addrs.iter().map(|addr| examine(pool, addr, advice))).await {
        match result {
            Ok(candidate) => candidates.push(candidate),
            Err(found) => complaints.extend(found),
        }
    }
    let nodes: Vec<Fresh> = candidates.iter().map(|candidate| candidate.node.clone()).collect();
    complaints.extend(fresh::same_node_twice(&nodes));
    say_once(&mut complaints);
    if let Some(last) = complaints.pop() {
        for complaint in &complaints {
            ui.end(complaint);
        }
        return Err(last);
    }
    for warning in warnings(&candidates) {
        warn(ui, &warning);
    }
    Ok(candidates)
}

/// What does not keep the nodes from joining but should be known.
fn warnings(candidates: &[Candidate]) -> Vec<String> {
    let mut warnings: Vec<String> = candidates.iter().filter_map(silent_bus).collect();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in candidates {
        *versions.entry(&candidate.version).or_default() += 1;
    }
    if versions.len() > 1 {
        let told: Vec<String> = versions.iter().map(|(version, nodes)| format!("{nodes} of {version}")).collect();
        warnings.push(format!(
            "The nodes differ: {}. A server may be unable to replicate one that is newer, and to take its slots.",
            told.join(", ")
        ));
    }
    warnings
}

/// What to say of a bus port that does not answer from here.
#[must_use]
pub fn silent_bus(candidate: &Candidate) -> Option<String> {
    let (port, why) = candidate.silent_bus.as_ref()?;
    let addr = &candidate.node.addr;
    Some(format!(
        "The cluster bus port {port} of {addr} does not answer from here ({why}); all other nodes must reach it."
    ))
}

/// A warning; redis-cli's reports have no such line, so beside them it goes to stderr.
pub fn warn(ui: &Ui, text: &str) {
    match ui.wording() {
        Wording::Trib => ui.warning(format!("[WARNING] {text}")),
        Wording::RedisCli => ui.note(format!("[WARNING] {text}")),
    }
}

/// Looks whether the node at `addr` may join a cluster, and gives everything that speaks against it. Changes nothing.
pub async fn examine(pool: &Pool, addr: &Addr, advice: Advice<'_>) -> Result<Candidate, Vec<Error>> {
    let answers = ask(pool, addr).await.map_err(|error| vec![error])?;
    let mut complaints = Vec::new();
    let cluster = match answers.nodes {
        Ok(text) => Report::parse(addr, &text).map_err(|failure| vec![failure.into()])?.into(),
        Err(failure) if failure.reply().is_some_and(|text| text.contains("cluster support disabled")) => {
            complaints.push(not_a_cluster_node(addr));
            None
        }
        Err(failure) => return Err(vec![failure.into()]),
    };
    let known = info_field(&answers.cluster_info, "cluster_known_nodes").and_then(|n| n.parse().ok()).unwrap_or(1usize);
    let others = known > 1 || cluster.as_ref().is_some_and(|report: &Report| report.lines.len() > 1);
    if others || answers.keyspace.lines().any(|line| line.starts_with("db")) {
        complaints.push(not_empty(addr, cluster.as_ref(), advice));
    }
    let Some(report) = cluster else { return Err(advise_once(complaints)) };
    let own = report.own();
    if !own.slots.is_empty() {
        complaints.push(
            Error::failed(format!("[ERR] Node {addr} already owns {}.", count(own.slots.len(), "slot"))).hint(
                advice(&own.id)
                    .unwrap_or_else(|| format!("if they are left over from another attempt: trib reset {addr}")),
            ),
        );
    }
    if !complaints.is_empty() {
        return Err(advise_once(complaints));
    }
    let bus_port = addr.bus_port.or(own.addr.bus_port);
    let port = pool.access().map.inside(addr).port;
    let meet = Addr { host: answers.ip, port, bus_port };
    let node = Fresh { addr: addr.clone(), meet, id: own.id };
    let silent_bus = match is_mapped(pool, addr) {
        // The map says nothing of bus ports.
        true => None,
        false => dial_bus(&node.meet).await.err().map(|why| (node.meet.bus_port_or_usual(), why)),
    };
    let version = vitals::version(&answers.server);
    let zone = info_field(&answers.server, "availability_zone").unwrap_or_default().to_owned();
    Ok(Candidate { node, version, zone, silent_bus })
}

/// What a node says of itself.
struct Answers {
    /// Where it answers, as an IP address.
    ip: String,
    nodes: Result<String, Failure>,
    /// Empty outside of cluster mode.
    cluster_info: String,
    keyspace: String,
    server: String,
}

/// Whether each replica of these pairs can log in to its primary: the one has to have as `masterauth` what the other has as
/// `requirepass`. Who does not tell, or logs in as another user, is not judged.
pub async fn check_logins(pool: &Pool, pairs: &[(&Addr, &Addr)]) -> Result<(), Error> {
    let told = join_all(pairs.iter().map(|(replica, primary)| async {
        let wanted = directives(pool, primary, &["requirepass"]).await?.remove(0);
        let [password, user] =
            <[String; 2]>::try_from(directives(pool, replica, &["masterauth", "masteruser"]).await?).ok()?;
        Some(wanted.is_empty() || !user.is_empty() || password == wanted)
    }))
    .await;
    let Some(((replica, primary), _)) = pairs.iter().zip(told).find(|(_, fits)| *fits == Some(false)) else {
        return Ok(());
    };
    Err(Error::failed(format!("[ERR] {replica} could not log in to its primary {primary}, which has 'requirepass'."))
        .hint("give all nodes the same 'requirepass' and 'masterauth' first: each may replicate any other one day"))
}

/// The values of these directives, where the server tells them all.
async fn directives(pool: &Pool, addr: &Addr, names: &[&str]) -> Option<Vec<String>> {
    let pairs = pool.client(addr).await.ok()?.config(names).await.ok()?;
    let value = |name: &&str| pairs.iter().find(|(told, _)| told == name).map(|(_, value)| value.clone());
    names.iter().map(value).collect()
}

async fn ask(pool: &Pool, addr: &Addr) -> Result<Answers, Error> {
    let ip = fresh::reachable_ip(pool, addr).await?.to_string();
    let client = pool.client(addr).await?;
    let cmds = ["CLUSTER NODES", "CLUSTER INFO", "INFO keyspace", "INFO server"].map(command);
    let replies = client.pipeline(client.timeouts().reply, &cmds).await?;
    let mut texts = replies.into_iter().map(|reply| reply.map(|reply| text_of(&reply).unwrap_or_default()));
    let mut next = || {
        let missing = "fewer replies than commands".to_owned();
        texts.next().unwrap_or(Err(Failure::Unexpected { node: addr.clone(), reason: missing }))
    };
    let (nodes, cluster_info) = (next(), next());
    let (keyspace, server) = (next()?, next()?);
    Ok(Answers { ip, nodes, cluster_info: cluster_info.unwrap_or_default(), keyspace, server })
}

fn is_mapped(pool: &Pool, addr: &Addr) -> bool {
    let map = &pool.access().map;
    map.inside(addr) != *addr || map.outside(addr) != *addr
}

async fn dial_bus(addr: &Addr) -> Result<(), String> {
    let dialling = TcpStream::connect((addr.host.as_str(), addr.bus_port_or_usual()));
    match tokio::time::timeout(BUS_LIMIT, dialling).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(dial::without_number(&e.to_string()).to_owned()),
        Err(_) => Err(format!("no connection within {} s", BUS_LIMIT.as_secs())),
    }
}

/// The first piece of advice is the one to follow: what it leaves, if anything, is seen at the next try.
fn advise_once(mut complaints: Vec<Error>) -> Vec<Error> {
    for complaint in complaints.iter_mut().skip(1) {
        complaint.hint = None;
    }
    complaints
}

/// Advice that holds for several nodes is given with the first.
fn say_once(complaints: &mut [Error]) {
    let mut said = BTreeSet::new();
    for complaint in complaints {
        if complaint.hint.as_ref().is_some_and(|hint| !said.insert(hint.clone())) {
            complaint.hint = None;
        }
    }
}

fn not_empty(addr: &Addr, cluster: Option<&Report>, advice: Advice<'_>) -> Error {
    Error::failed(format!(
        "[ERR] Node {addr} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or \
         contains some key in database 0."
    ))
    .hint(way_on(addr, cluster, advice))
}

/// What to do about a node that is not empty. One that serves others, or stands by for one that does, is not to be reset.
fn way_on(addr: &Addr, cluster: Option<&Report>, advice: Advice<'_>) -> String {
    if let Some(known) = cluster.and_then(|report| advice(&report.own().id)) {
        return known;
    }
    match cluster {
        Some(report) if report.lines.len() > 1 && !report.own().slots.is_empty() => format!(
            "{addr} serves {} in a cluster of {}: 'trib drain' and then 'trib del-node' take it out of there",
            count(report.own().slots.len(), "slot"),
            count(report.lines.len(), "node")
        ),
        Some(report) if stands_by(report) => format!(
            "{addr} is a replica in a cluster of {}: 'trib del-node' takes it out of there",
            count(report.lines.len(), "node")
        ),
        _ => format!("if nothing on {addr} is needed any more: trib reset --hard --flush {addr}"),
    }
}

/// Whether it is a replica of a primary that serves slots and is not known to have failed.
fn stands_by(report: &Report) -> bool {
    let primary = report.own().primary.and_then(|id| report.line(&id));
    primary.is_some_and(|line| !line.slots.is_empty() && !line.flags.contains(Flags::FAILED))
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, view};
    use super::*;

    #[test]
    fn only_a_node_that_serves_nobody_is_to_be_reset() {
        let told = |lines: &[&str], advice: Advice<'_>| {
            let view = view("h:1", lines);
            way_on(&"h:1".parse().unwrap(), view.seed().report.as_ref().ok(), advice)
        };
        let none: Advice<'_> = &|_| None;
        let alone = ["a h:1 myself,master - 0 0 1 connected 0-99"];
        let empty = ["a h:1 myself,master - 0 0 1 connected\nb h:2 master - 0 0 2 connected 0-99"];
        let serves = ["a h:1 myself,master - 0 0 1 connected 0-99\nb h:2 master - 0 0 2 connected"];
        for lines in [alone, empty] {
            assert!(told(&lines, none).contains("trib reset --hard --flush h:1"), "{lines:?}");
        }
        let kept = told(&serves, none);
        assert!(kept.contains("serves 100 slots in a cluster of 2 nodes") && !kept.contains("reset"), "{kept}");
        let replica = |of: &str| {
            let own = format!("a h:1 myself,slave b 0 0 2 connected\nb h:2 {of} - 0 0 2 connected 0-99");
            told(&[&own], none)
        };
        let kept = replica("master");
        assert!(kept.contains("is a replica in a cluster of 2 nodes") && !kept.contains("reset"), "{kept}");
        assert!(replica("master,fail").contains("trib reset"), "left over from a cluster that is gone");
        let known: Advice<'_> = &|node| (*node == id('a')).then(|| "known".to_owned());
        assert_eq!([told(&serves, known), told(&empty, known)], ["known", "known"]);
        assert!(way_on(&"h:1".parse().unwrap(), None, known).contains("trib reset"), "out of cluster mode");
    }

    #[test]
    fn advice_is_given_once() {
        let mut complaints = ["x", "y", "x"].map(|hint| Error::failed("").hint(hint));
        say_once(&mut complaints);
        assert_eq!(complaints.map(|complaint| complaint.hint), [Some("x".to_owned()), Some("y".to_owned()), None]);
    }

    #[test]
    fn what_differs_and_what_is_silent_is_said() {
        let candidate = |addr: &str, version: &str, silent_bus| {
            let addr: Addr = addr.parse().unwrap();
            let node = Fresh { meet: addr.clone(), addr, id: id('a') };
            Candidate { node, version: version.to_owned(), zone: String::new(), silent_bus }
        };
        let same = [candidate("h:1", "redis 7.0.15", None), candidate("h:2", "redis 7.0.15", None)];
        assert_eq!(warnings(&same), Vec::<String>::new());
        let silent = Some((10_003, "Connection refused".to_owned()));
        let mixed = [same[0].clone(), candidate("h:3", "valkey 9.1.2", silent)];
        insta::assert_snapshot!(warnings(&mixed).join("\n"), @r"
        The cluster bus port 10003 of h:3 does not answer from here (Connection refused); all other nodes must reach it.
        The nodes differ: 1 of redis 7.0.15, 1 of valkey 9.1.2. A server may be unable to replicate one that is newer, and to take its slots.
        ");
    }
}
