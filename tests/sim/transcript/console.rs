//! Who types the commands of a transcript: somebody outside, whom no trouble between nodes concerns.

use std::cell::RefCell;
use std::rc::Rc;

use trib::base::Slot;
use trib::resp::client::ReplyValue;

use super::Stage;
use crate::client::redirected_to;
use crate::desk::{Desk, NoReply};
use crate::machine::Machine;
use crate::queue::{MS, Micros, SEC};

/// How long a reply may take.
const PATIENCE: Micros = 3 * SEC;

/// Redirections that one command follows.
const HOPS: usize = 8;

pub struct Console {
    desk: Desk,
    actor: usize,
}

/// The slots that a command moves about by order.
fn named_slots(words: &[Vec<u8>]) -> Vec<Slot> {
    let number = |word: &Vec<u8>| std::str::from_utf8(word).ok()?.parse::<u16>().ok().and_then(Slot::new);
    let [cluster, name, rest @ ..] = words else { return Vec::new() };
    match (&cluster.to_ascii_uppercase()[..], &name.to_ascii_uppercase()[..], rest) {
        (b"CLUSTER", b"SETSLOT", [slot, ..]) => number(slot).into_iter().collect(),
        (b"CLUSTER", b"MIGRATESLOTS", [_, first, last, ..]) => {
            let (first, last) = (number(first), number(last));
            Slot::all().filter(|slot| first <= Some(*slot) && Some(*slot) <= last).collect()
        }
        _ => Vec::new(),
    }
}

impl Stage {
    /// Sends a command to a node, on the connection that was used before, and lets time pass until it is answered.
    pub fn call(&mut self, node: usize, words: &[Vec<u8>]) -> Result<ReplyValue, NoReply> {
        let Console { desk, actor } = match self.console.take() {
            Some(console) => console,
            None => {
                let desk = Desk::new(self.world.rng.next_u64());
                let actor = self.world.employ(desk.clone(), Box::pin(std::future::ready(())));
                Console { desk, actor }
            }
        };
        for slot in named_slots(words) {
            self.world.checks.touch(slot, self.world.now);
        }
        let answer = Rc::new(RefCell::new(Err(NoReply)));
        let (asks, told, words) = (desk.clone(), Rc::clone(&answer), words.to_vec());
        self.world.employ_again(
            actor,
            Box::pin(async move {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let reply = asks.call(node, &words, PATIENCE).await;
                *told.borrow_mut() = reply;
            }),
        );
        let until = self.world.now + PATIENCE + SEC;
        self.world.run(until, |world| world.actors[actor].has_ended());
        self.console = Some(Console { desk, actor });
        answer.replace(Err(NoReply))
    }

    /// Sends a command to where redirections lead.
    pub fn call_anywhere(&mut self, words: &[Vec<u8>]) -> Result<ReplyValue, NoReply> {
        let nodes = &self.world.nodes;
        let mut node = nodes.iter().position(Machine::is_running).ok_or(NoReply)?;
        for _ in 0..HOPS {
            let reply = self.call(node, words)?;
            let error = reply.as_error().unwrap_or_default();
            if let Some(owner) = redirected_to(error, "MOVED") {
                node = owner;
            } else if let Some(target) = redirected_to(error, "ASK") {
                self.call(target, &[b"ASKING".to_vec()])?;
                return self.call(target, words);
            } else if error.starts_with(b"TRYAGAIN") {
                let until = self.world.now + 50 * MS;
                self.world.run(until, |_| false);
            } else {
                return Ok(reply);
            }
        }
        Err(NoReply)
    }
}
