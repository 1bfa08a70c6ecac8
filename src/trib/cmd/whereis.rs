//! `trib where`: the slot of a key, who serves it, and what is there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use redis::Value;
use serde::Serialize;

use super::Context;
use crate::base::key_slot;
use crate::trib::addr::Addr;
use crate::trib::cli::SheetArgs;
use crate::trib::client::{Client, command, text_of};
use crate::trib::error::{Error, Failure};
use crate::trib::keytext;
use crate::trib::table::Sheet;
use crate::trib::view::ClusterView;

/// Show where keys live: slot, primary, replicas, and what is stored
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// The keys
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<OsString>,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// One key.
#[derive(Serialize)]
struct Place {
    key: String,
    slot: u16,
    primary: Option<String>,
    replicas: Vec<String>,
    /// `none` where there is no such key.
    r#type: Option<String>,
    /// Absent for a key that does not expire.
    ttl_ms: Option<i64>,
    memory_bytes: Option<i64>,
    /// Where the slot is going, if it is.
    moving_to: Option<String>,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.node).await?;
    let mut places = Vec::with_capacity(args.keys.len());
    for key in &args.keys {
        places.push(find(ctx, &view, key.as_bytes()).await?);
    }
    let mut sheet = Sheet::new(&["key", ">slot", "primary", "replicas", "type", ">ttl ms", ">bytes", "moving to"]);
    for (place, key) in places.iter().zip(&args.keys) {
        let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
        sheet.add([
            if args.sheet.csv { place.key.clone() } else { keytext::shown(key.as_bytes()) },
            place.slot.to_string(),
            place.primary.clone().unwrap_or_else(|| "nobody".to_owned()),
            place.replicas.join(" "),
            place.r#type.clone().unwrap_or_default(),
            number(place.ttl_ms),
            number(place.memory_bytes),
            place.moving_to.clone().unwrap_or_default(),
        ]);
    }
    args.sheet.print(ctx.ui, &sheet, &places);
    Ok(())
}

async fn find(ctx: &Context<'_>, view: &ClusterView, key: &[u8]) -> Result<Place, Error> {
    let slot = key_slot(key);
    let owner = view.owners_of(slot).next();
    let target = owner.and_then(|node| node.migrating.get(&slot)).and_then(|id| view.node(id));
    let mut place = Place {
        key: keytext::exact(key),
        slot: slot.get(),
        primary: owner.map(|node| node.addr.to_string()),
        replicas: owner
            .map(|node| view.replicas_of(&node.id).map(|replica| replica.addr.to_string()).collect())
            .unwrap_or_default(),
        r#type: None,
        ttl_ms: None,
        memory_bytes: None,
        moving_to: target.map(|node| node.addr.to_string()),
    };
    let Some(owner) = owner else { return Ok(place) };
    let mut told = look(&ctx.pool.client(&owner.addr).await?, key).await?;
    // A key that has left already is at the target.
    if let (Some(target), Some("none")) = (target, told.0.as_deref()) {
        told = look(&ctx.pool.client(&target.addr).await?, key).await?;
    }
    (place.r#type, place.ttl_ms, place.memory_bytes) = told;
    Ok(place)
}

type Told = (Option<String>, Option<i64>, Option<i64>);

/// Type, time to live and size of the key on this node, as far as it tells.
async fn look(client: &Client, key: &[u8]) -> Result<Told, Failure> {
    let ask = |words| command(words).arg(key).to_owned();
    let asking = command("ASKING");
    let cmds = [asking.clone(), ask("TYPE"), asking.clone(), ask("PTTL"), asking, ask("MEMORY USAGE")];
    let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?.into_iter().skip(1).step_by(2);
    let kind = match replies.next() {
        Some(Ok(reply)) => text_of(&reply),
        // The slot migrates and the key is not here.
        Some(Err(failure)) if failure.code() == Some("ASK") => Some("none".to_owned()),
        Some(Err(failure)) => return Err(failure),
        None => None,
    };
    let mut number = || match replies.next() {
        Some(Ok(Value::Int(n))) if n >= 0 => Some(n),
        _ => None,
    };
    Ok((kind, number(), number()))
}
