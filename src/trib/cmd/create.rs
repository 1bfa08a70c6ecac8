//! `trib create`: a new cluster from empty nodes.

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::cli::{PlanArgs, WaitArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::found::Founding;
use crate::trib::fresh::Fresh;
use crate::trib::plan::create::{self, Affinity, CreatePlan, PRIMARIES_MIN, PlannedReplica, Refusal};
use crate::trib::plan::spread::{Place, Violations};
use crate::trib::planned::{self, Member, Step};
use crate::trib::preflight::{self, Candidate};
use crate::trib::report;
use crate::trib::shard::{self, Shard};
use crate::trib::slots::SlotSet;
use crate::trib::ui::{Ui, Wording};
use crate::trib::vitals::Vitals;
use crate::trib::vocabulary::Vocabulary;
use crate::trib::zones::ZoneArgs;

/// Create a cluster from empty nodes
///
/// The first nodes become the primaries (one host after the other when there are several), the others
/// their replicas in order. With --spread primaries and replicas are placed so that the loss of a host or zone takes
/// as little as can be; a shard written as 'HOST:PORT[HOST:PORT|HOST:PORT]' is a primary with just these replicas.
/// Before anything is changed every node is looked at: whether it answers, is empty and in cluster mode, and whether
/// its cluster bus answers from here; whether the nodes reach each other shows when they meet. Returns when the
/// cluster takes writes and its replicas are in sync, with --no-wait as soon as it takes writes. If it fails before
/// that, the nodes are left as they were.
#[derive(clap::Args)]
pub struct Args {
    /// The nodes, or whole shards: a primary with its replicas in brackets, '|' between them
    #[arg(value_name = "HOST:PORT[@BUSPORT]", required = true)]
    nodes: Vec<Shard>,
    /// Replicas of each primary
    #[arg(long, value_name = "N", default_value_t = 0, visible_alias = "replica")]
    replicas: usize,
    /// Keep primaries apart from each other and from their replicas
    #[arg(long, value_name = "WHAT", value_enum)]
    spread: Option<Spread>,
    #[command(flatten)]
    zones: ZoneArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Allow fewer than 3 primaries, of which none can be replaced by itself when it fails
    #[arg(long)]
    allow_few: bool,
    #[command(flatten)]
    plan: PlanArgs,
}

/// What nodes are spread over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Spread {
    /// Hosts
    Host,
    /// Availability zones, and the hosts of a zone
    Zone,
}

impl Spread {
    /// One and several of them.
    fn names(self) -> [&'static str; 2] {
        match self {
            Spread::Host => ["host", "hosts"],
            Spread::Zone => ["zone", "zones"],
        }
    }
}

impl Args {
    fn addrs(&self) -> Vec<Addr> {
        self.nodes.iter().flat_map(Shard::nodes).cloned().collect()
    }

    fn least(&self) -> usize {
        if self.allow_few { 1 } else { PRIMARIES_MIN }
    }

    /// The plan of at least so many primaries, as far as it needs nothing but the addresses.
    fn plan(&self, vocabulary: Vocabulary, least: usize) -> Result<CreatePlan, Error> {
        if !self.zones.is_empty() && self.spread != Some(Spread::Zone) {
            return Err(Error::usage("[ERR] --zone is for --spread zone."));
        }
        let addrs = self.addrs();
        let planned = if self.nodes.iter().any(|shard| shard.is_given) {
            if self.replicas > 0 || self.spread.is_some() {
                return Err(Error::usage(
                    "[ERR] Shards that are written out leave nothing to --replicas and --spread.",
                ));
            }
            let mut next = 0;
            let mut take = || {
                next += 1;
                next - 1
            };
            let number = |shard: &Shard| (take(), shard.replicas.iter().map(|_| take()).collect());
            let shards: Vec<(usize, Vec<usize>)> = self.nodes.iter().map(number).collect();
            create::plan_shards(&addrs, &shards, least)
        } else {
            create::plan_with_least(&addrs, self.replicas, least)
        };
        planned.map_err(|refusal| refuse(vocabulary, &refusal, self))
    }

    /// Where each node is, as far as that counts.
    fn places(&self, spread: Spread, candidates: &[Candidate]) -> Result<Vec<Place>, Error> {
        let host = |candidate: &Candidate| candidate.node.meet.host.clone();
        if spread == Spread::Host {
            let place = |candidate| Place { domain: host(candidate), host: String::new() };
            return Ok(candidates.iter().map(place).collect());
        }
        self.zones.check(candidates.iter().map(|candidate| &candidate.node.addr))?;
        let place = |candidate: &Candidate| Place {
            domain: self.zones.of(&candidate.node.addr, &candidate.zone),
            host: host(candidate),
        };
        let places: Vec<Place> = candidates.iter().map(place).collect();
        let nowhere = candidates.iter().zip(&places).filter(|(_, place)| place.domain.is_empty());
        let nowhere: Vec<String> = nowhere.map(|(candidate, _)| candidate.node.addr.to_string()).collect();
        if nowhere.is_empty() {
            return Ok(places);
        }
        Err(Error::failed(format!("[ERR] The zone of {} is not known.", nowhere.join(", ")))
            .hint(format!("say it with --zone {}=ZONE, or set availability-zone on the server", nowhere[0])))
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if ui.wording() == Wording::Trib {
        ui.heading(">>> Creating cluster");
    }
    let mut least = args.least();
    let (mut plan, refusal) = match (args.plan(ui.vocabulary(), least), ui.wording()) {
        (Err(refusal), Wording::RedisCli) => {
            least = 1;
            (args.plan(ui.vocabulary(), least).map_err(|_| refusal.clone())?, Some(refusal))
        }
        (planned, _) => (planned?, None),
    };
    // What the nodes say counts when the lock is held, but the ways to them can be there by then.
    let addrs = args.addrs();
    let warm_up = async {
        // They would be idle, and closed perhaps, while another run is waited for.
        if ctx.options.lock.wait.is_zero() {
            ctx.pool.warm_up(&addrs).await;
        }
    };
    let (held, ()) = tokio::join!(ctx.hold_nodes(&addrs, args.plan.dry_run), warm_up);
    held?;
    let candidates = preflight::examine_all(ui, &ctx.pool, &addrs, &|id| ctx.cut_off_creation(id)).await?;
    if let Some(refusal) = refusal {
        agree_to_few(ui, refusal, &candidates, &plan, args)?;
    }
    let nodes: Vec<Fresh> = candidates.iter().map(|candidate| candidate.node.clone()).collect();
    if let Some(spread) = args.spread {
        let places = args.places(spread, &candidates)?;
        plan = create::plan_spread(&addrs, args.replicas, least, &places)
            .map_err(|refusal| refuse(ui.vocabulary(), &refusal, args))?;
        show(ui, &nodes, &plan, args.plan.dry_run);
        show_spread(ui, spread, &nodes, &places, &plan);
    } else {
        show(ui, &nodes, &plan, args.plan.dry_run);
    }
    if ui.wording() == Wording::Trib {
        let ends = |replica: &PlannedReplica| (&addrs[replica.node], &addrs[replica.primary]);
        let pairs: Vec<(&Addr, &Addr)> = plan.replicas.iter().map(ends).collect();
        preflight::check_logins(&ctx.pool, &pairs).await?;
    }
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
    let in_sync = args.wait.for_replicas(ui.wording());
    let view = Founding { ctx, nodes: &nodes, plan: &plan, limit: args.wait.wait, in_sync }.run().await?;
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

/// Fewer primaries than can elect a successor: valkey-cli asks, redis-cli refuses. For who does not come from valkey-cli,
/// whose nodes they are decides.
fn agree_to_few(
    ui: &Ui,
    refusal: Error,
    candidates: &[Candidate],
    plan: &CreatePlan,
    args: &Args,
) -> Result<(), Error> {
    if ui.vocabulary() == Vocabulary::Valkey {
        let (primaries, replicas) = (plan.primaries.len(), args.replicas);
        ui.line(format!(
            "Requested to create a cluster with {primaries} primaries and {replicas} replicas per primary."
        ));
    } else if !candidates.iter().all(|candidate| candidate.version.starts_with("valkey ")) {
        return Err(refusal);
    }
    let question = format!(
        "Valkey cluster requires at least {PRIMARIES_MIN} primary nodes for automatic failover. Are you sure? (type \
         'yes' to accept): "
    );
    match args.plan.dry_run || ui.confirm(&question)? {
        true => Ok(()),
        false => Err(Error::reported(Kind::Declined)),
    }
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

fn refuse(vocabulary: Vocabulary, refusal: &Refusal, args: &Args) -> Error {
    let (product, master) = (vocabulary.product(), vocabulary.master());
    match refusal {
        Refusal::TooFew { needed } => Error::failed(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** {product} Cluster requires at least {PRIMARIES_MIN} {master} nodes.\n\
             *** This is not possible with {} nodes and {} replicas per node.\n\
             *** At least {needed} nodes are required.",
            args.nodes.len(),
            args.replicas,
        ))
        .hint(FEW),
        Refusal::FewShards { shards } => Error::failed(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** {product} Cluster requires at least {PRIMARIES_MIN} {master} nodes.\n\
             *** Only {shards} shards are given.",
        ))
        .hint(FEW),
        Refusal::TooMany => Error::failed(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n*** There are more {} than hash slots.",
            vocabulary.masters(),
        )),
        Refusal::Duplicate(addr) => Error::failed(format!("[ERR] Node {addr} is given more than once."))
            .hint(format!("it stands {}", shard::places_of(&args.nodes, addr).join(" and "))),
    }
}

const FEW: &str = "--allow-few makes a cluster of fewer primaries; without a majority of at least two that are left, \
                   nobody can take the place of one that fails";

/// The plan, as the reference shows it; a dry run shows what each node becomes as the steps of its plan.
fn show(ui: &Ui, nodes: &[Fresh], plan: &CreatePlan, dry_run: bool) {
    let words = ui.vocabulary();
    ui.heading(format!(
        ">>> Performing hash slots allocation on {} {}...",
        nodes.len(),
        words.pick("nodes", "node(s)")
    ));
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
                let head = words.pick("Master", "Primary");
                ui.line(format!("{head}[{i}] -> Slots {} - {}", primary.first, primary.last));
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
    if dry_run {
        return;
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
    let (master, slaves) = (ui.vocabulary().master(), ui.vocabulary().slaves());
    ui.heading(format!(">>> Trying to optimize {slaves} allocation for anti-affinity"));
    if affinity == Affinity::default() {
        ui.ok("[OK] Perfect anti-affinity obtained!");
    } else if affinity.with_primary > 0 {
        ui.warning(format!("[WARNING] Some {slaves} are in the same host as their {master}"));
    } else {
        ui.warning(format!("[WARNING] Some {slaves} of the same {master} are in the same host"));
    }
}

/// What the spread could not avoid.
fn show_spread(ui: &Ui, spread: Spread, nodes: &[Fresh], places: &[Place], plan: &CreatePlan) {
    let [one, many] = spread.names();
    let domains: std::collections::BTreeSet<&str> = places.iter().map(|place| place.domain.as_str()).collect();
    let of_them = if domains.len() == 1 { one } else { many };
    ui.heading(format!(">>> Spreading {} nodes over {} {of_them}", nodes.len(), domains.len()));
    if plan.spread == Some(Violations::default()) {
        ui.ok(format!("[OK] No replica shares the {one} of its primary, and primaries are spread evenly."));
    }
    for replica in &plan.replicas {
        let domain = &places[replica.node].domain;
        if *domain == places[replica.primary].domain {
            let (replica, primary) = (&nodes[replica.node].addr, &nodes[replica.primary].addr);
            ui.warning(format!("[WARNING] Replica {replica} shares the {one} of its primary {primary}: {domain}"));
        }
    }
    let even = plan.primaries.len().div_ceil(domains.len().max(1));
    for domain in domains {
        let count = plan.primaries.iter().filter(|primary| places[primary.node].domain == domain).count();
        if count > even {
            ui.warning(format!("[WARNING] The {one} {domain} has {count} primaries, {even} would be its share"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::{Captured, captured, valkeys};
    use crate::trib::view::tests::id;

    fn shown(wording: Wording, addrs: &[&str], replicas: usize) -> String {
        shown_by(captured(wording, ""), addrs, replicas)
    }

    fn shown_by((ui, out, _): (Ui, Captured, Captured), addrs: &[&str], replicas: usize) -> String {
        let addrs: Vec<Addr> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        let letters = 'a'..='z';
        let nodes: Vec<Fresh> = addrs
            .iter()
            .zip(letters)
            .map(|(addr, c)| Fresh { addr: addr.clone(), meet: addr.clone(), id: id(c) })
            .collect();
        show(&ui, &nodes, &create::plan(&addrs, replicas).unwrap(), false);
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
    fn the_plan_in_valkey_clis_words() {
        insta::assert_snapshot!(shown_by(valkeys(""), &["h:1", "h:2", "h:3", "h:4"], 0), @r"
        >>> Performing hash slots allocation on 4 node(s)...
        Primary[0] -> Slots 0 - 4095
        Primary[1] -> Slots 4096 - 8191
        Primary[2] -> Slots 8192 - 12287
        Primary[3] -> Slots 12288 - 16383
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa h:1
           slots:[0-4095] (4096 slots) master
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb h:2
           slots:[4096-8191] (4096 slots) master
        M: cccccccccccccccccccccccccccccccccccccccc h:3
           slots:[8192-12287] (4096 slots) master
        M: dddddddddddddddddddddddddddddddddddddddd h:4
           slots:[12288-16383] (4096 slots) master
        ");
        for (addrs, warning) in [
            (&["h:1", "h:2", "h:3", "h:4", "h:5", "h:6"][..], "Some replicas are in the same host as their primary"),
            (
                &["a:1", "b:1", "c:1", "d:1", "d:2", "d:3", "d:4", "d:5", "d:6"],
                "Some replicas of the same primary are in the same host",
            ),
        ] {
            let text = shown_by(valkeys(""), addrs, addrs.len() / 3 - 1);
            let heading = ">>> Trying to optimize replicas allocation for anti-affinity\n";
            assert!(text.contains(&format!("{heading}[WARNING] {warning}\n")), "{text}");
        }
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

    fn args(words: &[&str], replicas: usize) -> Args {
        Args {
            nodes: words.iter().map(|word| word.parse().unwrap()).collect(),
            replicas,
            spread: None,
            zones: ZoneArgs::default(),
            wait: WaitArgs::default(),
            allow_few: false,
            plan: PlanArgs { dry_run: false },
        }
    }

    #[test]
    fn shards_that_are_written_out_are_taken_as_they_are() {
        let words = ["a:1[b:1|c:1]", "d:1", "e:1[f:1]"];
        let plan = args(&words, 0).plan(Vocabulary::Redis, PRIMARIES_MIN).unwrap();
        assert_eq!(plan.primaries.iter().map(|p| p.node).collect::<Vec<_>>(), [0, 3, 4]);
        assert_eq!(plan.replicas.iter().map(|r| (r.node, r.primary)).collect::<Vec<_>>(), [(1, 0), (2, 0), (5, 4)]);
        assert_eq!(args(&words, 1).plan(Vocabulary::Redis, PRIMARIES_MIN).unwrap_err().kind, Kind::Usage);
        let few = args(&["a:1[b:1]", "c:1"], 0);
        assert!(few.plan(Vocabulary::Redis, PRIMARIES_MIN).unwrap_err().hint.unwrap().contains("--allow-few"));
        let allowed = Args { allow_few: true, ..few };
        assert!(allowed.plan(Vocabulary::Redis, allowed.least()).is_ok());
        let twice = args(&["a:1[b:1]", "b:1[]", "c:1"], 0).plan(Vocabulary::Redis, PRIMARIES_MIN).unwrap_err();
        assert_eq!(twice.hint.unwrap(), "it stands as a replica of a:1 and as the primary of shard 2");
    }

    #[test]
    fn what_a_spread_cannot_avoid_is_said() {
        let words = ["a:1", "a:2", "a:3", "a:4", "b:1", "c:1"];
        let addrs: Vec<Addr> = words.iter().map(|word| word.parse().unwrap()).collect();
        let letters = 'a'..='z';
        let fresh = |(addr, c): (&Addr, char)| Fresh { addr: addr.clone(), meet: addr.clone(), id: id(c) };
        let nodes: Vec<Fresh> = addrs.iter().zip(letters).map(fresh).collect();
        let place = |addr: &Addr| Place { domain: addr.host.clone(), host: String::new() };
        let places: Vec<Place> = addrs.iter().map(place).collect();
        let (ui, out, _) = captured(Wording::Trib, "");
        show_spread(&ui, Spread::Host, &nodes, &places, &create::plan_spread(&addrs, 1, 3, &places).unwrap());
        insta::assert_snapshot!(out.text(), @r"
        >>> Spreading 6 nodes over 3 hosts
        [WARNING] Replica a:2 shares the host of its primary a:1: a
        ");
        let (ui, out, _) = captured(Wording::Trib, "");
        let (nodes, places) = (&nodes[2..], &places[2..]);
        show_spread(&ui, Spread::Zone, nodes, places, &create::plan_spread(&addrs[2..], 0, 3, places).unwrap());
        insta::assert_snapshot!(out.text(), @r"
        >>> Spreading 4 nodes over 3 zones
        [OK] No replica shares the zone of its primary, and primaries are spread evenly.
        ");
    }

    #[test]
    fn too_few_nodes_are_refused_in_full() {
        let args = args(&["h:1", "h:2"], 1);
        let refusal = |vocabulary| match args.plan(vocabulary, PRIMARIES_MIN).unwrap_err().what {
            crate::trib::error::What::Message(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(refusal(Vocabulary::Valkey).contains("\n*** Valkey Cluster requires at least 3 primary nodes.\n"));
        insta::assert_snapshot!(refusal(Vocabulary::Redis), @r"
        *** ERROR: Invalid configuration for cluster creation.
        *** Redis Cluster requires at least 3 master nodes.
        *** This is not possible with 2 nodes and 1 replicas per node.
        *** At least 6 nodes are required.
        ");
    }
}
