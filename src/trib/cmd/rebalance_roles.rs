//! `trib rebalance-roles`: primaries spread evenly over hosts, or over zones and the hosts of each, again.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::trib::vocabulary::Vocabulary;
use crate::trib::zones::ZoneArgs;

/// Spread the primaries evenly over hosts, or over zones and their hosts, by the fewest failovers
///
/// Every failover is an orderly one (see 'trib failover'), one after the other. Only replicas that are in sync are
/// chosen. A zone is what the server tells of its own, or what --zone says, which also asks for --by zone. Even zones come
/// before even hosts: the primaries of each zone are spread over its hosts as far as that leaves the zones as they are.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// What the primaries are spread over [default: host, or zone where --zone is given]
    #[arg(long, value_enum)]
    by: Option<By>,
    #[command(flatten)]
    zones: ZoneArgs,
    /// Nodes that are to be primaries whatever else is even, separated by commas
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    prefer: Vec<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What primaries are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Host,
    /// The availability zones that the servers tell, or --zone, and then the hosts of each
    Zone,
}

impl Args {
    fn by(&self) -> Result<By, Error> {
        match (self.by, self.zones.is_empty()) {
            (None, true) => Ok(By::Host),
            (None, false) => Ok(By::Zone),
            (Some(By::Host), false) => Err(Error::usage("[ERR] --zone is for --by zone.")),
            (Some(by), _) => Ok(by),
        }
    }
}

/// A replica that lacks no more than this is in sync: the stream never stands still.
const IN_SYNC_BYTES: u64 = 1 << 20;

/// A replica, and the primary it replaces.
type Swap<'v> = (&'v Node, &'v Node);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let (seed, by) = (args.seed.addr()?, args.by()?);
    let view = ctx.hold(harmony::load(&ctx.pool, &seed).await?, args.plan.dry_run).await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    ui.heading(format!(">>> Performing Cluster Check (using node {seed})"));
    if !report::configuration_check(ui, &view, Some(&vitals)).is_consistent() {
        ui.line("*** Please fix your cluster problems first");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {seed}")));
    }
    args.zones.check(view.nodes.iter().map(|node| &node.addr))?;
    let mut preferred = Vec::new();
    for name in &args.prefer {
        preferred.push(pick::any(&view, name).map_err(|bad| bad.refusal(&view, Vocabulary::default()))?);
    }
    let place = |node: &Node| place(node, &vitals, by, &args.zones);
    let Spread { swaps, held } = plan(&view, &vitals, place, &preferred)?;
    shares(&held, by).iter().for_each(|line| ui.line(line));
    if swaps.is_empty() {
        ui.ok("[OK] The primaries are spread as evenly as they can be.");
        ctx.nothing(args.plan.dry_run, &view);
        return Ok(());
    }
    let step = |&(replica, primary): &Swap<'_>| Step::Promote { node: replica.into(), primary: primary.into() };
    // A dry run ends here, with the steps as a table.
    ctx.pass(args.plan.dry_run, planned::digest(&view), swaps.iter().map(step).collect())?;
    for (replica, primary) in &swaps {
        ui.line(format!("{} is to take over from {}", replica.addr, primary.addr));
    }
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

/// Where a node is. Where only hosts count, all are in a zone without a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    zone: String,
    host: String,
}

/// How many primaries each place has now, and then.
type Held = BTreeMap<Place, [usize; 2]>;

/// Who takes over from whom, and what comes of it.
#[derive(Debug)]
struct Spread<'v> {
    swaps: Vec<Swap<'v>>,
    held: Held,
}

/// What each zone or host has, in lines; the hosts of a zone where it has several.
fn shares(held: &Held, by: By) -> Vec<String> {
    let sum = |held: &mut dyn Iterator<Item = &[usize; 2]>| held.fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
    let [all, _] = sum(&mut held.values());
    let line = |what: &str, name: &str, [now, then]: [usize; 2]| {
        let change = if now == then { String::new() } else { format!(", it will have {then}") };
        format!("{what} {name} has {now} of {all} primaries{change}")
    };
    if by == By::Host {
        return held.iter().map(|(place, &share)| line("host", &place.host, share)).collect();
    }
    let mut lines = Vec::new();
    let zones: BTreeSet<&String> = held.keys().map(|place| &place.zone).collect();
    for zone in zones {
        let hosts: Vec<_> = held.iter().filter(|(place, _)| place.zone == *zone).collect();
        lines.push(line("zone", zone, sum(&mut hosts.iter().map(|(_, share)| *share))));
        if hosts.len() > 1 {
            lines.extend(hosts.iter().map(|&(place, &share)| line("  host", &place.host, share)));
        }
    }
    lines
}

/// Spreads the primaries over the places that `place` tells.
fn plan<'v>(
    view: &'v ClusterView,
    vitals: &Vitals,
    place: impl Fn(&Node) -> Result<Place, Error>,
    preferred: &[&'v Node],
) -> Result<Spread<'v>, Error> {
    let primaries: Vec<&Node> = view.primaries().filter(|node| !node.slots.is_empty()).collect();
    let mut places: BTreeMap<Place, usize> = BTreeMap::new();
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
            let next = places.len();
            placed.push((node, *places.entry(place(node)?).or_insert(next)));
        }
        let now = placed[0].1;
        let wanted: Vec<(&Node, usize)> =
            placed.iter().filter(|(node, _)| preferred.iter().any(|other| other.id == node.id)).copied().collect();
        let allowed = match wanted[..] {
            [] => placed,
            [one] => vec![one],
            [(one, _), (other, _), ..] => {
                let why =
                    format!("[ERR] {} and {} are of one shard: they cannot both be primaries.", one.addr, other.addr);
                return Err(Error::usage(why).hint("name one node of each shard with --prefer"));
            }
        };
        shards.push(Shard { now, hosts: allowed.iter().map(|&(_, place)| place).collect() });
        members.push(allowed);
    }
    for node in preferred {
        if !members.iter().flatten().any(|(member, _)| member.id == node.id) {
            return Err(Error::failed(format!("[ERR] Node {} cannot become a primary now.", node.addr))
                .hint("it does not answer, is not in sync, or its primary owns no slots: see 'trib status'"));
        }
    }
    let names: BTreeSet<&String> = places.keys().map(|place| &place.zone).collect();
    let mut zones = vec![0; places.len()];
    for (place, &at) in &places {
        zones[at] = names.iter().position(|name| **name == place.zone).unwrap_or_default();
    }
    let chosen = roles::plan(&shards, &zones);
    let held = |at: usize| {
        let now = shards.iter().filter(|shard| shard.now == at).count();
        [now, chosen.iter().filter(|&&place| place == at).count()]
    };
    let held = places.into_iter().map(|(place, at)| (place, held(at))).collect();
    let swaps = primaries.iter().zip(members).zip(chosen).filter_map(|((&primary, members), place)| {
        // The present primary comes first: it stays where its place is the chosen one.
        let (node, _) = members.into_iter().find(|&(_, at)| at == place)?;
        (node.id != primary.id).then_some((node, primary))
    });
    Ok(Spread { swaps: swaps.collect(), held })
}

/// The host of a node, and its zone where that counts.
fn place(node: &Node, vitals: &Vitals, by: By, zones: &ZoneArgs) -> Result<Place, Error> {
    let host = node.announced.host.clone();
    if by == By::Host {
        return Ok(Place { zone: String::new(), host });
    }
    let told = vitals.get(&node.id).map_or("", |vital| vital.zone.as_str());
    match zones.of(&node.addr, told) {
        zone if zone.is_empty() => Err(Error::failed(format!("[ERR] Nobody knows the zone of {}.", node.addr))
            .hint("name it with --zone ADDRESS=ZONE, or set availability-zone in its configuration")),
        zone => Ok(Place { zone, host }),
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
        let vitals = vitals(behind);
        let by_host = |node: &Node| place(node, &vitals, By::Host, &ZoneArgs::default());
        let spread = plan(&view, &vitals, by_host, &preferred)?;
        Ok(spread.swaps.iter().map(|(replica, primary)| (replica.id, primary.id)).collect())
    }

    fn args(words: &[&str]) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        <Line as clap::Parser>::parse_from(["x", "h:1"].iter().chain(words)).args
    }

    #[test]
    fn zones_are_told_by_the_servers_or_said() {
        let view = lopsided();
        let held = |vitals: &Vitals, words: &[&str]| {
            let args = args(words);
            let by = args.by().unwrap();
            let place = |node: &Node| place(node, vitals, by, &args.zones);
            plan(&view, vitals, place, &[]).map(|spread| (spread.swaps.len(), shares(&spread.held, by)))
        };
        let named = |zones: [&str; 4]| {
            let mut told = vitals(&[]);
            for (letter, zone) in "abcd".chars().zip(zones) {
                told.set_zone(id(letter), zone);
            }
            told
        };
        let lines = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        // One host is two zones: there the primaries are even already.
        let even = lines(&[
            "zone x has 1 of 2 primaries",
            "  host 10.0.0.1 has 1 of 2 primaries",
            "  host 10.0.0.2 has 0 of 2 primaries",
            "zone y has 1 of 2 primaries",
            "  host 10.0.0.1 has 1 of 2 primaries",
            "  host 10.0.0.2 has 0 of 2 primaries",
        ]);
        assert_eq!(held(&named(["x", "y", "y", "x"]), &["--by", "zone"]), Ok((0, even)));
        let uneven = |names: [&str; 2]| {
            lines(&[
                &format!("zone {} has 2 of 2 primaries, it will have 1", names[0]),
                &format!("zone {} has 0 of 2 primaries, it will have 1", names[1]),
            ])
        };
        assert_eq!(held(&named(["x", "x", "y", "y"]), &["--by", "zone"]), Ok((1, uneven(["x", "y"]))));
        let said = ["--zone", "10.0.0.1=east", "--zone", "10.0.0.2:1=west", "--zone", "10.0.0.2:2=west"];
        assert_eq!(held(&vitals(&[]), &said), Ok((1, uneven(["east", "west"]))));
        // The hosts of a zone that has all the primaries are made even.
        let one = lines(&[
            "zone x has 2 of 2 primaries",
            "  host 10.0.0.1 has 2 of 2 primaries, it will have 1",
            "  host 10.0.0.2 has 0 of 2 primaries, it will have 1",
        ]);
        assert_eq!(held(&named(["x"; 4]), &["--by", "zone"]), Ok((1, one)));
        let unknown = held(&vitals(&[]), &said[..2]).unwrap_err();
        assert!(unknown.hint.unwrap().contains("--zone"));
        assert_eq!(args(&["--by", "host", "--zone", "a=b"]).by().unwrap_err().kind, Kind::Usage);
        assert_eq!(args(&[]).by(), Ok(By::Host));
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
    }
}
