//! `trib add-node`: one more node, as an empty primary or as a replica.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Context;
use crate::base::NodeId;
use crate::trib::addr::Addr;
use crate::trib::cli::{PlanArgs, WaitArgs};
use crate::trib::client::{command, join_all};
use crate::trib::error::{Error, Failure, Kind, What};
use crate::trib::forget;
use crate::trib::fresh::{self, Fresh};
use crate::trib::nodes_text::Flags;
use crate::trib::planned::{self, Member, Step};
use crate::trib::preflight::{self, Candidate};
use crate::trib::ui::{Ui, Wording};
use crate::trib::view::{self, ClusterView, Node, Report};
use crate::trib::vitals::{self, Vital, Vitals};
use crate::trib::wait::{self, Look};
use crate::trib::zones::ZoneArgs;
use crate::trib::{join, report};

/// Add a node, as an empty primary or with --slave as a replica
///
/// An added primary owns no slots until some are moved to it with reshard or rebalance.
#[derive(clap::Args)]
pub struct Args {
    /// The node to add: empty, and in no cluster
    #[arg(value_name = "NEW")]
    new: Addr,
    /// Any node of the cluster
    #[arg(value_name = "EXISTING")]
    existing: Addr,
    /// Add it as a replica
    #[arg(long, visible_aliases = ["replica", "as-replica"])]
    slave: bool,
    /// The primary to replicate, by its ID or address (implies --slave); without it the one with the fewest replicas, of these one in
    /// another zone and on another host
    #[arg(long, value_name = "ID", visible_alias = "primary-id", alias = "primaries-id")]
    master_id: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    zones: ZoneArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

/// How long a new replica may take to be fed where nobody waits until it is in sync.
const LINK_GRACE: Duration = Duration::from_secs(10);
/// A wait for the replica's data that is longer than this is announced.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// Beyond the minute for which servers refuse what they were told to forget: their clocks tick in seconds.
const BAN_GRACE: Duration = Duration::from_secs(10);
/// Between two looks whether the minute is over.
const BAN_PAUSE: Duration = Duration::from_millis(200);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    ui.heading(format!(">>> Adding node {} to cluster {}", args.new, args.existing));
    let view = ClusterView::load(&ctx.pool, &args.existing).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        return Err(Error::reported(Kind::Unhealthy).hint("repair the cluster first, with 'trib fix'"));
    }
    named_primary(ui, &view, args)?;
    // It may be added to another cluster right now; a member is locked already, and refused below.
    if view.node_at(&args.new).is_none() {
        ctx.hold_nodes(std::slice::from_ref(&args.new), args.plan.dry_run).await?;
    }
    let candidate = examine(ctx, &view, args).await?;
    args.zones.check(view.nodes.iter().map(|node| &node.addr).chain([&args.new]))?;
    let vitals = match args.slave && args.master_id.is_none() {
        true => Vitals::load(&ctx.pool, &view).await,
        false => Vitals::default(),
    };
    let primary = choose_primary(ui, &view, &vitals, &candidate, args)?;
    let new = candidate.node;
    if let Some(twin) = view.node(&new.id) {
        return Err(Error::failed(format!("[ERR] {} and {} have the same node ID ({}).", new.addr, twin.addr, new.id))
            .hint("a nodes.conf was copied; delete it on the new node, which then makes its own"));
    }
    ctx.remember([&new]);
    ctx.pass(args.plan.dry_run, planned::digest(&view), steps(&view, &new, primary))?;
    if primary.is_none() {
        copy_functions(ctx, &view, &new).await?;
    }
    let addition = Addition { ctx, view: &view, new: &new, wait: args.wait };
    if let Err(error) = addition.join(primary).await {
        ui.part("\n");
        addition.undo().await;
        ctx.rolled_back();
        return Err(error);
    }
    addition.come_up(primary).await?;
    ui.ok("[OK] New node added correctly.");
    Ok(())
}

/// The same for a node whose addition was cut off: what is done already is no harm done twice.
pub async fn finish(
    ctx: &Context<'_>,
    view: &ClusterView,
    new: &Fresh,
    primary: Option<&Node>,
    wait: WaitArgs,
) -> Result<(), Error> {
    let dump = command("FUNCTION DUMP");
    let has_functions = match primary {
        Some(_) => true,
        None => ctx.pool.call(&view.seed().addr, &dump).await.ok() == ctx.pool.call(&new.addr, &dump).await.ok(),
    };
    if !has_functions {
        copy_functions(ctx, view, new).await?;
    }
    let addition = Addition { ctx, view, new, wait };
    addition.join(primary).await?;
    addition.come_up(primary).await?;
    ctx.ui.ok("[OK] New node added correctly.");
    Ok(())
}

fn steps(view: &ClusterView, new: &Fresh, primary: Option<&Node>) -> Vec<Step> {
    let node = Member::from(new);
    let join = Step::Join { node: node.clone() };
    match primary {
        None => vec![Step::CopyFunctions { from: view.seed().into(), to: node }, join],
        Some(primary) => vec![join, Step::Replicate { node, primary: primary.into() }],
    }
}

/// Looks at the new node, and says everything that speaks against it.
async fn examine(ctx: &Context<'_>, view: &ClusterView, args: &Args) -> Result<Candidate, Error> {
    let member =
        |id: &NodeId| view.node(id).map(|node| format!("it already is a member of this cluster, as {}", node.addr));
    let candidate = match preflight::examine(&ctx.pool, &args.new, &member).await {
        Ok(candidate) => candidate,
        Err(mut complaints) => {
            let last = complaints.pop().unwrap_or_else(|| Error::reported(Kind::Failed));
            for complaint in &complaints {
                ctx.ui.end(complaint);
            }
            return Err(cannot_connect(ctx.ui, &args.new, last));
        }
    };
    if let Some(text) = preflight::silent_bus(&candidate) {
        preflight::warn(ctx.ui, &text);
    }
    Ok(candidate)
}

/// The primary that the operator names.
fn named_primary<'v>(ui: &Ui, view: &'v ClusterView, args: &Args) -> Result<Option<&'v Node>, Error> {
    let Some(id) = &args.master_id else { return Ok(None) };
    let no_such = || Error::failed(format!("[ERR] No such {} ID {id}", ui.vocabulary().master()));
    let at = id.parse().ok().and_then(|addr| view.node_at(&addr));
    match at.map_or_else(|| view.with_id_prefix(id), |node| vec![node])[..] {
        [node] if node.is_primary() && node.is_reachable() => Ok(Some(node)),
        [node] if node.is_primary() => {
            Err(no_such().hint(format!("{} does not answer: a replica could not get its data", node.addr)))
        }
        [node] => Err(no_such().hint(match node.primary {
            Some(primary) => format!("{} is a replica itself, of {primary}", node.addr),
            None => format!("{} is no primary", node.addr),
        })),
        [] => Err(no_such().hint(format!("'trib status {}' lists the nodes with their ids", view.seed().addr))),
        [..] => Err(no_such().hint("it is the beginning of more than one ID: type more of it")),
    }
}

fn choose_primary<'v>(
    ui: &Ui,
    view: &'v ClusterView,
    vitals: &Vitals,
    new: &Candidate,
    args: &Args,
) -> Result<Option<&'v Node>, Error> {
    let named = named_primary(ui, view, args)?;
    if named.is_some() || !args.slave {
        return Ok(named);
    }
    let zone_of = |node: &Node| {
        let told = vitals.get(&node.id).map(|vital| vital.zone.as_str()).unwrap_or_default();
        args.zones.of(&node.addr, told)
    };
    let zone = args.zones.of(&new.node.addr, &new.zone);
    // Nobody knows of a zone without a name whether it is the same.
    let is_near = |node: &Node| (!zone.is_empty() && zone_of(node) == zone, node.announced.host == new.node.meet.host);
    let fitness = |primary: &&Node| {
        let replicas: Vec<&Node> = view.replicas_of(&primary.id).collect();
        let near = replicas.iter().filter(|replica| is_near(replica).0).count();
        (replicas.len(), is_near(primary), near)
    };
    let master = ui.vocabulary().master();
    let node = view
        .primaries()
        .min_by_key(fitness)
        .ok_or_else(|| Error::failed(format!("[ERR] No {master} to replicate: none answers")))?;
    ui.line(format!("Automatically selected {master} {}", node.addr));
    Ok(Some(node))
}

/// redis-cli says it on both streams.
fn cannot_connect(ui: &Ui, addr: &Addr, error: Error) -> Error {
    match error.what {
        What::Node(failure @ Failure::Connect { .. }) if ui.wording() == Wording::RedisCli => {
            ui.failure(&failure);
            Error::failed(format!("[ERR] Sorry, can't connect to node {addr}"))
        }
        _ => error,
    }
}

/// A primary has to have the functions its future clients call.
async fn copy_functions(ctx: &Context<'_>, view: &ClusterView, new: &Fresh) -> Result<(), Error> {
    let ui = ctx.ui;
    ui.heading(">>> Getting functions from cluster");
    let dump = match ctx.pool.call(&view.seed().addr, &command("FUNCTION DUMP")).await {
        Ok(redis::Value::BulkString(dump)) => dump,
        Ok(_) => return Ok(()),
        Err(Failure::Reply { text, .. }) => {
            ui.heading(format!(
                ">>> Failed retrieving Functions from the cluster, skip this step as {} version do not support \
                 function command (error = '{text}')",
                ui.vocabulary().product()
            ));
            return Ok(());
        }
        Err(failure) => return Err(failure.into()),
    };
    ui.heading(format!(">>> Send FUNCTION LIST to {} to verify there is no functions in it", new.addr));
    let list = command("FUNCTION LIST");
    let is_empty = |reply: &redis::Value| matches!(reply, redis::Value::Array(list) if list.is_empty());
    let present = match ctx.pool.call(&new.addr, &list).await {
        // A server without functions is as good where there are none.
        Err(Failure::Reply { .. }) if is_empty(&ctx.pool.call(&view.seed().addr, &list).await?) => return Ok(()),
        present => present?,
    };
    if !is_empty(&present) {
        return Err(Error::failed(
            ">>> New node already contains functions and can not be added to the cluster. Use FUNCTION FLUSH and try \
             again.",
        ));
    }
    ui.heading(format!(">>> Send FUNCTION RESTORE to {}", new.addr));
    ctx.pool.call(&new.addr, command("FUNCTION RESTORE").arg(dump)).await?;
    Ok(())
}

/// How far a new replica is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feed {
    InSync,
    /// Its data is on the way.
    Fed,
    NoLink,
    /// Not in sync, and the primary is newer: an older server is fed again and again, and cannot read what it gets.
    TooNew,
}

impl Feed {
    /// What is not so yet, of a replica that serves.
    fn lack(self) -> &'static str {
        match self {
            Feed::InSync | Feed::Fed => "is not in sync with its primary",
            Feed::NoLink | Feed::TooNew => "has no link to its primary",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Feed::InSync => None,
            Feed::Fed => Some("the node is added, and goes on by itself: see its lag with 'trib status'"),
            Feed::NoLink => Some("a replica needs 'masterauth' to reach a primary that has 'requirepass'"),
            Feed::TooNew => Some(
                "a server cannot replicate one that is newer than itself: look at the versions with 'trib status', and \
                 at its log",
            ),
        }
    }
}

struct Addition<'a> {
    ctx: &'a Context<'a>,
    view: &'a ClusterView,
    new: &'a Fresh,
    wait: WaitArgs,
}

impl Addition<'_> {
    async fn join(&self, primary: Option<&Node>) -> Result<(), Error> {
        let (ui, pool) = (self.ctx.ui, &self.ctx.pool);
        let members = self.members().await?;
        self.until_forgiven(&members).await?;
        ui.heading(format!(">>> Send CLUSTER MEET to node {} to make it join the cluster.", self.new.addr));
        join::introduce_to(pool, self.new, &members).await?;
        let show_dots = primary.is_some().then_some(ui);
        if show_dots.is_some() {
            ui.part(ui.word("Waiting for the cluster to join...", "Waiting for the cluster to join\n"));
        }
        self.until_known(&members, show_dots, |_| true).await?;
        if show_dots.is_some() {
            ui.part("\n");
        }
        if let Some(primary) = primary {
            ui.heading(format!(">>> Configure node as replica of {}.", primary.addr));
            pool.call(&self.new.addr, command("CLUSTER REPLICATE").arg(primary.id.as_str())).await?;
        }
        // What the node is comes with the packet after the first greeting.
        join::introduce_to(pool, self.new, &members).await?;
        join::introduce_each(pool, &members, self.new).await?;
        let wanted = primary.map(|primary| primary.id);
        let opinion = self.view.seed().report.as_ref().map(Report::opinion).unwrap_or_default();
        self.until_known(&members, None, |report| {
            let line = if report.own().id == self.new.id { Some(report.own()) } else { report.line(&self.new.id) };
            // A greeting that is still under way would bring the node back if it were removed now.
            let greeting = report.lines.iter().any(|line| line.flags.contains(Flags::HANDSHAKE));
            !greeting && line.is_some_and(|line| line.primary == wanted) && report.opinion() == opinion
        })
        .await
    }

    /// Until no member was told to forget the new node so recently that it would drop it again. Servers since Redis 7.2
    /// pass that on among themselves for a minute, and whoever hears of it forgets the node, though it was just met.
    async fn until_forgiven(&self, members: &[Fresh]) -> Result<(), Error> {
        let (pool, new) = (&self.ctx.pool, self.new);
        let everybody = join_all(members.iter().chain([new]).map(|node| view::ask(pool, &node.addr))).await;
        let knows = |report: &Report| match report.own().id == new.id {
            true => report.lines.len() > 1,
            false => report.line(&new.id).is_some(),
        };
        for report in everybody {
            // Half joined as it is, it has been listened to; and to be asked what follows would throw it out.
            if knows(&report?) {
                return Ok(());
            }
        }
        let mut said = false;
        wait::until(None, self.wait.wait.max(forget::BAN + BAN_GRACE), async || {
            let Some(member) = self.who_bans(members).await? else { return Ok(Look::Done(())) };
            if !said {
                said = true;
                self.ctx.ui.note(format!(
                    "Waiting until {} may join again: it was removed less than a minute ago, and until then {} and \
                     others would drop it (CLUSTER RESET HARD makes it another node, which need not wait)...",
                    new.addr, member.addr
                ));
            }
            tokio::time::sleep(BAN_PAUSE).await;
            Ok(Look::NotYet(format!("{} still refuses {}, which it was told to forget", member.addr, new.addr)))
        })
        .await
    }

    /// A member that refuses the new node. Nobody knows the node, so there is nothing to forget; a server that was told
    /// so before says that it is done, another one that it never heard of the node.
    async fn who_bans<'m>(&self, members: &'m [Fresh]) -> Result<Option<&'m Fresh>, Failure> {
        let mut forget = command("CLUSTER FORGET");
        forget.arg(self.new.id.as_str());
        let replies = self.ctx.pool.call_all(members.iter().map(|member| &member.addr), &forget).await;
        for (member, reply) in members.iter().zip(replies) {
            match reply {
                Ok(_) => return Ok(Some(member)),
                Err(Failure::Reply { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// The nodes that answer, as the new one has to be told.
    async fn members(&self) -> Result<Vec<Fresh>, Error> {
        let others = self.view.reachable().filter(|node| node.id != self.new.id);
        let nodes = others.map(|node| async {
            let mut meet = node.announced.clone();
            if meet.host.parse::<std::net::IpAddr>().is_err() {
                meet.host = fresh::reachable_ip(&self.ctx.pool, &node.addr).await?.to_string();
            }
            Ok(Fresh { addr: node.addr.clone(), meet, id: node.id })
        });
        join_all(nodes).await.into_iter().collect()
    }

    /// Until the new node and all members know each other, and `also` holds of what each of them says.
    async fn until_known(
        &self,
        members: &[Fresh],
        dots: Option<&Ui>,
        also: impl Fn(&Report) -> bool,
    ) -> Result<(), Error> {
        let everybody: Vec<&Fresh> = members.iter().chain([self.new]).collect();
        let names: BTreeMap<NodeId, Addr> = everybody.iter().map(|node| (node.id, node.meet.clone())).collect();
        let mut missed = Vec::new();
        let result = wait::until(dots, self.wait.wait, async || {
            let reports = join_all(everybody.iter().map(|node| view::ask(&self.ctx.pool, &node.addr))).await;
            let reports: Vec<Report> = reports.into_iter().collect::<Result<_, Failure>>()?;
            let ready = reports.iter().all(&also);
            let given = everybody.iter().map(|node| node.meet.clone());
            let reports: Vec<_> = given.zip(reports.into_iter().map(Ok)).collect();
            missed = join::missing_links(&names, &reports);
            // Links that the members lack among themselves were lacking before.
            missed.retain(|(node, by)| *node == self.new.meet || by.contains(&self.new.meet));
            Ok(match missed.first() {
                None if ready => Look::Done(()),
                None => Look::NotYet("not every node has heard what the new node is".to_owned()),
                Some((node, by)) => Look::NotYet(format!("{} has no cluster bus link to {node}", by[0])),
            })
        })
        .await;
        if result.is_err() && !missed.is_empty() {
            self.ctx.ui.part("\n");
            join::explain(self.ctx.ui, &missed);
        }
        result
    }

    /// Until the new node serves and, as a replica, has what its primary has, or is fed where nobody waits for that.
    async fn come_up(&self, primary: Option<&Node>) -> Result<(), Error> {
        let ui = self.ctx.ui;
        let in_sync = self.wait.for_replicas(ui.wording());
        let limit = if primary.is_some() && !in_sync { LINK_GRACE } else { self.wait.wait };
        let begun = Instant::now();
        let (mut told_delay, mut told_sync) = (false, false);
        let mut hint = None;
        let result = wait::until(None, limit, async || {
            let vital = vitals::ask(&self.ctx.pool.client(&self.new.addr).await?).await?;
            let feed = match primary {
                Some(primary) => self.feed(&vital, primary).await?,
                None => Feed::InSync,
            };
            if vital.serves && (feed == Feed::InSync || (feed == Feed::Fed && !in_sync)) {
                return Ok(Look::Done(()));
            }
            if !vital.serves && ui.wording() == Wording::Trib && !std::mem::replace(&mut told_delay, true) {
                ui.note(
                    "Waiting for cluster_state:ok on the new node: its own rejoin delay (the node timeout, at most 5 s) \
                     has to pass before it serves...",
                );
            }
            if vital.serves && in_sync && begun.elapsed() > SAY_AFTER && !std::mem::replace(&mut told_sync, true) {
                ui.note("Waiting for the new replica to be in sync...");
            }
            hint = feed.hint();
            let what = if vital.serves { feed.lack() } else { "does not report cluster_state:ok" };
            Ok(Look::NotYet(format!("{} {what}", self.new.addr)))
        })
        .await;
        match result {
            // It is a member and tries on.
            Err(Error { kind: Kind::TimedOut, what: What::Message(text), .. }) if primary.is_some() => {
                if in_sync {
                    let error = Error::timed_out(text);
                    return Err(match hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    });
                }
                ui.warning(text.replace("[ERR]", "[WARNING]"));
                if let Some(hint) = hint {
                    ui.note(format!("hint: {hint}"));
                }
                Ok(())
            }
            other => other,
        }
    }

    /// How far the primary's data is on its way to the new replica.
    async fn feed(&self, replica: &Vital, primary: &Node) -> Result<Feed, Failure> {
        let feeding = vitals::ask(&self.ctx.pool.client(&primary.addr).await?).await?;
        let is_fed = feeding.feeds(&self.new.meet) || feeding.feeds(&self.new.addr);
        Ok(match (replica.link_up == Some(true), vitals::is_newer(&feeding.version, &replica.version)) {
            (true, _) => Feed::InSync,
            (false, true) => Feed::TooNew,
            (false, false) if is_fed => Feed::Fed,
            (false, false) => Feed::NoLink,
        })
    }

    /// Makes the new node a stranger again.
    async fn undo(&self) {
        self.ctx.ui.note("Undoing: the new node is reset and forgotten...");
        let mut forget = command("CLUSTER FORGET");
        forget.arg(self.new.id.as_str());
        let members: Vec<&Addr> = self.view.reachable().map(|node| &node.addr).collect();
        let reset = self.ctx.pool.call(&self.new.addr, &command("CLUSTER RESET HARD")).await;
        // Those that had not met it yet say that they do not know it.
        self.ctx.pool.call_all(members, &forget).await;
        if let Err(failure) = reset {
            self.ctx.ui.note(format!("hint: run CLUSTER RESET HARD on {} ({failure})", self.new.addr));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::{id, small};

    fn args(slave: bool, master_id: Option<&str>) -> Args {
        let (new, existing) = (Addr::new("h", 1), Addr::new("h", 2));
        Args {
            new,
            existing,
            slave,
            master_id: master_id.map(str::to_owned),
            wait: WaitArgs::default(),
            zones: ZoneArgs::default(),
            plan: PlanArgs { dry_run: false },
        }
    }

    fn candidate(host: &str, zone: &str) -> Candidate {
        let addr = Addr::new(host, 1);
        let node = Fresh { meet: addr.clone(), addr, id: id('z') };
        Candidate { node, version: String::new(), zone: zone.to_owned(), silent_bus: None }
    }

    #[test]
    fn the_primary_of_a_new_replica() {
        let view = small();
        let (ui, out, _) = captured(Wording::Trib, "");
        let chosen = |args: &Args| {
            let new = candidate("h", "");
            choose_primary(&ui, &view, &Vitals::default(), &new, args).map(|node| node.map(|node| node.id))
        };
        assert_eq!(chosen(&args(false, None)), Ok(None));
        assert_eq!(chosen(&args(true, None)), Ok(Some(id('b'))), "it has no replica yet");
        assert_eq!(out.text(), "Automatically selected master 10.0.0.2:7000\n");
        assert_eq!(chosen(&args(true, Some("AAAA"))), Ok(Some(id('a'))));
        assert_eq!(chosen(&args(false, Some("b"))), Ok(Some(id('b'))), "--master-id implies --slave");
        assert_eq!(chosen(&args(true, Some("10.0.0.1:7000"))), Ok(Some(id('a'))));
        for wrong in ["c", "d", "", "10.0.0.3:7000", "10.0.0.9:1"] {
            assert!(chosen(&args(true, Some(wrong))).is_err(), "{wrong:?} is no primary's id");
        }
    }

    #[test]
    fn of_primaries_with_as_few_replicas_one_elsewhere_is_chosen() {
        let seed = "10.0.0.1:7000";
        let lines = "b 10.0.0.2:7000 master - 0 0 2 connected 8192-16383\n\
                     a 10.0.0.1:7000 master - 0 0 1 connected 0-8191";
        let own = |letter: &str| {
            let line = |line: &str| match line.starts_with(letter) {
                true => line.replace(" master", " myself,master") + "\n",
                false => line.to_owned() + "\n",
            };
            lines.lines().map(line).collect::<String>()
        };
        let view = view::tests::view(seed, &[&own("a"), &own("b")]);
        let chosen = |zones: &[&str], new: &Candidate| {
            let words = zones.iter().flat_map(|zone| ["--zone", zone]);
            let zones = Zones::try_parse_from(["x"].into_iter().chain(words)).unwrap().zones;
            let args = Args { zones, ..args(true, None) };
            let (ui, _, _) = captured(Wording::Trib, "");
            choose_primary(&ui, &view, &Vitals::default(), new, &args).unwrap().unwrap().id
        };
        assert_eq!(chosen(&[], &candidate("10.0.0.1", "")), id('b'), "another host");
        assert_eq!(chosen(&[], &candidate("10.0.0.2", "")), id('a'));
        assert_eq!(chosen(&["10.0.0.2=x"], &candidate("10.0.0.1", "x")), id('a'), "a zone outweighs a host");
    }

    /// The option alone.
    #[derive(clap::Parser)]
    struct Zones {
        #[command(flatten)]
        zones: ZoneArgs,
    }
}
