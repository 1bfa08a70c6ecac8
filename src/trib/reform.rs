//! Finishing a cluster whose creation was cut off, and taking it back: from what was planned and from what each node
//! says now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::cli::WaitArgs;
use super::client::{command, join_all, text_of};
use super::cmd::Context;
use super::error::{Error as RunError, Failure};
use super::fresh::Fresh;
use super::join;
use super::journal::{BadNode, Job};
use super::nodes_text::Flags;
use super::planned::Step;
use super::report::Health;
use super::slots::SlotSet;
use super::view::{self, ClusterView, Report};
use super::vitals::Vitals;
use super::wait::{self, Look};
use crate::base::NodeId;

/// A greeting is on its way for a moment.
const GREET_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long replicas may take to reach their primaries once the cluster serves.
const LINK_GRACE: Duration = Duration::from_secs(10);

/// A cluster that was begun.
pub struct Begun {
    pub nodes: Vec<Fresh>,
    /// What each is to own; nothing for replicas.
    slots: BTreeMap<NodeId, SlotSet>,
    /// Whom the replicas are to replicate.
    primaries: BTreeMap<NodeId, NodeId>,
}

/// Why it cannot be finished or taken back.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Changed {
    #[error("{addr} is another node by now ({found})")]
    Another { addr: String, found: NodeId },
    #[error("{addr} knows a node that was not to be a member: {stranger}")]
    Stranger { addr: String, stranger: NodeId },
    #[error("{addr} owns slots that were not meant for it: {slots}")]
    Slots { addr: String, slots: SlotSet },
    #[error("the journal's plan cannot be read: {0}")]
    Unreadable(String),
}

/// What one node is to be told next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    AddSlots(SlotSet),
    SetEpoch(usize),
    /// Meet the nodes at these places.
    Greet(Vec<usize>),
    Replicate(NodeId),
}

impl Begun {
    /// From the job that was to make it.
    pub fn read(job: &Job) -> Result<Begun, Changed> {
        let unreadable = |text: &str| Changed::Unreadable(text.to_owned());
        let id = |text: &str| NodeId::parse(text.as_bytes()).ok_or_else(|| unreadable(text));
        let nodes = job.header.cluster.iter().map(Fresh::try_from).collect::<Result<_, BadNode>>();
        let nodes = nodes.map_err(|bad| Changed::Unreadable(bad.0))?;
        let mut begun = Begun { nodes, slots: BTreeMap::new(), primaries: BTreeMap::new() };
        for step in &job.header.steps {
            match step {
                Step::AssignSlots { node, slots } => {
                    let slots: SlotSet = slots.parse().map_err(|_| unreadable(slots))?;
                    begun.slots.entry(id(&node.id)?).or_default().extend_from(&slots);
                }
                Step::Replicate { node, primary } => _ = begun.primaries.insert(id(&node.id)?, id(&primary.id)?),
                _ => {}
            }
        }
        Ok(begun)
    }

    /// Whether nobody has made anything else of the nodes; the reports are in their order.
    pub fn examine(&self, reports: &[Report]) -> Result<(), Changed> {
        let members: BTreeSet<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        for (node, report) in self.nodes.iter().zip(reports) {
            let (addr, own) = (node.addr.to_string(), report.own());
            if own.id != node.id {
                return Err(Changed::Another { addr, found: own.id });
            }
            if let Some(stranger) = report.known().into_iter().find(|id| !members.contains(id)) {
                return Err(Changed::Stranger { addr, stranger });
            }
            let nothing = SlotSet::new();
            if !own.slots.is_subset(self.slots.get(&node.id).unwrap_or(&nothing)) {
                return Err(Changed::Slots { addr, slots: own.slots.clone() });
            }
        }
        Ok(())
    }

    /// What is to be told next, by the nodes' places; nothing when the cluster is as it was meant to be.
    #[must_use]
    pub fn next(&self, reports: &[Report]) -> Vec<(usize, Act)> {
        let mut acts = Vec::new();
        for (place, (node, report)) in self.nodes.iter().zip(reports).enumerate() {
            let own = report.own();
            let missing = self.slots.get(&node.id).map(|slots| slots.iter().filter(|slot| !own.slots.contains(*slot)));
            let missing: SlotSet = missing.into_iter().flatten().collect();
            if !missing.is_empty() {
                acts.push((place, Act::AddSlots(missing)));
            }
            // Only one that knows nobody takes an epoch.
            if own.config_epoch == 0 && report.lines.len() == 1 {
                acts.push((place, Act::SetEpoch(place + 1)));
            }
        }
        if !acts.is_empty() {
            return acts;
        }
        for (place, report) in reports.iter().enumerate() {
            let knows = |other: usize| {
                let line = report.line(&self.nodes[other].id);
                line.is_some_and(|line| line.connected && !line.flags.contains(Flags::HANDSHAKE))
            };
            let wanted = self.primaries.get(&self.nodes[place].id);
            if let Some(primary) = wanted.filter(|primary| report.own().primary != Some(**primary)) {
                let line = report.line(primary);
                if line.is_some_and(|line| line.connected && line.flags.contains(Flags::PRIMARY)) {
                    acts.push((place, Act::Replicate(*primary)));
                }
            }
            // One speaks to those that it does not know, or that do not know what it is.
            let others = (0..self.nodes.len()).filter(|&other| other != place);
            let deaf: Vec<usize> =
                others.filter(|&other| !knows(other) || !self.has_heard(&reports[other], place)).collect();
            if !deaf.is_empty() {
                acts.push((place, Act::Greet(deaf)));
            }
        }
        acts
    }

    /// Whether a node knows what the one at that place owns and replicates.
    fn has_heard(&self, listener: &Report, place: usize) -> bool {
        let id = self.nodes[place].id;
        listener.line(&id).is_some_and(|line| {
            line.primary == self.primaries.get(&id).copied()
                && line.slots == *self.slots.get(&id).unwrap_or(&SlotSet::new())
        })
    }

    async fn ask(&self, ctx: &Context<'_>) -> Result<Vec<Report>, RunError> {
        let reports = join_all(self.nodes.iter().map(|node| view::ask(&ctx.pool, &node.addr))).await;
        Ok(reports.into_iter().collect::<Result<_, Failure>>()?)
    }

    /// Makes the cluster what it was meant to be, and returns when it serves.
    pub async fn finish(&self, ctx: &Context<'_>, wait: WaitArgs) -> Result<ClusterView, RunError> {
        self.examine(&self.ask(ctx).await?).map_err(|changed| refused(&changed))?;
        let mut greeted: Option<Instant> = None;
        wait::until(Some(ctx.ui), wait.wait, async || {
            let mut acts = self.next(&self.ask(ctx).await?);
            if acts.is_empty() {
                return Ok(Look::Done(()));
            }
            if greeted.is_some_and(|at| at.elapsed() < GREET_AGAIN_AFTER) {
                acts.retain(|(_, act)| !matches!(act, Act::Greet(_)));
            } else if acts.iter().any(|(_, act)| matches!(act, Act::Greet(_))) {
                greeted = Some(Instant::now());
            }
            for done in join_all(acts.iter().map(|(place, act)| self.tell(ctx, *place, act))).await {
                done?;
            }
            Ok(Look::NotYet("not every node knows all the others and what they are".to_owned()))
        })
        .await?;
        ctx.stage("joined");
        self.come_up(ctx, wait).await
    }

    async fn tell(&self, ctx: &Context<'_>, place: usize, act: &Act) -> Result<(), RunError> {
        let node = &self.nodes[place];
        match act {
            Act::AddSlots(slots) => {
                let mut cmd = command("CLUSTER ADDSLOTS");
                slots.iter().for_each(|slot| _ = cmd.arg(slot.get()));
                ctx.pool.call(&node.addr, &cmd).await?;
            }
            Act::SetEpoch(epoch) => {
                // Somebody may have met it this very moment; then the primaries settle their epochs themselves.
                match ctx.pool.call(&node.addr, command("CLUSTER SET-CONFIG-EPOCH").arg(*epoch)).await {
                    Err(failure) if failure.reply().is_none() => return Err(failure.into()),
                    _ => {}
                }
            }
            Act::Greet(others) => {
                let others = others.iter().map(|&other| &self.nodes[other]).collect();
                join::greet(&ctx.pool, [(node, others)]).await?;
            }
            Act::Replicate(primary) => {
                ctx.pool.call(&node.addr, command("CLUSTER REPLICATE").arg(primary.as_str())).await?;
            }
        }
        Ok(())
    }

    async fn come_up(&self, ctx: &Context<'_>, wait: WaitArgs) -> Result<ClusterView, RunError> {
        let mut serving_since: Option<Instant> = None;
        let in_sync = wait.for_replicas(ctx.ui.wording());
        wait::until(None, wait.wait, async || {
            let view = ClusterView::load(&ctx.pool, &self.nodes[0].addr).await?;
            let vitals = Vitals::load(&ctx.pool, &view).await;
            if Health::examine(&view, Some(&vitals)).is_well() {
                return Ok(match vitals.out_of_sync(&view).filter(|_| in_sync) {
                    Some(missing) => Look::NotYet(missing),
                    None => Look::Done(view),
                });
            }
            let silent = view.nodes.iter().find(|node| vitals.get(&node.id).is_none_or(|vital| !vital.serves));
            if let Some(node) = silent {
                return Ok(Look::NotYet(format!("{} does not report cluster_state:ok", node.addr)));
            }
            if serving_since.get_or_insert_with(Instant::now).elapsed() >= LINK_GRACE {
                // The cluster takes writes; the final check says which replicas are not linked.
                return Ok(Look::Done(view));
            }
            Ok(Look::NotYet("a replica has no link to its primary".to_owned()))
        })
        .await
    }

    /// Makes the nodes strangers again; refuses where one holds keys.
    pub async fn dissolve(&self, ctx: &Context<'_>, limit: Duration) -> Result<(), RunError> {
        self.examine(&self.ask(ctx).await?).map_err(|changed| refused(&changed))?;
        let addrs: Vec<_> = self.nodes.iter().map(|node| &node.addr).collect();
        let keyspaces = ctx.pool.call_all(addrs.iter().copied(), &command("INFO keyspace")).await;
        for (addr, keyspace) in addrs.iter().zip(keyspaces) {
            let text = text_of(&keyspace?).unwrap_or_default();
            if text.lines().any(|line| line.starts_with("db")) {
                return Err(RunError::failed(format!("[ERR] {addr} holds keys: the cluster is in use by now."))
                    .hint("FLUSHALL it first if the keys are not needed"));
            }
        }
        let reset = command("CLUSTER RESET HARD");
        wait::until(Some(ctx.ui), limit, async || {
            for done in ctx.pool.call_all(addrs.iter().copied(), &reset).await {
                done?;
            }
            // A greeting that was on its way may bring a node back; it would be there by now.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let reports = join_all(addrs.iter().map(|addr| view::ask(&ctx.pool, addr))).await;
            for (addr, report) in addrs.iter().zip(reports) {
                if report?.lines.len() > 1 {
                    return Ok(Look::NotYet(format!("{addr} still knows other nodes")));
                }
            }
            Ok(Look::Done(()))
        })
        .await
    }
}

fn refused(changed: &Changed) -> RunError {
    RunError::failed(format!("[ERR] The nodes are not what the job left behind: {changed}."))
        .hint("nothing was changed; 'trib check' and 'trib fix' look at the cluster as it is")
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::{header, member};
    use super::super::journal::{Before, Record};
    use super::*;

    fn id(letter: char) -> NodeId {
        NodeId::parse(letter.to_string().repeat(40).as_bytes()).unwrap()
    }

    /// A primary a with all slots, and its replica b.
    fn begun() -> Begun {
        let (a, b) = (member('a'), member('b'));
        let before = |member: &super::super::planned::Member| Before {
            id: member.id.clone(),
            addr: member.addr.clone(),
            meet: format!("{}@17000", member.addr),
            primary: None,
            slots: String::new(),
        };
        let cluster = vec![before(&a), before(&b)];
        let steps = vec![
            Step::AssignSlots { node: a.clone(), slots: "0-16383".into() },
            Step::Join { node: a.clone() },
            Step::Join { node: b.clone() },
            Step::Replicate { node: b, primary: a },
        ];
        let record = Record::Begun(Box::new(super::super::journal::Header { cluster, ..header(steps) }));
        Begun::read(&Job::read(&serde_json::to_string(&record).unwrap()).unwrap()).unwrap()
    }

    fn reports(a: &str, b: &str) -> Vec<Report> {
        let spell = |text: &str| {
            let word = |word: &str| {
                if word.len() == 1 && word != "-" && !word.starts_with(char::is_numeric) {
                    word.repeat(40)
                } else {
                    word.to_owned()
                }
            };
            text.split('\n')
                .map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n")
                .collect::<String>()
        };
        [a, b].map(|text| Report::parse(&"h:1".parse().unwrap(), &spell(text)).unwrap()).to_vec()
    }

    #[test]
    fn each_stage_is_followed_by_the_next() {
        let begun = begun();
        assert_eq!(begun.nodes[0].meet.bus_port, Some(17000));
        let next = |a: &str, b: &str| begun.next(&reports(a, b));
        // Nothing done; slots given in part.
        let fresh = "b h:2 myself,master - 0 0 0 connected";
        let all = next("a h:1 myself,master - 0 0 0 connected 0-9", fresh);
        let rest: SlotSet = "10-16383".parse().unwrap();
        assert_eq!(all, [(0, Act::AddSlots(rest)), (0, Act::SetEpoch(1)), (1, Act::SetEpoch(2))]);
        // Strangers with slots and epochs.
        let a = "a h:1 myself,master - 0 0 1 connected 0-16383";
        let b = "b h:2 myself,master - 0 0 2 connected";
        assert_eq!(next(a, b), [(0, Act::Greet(vec![1])), (1, Act::Greet(vec![0]))]);
        // They know each other.
        let a_knows = format!("{a}\nb h:2 master - 0 0 2 connected");
        let b_knows = format!("{b}\na h:1 master - 0 0 1 connected 0-16383");
        assert_eq!(next(&a_knows, &b_knows), [(1, Act::Replicate(id('a'))), (1, Act::Greet(vec![0]))]);
        // All is well.
        let a_knows = format!("{a}\nb h:2 slave a 0 0 1 connected");
        let b_knows = "b h:2 myself,slave a 0 0 1 connected\na h:1 master - 0 0 1 connected 0-16383";
        assert_eq!(next(&a_knows, b_knows), []);
    }

    #[test]
    fn nodes_that_became_something_else_are_left_alone() {
        let begun = begun();
        let a = "a h:1 myself,master - 0 0 1 connected 0-9";
        let b = "b h:2 myself,master - 0 0 2 connected";
        assert_eq!(begun.examine(&reports(a, b)), Ok(()));
        let addr = |letter: char| member(letter).addr;
        let stranger = Changed::Stranger { addr: addr('a'), stranger: id('c') };
        assert_eq!(begun.examine(&reports(&format!("{a}\nc h:3 master - 0 0 3 connected"), b)), Err(stranger));
        let another = Changed::Another { addr: addr('b'), found: id('x') };
        assert_eq!(begun.examine(&reports(a, "x h:2 myself,master - 0 0 2 connected")), Err(another));
        let slots = Changed::Slots { addr: addr('b'), slots: "7".parse().unwrap() };
        assert_eq!(begun.examine(&reports(a, &format!("{b} 7-7"))), Err(slots));
    }
}
