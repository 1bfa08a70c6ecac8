//! `trib create`: a new cluster from empty nodes.

use std::time::Duration;

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::cli::PlanArgs;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Kind};
use crate::trib::found::Founding;
use crate::trib::fresh::{self, Fresh};
use crate::trib::plan::create::{self, Affinity, CreatePlan, PRIMARIES_MIN, Refusal};
use crate::trib::planned::{self, Member, Step};
use crate::trib::report;
use crate::trib::slots::SlotSet;
use crate::trib::ui::{Ui, Wording};
use crate::trib::vitals::Vitals;

/// Create a cluster from empty nodes
///
/// The first nodes become the primaries (one host after the other when there are several), the others
/// their replicas in order. Returns when the cluster takes its first write. If it fails before that, the
/// nodes are left as they were.
#[derive(clap::Args)]
pub struct Args {
    /// The nodes
    #[arg(value_name = "HOST:PORT[@BUSPORT]", required = true)]
    nodes: Vec<Addr>,
    /// Replicas of each primary
    #[arg(long, value_name = "N", default_value_t = 0, visible_alias = "replica")]
    replicas: usize,
    /// How long the nodes may take to join, and then to come up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Allow fewer than 3 primaries, of which none can be replaced by itself when it fails
    #[arg(long)]
    allow_few: bool,
    #[command(flatten)]
    plan: PlanArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if ui.wording() == Wording::Trib {
        ui.heading(">>> Creating cluster");
    }
    let least = if args.allow_few { 1 } else { PRIMARIES_MIN };
    let plan = create::plan_with_least(&args.nodes, args.replicas, least).map_err(|refusal| refuse(&refusal, args))?;
    ctx.hold_nodes(&args.nodes, args.plan.dry_run).await?;
    let nodes = examine(ctx, &args.nodes).await?;
    show(ui, &nodes, &plan);
    ctx.remember(&nodes);
    let digest = planned::digest_of(nodes.iter().map(|node| node.id.as_str()));
    ctx.pass_with(args.plan.dry_run, Vec::new(), digest, steps(&nodes, &plan))?;
    if !ui.confirm("Can I set the above configuration? (type 'yes' to accept): ")? {
        return match ui.wording() {
            Wording::Trib => Err(Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") }),
            // redis-cli takes a no for a job well done.
            Wording::RedisCli => Ok(()),
        };
    }
    ctx.agreed()?;
    let limit = Duration::from_secs(args.wait);
    let view = Founding { ctx, nodes: &nodes, plan: &plan, limit }.run().await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    if report::cluster_check(ui, &view, Some(&vitals)).is_well() {
        return Ok(());
    }
    let error = Error::reported(Kind::Unhealthy);
    Err(match ctx.options.access.login.password {
        Some(_) => error.hint("a replica needs 'masterauth' to reach a primary that has 'requirepass'"),
        None => error,
    })
}

fn steps(nodes: &[Fresh], plan: &CreatePlan) -> Vec<Step> {
    let member = |node: usize| Member::from(&nodes[node]);
    let assign = plan.primaries.iter().map(|primary| {
        let slots = format!("{}-{}", primary.first, primary.last);
        Step::AssignSlots { node: member(primary.node), slots }
    });
    let join = nodes.iter().map(|node| Step::Join { node: node.into() });
    let replicate = plan
        .replicas
        .iter()
        .map(|replica| Step::Replicate { node: member(replica.node), primary: member(replica.primary) });
    assign.chain(join).chain(replicate).collect()
}

/// Looks at all nodes at the same time and complains about every one that cannot take part.
async fn examine(ctx: &Context<'_>, addrs: &[Addr]) -> Result<Vec<Fresh>, Error> {
    let results = join_all(addrs.iter().map(|addr| fresh::examine(&ctx.pool, addr))).await;
    let (nodes, mut errors): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let last = errors.pop().and_then(Result::err);
    for error in errors.into_iter().filter_map(Result::err) {
        ctx.ui.end(&error);
    }
    if let Some(error) = last {
        return Err(error);
    }
    let nodes: Vec<Fresh> = nodes.into_iter().flatten().collect();
    match fresh::same_node_twice(&nodes) {
        Some(error) => Err(error),
        None => Ok(nodes),
    }
}

fn refuse(refusal: &Refusal, args: &Args) -> Error {
    match refusal {
        Refusal::TooFew { needed } => Error::failed(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** Redis Cluster requires at least {PRIMARIES_MIN} master nodes.\n\
             *** This is not possible with {} nodes and {} replicas per node.\n\
             *** At least {needed} nodes are required.",
            args.nodes.len(),
            args.replicas,
        )),
        Refusal::TooMany => Error::failed(
            "*** ERROR: Invalid configuration for cluster creation.\n*** There are more masters than hash slots.",
        ),
        Refusal::Duplicate(addr) => Error::failed(format!("[ERR] Node {addr} is given more than once.")),
    }
}

/// The plan, as the reference shows it.
fn show(ui: &Ui, nodes: &[Fresh], plan: &CreatePlan) {
    ui.heading(format!(">>> Performing hash slots allocation on {} nodes...", nodes.len()));
    let addr = |node: usize| &nodes[node].addr;
    match ui.wording() {
        Wording::Trib => {
            ui.line(format!("Using {} masters:", plan.primaries.len()));
            for primary in &plan.primaries {
                ui.line(addr(primary.node).to_string());
            }
        }
        Wording::RedisCli => {
            for (i, primary) in plan.primaries.iter().enumerate() {
                ui.line(format!("Master[{i}] -> Slots {} - {}", primary.first, primary.last));
            }
        }
    }
    let mut extra = false;
    for replica in &plan.replicas {
        if replica.extra && !extra && ui.wording() == Wording::RedisCli {
            ui.line("Adding extra replicas...");
        }
        extra |= replica.extra;
        ui.line(format!("Adding replica {} to {}", addr(replica.node), addr(replica.primary)));
    }
    if plan.affinity_tried {
        show_affinity(ui, plan.affinity);
    }
    for (i, node) in nodes.iter().enumerate() {
        if let Some(primary) = plan.primaries.iter().find(|primary| primary.node == i) {
            let mut slots = SlotSet::new();
            slots.insert_range(primary.first, primary.last);
            ui.line(format!("M: {} {}", node.id, node.addr));
            let text = report::slots_text(&slots, ui.wording());
            ui.line(format!("   slots:{text} ({} slots) master", slots.len()));
        } else if let Some(replica) = plan.replicas.iter().find(|replica| replica.node == i) {
            ui.line(format!("S: {} {}", node.id, node.addr));
            ui.line(format!("   replicates {}", nodes[replica.primary].id));
        }
    }
}

fn show_affinity(ui: &Ui, affinity: Affinity) {
    ui.heading(">>> Trying to optimize slaves allocation for anti-affinity");
    if affinity == Affinity::default() {
        ui.ok("[OK] Perfect anti-affinity obtained!");
    } else if affinity.with_primary > 0 {
        ui.warning("[WARNING] Some slaves are in the same host as their master");
    } else {
        ui.warning("[WARNING] Some slaves of the same master are in the same host");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::id;

    fn shown(wording: Wording, addrs: &[&str], replicas: usize) -> String {
        let addrs: Vec<Addr> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        let letters = 'a'..='z';
        let nodes: Vec<Fresh> = addrs
            .iter()
            .zip(letters)
            .map(|(addr, c)| Fresh { addr: addr.clone(), meet: addr.clone(), id: id(c) })
            .collect();
        let (ui, out, _) = captured(wording, "");
        show(&ui, &nodes, &create::plan(&addrs, replicas).unwrap());
        out.text()
    }

    #[test]
    fn the_plan_in_redis_tribs_words() {
        insta::assert_snapshot!(shown(Wording::Trib, &["h:1", "h:2", "h:3", "h:4", "h:5", "h:6", "h:7"], 1), @r"
        >>> Performing hash slots allocation on 7 nodes...
        Using 3 masters:
        h:1
        h:2
        h:3
        Adding replica h:4 to h:1
        Adding replica h:5 to h:2
        Adding replica h:6 to h:3
        Adding replica h:7 to h:1
        >>> Trying to optimize slaves allocation for anti-affinity
        [WARNING] Some slaves are in the same host as their master
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa h:1
           slots:0-5460 (5461 slots) master
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb h:2
           slots:5461-10922 (5462 slots) master
        M: cccccccccccccccccccccccccccccccccccccccc h:3
           slots:10923-16383 (5461 slots) master
        S: dddddddddddddddddddddddddddddddddddddddd h:4
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        S: eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee h:5
           replicates bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        S: ffffffffffffffffffffffffffffffffffffffff h:6
           replicates cccccccccccccccccccccccccccccccccccccccc
        S: gggggggggggggggggggggggggggggggggggggggg h:7
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        ");
    }

    #[test]
    fn the_plan_in_redis_clis_words() {
        let addrs = ["a:1", "b:1", "c:1", "a:2", "b:2", "c:2", "a:3"];
        insta::assert_snapshot!(shown(Wording::RedisCli, &addrs, 1), @r"
        >>> Performing hash slots allocation on 7 nodes...
        Master[0] -> Slots 0 - 5460
        Master[1] -> Slots 5461 - 10922
        Master[2] -> Slots 10923 - 16383
        Adding replica b:2 to a:1
        Adding replica a:2 to b:1
        Adding replica a:3 to c:1
        Adding extra replicas...
        Adding replica c:2 to a:1
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa a:1
           slots:[0-5460] (5461 slots) master
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb b:1
           slots:[5461-10922] (5462 slots) master
        M: cccccccccccccccccccccccccccccccccccccccc c:1
           slots:[10923-16383] (5461 slots) master
        S: dddddddddddddddddddddddddddddddddddddddd a:2
           replicates bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        S: eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee b:2
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        S: ffffffffffffffffffffffffffffffffffffffff c:2
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        S: gggggggggggggggggggggggggggggggggggggggg a:3
           replicates cccccccccccccccccccccccccccccccccccccccc
        ");
    }

    #[test]
    fn too_few_nodes_are_refused_in_full() {
        let nodes: Vec<Addr> = vec![Addr::new("h", 1), Addr::new("h", 2)];
        let args = Args { nodes, replicas: 1, wait: 60, allow_few: false, plan: PlanArgs { dry_run: false } };
        let error = refuse(&create::plan(&args.nodes, 1).unwrap_err(), &args);
        let crate::trib::error::What::Message(text) = error.what else { panic!("no text") };
        insta::assert_snapshot!(text, @r"
        *** ERROR: Invalid configuration for cluster creation.
        *** Redis Cluster requires at least 3 master nodes.
        *** This is not possible with 2 nodes and 1 replicas per node.
        *** At least 6 nodes are required.
        ");
    }
}
