//! How those outside (clients, the operator) do their work: as ordinary sequential code that waits for replies and for
//! time. A desk takes their requests; the world answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use trib::base::Rng;
use trib::resp::Argv;
use trib::resp::args::push_command;
use trib::resp::client::ReplyValue;

use crate::queue::Micros;

/// No reply: the connection failed, or patience ran out. The command may have been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReply;

pub type Replies = Result<Vec<ReplyValue>, NoReply>;

/// What somebody asks of the world. Answered under its number.
pub enum Request {
    Wake { at: Micros },
    Call { host: usize, bytes: Vec<u8>, replies: usize, patience: Micros },
}

enum Answer {
    Awake,
    Replies(Replies),
}

struct Inner {
    now: Micros,
    rng: Rng,
    numbered: u64,
    requests: Vec<(u64, Request)>,
    answers: BTreeMap<u64, Answer>,
}

/// One outsider's desk; the world keeps a copy.
#[derive(Clone)]
pub struct Desk(Rc<RefCell<Inner>>);

impl Desk {
    pub fn new(seed: u64) -> Desk {
        let inner =
            Inner { now: 0, rng: Rng::seeded(seed), numbered: 0, requests: Vec::new(), answers: BTreeMap::new() };
        Desk(Rc::new(RefCell::new(inner)))
    }

    pub fn now(&self) -> Micros {
        self.0.borrow().now
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.0.borrow_mut().rng.below(bound)
    }

    pub async fn sleep(&self, time: Micros) {
        let at = self.now() + time;
        self.ask(Request::Wake { at }).await;
    }

    /// Sends one command to a host and waits for its reply.
    pub async fn call(&self, host: usize, words: &[&[u8]], patience: Micros) -> Result<ReplyValue, NoReply> {
        let mut replies = self.call_all(host, &[words], patience).await?;
        replies.pop().ok_or(NoReply)
    }

    /// The same with words in one text.
    pub async fn say(&self, host: usize, line: &str, patience: Micros) -> Result<ReplyValue, NoReply> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.call(host, &words, patience).await
    }

    /// Sends commands in one go and waits for all their replies.
    pub async fn call_all(&self, host: usize, commands: &[&[&[u8]]], patience: Micros) -> Replies {
        let mut bytes = Vec::new();
        for words in commands {
            push_command(&mut bytes, Argv::of(words).args());
        }
        match self.ask(Request::Call { host, bytes, replies: commands.len(), patience }).await {
            Answer::Replies(replies) => replies,
            Answer::Awake => Err(NoReply),
        }
    }

    /// Sends the same command to several hosts at once and waits for all of them.
    pub async fn say_all(&self, hosts: &[usize], line: &str, patience: Micros) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut bytes = Vec::new();
        push_command(&mut bytes, Argv::of(&words).args());
        let request = |host: &usize| Request::Call { host: *host, bytes: bytes.clone(), replies: 1, patience };
        let numbers: Vec<u64> = hosts.iter().map(|host| self.request(request(host))).collect();
        for number in numbers {
            self.answer_to(number).await;
        }
    }

    async fn ask(&self, request: Request) -> Answer {
        let number = self.request(request);
        self.answer_to(number).await
    }

    fn request(&self, request: Request) -> u64 {
        let inner = &mut *self.0.borrow_mut();
        inner.numbered += 1;
        inner.requests.push((inner.numbered, request));
        inner.numbered
    }

    async fn answer_to(&self, number: u64) -> Answer {
        poll_fn(|_| match self.0.borrow_mut().answers.remove(&number) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    // --- The world's side ---

    pub fn awake(&self, number: u64) {
        self.0.borrow_mut().answers.insert(number, Answer::Awake);
    }

    pub fn answer(&self, number: u64, replies: Replies) {
        self.0.borrow_mut().answers.insert(number, Answer::Replies(replies));
    }

    /// Lets the work go on at this moment. Gives what it asks for, and whether it has ended.
    pub fn go_on(&self, now: Micros, work: &mut Pin<Box<dyn Future<Output = ()>>>) -> (Vec<(u64, Request)>, bool) {
        self.0.borrow_mut().now = now;
        let ended = work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        (std::mem::take(&mut self.0.borrow_mut().requests), ended)
    }
}
