//! A local cluster as it is: whether it really works, and what is shown of it.

use std::time::Duration;

use serde::Serialize;

use super::layout;
use super::state::State;
use crate::base::key_slot;
use crate::trib::client::{Pool, command, info_field, join_all, text_of};
use crate::trib::error::{Error, Failure};
use crate::trib::report::Health;
use crate::trib::table::Sheet;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;
use crate::trib::wait::{self, Look};

/// How long a started cluster may take to serve.
const SERVE_LIMIT: Duration = Duration::from_secs(60);

/// Waits until the whole cluster works: all nodes serve and agree, every replica's link is up, and on
/// every shard a write can be read back.
pub async fn verify(pool: &Pool, state: &State) -> Result<ClusterView, Error> {
    let view = wait::until(None, SERVE_LIMIT, async || {
        let view = ClusterView::load(pool, &layout::addr(state.nodes[0].port)).await?;
        let vitals = Vitals::load(pool, &view).await;
        Ok(match lacking(&view, &vitals, state) {
            Some(missing) => Look::NotYet(missing),
            None => Look::Done(view),
        })
    })
    .await
    .map_err(|error| error.hint("the nodes' logs are in their directories; 'trib check' says more"))?;
    let shards = view.primaries().filter(|node| !node.slots.is_empty());
    join_all(shards.map(|node| write_and_read(pool, node))).await.into_iter().collect::<Result<(), Failure>>()?;
    Ok(view)
}

/// What a cluster lacks that is to work.
fn lacking(view: &ClusterView, vitals: &Vitals, state: &State) -> Option<String> {
    if view.reachable().count() < state.nodes.len() {
        return Some(format!("only {} of {} nodes are in the cluster", view.reachable().count(), state.nodes.len()));
    }
    for node in view.reachable() {
        let vital = vitals.get(&node.id);
        if !vital.is_some_and(|vital| vital.serves) {
            return Some(format!("{} does not report cluster_state:ok", node.addr));
        }
        if node.is_replica() && vital.and_then(|vital| vital.link_up) != Some(true) {
            return Some(format!("the replica {} has no link to its primary", node.addr));
        }
    }
    (!Health::examine(view, Some(vitals)).is_well()).then(|| "the nodes do not agree about the slots".to_owned())
}

/// Writes a key of this primary, reads it, and deletes it.
async fn write_and_read(pool: &Pool, node: &Node) -> Result<(), Failure> {
    let key = (0u32..)
        .map(|n| format!("trib:up:probe:{n}"))
        .find(|key| node.slots.contains(key_slot(key.as_bytes())))
        .expect("some key hashes to any slot");
    let client = pool.client(&node.addr).await?;
    let (mut set, mut get, mut del) = (command("SET"), command("GET"), command("DEL"));
    set.arg(&key).arg(node.id.as_str()).arg("EX").arg(60);
    client.call(&set).await?;
    let read = client.call(get.arg(&key)).await?;
    client.call(del.arg(&key)).await?;
    if text_of(&read).as_deref() == Some(node.id.as_str()) {
        return Ok(());
    }
    Err(Failure::Unexpected { node: node.addr.clone(), reason: format!("{key} was written but not read back") })
}

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    pub port: u16,
    pub pid: Option<u32>,
    pub role: String,
    pub state: String,
    pub slots: String,
    pub keys: Option<u64>,
    pub uptime_secs: Option<u64>,
}

/// Asks every node that runs about itself, all at the same time.
pub async fn rows(pool: &Pool, state: &State) -> Vec<Row> {
    join_all(state.nodes.iter().map(|node| async move {
        if !node.is_running() {
            return Row { port: node.port, state: "stopped".to_owned(), ..Row::default() };
        }
        let pid = node.process.as_ref().map(|process| process.pid);
        match ask(pool, node.port).await {
            Ok(row) => Row { pid, ..row },
            Err(failure) => Row { port: node.port, pid, state: failure.reason(), ..Row::default() },
        }
    }))
    .await
}

async fn ask(pool: &Pool, port: u16) -> Result<Row, Failure> {
    let addr = layout::addr(port);
    let report = crate::trib::view::ask(pool, &addr).await?;
    let client = pool.client(&addr).await?;
    let cmds = ["CLUSTER INFO", "INFO replication", "INFO server", "DBSIZE"].map(command);
    let mut texts = Vec::with_capacity(cmds.len());
    for reply in client.pipeline(client.timeouts().reply, &cmds).await? {
        texts.push(text_of(&reply?).unwrap_or_default());
    }
    let [cluster, replication, server, keys] = &texts[..] else { return Ok(Row { port, ..Row::default() }) };
    let own = report.own();
    let role = match own.primary {
        None => "primary".to_owned(),
        Some(primary) => match report.line(&primary) {
            Some(line) => format!("replica of {}", line.addr.port),
            None => "replica".to_owned(),
        },
    };
    let serves = info_field(cluster, "cluster_state").unwrap_or("unknown");
    let link_down = info_field(replication, "master_link_status").is_some_and(|link| link != "up");
    Ok(Row {
        port,
        pid: None,
        role,
        state: if link_down { "link down".to_owned() } else { serves.to_owned() },
        slots: own.slots.to_string(),
        keys: keys.parse().ok(),
        uptime_secs: info_field(server, "uptime_in_seconds").and_then(|seconds| seconds.parse().ok()),
    })
}

/// The rows as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut sheet = Sheet::new(&[">port", ">pid", "role", "state", "slots", ">keys", ">uptime"]);
    for row in rows {
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        sheet.add([
            row.port.to_string(),
            number(row.pid.map(u64::from)),
            row.role.clone(),
            row.state.clone(),
            row.slots.clone(),
            number(row.keys),
            row.uptime_secs.map(duration).unwrap_or_default(),
        ]);
    }
    sheet.table()
}

/// `5s`, `12m`, `3h 5m`, `2d 4h`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let shown = [0, 59, 60, 3599, 3600, 3660, 86_399, 90_000].map(duration);
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h 0m", "1h 1m", "23h 59m", "1d 1h"]);
    }

    #[test]
    fn the_table_has_a_line_for_every_node() {
        let primary = Row {
            port: 7000,
            pid: Some(42),
            role: "primary".into(),
            state: "ok".into(),
            slots: "0-5460".into(),
            keys: Some(7),
            uptime_secs: Some(61),
        };
        let stopped = Row { port: 7001, state: "stopped".into(), ..Row::default() };
        insta::assert_snapshot!(table(&[primary, stopped]), @r"
        ───────────────────────────────────────────────────────────
          port   pid   role      state     slots    keys   uptime  
        ───────────────────────────────────────────────────────────
          7000    42   primary   ok        0-5460      7       1m  
          7001     -   -         stopped   -           -        -  
        ───────────────────────────────────────────────────────────
        ");
    }
}
