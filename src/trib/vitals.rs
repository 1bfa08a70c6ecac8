//! How the nodes feel: what CLUSTER INFO and INFO replication say about their ability to serve.

use std::collections::HashMap;

use super::addr::Addr;
use super::client::{Client, Pool, command, info_field, join_all, text_of};
use super::error::Failure;
use super::view::{ClusterView, Node};
use crate::base::NodeId;

/// One node's condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vital {
    /// `cluster_state:ok`: it serves its slots.
    pub serves: bool,
    /// `cluster_known_nodes`, itself included.
    pub known_nodes: usize,
    /// For a replica, whether its link to the primary is up.
    pub link_up: Option<bool>,
    /// The addresses of the replicas attached to it, in whatever state: `host:port`.
    pub attached: Vec<String>,
    /// `redis 7.0.15`, `valkey 9.1.2`.
    pub version: String,
    /// Bytes of the replication stream that it has.
    pub offset: u64,
    /// Keys in all databases.
    pub keys: u64,
    pub memory_bytes: u64,
    /// What the keys take of that (`used_memory_dataset`).
    pub dataset_bytes: u64,
    /// `maxmemory`, 0 for none.
    pub memory_limit_bytes: u64,
    pub ops_per_sec: u64,
    /// `availability_zone`, where the server tells one.
    pub zone: String,
}

impl Vital {
    /// Whether the replica at this address is attached to the node.
    #[must_use]
    pub fn feeds(&self, replica: &Addr) -> bool {
        let replica = replica.to_string();
        self.attached.contains(&replica)
    }
}

/// The condition of every node that answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vitals {
    by_node: HashMap<NodeId, Vital>,
}

impl Vitals {
    /// Asks all reachable nodes of the view at the same time.
    pub async fn load(pool: &Pool, view: &ClusterView) -> Vitals {
        let nodes: Vec<&Node> = view.reachable().collect();
        let answers = join_all(nodes.iter().map(|node| async {
            let client = pool.client(&node.addr).await?;
            ask(&client).await
        }))
        .await;
        let known = nodes.iter().zip(answers).filter_map(|(node, answer)| Some((node.id, answer.ok()?)));
        Vitals { by_node: known.collect() }
    }

    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<&Vital> {
        self.by_node.get(id)
    }

    /// What is wrong with a node that answers, if something is.
    #[must_use]
    pub fn complaint(&self, node: &Node) -> Option<String> {
        let Some(vital) = self.get(&node.id) else {
            return Some("it stopped answering".to_owned());
        };
        if !vital.serves {
            return Some("it reports cluster_state:fail and serves nothing".to_owned());
        }
        if node.is_replica() && !self.is_linked(node) {
            return Some(format!("its replication link to the primary is down{}", self.apart(node)));
        }
        None
    }

    /// What may be the reason that a replica has no link to its primary; nothing where that is not newer.
    #[must_use]
    pub fn apart(&self, replica: &Node) -> String {
        let version = |id: NodeId| self.get(&id).map(|vital| vital.version.as_str());
        match (version(replica.id), replica.primary.and_then(version)) {
            (Some(own), Some(of_primary)) if is_newer(of_primary, own) => format!(
                " (it is {own}, the primary {of_primary}: a server cannot replicate one that is newer than itself)"
            ),
            _ => String::new(),
        }
    }

    /// Of a replica that its primary feeds again and again, because it does not read what it gets.
    #[must_use]
    pub fn fed_in_vain(&self, replica: &Node) -> Option<String> {
        let why = self.apart(replica);
        let is_so = replica.is_replica() && !self.is_in_sync(replica) && !why.is_empty();
        is_so.then(|| format!("it has not got its primary's data{why}"))
    }

    /// A replica that has not got all that its primary had when it asked for it, if there is one, in words. Where the
    /// primary does not answer there is nothing to be had.
    #[must_use]
    pub fn out_of_sync(&self, view: &ClusterView) -> Option<String> {
        let has_primary = |node: &Node| node.primary.and_then(|id| view.node(&id)).is_some_and(Node::is_reachable);
        let replica = view.reachable().find(|node| node.is_replica() && has_primary(node) && !self.is_in_sync(node))?;
        Some(format!("{} is not in sync with its primary{}", replica.addr, self.apart(replica)))
    }

    /// Whether the replica's link to its primary is up: it has taken over the dataset, and follows.
    #[must_use]
    pub fn is_in_sync(&self, replica: &Node) -> bool {
        self.get(&replica.id).and_then(|vital| vital.link_up) == Some(true)
    }

    /// Whether the replica's primary feeds it, or is about to: a full synchronisation that waits or runs
    /// counts, because it needs nobody's help any more.
    #[must_use]
    pub fn is_linked(&self, replica: &Node) -> bool {
        if self.is_in_sync(replica) {
            return true;
        }
        let Some(primary) = replica.primary.and_then(|id| self.get(&id)) else { return false };
        primary.feeds(&replica.addr) || primary.feeds(&replica.announced)
    }
}

#[cfg(test)]
impl Vitals {
    pub(crate) fn set_zone(&mut self, node: NodeId, zone: &str) {
        self.by_node.entry(node).or_default().zone = zone.to_owned();
    }
}

#[cfg(test)]
impl From<HashMap<NodeId, Vital>> for Vitals {
    fn from(by_node: HashMap<NodeId, Vital>) -> Vitals {
        Vitals { by_node }
    }
}

/// Asks one node.
pub async fn ask(client: &Client) -> Result<Vital, Failure> {
    let cmds = [command("CLUSTER INFO"), command("INFO")];
    let replies = client.pipeline(client.timeouts().reply, &cmds).await?;
    let mut texts = Vec::with_capacity(cmds.len());
    for reply in replies {
        texts.push(text_of(&reply?).unwrap_or_default());
    }
    Ok(parse(&texts[0], &texts[1]))
}

/// From the texts of CLUSTER INFO and INFO.
fn parse(cluster: &str, info: &str) -> Vital {
    let attached = info.lines().filter_map(|line| {
        let (name, fields) = line.split_once(':')?;
        name.strip_prefix("slave")?.parse::<u32>().ok()?;
        let field = |wanted: &str| fields.split(',').find_map(|f| f.strip_prefix(wanted)?.strip_prefix('='));
        let (host, port) = (field("ip")?, field("port")?);
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    });
    let number = |name| info_field(info, name).and_then(|text| text.parse().ok());
    Vital {
        serves: info_field(cluster, "cluster_state") == Some("ok"),
        known_nodes: info_field(cluster, "cluster_known_nodes").and_then(|n| n.parse().ok()).unwrap_or(0),
        link_up: info_field(info, "master_link_status").map(|status| status == "up"),
        attached: attached.collect(),
        version: version(info),
        offset: number("slave_repl_offset").or_else(|| number("master_repl_offset")).unwrap_or(0),
        keys: keys(info),
        memory_bytes: number("used_memory").unwrap_or(0),
        dataset_bytes: number("used_memory_dataset").unwrap_or(0),
        memory_limit_bytes: number("maxmemory").unwrap_or(0),
        ops_per_sec: number("instantaneous_ops_per_sec").unwrap_or(0),
        zone: info_field(info, "availability_zone").unwrap_or_default().to_owned(),
    }
}

/// The server and its version, as INFO tells them.
#[must_use]
pub fn version(info: &str) -> String {
    let told = |name| info_field(info, name);
    match (told("server_name").filter(|name| *name != "redis"), told("valkey_version"), told("redis_version")) {
        (_, Some(version), _) => format!("valkey {version}"),
        (Some(name), None, Some(version)) => format!("{name} {version}"),
        (None, None, Some(version)) => format!("redis {version}"),
        (_, None, None) => String::new(),
    }
}

/// Whether what the one server writes may be too new for the other. Redis and the others count alike up to 7.2; what Redis
/// writes since then they do not read.
#[must_use]
pub fn is_newer(one: &str, than: &str) -> bool {
    let parts = |version: &str| {
        let (name, numbers) = version.split_once(' ')?;
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
        Some((name == "redis", numbers.next()??, numbers.next()??))
    };
    let (Some((one_is_redis, major, minor)), Some((other_is_redis, of_major, of_minor))) = (parts(one), parts(than))
    else {
        return false;
    };
    (major, minor) > (of_major, of_minor) || (one_is_redis && !other_is_redis && (major, minor) > (7, 2))
}

/// How many keys the node has, in all databases: DBSIZE tells of one.
pub async fn count_keys(pool: &Pool, addr: &Addr) -> Result<u64, Failure> {
    let info = pool.call(addr, &command("INFO keyspace")).await?;
    let unexpected = || Failure::Unexpected { node: addr.clone(), reason: "INFO is no text".to_owned() };
    Ok(keys(&text_of(&info).ok_or_else(unexpected)?))
}

/// The sum of the `dbN:keys=…` lines.
#[must_use]
pub fn keys(info: &str) -> u64 {
    let of_line = |line: &str| {
        let (db, fields) = line.split_once(':')?;
        db.strip_prefix("db")?.parse::<u32>().ok()?;
        fields.strip_prefix("keys=")?.split(',').next()?.parse::<u64>().ok()
    };
    info.lines().filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, small};
    use super::*;

    #[test]
    fn conditions_are_read() {
        let primary = parse(
            "cluster_state:ok\r\ncluster_known_nodes:6\r\n",
            "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.3,port=7000,state=wait_bgsave,offset=0,lag=0\r\n",
        );
        assert!(primary.serves);
        assert_eq!((primary.known_nodes, primary.link_up), (6, None));
        assert_eq!(primary.attached, ["10.0.0.3:7000"]);
        let server = parse(
            "",
            "redis_version:7.0.15\r\nused_memory:1000\r\nmaxmemory:0\r\nmaster_repl_offset:9\r\n\
             db0:keys=3,expires=0,avg_ttl=0\r\ndb2:keys=4,expires=1\r\n",
        );
        assert_eq!(
            (server.version.as_str(), server.keys, server.memory_bytes, server.offset),
            ("redis 7.0.15", 7, 1000, 9)
        );
        assert_eq!(version("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"), "valkey 9.1.2");
        let replica = parse("cluster_state:fail\r\n", "role:slave\r\nmaster_link_status:down\r\n");
        assert_eq!((replica.serves, replica.link_up), (false, Some(false)));
    }

    #[test]
    fn who_is_too_new_for_whom() {
        for (one, than) in [
            ("redis 8.2.3", "redis 7.0.15"),
            ("redis 7.2.4", "redis 7.0.15"),
            ("valkey 9.1.2", "node 7.2.4"),
            ("redis 7.4.0", "valkey 9.1.2"),
        ] {
            assert!(is_newer(one, than), "{one} {than}");
            assert!(one.starts_with("redis 7.4") || !is_newer(than, one), "{than} {one}");
        }
        for (one, than) in [("redis 7.0.15", "node 7.2.4"), ("redis 7.0.15", "redis 7.0.2"), ("x", "redis 7.0.1")] {
            assert!(!is_newer(one, than), "{one} {than}");
        }
    }

    #[test]
    fn complaints_name_what_is_missing() {
        let view = small();
        let well = Vital { serves: true, known_nodes: 3, ..Vital::default() };
        let mut vitals = Vitals::default();
        for letter in ['a', 'b', 'c'] {
            vitals.by_node.insert(id(letter), well.clone());
        }
        let replica = view.node(&id('c')).unwrap();
        assert_eq!(vitals.complaint(replica).unwrap(), "its replication link to the primary is down");
        vitals.by_node.get_mut(&id('a')).unwrap().version = "redis 8.2.3".to_owned();
        vitals.by_node.get_mut(&id('c')).unwrap().version = "redis 7.0.15".to_owned();
        assert!(vitals.complaint(replica).unwrap().contains("(it is redis 7.0.15, the primary redis 8.2.3: a server"));
        vitals.by_node.get_mut(&id('a')).unwrap().attached.push("10.0.0.3:7000".to_owned());
        assert_eq!(vitals.complaint(replica), None);
        vitals.by_node.get_mut(&id('b')).unwrap().serves = false;
        assert!(vitals.complaint(view.node(&id('b')).unwrap()).unwrap().contains("cluster_state:fail"));
        vitals.by_node.remove(&id('b'));
        assert!(vitals.complaint(view.node(&id('b')).unwrap()).is_some());
    }
}
