//! `trib config`: the servers' configuration, on all nodes.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;

use super::{Context, call};
use crate::base::glob;
use crate::trib::addr::Addr;
use crate::trib::cli::{PlanArgs, SheetArgs};
use crate::trib::client::{Pool, command, join_all};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::planned::{self, Step};
use crate::trib::table::Sheet;
use crate::trib::view::{ClusterView, Node};

/// Read, set and compare the servers' configuration on all nodes
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show parameters on every node
    Get {
        /// Any node of the cluster
        #[arg(value_name = "HOST:PORT")]
        node: Addr,
        /// Names, or patterns of names
        #[arg(value_name = "PARAMETER", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        sheet: SheetArgs,
    },
    /// Set a parameter on every node
    Set {
        /// Any node of the cluster
        #[arg(value_name = "HOST:PORT")]
        node: Addr,
        #[arg(value_name = "PARAMETER")]
        name: String,
        #[arg(value_name = "VALUE", allow_hyphen_values = true, required_unless_present = "stdin")]
        value: Option<String>,
        /// Read the value from stdin, without the newline at its end: for secrets, which others see on a command line
        #[arg(short = 'x', long, conflicts_with_all = ["value", "dry_run"])]
        stdin: bool,
        /// Keep it in the configuration files, too
        #[arg(long)]
        rewrite: bool,
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Show the parameters that are not the same on all nodes; ends with 3 when there are any
    Diff {
        /// Any node of the cluster
        #[arg(value_name = "HOST:PORT")]
        node: Addr,
        /// Also those that are each node's own, such as port and dir
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        sheet: SheetArgs,
    },
}

/// Parameters that belong to one node.
const OWN: &[&str] = &[
    "port",
    "tls-port",
    "cluster-port",
    "bind",
    "bind-source-addr",
    "dir",
    "logfile",
    "pidfile",
    "dbfilename",
    "appendfilename",
    "appenddirname",
    "cluster-config-file",
    "unixsocket",
    "replicaof",
    "slaveof",
    "proc-title-template",
    "cluster-announce-ip",
    "cluster-announce-port",
    "cluster-announce-tls-port",
    "cluster-announce-bus-port",
    "cluster-announce-hostname",
    "cluster-announce-human-nodename",
    "replica-announce-ip",
    "replica-announce-port",
    "slave-announce-ip",
    "slave-announce-port",
    "availability-zone",
    "syslog-ident",
];

/// By parameter and then by node.
type Values = BTreeMap<String, BTreeMap<String, String>>;

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    match &args.action {
        Action::Get { node, names, sheet } => {
            let view = ClusterView::load(&ctx.pool, node).await?;
            let (values, failed) = read(ctx, &view, names).await;
            if !values.is_empty() || ctx.ui.is_json() || sheet.csv {
                sheet.print(ctx.ui, &table(&values, all_of(&view, sheet)), &values);
            }
            match unknown(names, &values) {
                _ if failed => Err(Error::reported(Kind::Failed)),
                Some(name) => Err(Error::failed(format!("[ERR] No node has a parameter '{name}'."))
                    .hint(format!("trib config get {node} '*' shows all that there are"))),
                None => Ok(()),
            }
        }
        Action::Set { node, name, value, stdin, rewrite, plan } => {
            let value = match value {
                Some(value) if !stdin => value.clone(),
                _ => from_stdin(call::stdin()?)?,
            };
            let view = ctx.hold(ClusterView::load(&ctx.pool, node).await?, plan.dry_run).await?;
            set(ctx, &view, (name, &value), *rewrite, plan.dry_run).await
        }
        Action::Diff { node, all, sheet } => {
            let view = ClusterView::load(&ctx.pool, node).await?;
            let (values, failed) = read(ctx, &view, &["*".to_owned()]).await;
            let values = differing(values, view.reachable().count(), *all);
            match values.is_empty() && !ctx.ui.is_json() && !sheet.csv {
                true if failed => ctx.ui.line("All nodes that answered have the same configuration."),
                true => ctx.ui.ok("[OK] All nodes have the same configuration."),
                false => sheet.print(ctx.ui, &table(&values, all_of(&view, sheet)), &values),
            }
            match (failed, values.is_empty()) {
                (true, _) => Err(Error::reported(Kind::Failed)),
                (false, true) => Ok(()),
                (false, false) => Err(Error::reported(Kind::Unhealthy)),
            }
        }
    }
}

/// The parameters of all nodes that answer, and whether one did not.
async fn read(ctx: &Context<'_>, view: &ClusterView, names: &[String]) -> (Values, bool) {
    let results = join_all(view.nodes.iter().map(|node| get(&ctx.pool, node, names))).await;
    let mut values = Values::new();
    let mut failed = false;
    for (node, result) in view.nodes.iter().zip(results) {
        match result {
            Ok(pairs) => {
                for (name, value) in pairs {
                    values.entry(name).or_default().insert(node.addr.to_string(), value);
                }
            }
            Err(failure) => {
                failed = true;
                ctx.ui.failure(&failure);
            }
        }
    }
    (values, failed)
}

async fn get(pool: &Pool, node: &Node, names: &[String]) -> Result<Vec<(String, String)>, Failure> {
    if let Err(failure) = &node.report {
        return Err(failure.clone());
    }
    pool.client(&node.addr).await?.config(names).await
}

/// A name or pattern that no parameter has.
fn unknown<'n>(names: &'n [String], values: &Values) -> Option<&'n String> {
    let fits = |name: &str, known: &str| glob::matches(name.as_bytes(), known.as_bytes(), true);
    names.iter().find(|name| !values.keys().any(|known| fits(name, known)))
}

/// What is not the same on all `nodes`; secrets are not shown.
fn differing(values: Values, nodes: usize, all: bool) -> Values {
    let is_own = |name: &str| !all && OWN.contains(&name);
    values
        .into_iter()
        .filter(|(name, by_node)| {
            let different: BTreeSet<&String> = by_node.values().collect();
            !is_own(name) && (different.len() > 1 || by_node.len() < nodes)
        })
        .map(|(name, by_node)| {
            let hide = is_secret(&name);
            let shown = by_node.into_iter().map(|(node, value)| match hide && !value.is_empty() {
                true => (node, "(a secret)".to_owned()),
                false => (node, value),
            });
            (name, shown.collect())
        })
        .collect()
}

fn is_secret(name: &str) -> bool {
    ["pass", "auth"].iter().any(|word| name.contains(word))
}

/// How many nodes are all of them, where people read that; programs read every name.
fn all_of(view: &ClusterView, sheet: &SheetArgs) -> Option<usize> {
    Some(view.nodes.len()).filter(|&all| all > 1 && !sheet.csv)
}

/// A row for every value, with the nodes that have it; `all` in the place of so many nodes.
fn table(values: &Values, all: Option<usize>) -> Sheet {
    let mut sheet = Sheet::new(&["parameter", "value", "nodes"]);
    for (name, by_node) in values {
        let mut by_value: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (node, value) in by_node {
            by_value.entry(value).or_default().push(node);
        }
        for (value, nodes) in by_value {
            let nodes = if all == Some(nodes.len()) { format!("all {}", nodes.len()) } else { nodes.join(" ") };
            sheet.add([name.clone(), value.to_owned(), nodes]);
        }
    }
    sheet
}

/// A value as 'echo' and files give it: with a newline that is none of it.
fn from_stdin(mut input: Vec<u8>) -> Result<String, Error> {
    if input.ends_with(b"\n") {
        input.pop();
    }
    String::from_utf8(input).map_err(|_| Error::usage("[ERR] The value that came from stdin is no text."))
}

async fn set(
    ctx: &Context<'_>,
    view: &ClusterView,
    (name, value): (&str, &str),
    rewrite: bool,
    dry_run: bool,
) -> Result<(), Error> {
    if dry_run && is_secret(name) {
        return Err(Error::usage(format!("[ERR] A plan would show the value of {name}.")).hint("set it without a plan"));
    }
    let step = |node: &Node| Step::SetConfig { node: node.into(), name: name.to_owned(), value: value.to_owned() };
    ctx.pass(dry_run, planned::digest(view), view.nodes.iter().map(step).collect())?;
    let results = join_all(view.nodes.iter().map(|node| async move {
        if let Err(failure) = &node.report {
            return Err(failure.clone());
        }
        ctx.pool.call(&node.addr, command("CONFIG SET").arg(name).arg(value)).await?;
        if rewrite {
            ctx.pool.call(&node.addr, &command("CONFIG REWRITE")).await?;
        }
        Ok(())
    }))
    .await;
    let mut failed = 0;
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        failed += 1;
        ctx.ui.failure(failure);
    }
    ctx.ui.line(format!("{name} set on {} of {} nodes.", results.len() - failed, results.len()));
    if failed == 0 { Ok(()) } else { Err(Error::reported(Kind::Failed)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entries: &[(&str, &[(&str, &str)])]) -> Values {
        let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        entries.iter().map(|(name, pairs)| ((*name).to_owned(), pairs.iter().map(own).collect())).collect()
    }

    #[test]
    fn a_value_from_stdin_ends_before_its_newline() {
        for (input, value) in [("s3cret\n", "s3cret"), ("s3cret", "s3cret"), ("a\n\n", "a\n"), ("", "")] {
            assert_eq!(from_stdin(input.into()), Ok(value.to_owned()));
        }
        assert!(from_stdin(vec![0xff]).is_err());
    }

    #[test]
    fn a_value_is_typed_or_comes_from_stdin() {
        let reads = |line: &str| {
            let line = format!("trib config set {line}");
            crate::trib::cli::parse(line.split(' ').map(std::ffi::OsString::from), |_| None).is_ok()
        };
        assert!(reads("h:1 masterauth x") && reads("h:1 masterauth -x") && reads("-x h:1 masterauth"));
        assert!(reads("h:1 hz -1"), "values may begin with a dash");
        assert!(!reads("h:1 masterauth") && !reads("-x h:1 masterauth y") && !reads("-x --dry-run h:1 masterauth"));
    }

    #[test]
    fn only_what_differs_and_no_secret_is_shown() {
        let found = differing(
            values(&[
                ("hz", &[("a", "10"), ("b", "10")]),
                ("port", &[("a", "1"), ("b", "2")]),
                ("requirepass", &[("a", "x"), ("b", "")]),
                ("only-here", &[("a", "1")]),
                ("maxmemory", &[("a", "1"), ("b", "2")]),
            ]),
            2,
            false,
        );
        insta::assert_snapshot!(table(&found, None).csv(), @r"
        parameter,value,nodes
        maxmemory,1,a
        maxmemory,2,b
        only-here,1,a
        requirepass,,b
        requirepass,(a secret),a
        ");
    }
}
