//! `trib call`: one command on every node.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use redis::Value;

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};

/// Run a command on every node
///
/// Everything behind the address belongs to the command, also words that begin with a dash; options of
/// trib stand before the address.
#[derive(clap::Args)]
pub struct Args {
    /// Only on primaries
    #[arg(long, visible_alias = "only-primaries", conflicts_with = "only_replicas")]
    only_masters: bool,
    /// Only on replicas
    #[arg(long)]
    only_replicas: bool,
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Enough for a command that works for long, such as SAVE.
const REPLY_LIMIT: Duration = Duration::from_secs(600);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = ClusterView::load(&ctx.pool, &args.node).await?;
    let shown: Vec<_> = args.words.iter().map(|word| word.to_string_lossy()).collect();
    ui.heading(format!(">>> Calling {}", shown.join(" ")));
    let mut cmd = redis::Cmd::new();
    for word in &args.words {
        cmd.arg(word.as_bytes());
    }
    let wanted = |node: &&Node| match (args.only_masters, args.only_replicas) {
        (true, _) => node.is_primary(),
        (_, true) => node.is_replica(),
        _ => true,
    };
    let nodes: Vec<&Node> = view.nodes.iter().filter(wanted).collect();
    let results = join_all(nodes.iter().map(|node| async {
        match &node.report {
            Ok(_) => ctx.pool.client(&node.addr).await?.call_within(REPLY_LIMIT, &cmd).await,
            Err(failure) => Err(failure.clone()),
        }
    }))
    .await;
    let mut failed = false;
    for (node, result) in nodes.iter().zip(results) {
        ui.part(format!("{}: ", node.addr));
        match result {
            Ok(value) => ui.bytes(&raw(&value)),
            Err(failure) => {
                failed = true;
                ui.bytes(failure_text(ui.wording(), &failure).as_bytes());
            }
        }
        ui.part("\n");
    }
    match ui.wording() {
        Wording::Trib if failed => Err(Error::reported(Kind::Failed)),
        // redis-cli calls everything a success.
        _ => Ok(()),
    }
}

fn failure_text(wording: Wording, failure: &Failure) -> String {
    match (wording, failure) {
        (Wording::RedisCli, Failure::Reply { text, .. }) => format!("{text}\n"),
        (Wording::RedisCli, _) => "Failed!".to_owned(),
        (Wording::Trib, _) => failure.reason(),
    }
}

/// A reply as redis-cli shows it on a pipe: the bytes themselves, a line for each element.
fn raw(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => Vec::new(),
        Value::Int(n) => n.to_string().into_bytes(),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => bytes.clone(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone().into_bytes(),
        Value::Okay => b"OK".to_vec(),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            items.iter().map(raw).collect::<Vec<_>>().join(&b'\n')
        }
        Value::Map(pairs) => pairs.iter().flat_map(|(k, v)| [raw(k), raw(v)]).collect::<Vec<_>>().join(&b'\n'),
        Value::Attribute { data, .. } => raw(data),
        Value::Double(n) => n.to_string().into_bytes(),
        Value::Boolean(b) => b.to_string().into_bytes(),
        Value::ServerError(error) => {
            format!("{}{}", error.code(), error.details().map(|d| format!(" {d}")).unwrap_or_default()).into_bytes()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_shown_raw() {
        let nested = Value::Array(vec![
            Value::Int(-3),
            Value::Nil,
            Value::Array(vec![Value::Okay, Value::BulkString(b"a\xff\n".to_vec())]),
            Value::Array(vec![]),
        ]);
        assert_eq!(raw(&nested), b"-3\n\nOK\na\xff\n\n");
        assert_eq!(raw(&Value::Nil), b"");
    }
}
