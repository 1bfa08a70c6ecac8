//! `trib rebalance-roles`: primaries spread evenly over hosts or zones again.

use std::collections::BTreeMap;

use super::Context;
use crate::trib::agreement;
use crate::trib::cli::{PlanArgs, SeedArgs, WaitArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::harmony;
use crate::trib::pick;
use crate::trib::plan::roles::{self, Shard};
use crate::trib::planned::{self, Step};
use crate::trib::promote::{self, How, Promotion};
use crate::trib::report;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;

/// Spread the primaries evenly over hosts or zones, by the fewest failovers
///
/// Every failover is an orderly one (see 'trib failover'), one after the other. Only replicas that are in sync are
/// chosen.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// What the primaries are spread over
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Nodes that are to be primaries whatever else is even, separated by commas
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    prefer: Vec<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What primaries are spread over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum By {
    #[default]
    Host,
    /// The availability zones that the servers tell
    Zone,
}

/// A replica that lacks no more than this is in sync: the stream never stands still.
const IN_SYNC_BYTES: u64 = 1 << 20;

/// A replica, and the primary it replaces.
type Swap<'v> = (&'v Node, &'v Node);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let view = ctx.hold(harmony::load(&ctx.pool, &seed).await?, args.plan.dry_run).await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    ui.heading(format!(">>> Performing Cluster Check (using node {seed})"));
    if !report::configuration_check(ui, &view, Some(&vitals)).is_consistent() {
        ui.line("*** Please fix your cluster problems first");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {seed}")));
    }
    let mut preferred = Vec::new();
    for name in &args.prefer {
        preferred.push(pick::any(&view, name).map_err(|bad| Error::failed(bad.to_string()))?);
    }
    let swaps = plan(&view, &vitals, args.by, &preferred)?;
    if swaps.is_empty() {
        ui.ok("[OK] The primaries are spread as evenly as they can be.");
        return Ok(());
    }
    for (replica, primary) in &swaps {
        ui.line(format!("{} is to take over from {}", replica.addr, primary.addr));
    }
    let step = |&(replica, primary): &Swap<'_>| Step::Promote { node: replica.into(), primary: primary.into() };
    ctx.pass(args.plan.dry_run, planned::digest(&view), swaps.iter().map(step).collect())?;
    for (done, (replica, primary)) in swaps.iter().enumerate() {
        ui.heading(format!(">>> Failover of {} to {}", primary.addr, replica.addr));
        let promotion = Promotion { pool: &ctx.pool, replica, primary, how: How::Agreed, limit: args.wait.wait };
        promotion.run().await.map_err(|error| {
            error.hint(format!("{done} of {} failovers are done; run the same command again for the rest", swaps.len()))
        })?;
    }
    agreement::reach(ui, &ctx.pool, &seed, args.wait, |_| None).await?;
    ui.ok(format!("[OK] {} failover(s) done.", swaps.len()));
    Ok(())
}

/// Who takes over from whom.
fn plan<'v>(view: &'v ClusterView, vitals: &Vitals, by: By, preferred: &[&'v Node]) -> Result<Vec<Swap<'v>>, Error> {
    let primaries: Vec<&Node> = view.primaries().filter(|node| !node.slots.is_empty()).collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shards = Vec::new();
    let mut members: Vec<Vec<(&Node, usize)>> = Vec::new();
    for primary in &primaries {
        let in_sync = |node: &&Node| {
            let lag = vitals.get(&node.id).and_then(|vital| promote::lag(vital, vitals.get(&primary.id)));
            lag.is_some_and(|lag| lag <= IN_SYNC_BYTES)
        };
        let candidates: Vec<&Node> =
            [*primary].into_iter().chain(view.replicas_of(&primary.id).filter(in_sync)).collect();
        let mut placed = Vec::new();
        for node in candidates {
            let name = place(node, vitals, by)?;
            let next = places.len();
            placed.push((node, *places.entry(name).or_insert(next)));
        }
        let now = placed[0].1;
        let wanted: Vec<(&Node, usize)> =
            placed.iter().filter(|(node, _)| preferred.iter().any(|other| other.id == node.id)).copied().collect();
        let allowed = match wanted[..] {
            [] => placed,
            [one] => vec![one],
            [(one, _), (other, _), ..] => {
                return Err(Error::usage(format!(
                    "[ERR] {} and {} are of one shard: they cannot both be primaries.",
                    one.addr, other.addr
                )));
            }
        };
        shards.push(Shard { now, places: allowed.iter().map(|&(_, place)| place).collect() });
        members.push(allowed);
    }
    for node in preferred {
        if !members.iter().flatten().any(|(member, _)| member.id == node.id) {
            return Err(Error::failed(format!("[ERR] Node {} cannot become a primary now.", node.addr))
                .hint("it does not answer, is not in sync, or its primary owns no slots: see 'trib status'"));
        }
    }
    let chosen = roles::plan(&shards, places.len());
    let swaps = primaries.iter().zip(members).zip(chosen).filter_map(|((&primary, members), place)| {
        // The present primary comes first: it stays where its place is the chosen one.
        let (node, _) = members.into_iter().find(|&(_, at)| at == place)?;
        (node.id != primary.id).then_some((node, primary))
    });
    Ok(swaps.collect())
}

fn place<'v>(node: &'v Node, vitals: &'v Vitals, by: By) -> Result<&'v str, Error> {
    let zone = vitals.get(&node.id).map(|vital| vital.zone.as_str());
    match (by, zone) {
        (By::Host, _) => Ok(&node.announced.host),
        (By::Zone, Some(zone)) if !zone.is_empty() => Ok(zone),
        (By::Zone, _) => Err(Error::failed(format!("[ERR] Node {} does not tell its zone.", node.addr))
            .hint("set availability-zone in its configuration, or use --by host")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::base::NodeId;
    use crate::trib::view::tests::{id, view};
    use crate::trib::vitals::Vital;

    /// Two hosts; all primaries are on the first, their replicas on the second.
    fn lopsided() -> ClusterView {
        let lines = |own: char| {
            [
                ('a', "10.0.0.1:1 master - 0 0 1 connected 0-8000"),
                ('b', "10.0.0.1:2 master - 0 0 2 connected 8001-16383"),
                ('c', "10.0.0.2:1 slave a 0 0 1 connected"),
                ('d', "10.0.0.2:2 slave b 0 0 2 connected"),
            ]
            .map(|(letter, rest)| {
                let rest = if letter == own { rest.replacen(' ', " myself,", 1) } else { rest.to_owned() };
                format!("{letter} {rest}\n")
            })
            .concat()
        };
        let all: Vec<String> = "abcd".chars().map(lines).collect();
        view("10.0.0.1:1", &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn vitals(behind: &[char]) -> Vitals {
        let vital = |letter: char| {
            let offset = if behind.contains(&letter) { 0 } else { 1 << 30 };
            (id(letter), Vital { offset, link_up: (letter > 'b').then_some(true), ..Vital::default() })
        };
        Vitals::from(HashMap::from_iter("abcd".chars().map(vital)))
    }

    fn planned(behind: &[char], preferred: &[char]) -> Result<Vec<(NodeId, NodeId)>, Error> {
        let view = lopsided();
        let preferred: Vec<&Node> = preferred.iter().filter_map(|&letter| view.node(&id(letter))).collect();
        let swaps = plan(&view, &vitals(behind), By::Host, &preferred)?;
        Ok(swaps.iter().map(|(replica, primary)| (replica.id, primary.id)).collect())
    }

    #[test]
    fn one_failover_makes_two_hosts_even() {
        assert_eq!(planned(&[], &[]).unwrap().len(), 1);
        assert_eq!(planned(&['c'], &[]).unwrap(), [(id('d'), id('b'))], "only one is in sync");
        assert_eq!(planned(&['c', 'd'], &[]).unwrap(), []);
    }

    #[test]
    fn what_is_preferred_comes_first() {
        assert_eq!(planned(&[], &['c', 'd']).unwrap().len(), 2);
        assert_eq!(planned(&[], &['a']).unwrap(), [(id('d'), id('b'))]);
        assert!(planned(&[], &['a', 'c']).is_err(), "of one shard");
        assert!(planned(&['c'], &['c']).is_err(), "not in sync");
        let zones = plan(&lopsided(), &vitals(&[]), By::Zone, &[]).unwrap_err();
        assert!(zones.hint.unwrap().contains("availability-zone"));
    }
}
