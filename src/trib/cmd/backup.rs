//! `trib backup`: the snapshots of all primaries and the shape of the cluster, as files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Context;
use crate::base::{NodeId, Slot};
use crate::trib::addr::Addr;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::manifest::{self, Entry};
use crate::trib::report::{self, Health};
use crate::trib::snapshot::{self, Received};
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vocabulary::Vocabulary;

/// Save a snapshot of every primary, and the shape of the cluster, in a directory
///
/// The files are redis-node-HOST-PORT-ID.rdb and nodes.json, as redis-cli makes them; nodes.json also has the size, the
/// checksums and the place in the replication stream of each. Every snapshot is checked before it gets its name.
/// 'trib verify' checks a backup, 'trib restore' brings it into a cluster of any shape.
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// Where the files go
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Have replicas make the snapshots, where a primary has one
    #[arg(long)]
    from_replicas: bool,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = ClusterView::load(&ctx.pool, &args.node).await?;
    if ui.wording() == Wording::Trib {
        std::fs::create_dir_all(&args.dir).map_err(|e| bad_dir(&args.dir, &e))?;
    }
    let dir = &args.dir;
    let health = match ui.wording() {
        Wording::Trib => Health::examine(&view, None),
        Wording::RedisCli => report::cluster_check(ui, &view, None),
    };
    if !dir.is_dir() {
        let why = if dir.exists() { "it is no directory" } else { "it does not exist" };
        let shown = dir.display();
        return Err(Error::failed(ui.vocabulary().pick(
            format!("[ERR] The directory {shown} cannot be used: {why}"),
            format!("[ERR] {shown} is not a valid directory"),
        )));
    }
    let saved = join_all(view.primaries().map(|node| save(ctx, &view, node, dir, args.from_replicas))).await;
    let mut failed = 0;
    let mut received: BTreeMap<NodeId, Received> = BTreeMap::new();
    for (node, result) in view.primaries().zip(saved) {
        match result {
            Ok(one) => _ = received.insert(node.id, one),
            Err(failure) => {
                failed += 1;
                ui.failure(&failure);
            }
        }
    }
    let lost = view.unreachable().filter(|node| node.is_primary() && !node.slots.is_empty()).count();
    let errors = [health.disagree, !health.open.is_empty(), !health.uncovered.is_empty(), lost > 0];
    let errors = errors.into_iter().filter(|error| *error).count();
    let entries: Vec<Entry> =
        view.reachable().map(|node| entry(node, received.get(&node.id), errors, ui.vocabulary())).collect();
    let nodes_file = dir.join(manifest::FILE_NAME);
    ui.line(format!("Saving cluster configuration to: {}", nodes_file.display()));
    let text = serde_json::to_string_pretty(&entries).unwrap_or_default() + "\n";
    std::fs::write(&nodes_file, text)
        .map_err(|e| Error::failed(format!("Could not save nodes to: {}", nodes_file.display())).hint(e.to_string()))?;
    ui.json(&entries);
    if failed + lost > 0 {
        return Err(Error::failed("[ERR] Failed to back cluster!").hint(match lost {
            0 => format!("{failed} primaries could not be saved"),
            _ => format!("{lost} primaries with slots do not answer: 'trib check' names them"),
        }));
    }
    if errors > 0 {
        ui.warning(
            "*** Cluster seems to have some problems, please be aware of it if you're going to restore this backup.",
        );
    }
    ui.ok(format!("[OK] Backup created into: {}", dir.display()));
    match (errors, ui.wording()) {
        (0, _) | (_, Wording::RedisCli) => Ok(()),
        _ => Err(Error::reported(Kind::Unhealthy)),
    }
}

fn bad_dir(dir: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!(
        "[ERR] The directory {} cannot be used: {}",
        dir.display(),
        crate::trib::dial::without_number(&error.to_string())
    ))
}

fn file_name(node: &Node, vocabulary: Vocabulary) -> String {
    let server = vocabulary.server();
    format!("{server}-node-{}-{}-{}.rdb", node.addr.host, node.addr.port, node.id)
}

/// Saves one primary, from a replica of it where that is wanted and there is one.
async fn save(
    ctx: &Context<'_>,
    view: &ClusterView,
    node: &Node,
    dir: &Path,
    from_replicas: bool,
) -> Result<Received, Failure> {
    let ui = ctx.ui;
    let replica = view.replicas_of(&node.id).next().filter(|_| from_replicas);
    let source = &replica.unwrap_or(node).addr;
    ui.heading(format!(">>> Node {} -> Saving RDB...", node.addr));
    let path = dir.join(file_name(node, ui.vocabulary()));
    let received = snapshot::receive(source, ctx.pool.access(), &path, |length| {
        let role = if replica.is_some() { "replica" } else { ui.vocabulary().master() };
        match length {
            Some(bytes) => ui.note(format!("SYNC sent to {role}, writing {bytes} bytes to '{}'", path.display())),
            None => ui.note(format!("SYNC sent to {role}, writing to '{}'", path.display())),
        }
    })
    .await?;
    ui.note("Transfer finished with success.");
    Ok(received)
}

fn entry(node: &Node, received: Option<&Received>, errors: usize, vocabulary: Vocabulary) -> Entry {
    let open =
        |slots: &BTreeMap<Slot, NodeId>| slots.iter().map(|(slot, id)| (slot.to_string(), id.to_string())).collect();
    Entry {
        name: node.id.to_string(),
        host: node.addr.host.clone(),
        port: node.addr.port,
        replicate: node.primary.map(|id| id.to_string()),
        slots: node.slots.ranges().iter().map(|(first, last)| [first.get(), last.get()]).collect(),
        slots_count: node.slots.len(),
        flags: node.flags_text.clone(),
        current_epoch: node.config_epoch,
        cluster_errors: (errors > 0).then_some(errors),
        migrating: open(&node.migrating),
        importing: open(&node.importing),
        file: received.map(|_| file_name(node, vocabulary)),
        bytes: received.map(|received| received.bytes),
        crc64: received.and_then(|received| received.crc64).map(|crc| format!("{crc:016x}")),
        sha256: received.map(|received| received.sha256.iter().map(|byte| format!("{byte:02x}")).collect()),
        offset: received.and_then(|received| received.offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::{id, small};

    #[test]
    fn a_node_is_described_as_redis_cli_describes_it() {
        let view = small();
        let received = Received { bytes: 99, crc64: Some(0xab), sha256: [0xcd; 32], offset: Some(7) };
        let of = |letter, received, words| entry(view.node(&id(letter)).unwrap(), received, 0, words);
        let text = |letter, received| serde_json::to_string(&of(letter, received, Vocabulary::Redis)).unwrap();
        assert_eq!(
            text('b', Some(&received)).replace(id('b').as_str(), "B").replace(&"cd".repeat(32), "S"),
            r#"{"name":"B","host":"10.0.0.2","port":7000,"replicate":null,"slots":[[8192,16383]],"slots_count":8192,"flags":"master","current_epoch":2,"file":"redis-node-10.0.0.2-7000-B.rdb","bytes":99,"crc64":"00000000000000ab","sha256":"S","offset":7}"#
        );
        let file = of('b', Some(&received), Vocabulary::Valkey).file.unwrap();
        assert_eq!(file, format!("valkey-node-10.0.0.2-7000-{}.rdb", id('b')));
        assert!(text('c', None).contains(&format!(r#""replicate":"{}","slots":[]"#, id('a'))));
    }
}
