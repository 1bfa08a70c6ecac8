//! What a line of a transcript does.

use super::names::are_like;
use super::{Line, Stage};
use crate::client::Client;
use crate::desk::Desk;
use crate::queue::{MS, Micros, SEC};

/// How often a condition is looked at while time passes.
const LOOK_EVERY: Micros = 10 * MS;

/// `300ms` or `5s`.
pub fn time(text: &str) -> Result<Micros, String> {
    let (digits, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, MS),
        (None, Some(digits)) => (digits, SEC),
        (None, None) => ("", 0),
    };
    digits.parse::<u64>().map(|count| count * unit).map_err(|_| format!("{text} is no time, as 300ms or 5s"))
}

impl Stage {
    /// Does what a line says. The error tells what was seen instead of what it expects.
    pub fn step(&mut self, line: &Line<'_>) -> Result<(), String> {
        if let Some((who, command)) = line.text.split_once("> ") {
            return self.command(who, command, &line.reply);
        }
        let words: Vec<&str> = line.text.split_whitespace().collect();
        match &words[..] {
            ["wait", long] => self.pass(time(long)?),
            ["clients", count, "for", long] => {
                let count = count.parse().map_err(|_| format!("{count} is no number"))?;
                self.employ_clients(count, time(long)?);
            }
            ["cut", one, others] => {
                let (one, others) = (self.node(one)?, self.nodes(others)?);
                others.into_iter().for_each(|other| self.cut(one, other));
            }
            ["partition", names @ ..] => self.partition(names)?,
            ["lag", name, long] => {
                let node = self.node(name)?;
                self.world.net.slow_down(node, time(long)?);
            }
            ["hold", "replication", "of", name] => {
                let link = self.world.nodes[self.node(name)?].process.as_ref().and_then(|process| process.primary_link);
                let (_, end) = link.ok_or_else(|| format!("{name} has no link to a primary"))?;
                self.world.net.stall(end, Micros::MAX);
            }
            ["heal"] => {
                self.world.mend();
                self.world.plan_release(SEC);
            }
            ["kill", names] => self.nodes(names)?.into_iter().for_each(|node| self.world.crash(node)),
            ["power", "off", names] => {
                self.nodes(names)?.into_iter().for_each(|node| self.world.power_off(node));
                // Nobody tells the console that its connections are gone.
                self.console = None;
            }
            ["start", names] => self.nodes(names)?.into_iter().for_each(|node| self.world.restart(node)),
            ["stop", names] => self.nodes(names)?.into_iter().for_each(|node| self.world.pause(node)),
            ["cont", names] => self.nodes(names)?.into_iter().for_each(|node| self.world.resume(node)),
            ["within", long, fact @ ..] => {
                let until = self.world.now + time(long)?;
                while let Some(seen) = self.doubt(fact)? {
                    if self.world.now >= until || self.world.broken.is_some() {
                        return Err(seen);
                    }
                    self.pass(LOOK_EVERY);
                }
            }
            ["for", long, fact @ ..] => {
                let (from, long) = (self.world.now, time(long)?);
                while self.world.now < from + long && self.world.broken.is_none() {
                    if let Some(seen) = self.doubt(fact)? {
                        return Err(format!("after {} ms: {seen}", (self.world.now - from) / MS));
                    }
                    self.pass(LOOK_EVERY);
                }
            }
            fact => return self.doubt(fact)?.map_or(Ok(()), Err),
        }
        Ok(())
    }

    fn pass(&mut self, long: Micros) {
        let until = self.world.now + long;
        self.world.run(until, |_| false);
    }

    /// Somebody types a command.
    fn command(&mut self, who: &str, command: &str, expected: &[&str]) -> Result<(), String> {
        let mut words = trib::base::words::split(command.as_bytes()).ok_or("its quotes are not closed")?;
        self.with_ids(&mut words);
        let reply = match who {
            "client" => self.call_anywhere(&words),
            name => {
                let node = self.node(name)?;
                self.call(node, &words)
            }
        };
        let seen = match reply {
            Ok(reply) => self.lines_of(&reply),
            Err(crate::desk::NoReply) => vec!["(no reply)".to_owned()],
        };
        if are_like(expected, &seen) { Ok(()) } else { Err(seen.join("\n")) }
    }

    /// Clients begin to write, as those of a seed's run do.
    fn employ_clients(&mut self, count: usize, long: Micros) {
        let world = &mut self.world;
        for _ in 0..count {
            let desk = Desk::new(world.rng.next_u64());
            let client = Client {
                desk: desk.clone(),
                number: world.actors.len(),
                actor: world.actors.len(),
                claims: world.checks.claims.clone(),
                hosts: world.plan.members(),
                until: world.now + long,
                think: 40 * MS,
                owners: Default::default(),
            };
            world.employ(desk, Box::pin(client.work()));
        }
    }

    fn cut(&mut self, one: usize, other: usize) {
        self.world.net.block(one, other);
        self.world.net.block(other, one);
    }

    /// Groups of nodes with `|` between them; who is in none is not concerned.
    fn partition(&mut self, names: &[&str]) -> Result<(), String> {
        let groups: Result<Vec<Vec<usize>>, String> =
            names.split(|name| *name == "|").map(|group| group.iter().map(|name| self.node(name)).collect()).collect();
        let groups = groups?;
        for (at, group) in groups.iter().enumerate() {
            for other in groups[at + 1..].iter().flatten() {
                group.iter().for_each(|node| self.cut(*node, *other));
            }
        }
        Ok(())
    }
}
