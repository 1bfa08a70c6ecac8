//! One operator at a time: an advisory lock on the cluster that leaves no trace in it.
//!
//! Whoever changes something keeps one named connection open to each of the three primaries with the lowest ids, and
//! reads CLIENT LIST there; [`claim`] decides who has it. No key is written and nothing has to be cleaned up: the lock
//! goes with the connections, however the program ends. It binds only those who ask for it, which all changing
//! subcommands do.
//!
//! Nodes die and restart under a lock: then the name is put up there again. Where somebody else is found instead, on
//! so many nodes that the lock is not ours any more, the run is told ([`Lock::lost`]).

pub mod claim;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use redis::Cmd;

use super::access::Access;
use super::addr::Addr;
use super::client::{Client, Pool, command, info_field, join_all, text_of};
use super::error::{Error, Failure};
use super::ui::Ui;
use super::view::{ClusterView, Node};
use crate::base::Rng;
use claim::{Claim, Operator, Verdict};

/// Primaries that are asked; two of three are enough, so that one may fail.
const SEATS: usize = 3;
/// How long operators who come at the same moment may take to sort it out.
const CONTEST_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks of one who stays.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two tries of one who waits for the holder to end.
const WAIT_PAUSE: Duration = Duration::from_millis(250);

/// What one whose lock was broken needs to notice it.
const GRACE: Duration = Duration::from_millis(1500);

/// On how many of the nodes one has to be alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needed {
    /// The nodes of a cluster: two majorities always meet.
    Majority,
    /// Nodes that are no cluster yet: another operator may want others of them.
    All,
}

impl Needed {
    fn of(self, nodes: usize) -> usize {
        match self {
            Needed::Majority => nodes / 2 + 1,
            Needed::All => nodes,
        }
    }
}

/// What to do when somebody else has the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// How long to wait for it.
    pub wait: Duration,
    /// Then close the other's connections and go on.
    pub force: bool,
}

/// Where the lock of this cluster is: its reachable primaries with the lowest ids.
#[must_use]
pub fn seats(view: &ClusterView) -> Vec<Addr> {
    let mut primaries: Vec<&Node> = view.primaries().collect();
    primaries.sort_by_key(|node| node.id);
    primaries.into_iter().take(SEATS).map(|node| node.addr.clone()).collect()
}

/// Who has the lock, as far as can be seen without taking part.
pub async fn holder(pool: &Pool, view: &ClusterView) -> Option<Claim> {
    let replies = pool.call_all(&seats(view), &command("CLIENT LIST")).await;
    let lists: Vec<Vec<Claim>> =
        replies.iter().flatten().filter_map(text_of).map(|list| claim::claims(&list)).collect();
    claim::foremost(&lists)
}

/// A lock that is held, or tried for, until it is dropped.
pub struct Lock {
    me: Operator,
    needed: Needed,
    access: Access,
    seats: RefCell<Vec<Seat>>,
}

struct Seat {
    addr: Addr,
    /// The named connection, while there is one.
    client: Option<Client>,
    /// Which run of the server it was made to, where that is told.
    run: Option<String>,
}

/// What a node said when the name was put up there.
struct Seen {
    client: Client,
    run: Option<String>,
    claims: Vec<Claim>,
}

/// Who has taken the lock away.
pub enum Taken {
    By(Claim),
    /// The nodes live and have closed the connections: who broke the lock has gone again.
    ByOneGone,
}

impl Taken {
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Taken::By(claim) => claim.describe(),
            Taken::ByOneGone => "somebody who is gone by now".to_owned(),
        }
    }
}

impl Lock {
    /// Takes the lock at these nodes, or says who has it. `None`, with a warning, where the nodes do not let this user
    /// see connections: an advisory lock must not keep anybody from working.
    pub async fn take(
        ui: &Ui,
        access: &Access,
        addrs: Vec<Addr>,
        needed: Needed,
        me: Operator,
        terms: Terms,
    ) -> Result<Option<Lock>, Error> {
        let mut random = Rng::seeded(u64::from_str_radix(&me.token, 16).unwrap_or(u64::from(me.pid)));
        let seats = addrs.into_iter().map(|addr| Seat { addr, client: None, run: None }).collect();
        let lock = Lock { me, needed, access: access.clone(), seats: RefCell::new(seats) };
        let begun = Instant::now();
        let (mut said, mut contested, mut broken) = (false, None, false);
        loop {
            let looks = lock.look().await;
            let lists: Vec<Vec<Claim>> = looks.iter().flatten().cloned().collect();
            if lists.is_empty() {
                // Nodes that are to become part of a cluster are asked for more, and complained about, right after this.
                let is_closed = |look: &Result<_, Failure>| {
                    let failure = look.as_ref().err();
                    failure.is_some_and(|f| matches!(f, Failure::Connect { .. }) || f.is_refused_login())
                };
                if needed != Needed::All || !looks.iter().all(is_closed) {
                    ui.note(format!("Warning: working without the cluster's lock: {}", why_not(&looks)));
                }
                return Ok(None);
            }
            let with = match claim::decide(&lists, &lock.me.token, needed.of(lists.len())) {
                Verdict::Mine => return Ok(Some(lock)),
                Verdict::Taken(with) => with,
                Verdict::Contested { with, yields } => {
                    if contested.get_or_insert_with(Instant::now).elapsed() < CONTEST_LIMIT {
                        if yields {
                            lock.leave();
                            tokio::time::sleep(PAUSE * 2 + Duration::from_millis(random.below(200))).await;
                        } else {
                            tokio::time::sleep(PAUSE).await;
                        }
                        continue;
                    }
                    with
                }
                // A node has closed the connection at once.
                Verdict::Unseen if contested.get_or_insert_with(Instant::now).elapsed() < CONTEST_LIMIT => {
                    lock.leave();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Verdict::Unseen => {
                    ui.note("Warning: working without the cluster's lock: the nodes do not keep its connections");
                    return Ok(None);
                }
            };
            if begun.elapsed() < terms.wait {
                lock.leave();
                if !std::mem::replace(&mut said, true) {
                    ui.note(format!("Waiting: the cluster is locked by {}...", with.describe()));
                }
                tokio::time::sleep(WAIT_PAUSE).await;
            } else if terms.force && !broken {
                broken = true;
                ui.note(format!("Breaking the lock of {}: it is told to stop.", with.describe()));
                lock.drive_out(&looks).await;
                tokio::time::sleep(GRACE).await;
            } else {
                return Err(locked(&with));
            }
        }
    }

    /// Puts the name up wherever it is not yet, and lists who is there; by seat.
    async fn look(&self) -> Vec<Result<Vec<Claim>, Failure>> {
        let known: Vec<(Addr, Option<Client>)> =
            self.seats.borrow().iter().map(|seat| (seat.addr.clone(), seat.client.clone())).collect();
        let looks = join_all(known.into_iter().map(|(addr, client)| self.look_at(addr, client))).await;
        let mut seats = self.seats.borrow_mut();
        let kept = seats.iter_mut().zip(looks).map(|(seat, look)| match look {
            Ok(Seen { client, run, claims }) => {
                (seat.client, seat.run) = (Some(client), run);
                Ok(claims)
            }
            Err(failure) => {
                seat.client = None;
                Err(failure)
            }
        });
        kept.collect()
    }

    async fn look_at(&self, addr: Addr, client: Option<Client>) -> Result<Seen, Failure> {
        let client = match client {
            Some(client) => client,
            None => Client::dial(&addr, &self.access).await?,
        };
        let mut name: Cmd = command("CLIENT SETNAME");
        name.arg(self.me.name());
        let cmds = [name, command("CLIENT LIST"), command("INFO server")];
        let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?.into_iter();
        let mut next = || replies.next().transpose();
        next()?;
        let list = next()?.as_ref().and_then(text_of);
        // Who may not ask for it does without.
        let info = next().ok().flatten().as_ref().and_then(text_of);
        let run = info.and_then(|info| info_field(&info, "run_id").map(str::to_owned));
        Ok(Seen { client, run, claims: claim::claims(&list.unwrap_or_default()) })
    }

    /// Takes the name down everywhere.
    fn leave(&self) {
        self.seats.borrow_mut().iter_mut().for_each(|seat| seat.client = None);
    }

    /// Closes the others' lock connections. What a node does not allow shows at the next look.
    async fn drive_out(&self, looks: &[Result<Vec<Claim>, Failure>]) {
        let clients: Vec<Option<Client>> = self.seats.borrow().iter().map(|seat| seat.client.clone()).collect();
        let work = clients.iter().zip(looks).filter_map(|(client, look)| {
            let (client, claims) = (client.as_ref()?, look.as_ref().ok()?);
            let others = claims.iter().filter(|claim| claim.operator.token != self.me.token);
            let cmds: Vec<Cmd> = others.map(|claim| command("CLIENT KILL ID").arg(claim.client).to_owned()).collect();
            Some(async move { client.pipeline(client.timeouts().reply, &cmds).await.map(drop) })
        });
        join_all(work).await;
    }

    /// Who has taken the lock away, if somebody has. Puts the name up again where a node has restarted.
    pub async fn lost(&self) -> Option<Taken> {
        let clients: Vec<Option<Client>> = self.seats.borrow().iter().map(|seat| seat.client.clone()).collect();
        let pings = join_all(clients.iter().map(|client| async {
            match client {
                Some(client) => client.call(&command("PING")).await.is_ok(),
                None => false,
            }
        }))
        .await;
        let kept = pings.iter().filter(|&&kept| kept).count();
        if kept == pings.len() {
            return None;
        }
        let needed = self.needed.of(pings.len());
        let mut before = Vec::with_capacity(pings.len());
        for (seat, kept) in self.seats.borrow_mut().iter_mut().zip(&pings) {
            before.push(seat.run.take().filter(|_| !kept && seat.client.is_some()));
            if !kept {
                seat.client = None;
            }
        }
        let others: Vec<Vec<Claim>> = self
            .look()
            .await
            .into_iter()
            .flatten()
            .map(|list| list.into_iter().filter(|claim| claim.operator.token != self.me.token).collect())
            .collect();
        let same_run =
            self.seats.borrow().iter().zip(before).filter(|(seat, run)| run.is_some() && seat.run == *run).count();
        let taken = match claim::foremost(&others).filter(|_| kept < needed) {
            Some(other) => Taken::By(other),
            None if same_run >= needed => Taken::ByOneGone,
            None => return None,
        };
        self.leave();
        Some(taken)
    }
}

fn why_not(looks: &[Result<Vec<Claim>, Failure>]) -> String {
    match looks.iter().find_map(|look| look.as_ref().err()) {
        Some(failure) => failure.to_string(),
        None => "no primary answers".to_owned(),
    }
}

fn locked(by: &Claim) -> Error {
    Error::failed(format!("[ERR] The cluster is locked by {}.", by.describe())).hint(
        "two operators at once would undo each other's work: wait for the other with --lock-wait 60; if that trib is \
         stuck, stop it, or break its lock with --force",
    )
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{small, view};
    use super::*;

    #[test]
    fn the_lock_is_at_the_primaries_with_the_lowest_ids() {
        let told = |view| seats(&view).iter().map(std::string::ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(small()), ["127.0.0.1:7000", "10.0.0.2:7000"]);
        let lines = "d 10.0.0.4:1 myself,master - 0 0 1 connected\nb 10.0.0.2:1 master - 0 0 1 connected";
        assert_eq!(told(view("10.0.0.4:1", &[lines])), ["10.0.0.4:1"], "b does not answer");
    }

    #[test]
    fn a_majority_is_enough_for_a_cluster() {
        assert_eq!([1, 2, 3].map(|nodes| Needed::Majority.of(nodes)), [1, 2, 2]);
        assert_eq!(Needed::All.of(3), 3);
    }
}
