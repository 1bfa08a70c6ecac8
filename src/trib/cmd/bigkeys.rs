//! `trib bigkeys`: the biggest keys of every type.
//!
//! Every node that is asked is scanned from its beginning to its end, all at the same time; only the biggest keys met so
//! far are remembered.

use std::collections::BTreeMap;

use redis::{Cmd, Value};
use serde::Serialize;

use super::Context;
use crate::base::key_slot;
use crate::trib::addr::Addr;
use crate::trib::cli::{SeedArgs, SheetArgs};
use crate::trib::client::{Client, command, join_all, text_of};
use crate::trib::error::{Error, Failure};
use crate::trib::keytext;
use crate::trib::table::{self, Sheet};
use crate::trib::view::{ClusterView, Node};

/// List the biggest keys of every type
///
/// All keys are looked at, by SCAN. With --json or --csv the list is for programs; otherwise long keys are shortened.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// How many keys of each type
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    top: u16,
    /// What makes a key big
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Only keys of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only keys of this pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<String>,
    /// Ask a replica, where a primary has one
    #[arg(long)]
    from_replicas: bool,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// What makes a key big.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum By {
    /// The memory that it takes
    #[default]
    Memory,
    /// Its elements, or the bytes of a string
    Length,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Key {
    r#type: String,
    #[serde(serialize_with = "keytext::serialize")]
    key: Vec<u8>,
    /// Bytes of memory, elements, or bytes of a string, as was asked for.
    size: u64,
    slot: u16,
    database: u32,
    node: String,
}

/// All keys of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Total {
    keys: u64,
    size: u64,
}

/// What was found.
#[derive(Default, Serialize)]
struct Found {
    types: BTreeMap<String, Total>,
    /// The biggest of each type first.
    keys: Vec<Key>,
}

const SCAN_PAGE: usize = 500;

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    let results = join_all(view.primaries().map(|node| of_node(ctx, args, &view, node))).await;
    let mut found = Found::default();
    for result in results {
        let one = result?;
        for (kind, total) in one.types {
            let sum = found.types.entry(kind).or_default();
            (sum.keys, sum.size) = (sum.keys + total.keys, sum.size + total.size);
        }
        found.keys.extend(one.keys);
        found.keep(usize::from(args.top));
    }
    args.sheet.print(ctx.ui, &sheet(&found, args), &found);
    if !args.sheet.csv && !ctx.ui.is_json() {
        for (kind, total) in &found.types {
            let size = shown(total.size, args.by, kind, false);
            ctx.ui.line(format!("{} of type {kind}: {size} in all", table::count(total.keys, "key")));
        }
    }
    Ok(())
}

impl Found {
    /// Forgets all but the biggest of each type.
    fn keep(&mut self, top: usize) {
        self.keys.sort_by(|a, b| (&a.r#type, b.size, &a.key).cmp(&(&b.r#type, a.size, &b.key)));
        let (mut kind, mut count) = (String::new(), 0);
        self.keys.retain(|key| {
            if key.r#type != kind {
                (kind, count) = (key.r#type.clone(), 0);
            }
            count += 1;
            count <= top
        });
    }
}

/// Scans the node, or a replica of it.
async fn of_node(ctx: &Context<'_>, args: &Args, view: &ClusterView, primary: &Node) -> Result<Found, Failure> {
    let node = view.replicas_of(&primary.id).next().filter(|_| args.from_replicas).unwrap_or(primary);
    let mut found = Found::default();
    for database in 0..ctx.pool.databases(&node.addr).await? {
        let client = ctx.pool.client_in(&node.addr, database).await?;
        if node.is_replica() {
            client.call(&command("READONLY")).await?;
        }
        let mut cursor = b"0".to_vec();
        loop {
            let (next, keys) = page(&client, args, &cursor).await?;
            measure(&client, args, database, keys, &mut found).await?;
            found.keep(usize::from(args.top));
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(found)
}

async fn page(client: &Client, args: &Args, cursor: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
    let mut scan = command("SCAN");
    scan.arg(cursor).arg("COUNT").arg(SCAN_PAGE);
    if let Some(pattern) = &args.pattern {
        scan.arg("MATCH").arg(pattern);
    }
    if let Some(kind) = &args.kind {
        scan.arg("TYPE").arg(kind);
    }
    redis::from_redis_value(client.call(&scan).await?).map_err(|_| unexpected(client.addr(), "no SCAN page"))
}

/// Asks for the types and sizes of some keys; those that have gone meanwhile are left out.
async fn measure(
    client: &Client,
    args: &Args,
    database: u32,
    keys: Vec<Vec<u8>>,
    found: &mut Found,
) -> Result<(), Failure> {
    let limit = client.timeouts().reply;
    let ask = |name: &str, key: &Vec<u8>| command(name).arg(key).to_owned();
    let kinds: Vec<Cmd> = keys.iter().map(|key| ask("TYPE", key)).collect();
    let mut known = Vec::with_capacity(keys.len());
    for (key, reply) in keys.into_iter().zip(client.pipeline(limit, &kinds).await?) {
        let kind = text_of(&reply?).unwrap_or_default();
        if let Some(name) = size_command(&kind, args.by) {
            known.push((ask(name, &key), key, kind));
        }
    }
    let sizes: Vec<Cmd> = known.iter().map(|(cmd, ..)| cmd.clone()).collect();
    for ((_, key, kind), reply) in known.into_iter().zip(client.pipeline(limit, &sizes).await?) {
        let size = match reply {
            Ok(Value::Int(size)) => u64::try_from(size).unwrap_or(0),
            // It is gone, or another type by now.
            Ok(_) => continue,
            Err(failure) if failure.code() == Some("WRONGTYPE") => continue,
            Err(failure) => return Err(failure),
        };
        let total = found.types.entry(kind.clone()).or_default();
        (total.keys, total.size) = (total.keys + 1, total.size + size);
        let (slot, node) = (key_slot(&key).get(), client.addr().to_string());
        found.keys.push(Key { r#type: kind, key, size, slot, database, node });
    }
    Ok(())
}

/// What tells the size of a key of this type; nothing for a key that is not there, or a module's length.
fn size_command(kind: &str, by: By) -> Option<&'static str> {
    match (kind, by) {
        ("none", _) => None,
        (_, By::Memory) => Some("MEMORY USAGE"),
        ("string", By::Length) => Some("STRLEN"),
        ("list", By::Length) => Some("LLEN"),
        ("set", By::Length) => Some("SCARD"),
        ("hash", By::Length) => Some("HLEN"),
        ("zset", By::Length) => Some("ZCARD"),
        ("stream", By::Length) => Some("XLEN"),
        _ => None,
    }
}

fn unexpected(node: &Addr, reason: &str) -> Failure {
    Failure::Unexpected { node: node.clone(), reason: reason.to_owned() }
}

fn shown(size: u64, by: By, kind: &str, exact: bool) -> String {
    match (by, kind) {
        _ if exact => size.to_string(),
        (By::Memory, _) | (By::Length, "string") => table::bytes(size),
        (By::Length, _) => format!("{size} elements"),
    }
}

/// Of longer keys both ends are shown to people.
const KEY_SHOWN: usize = 60;

/// CSV is for programs: sizes are numbers there, and keys are whole.
fn sheet(found: &Found, args: &Args) -> Sheet {
    let mut sheet = Sheet::new(&["type", "key", ">size", ">slot", ">db", "node"]);
    for key in &found.keys {
        sheet.add([
            key.r#type.clone(),
            match args.sheet.csv {
                true => keytext::exact(&key.key),
                false => table::shortened(&keytext::shown(&key.key), KEY_SHOWN),
            },
            shown(key.size, args.by, &key.r#type, args.sheet.csv),
            key.slot.to_string(),
            key.database.to_string(),
            key.node.clone(),
        ]);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, name: &str, size: u64) -> Key {
        let (r#type, key) = (kind.to_owned(), name.as_bytes().to_vec());
        Key { r#type, key, size, slot: 0, database: 0, node: String::new() }
    }

    #[test]
    fn long_keys_are_short_in_the_table_and_whole_in_the_data() {
        let sheet = |options: &str| {
            let line = format!("trib bigkeys h:1{options}");
            let parsed = crate::trib::cli::parse(line.split(' ').map(std::ffi::OsString::from), |_| None);
            let Ok((crate::trib::cmd::Command::Bigkeys(args), _)) = parsed else { panic!("not bigkeys") };
            let long = key("set", &("k".repeat(2999) + "!"), 1);
            super::sheet(&Found { keys: vec![long], ..Found::default() }, &args)
        };
        let table = sheet("").table();
        assert!(table.lines().all(|line| line.chars().count() < 150) && table.contains("kk...kk"), "{table}");
        assert!(sheet(" --csv").csv().contains(&"k".repeat(2999)));
    }

    #[test]
    fn the_biggest_of_each_type_are_kept() {
        let keys =
            vec![key("set", "a", 1), key("hash", "b", 9), key("set", "c", 7), key("set", "d", 7), key("hash", "e", 10)];
        let mut found = Found { keys, ..Found::default() };
        found.keep(2);
        let names: Vec<&[u8]> = found.keys.iter().map(|key| key.key.as_slice()).collect();
        assert_eq!(names, [b"e", b"b", b"c", b"d"]);
    }

    #[test]
    fn sizes_are_shown_by_what_they_are() {
        assert_eq!(shown(2048, By::Memory, "set", false), "2.0 kB");
        assert_eq!(shown(2048, By::Length, "string", false), "2.0 kB");
        assert_eq!(shown(2048, By::Length, "set", false), "2048 elements");
        assert_eq!(shown(2048, By::Memory, "set", true), "2048");
        assert_eq!(size_command("none", By::Memory), None);
        assert_eq!(size_command("vectorset", By::Length), None);
    }
}
