//! The operator: moves slots, fails over, adds and removes nodes while everything else goes on, as `trib` does it, and
//! brings to an end what troubles have left half done.
//!
//! A new kind of work is one more file with one `async fn` on [`Operator`], and a line in [`Operator::work`].

mod failover;
mod fix;
mod forget;
mod members;
mod reshard;
mod view;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use trib::base::Slot;
use trib::resp::client::ReplyValue;

use crate::desk::{Desk, NoReply};
use crate::plan::{Mood, Plan};
use crate::queue::{MS, Micros, SEC};

/// How long the operator waits for a reply.
const PATIENCE: Micros = 2 * SEC;

/// What the operator tells the world that it cannot see itself.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A slot is being moved about.
    Moves(Slot),
    /// A failover was forced: acknowledged writes may be lost.
    Forces,
}

/// The operator's book.
#[derive(Default)]
pub struct Book {
    /// What the world has not heard of yet.
    pub news: Vec<Deed>,
    /// All slots that were ever moved.
    pub moved: BTreeSet<Slot>,
}

pub type Deeds = Rc<RefCell<Book>>;

#[derive(Clone)]
pub struct Operator {
    pub desk: Desk,
    pub plan: Rc<Plan>,
    pub deeds: Deeds,
}

impl Operator {
    /// Works until the troubles end.
    pub async fn work(self) {
        while self.desk.now() < self.plan.duration {
            self.desk.sleep(200 * MS + self.desk.below(3 * SEC)).await;
            // What fails is left as it is: the next one who looks finds it half done.
            if self.plan.rash && self.desk.below(3) == 0 {
                let _ = self.be_rash().await;
            }
            let _ = match self.desk.below(8) {
                0..3 => self.move_some_slots().await,
                6.. => self.migrate_slots().await,
                3 => self.fail_over().await,
                4 if self.plan.purges && self.desk.below(2) == 0 => self.remove_node().await,
                4 => self.add_node().await,
                _ if self.plan.mood == Mood::Rough => self.force_failover().await,
                _ => Ok(()),
            };
        }
    }

    fn did(&self, deed: Deed) {
        let book = &mut *self.deeds.borrow_mut();
        book.news.push(deed);
        if let Deed::Moves(slot) = deed {
            book.moved.insert(slot);
        }
    }

    /// Sends a command that has to be answered with OK.
    async fn must(&self, host: usize, line: &str) -> Result<(), NoReply> {
        let reply = self.desk.say(host, line, PATIENCE).await?;
        if reply.is_ok() { Ok(()) } else { Err(NoReply) }
    }

    /// Sends a command whatever comes of it, as long as there is an answer.
    async fn tell(&self, host: usize, line: &str) -> Result<ReplyValue, NoReply> {
        self.desk.say(host, line, PATIENCE).await
    }

    /// Some machine, in the cluster or not.
    fn some_host(&self) -> usize {
        self.desk.below(self.plan.machines() as u64) as usize
    }
}
