//! Who holds the lock: the decision, from the lists of connections that the nodes gave.
//!
//! An operator claims a node by a connection with a name. The names appear in no known order, so arrival decides nothing;
//! what decides is to be alone: one who has put up its name and then sees no other name on a node has that node, and
//! everyone who comes later sees the name. Where two meet, the one with the greater token goes and tries again.

use std::collections::BTreeMap;

/// How the names of lock connections begin.
const PREFIX: &str = "trib-lock:";

/// A claim this old is no contender any more: those go within a second.
const SETTLED_AFTER_SECS: u64 = 2;

/// An operator, as the name of the connection tells.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Operator {
    /// Different for every run of the program.
    pub token: String,
    /// The subcommand.
    pub command: String,
    pub pid: u32,
    /// `user@host`.
    pub who: String,
}

impl Operator {
    /// The connection's name: only characters that CLIENT SETNAME permits.
    #[must_use]
    pub fn name(&self) -> String {
        let clean = |text: &str, also: &str| -> String {
            let fits = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
            text.chars().map(|c| if fits(c) { c } else { '_' }).collect()
        };
        let (token, command) = (clean(&self.token, ""), clean(&self.command, "-"));
        format!("{PREFIX}{token}:{command}:{}:{}", self.pid, clean(&self.who, "@.-_"))
    }

    /// From a name; `None` for connections that are no claim.
    #[must_use]
    pub fn parse(name: &str) -> Option<Operator> {
        let mut parts = name.strip_prefix(PREFIX)?.splitn(4, ':');
        let mut part = || parts.next().map(str::to_owned);
        let (token, command) = (part()?, part()?);
        Some(Operator { token, command, pid: part()?.parse().ok()?, who: part()? })
    }
}

/// A lock connection at one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The number of the connection at that node.
    pub client: u64,
    /// How long the connection has been there.
    pub age_secs: u64,
    pub operator: Operator,
}

impl Claim {
    /// Who that is, for a message: `ann@host (pid 7, reshard, since 12 s)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Operator { who, pid, command, .. } = &self.operator;
        format!("{who} (pid {pid}, {command}, since {} s)", self.age_secs)
    }
}

/// The lock connections in a CLIENT LIST reply.
#[must_use]
pub fn claims(list: &str) -> Vec<Claim> {
    let read = |line: &str| {
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
        let operator = Operator::parse(field("name=")?)?;
        let number = |name| field(name).and_then(|text| text.parse().ok());
        Some(Claim { client: number("id=")?, age_secs: number("age=").unwrap_or(0), operator })
    };
    list.lines().filter_map(read).collect()
}

/// What the lists of all nodes come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody else is on enough nodes.
    Mine,
    /// Somebody else has it for some time.
    Taken(Claim),
    /// Somebody else is there at the same time. The one that `yields` goes and comes again.
    Contested { with: Claim, yields: bool },
    /// My own name is missing where it should be.
    Unseen,
}

/// Whether `me`, whose name is up at all the nodes, has the lock: alone on at least `needed` of them.
#[must_use]
pub fn decide(lists: &[Vec<Claim>], me: &str, needed: usize) -> Verdict {
    let is_mine = |claim: &&Claim| claim.operator.token == me;
    let seen = lists.iter().filter(|list| list.iter().any(|claim| is_mine(&claim)));
    let alone = seen.filter(|list| list.iter().all(|claim| is_mine(&claim))).count();
    if alone >= needed {
        return Verdict::Mine;
    }
    let others: Vec<Vec<Claim>> =
        lists.iter().map(|list| list.iter().filter(|claim| !is_mine(claim)).cloned().collect()).collect();
    let Some(with) = foremost(&others) else { return Verdict::Unseen };
    if with.age_secs >= SETTLED_AFTER_SECS {
        return Verdict::Taken(with);
    }
    let yields = others.iter().flatten().any(|claim| claim.operator.token.as_str() < me);
    Verdict::Contested { with, yields }
}

/// The claim that is on most nodes, the oldest of equals.
#[must_use]
pub fn foremost(lists: &[Vec<Claim>]) -> Option<Claim> {
    let mut by_token: BTreeMap<&str, (usize, &Claim)> = BTreeMap::new();
    for claim in lists.iter().flatten() {
        let entry = by_token.entry(&claim.operator.token).or_insert((0, claim));
        entry.0 += 1;
        if claim.age_secs > entry.1.age_secs {
            entry.1 = claim;
        }
    }
    by_token.into_values().max_by_key(|(nodes, claim)| (*nodes, claim.age_secs)).map(|(_, claim)| claim.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(token: &str, age_secs: u64) -> Claim {
        let operator =
            Operator { token: token.into(), command: "reshard".into(), pid: 7, who: format!("{token}@host") };
        Claim { client: 1, age_secs, operator }
    }

    #[test]
    fn a_name_survives_the_server() {
        let odd = Operator { token: "a1".into(), command: "add-node".into(), pid: 7, who: "Jörg Ott@my host".into() };
        let name = odd.name();
        assert!(name.bytes().all(|byte| (b'!'..=b'~').contains(&byte)), "{name}");
        assert_eq!(Operator::parse(&name), Some(Operator { who: "J_rg_Ott@my_host".into(), ..odd }));
        for other in ["", "trib", "trib-lock:", "trib-lock:a:b:c:d", "trib-lock:a:b:7"] {
            assert_eq!(Operator::parse(other), None, "{other}");
        }
    }

    #[test]
    fn claims_are_read_from_any_servers_list() {
        let name = claim("a", 0).operator.name();
        let list = format!(
            "id=3 addr=127.0.0.1:5 laddr=127.0.0.1:7 fd=8 name= age=9 idle=0 flags=N db=0 cmd=client|list\n\
             id=4 addr=127.0.0.1:6 fd=9 name={name} age=12 idle=0 flags=N db=0 cmd=client\n\
             id=5 addr=127.0.0.1:6 name=trib-lock:broken age=1\n"
        );
        assert_eq!(claims(&list), [Claim { client: 4, ..claim("a", 12) }]);
        assert_eq!(claims(&list)[0].describe(), "a@host (pid 7, reshard, since 12 s)");
        assert_eq!(claims(""), []);
    }

    #[test]
    fn who_is_alone_on_enough_nodes_has_it() {
        let (a, b) = (claim("a", 0), claim("b", 0));
        let only = |c: &Claim| vec![c.clone()];
        let both = || vec![a.clone(), b.clone()];
        assert_eq!(decide(&[only(&a), only(&a), both()], "a", 2), Verdict::Mine);
        assert_eq!(decide(&[only(&a), both(), both()], "a", 2), Verdict::Contested { with: b.clone(), yields: false });
        assert_eq!(decide(&[both(), both()], "b", 2), Verdict::Contested { with: a.clone(), yields: true });
        let old = claim("z", 60);
        assert_eq!(decide(&[vec![a.clone(), old.clone()]], "a", 1), Verdict::Taken(old));
        assert_eq!(decide(&[vec![]], "a", 1), Verdict::Unseen);
        assert_eq!(decide(&[], "a", 1), Verdict::Unseen);
    }

    #[test]
    fn the_holder_is_the_one_on_most_nodes() {
        let lists = [vec![claim("a", 1), claim("b", 9)], vec![claim("a", 3)], vec![]];
        assert_eq!(foremost(&lists), Some(claim("a", 3)));
        assert_eq!(foremost(&[vec![claim("a", 1), claim("b", 9)]]), Some(claim("b", 9)));
        assert_eq!(foremost(&[]), None);
    }

    proptest! {
        /// Operators put up their names and look, in any order, each for itself: never do two of them have it.
        #[test]
        fn there_are_never_two_holders(
            nodes in 1usize..4,
            order in prop::collection::vec((0usize..3, 0usize..3, any::<bool>()), 1..60),
        ) {
            let needed = nodes / 2 + 1;
            let tokens = ["a", "b", "c"];
            let mut up = vec![Vec::<Claim>::new(); nodes];
            // What an operator saw of a node when it looked there, after its name was up.
            let mut saw = vec![vec![None::<Vec<Claim>>; nodes]; tokens.len()];
            for (who, node, names) in order {
                let node = node % nodes;
                let named = up[node].iter().any(|claim| claim.operator.token == tokens[who]);
                if names && !named {
                    up[node].push(claim(tokens[who], 0));
                } else if named && saw[who][node].is_none() {
                    saw[who][node] = Some(up[node].clone());
                }
            }
            let holders = tokens.iter().zip(&saw).filter(|(token, saw)| {
                let lists: Vec<Vec<Claim>> = saw.iter().flatten().cloned().collect();
                decide(&lists, token, needed) == Verdict::Mine
            });
            prop_assert!(holders.count() <= 1);
        }
    }
}
