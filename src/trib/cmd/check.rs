//! `trib check`: whether the cluster is healthy, and what may become of it.

use serde::Serialize;

use super::{Context, info};
use crate::trib::cli::SeedArgs;
use crate::trib::error::{Error, Kind};
use crate::trib::findings::{self, Finding, Severity};
use crate::trib::keycount::{self, KeyCounts, Orphans};
use crate::trib::lock;
use crate::trib::lock::claim::Claim;
use crate::trib::report;
use crate::trib::table::count;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;

/// Check that the cluster is healthy: agreement, open slots, coverage, dead nodes, and what would not survive
/// a failure
///
/// Ends with 3 when something does not work, or with --fail-on warn when there is a warning. The command that
/// mends it is named on stderr, or in the JSON.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub seed: SeedArgs,
    /// Also look for slots whose keys are on several primaries
    #[arg(long)]
    search_multiple_owners: bool,
    /// What makes the check fail
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = Severity::Error)]
    fail_on: Severity,
}

/// The check as data.
#[derive(Serialize)]
struct Data<'d> {
    seed: String,
    healthy: bool,
    /// Who changes the cluster right now.
    locked_by: Option<String>,
    nodes: Vec<NodeData>,
    findings: &'d [Finding],
}

/// One node as data.
#[derive(Serialize)]
struct NodeData {
    id: String,
    addr: String,
    announced: String,
    role: &'static str,
    flags: String,
    primary: Option<String>,
    epoch: u64,
    slots: String,
    slot_count: usize,
    reachable: bool,
    keys: Option<u64>,
    memory_bytes: Option<u64>,
    version: Option<String>,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    if ui.wording() == Wording::RedisCli {
        // What is missing is said by the check below as well.
        info::summary(ctx, &view).await;
    }
    let mut well = report::cluster_check(ui, &view, Some(&vitals)).is_well();
    let mut found = findings::find(&view, &vitals);
    if args.search_multiple_owners {
        let counts = keycount::load(&ctx.pool, &view).await?;
        let astray = multiple_owners(ctx, &view, &counts);
        well &= astray.is_empty();
        found.splice(0..0, astray);
    } else if ui.wording() == Wording::Trib {
        found.extend(orphaned(ctx, &view, &vitals).await);
    }
    let holder = lock::holder(&ctx.pool, &view).await;
    if holder.is_some() {
        // Who is at work has them open.
        let open = found.iter_mut().filter(|finding| finding.kind == "open-slots");
        open.for_each(|finding| finding.mend = Some("they close when the run that holds the lock is done".to_owned()));
    }
    if ui.wording() == Wording::Trib {
        if let Some(holder) = &holder {
            ui.warning(format!("[WARNING] The cluster is locked by {}.", holder.describe()));
        }
        show(ctx, &found);
    }
    well &= !found.iter().any(|finding| finding.severity >= args.fail_on);
    ui.json(&Data {
        seed: view.seed().addr.to_string(),
        healthy: well,
        locked_by: holder.as_ref().map(Claim::describe),
        nodes: view.nodes.iter().map(|node| data(node, &vitals)).collect(),
        findings: &found,
    });
    if well { Ok(()) } else { Err(Error::reported(Kind::Unhealthy)) }
}

/// Warnings, since the check itself has said the errors, and what mends all of them.
fn show(ctx: &Context<'_>, found: &[Finding]) {
    let ui = ctx.ui;
    for finding in found {
        match finding.severity {
            Severity::Error => {}
            Severity::Warn => ui.warning(format!("[WARNING] {}", finding.text)),
            Severity::Note => ui.detail(&finding.text),
        }
    }
    let mut hints: Vec<(&String, Vec<&str>)> = Vec::new();
    for finding in found.iter().filter(|finding| finding.severity > Severity::Note || ui.is_verbose()) {
        let Some(mend) = &finding.mend else { continue };
        match hints.iter_mut().find(|(known, _)| *known == mend) {
            Some((_, kinds)) if kinds.contains(&finding.kind) => {}
            Some((_, kinds)) => kinds.push(finding.kind),
            None => hints.push((mend, vec![finding.kind])),
        }
    }
    for (mend, kinds) in hints {
        ui.note(format!("hint: {}: {mend}", kinds.join(", ")));
    }
}

/// Keys of slots that their node does not own. Not everybody may count keys, which is no reason to complain.
async fn orphaned(ctx: &Context<'_>, view: &ClusterView, vitals: &Vitals) -> Vec<Finding> {
    let orphans = keycount::orphans(&ctx.pool, view, vitals).await.unwrap_or_default();
    let finding = |orphans: &Orphans| Finding {
        severity: Severity::Warn,
        kind: "orphaned-keys",
        node: Some(orphans.node.addr.to_string()),
        text: format!(
            "{} holds {} of slots that it does not own, where no client finds them: {}",
            orphans.node.addr,
            count(orphans.keys, "key"),
            orphans.slots
        ),
        mend: Some(format!("trib fix --search-multiple-owners {}", view.seed().addr)),
    };
    orphans.iter().map(finding).collect()
}

/// Reports slots that several primaries own or hold keys of.
fn multiple_owners(ctx: &Context<'_>, view: &ClusterView, counts: &KeyCounts) -> Vec<Finding> {
    ctx.ui.heading(">>> Check for multiple slot owners...");
    let contested = keycount::multiple_owners(view, counts);
    let mut found = Vec::with_capacity(contested.len());
    for (slot, owners) in &contested {
        ctx.ui.warning(format!("[WARNING] Slot {slot} has {} owners:", owners.len()));
        for owner in owners {
            ctx.ui.line(format!("    {}", owner.addr));
        }
        let owners: Vec<String> = owners.iter().map(|owner| owner.addr.to_string()).collect();
        found.push(Finding {
            severity: Severity::Error,
            kind: "multiple-owners",
            node: None,
            text: format!("slot {slot} is owned, or has keys, on {}", owners.join(", ")),
            mend: Some(format!("trib fix --search-multiple-owners {}", view.seed().addr)),
        });
    }
    if contested.is_empty() {
        ctx.ui.ok("[OK] No multiple owners found.");
    }
    found
}

fn data(node: &Node, vitals: &Vitals) -> NodeData {
    let vital = vitals.get(&node.id);
    NodeData {
        id: node.id.to_string(),
        addr: node.addr.to_string(),
        announced: node.announced.to_string(),
        role: if node.is_primary() { "primary" } else { "replica" },
        flags: node.flags_text.clone(),
        primary: node.primary.map(|id| id.to_string()),
        epoch: node.config_epoch,
        slots: node.slots.to_string(),
        slot_count: node.slots.len(),
        reachable: node.is_reachable(),
        keys: vital.map(|vital| vital.keys),
        memory_bytes: vital.map(|vital| vital.memory_bytes),
        version: vital.map(|vital| vital.version.clone()),
    }
}
