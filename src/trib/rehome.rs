//! New primaries for the replicas of one that leaves.

use super::client::command;
use super::cmd::Context;
use super::error::Error;
use super::planned::{Member, Step};
use super::view::{ClusterView, Node};
use crate::base::NodeId;

/// A replica and the primary it is to have.
pub type Home<'v> = (&'v Node, &'v Node);

/// A primary for every reachable replica of the nodes in `leaving`: the one with the fewest, so that they spread.
/// Planned for all before the first is told.
pub fn plan<'v>(view: &'v ClusterView, leaving: &[NodeId]) -> Result<Vec<Home<'v>>, Error> {
    let mut homes: Vec<(&Node, usize)> = view
        .primaries()
        .filter(|primary| !leaving.contains(&primary.id) && !primary.slots.is_empty())
        .map(|primary| (primary, view.replicas_of(&primary.id).count()))
        .collect();
    let mut moves = Vec::new();
    for replica in leaving.iter().flat_map(|id| view.replicas_of(id)) {
        let (primary, replicas) = homes
            .iter_mut()
            .min_by_key(|(_, replicas)| *replicas)
            .ok_or_else(|| Error::failed("[ERR] There is no other primary to give its replicas to."))?;
        *replicas += 1;
        moves.push((replica, *primary));
    }
    Ok(moves)
}

/// The same as steps.
pub fn steps<'s>(homes: &'s [Home<'s>]) -> impl Iterator<Item = Step> + 's {
    homes
        .iter()
        .map(|(replica, primary)| Step::Replicate { node: Member::from(*replica), primary: Member::from(*primary) })
}

/// Tells the replicas.
pub async fn apply(ctx: &Context<'_>, homes: &[Home<'_>]) -> Result<(), Error> {
    for (replica, primary) in homes {
        ctx.ui.heading(format!(">>> {} as replica of {}", replica.addr, primary.addr));
        ctx.pool.call(&replica.addr, command("CLUSTER REPLICATE").arg(primary.id.as_str())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, view};
    use super::*;

    #[test]
    fn replicas_spread_over_the_primaries_that_stay() {
        let texts = |own: char| {
            let lines = [
                ('a', "10.0.0.1:1 master - 0 0 1 connected 0-8191"),
                ('b', "10.0.0.2:1 master - 0 0 2 connected 8192-16383"),
                ('d', "10.0.0.4:1 master - 0 0 3 connected"),
                ('e', "10.0.0.5:1 slave d 0 0 3 connected"),
                ('f', "10.0.0.6:1 slave d 0 0 3 connected"),
                ('c', "10.0.0.3:1 slave a 0 0 1 connected"),
            ];
            let line = |(letter, rest): (char, &str)| {
                let rest = if letter == own { rest.replacen(' ', " myself,", 1) } else { rest.to_owned() };
                format!("{letter} {rest}\n")
            };
            lines.map(line).concat()
        };
        let all: Vec<String> = "abcdef".chars().map(texts).collect();
        let view = view("10.0.0.1:1", &all.iter().map(String::as_str).collect::<Vec<_>>());
        let moves = plan(&view, &[id('d')]).unwrap();
        let pairs: Vec<_> = moves.iter().map(|(replica, primary)| (replica.id, primary.id)).collect();
        assert_eq!(pairs, [(id('e'), id('b')), (id('f'), id('a'))]);
        assert!(plan(&view, &[id('d'), id('a'), id('b')]).is_err(), "nobody is left");
    }
}
