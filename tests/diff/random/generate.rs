//! From the grammar and a seed to commands.

use trib::base::Rng;

use super::tame::{tame, tame_for_stock, tame_for_valkey};
use super::template::{Grammar, Piece};
use super::words::Words;
use crate::pair::Argv;

/// A command, and which of two clients sends it.
#[derive(Clone, Debug)]
pub struct Op {
    pub client: usize,
    pub args: Argv,
}

/// Makes the commands of one stretch.
pub struct Generator<'a> {
    grammar: &'a Grammar,
    words: Words,
    /// Of each client: commands until its transaction ends.
    transaction: [Option<u64>; 2],
}

impl<'a> Generator<'a> {
    /// For Redis 7.0, or for a `peer`.
    pub fn new(grammar: &'a Grammar, seed: u64, cluster: bool, peer: bool) -> Generator<'a> {
        Generator {
            grammar,
            words: Words { rng: Rng::seeded(seed), cluster, peer, last_id: 1 },
            transaction: [None; 2],
        }
    }

    pub fn stretch(mut self, commands: usize) -> Vec<Op> {
        let mut ops = self.limits();
        while ops.len() < commands {
            let client = usize::from(self.words.chance(4));
            let args = match &mut self.transaction[client] {
                Some(0) => self.end_of_transaction(client),
                Some(left) => {
                    *left -= 1;
                    self.queued()
                }
                None => self.command(),
            };
            if self.transaction[client].is_none() && args[0].eq_ignore_ascii_case(b"multi") {
                self.transaction[client] = Some(self.words.rng.below(8));
            }
            ops.push(Op { client, args });
        }
        ops
    }

    /// Half of the stretches convert small collections earlier.
    fn limits(&mut self) -> Vec<Op> {
        let small = self.words.chance(50);
        let sets = [
            ("hash-max-listpack-entries", "8", "512"),
            ("hash-max-listpack-value", "20", "64"),
            ("zset-max-listpack-entries", "8", "128"),
            ("zset-max-listpack-value", "20", "64"),
            ("set-max-intset-entries", "8", "512"),
        ];
        let op = |(name, few, usual): (&str, &str, &str)| {
            let words = ["CONFIG", "SET", name, if small { few } else { usual }];
            Op { client: 0, args: words.iter().map(|word| word.as_bytes().to_vec()).collect() }
        };
        sets.into_iter().map(op).collect()
    }

    fn end_of_transaction(&mut self, client: usize) -> Argv {
        self.transaction[client] = None;
        vec![if self.words.chance(85) { b"EXEC".to_vec() } else { b"DISCARD".to_vec() }]
    }

    /// A command that is compared by its reply alone: nothing can be asked in between while it is queued. Nor one that
    /// breaks a transaction since Redis 7.2 and did not before (`lines/transactions.txt`).
    fn queued(&mut self) -> Argv {
        loop {
            let args = self.command();
            let is_unfit = |name: &[u8]| args[0].eq_ignore_ascii_case(name);
            if !super::replay::runs_alone(&args) && ![&b"exec"[..], b"multi", b"watch"].into_iter().any(is_unfit) {
                return args;
            }
        }
    }

    fn command(&mut self) -> Argv {
        let mut at = self.words.rng.below(self.grammar.weight);
        let grammar = self.grammar;
        let line = grammar.lines.iter().find(|(weight, _)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let mut args = Argv::new();
        self.expand(&line.expect("weights add up").1, &mut args);
        self.disturb(&mut args);
        if self.words.peer {
            tame_for_valkey(&mut args);
        } else {
            tame_for_stock(&mut args, self.words.cluster);
        }
        tame(&mut args, self.words.cluster);
        args
    }

    fn expand(&mut self, pieces: &[Piece], out: &mut Argv) {
        for piece in pieces {
            match piece {
                Piece::Word(word) => out.push(word.as_bytes().to_vec()),
                Piece::Slot(kind, hint) => out.extend(self.words.slot(kind, hint)),
                Piece::Choice(all) => self.expand_one(all, out),
                Piece::Optional(all) => {
                    if self.words.chance(40) {
                        self.expand_one(all, out);
                    }
                }
                Piece::Repeat(all) => {
                    // Now and then enough for a change of encoding.
                    let times = if self.words.chance(3) { 150 } else { 3 };
                    for _ in 0..=self.words.rng.below(times) {
                        self.expand_one(all, out);
                    }
                }
            }
        }
    }

    fn expand_one(&mut self, all: &[Vec<Piece>], out: &mut Argv) {
        let one = self.words.pick(all);
        self.expand(one, out);
    }

    /// Sometimes a word is missing, too many, or not what it should be.
    fn disturb(&mut self, args: &mut Argv) {
        let Words { rng, .. } = &mut self.words;
        let at = 1 + rng.below(args.len().saturating_sub(1) as u64) as usize;
        let (has_arguments, dice) = (args.len() > 1, rng.below(100));
        match dice {
            0 if has_arguments => drop(args.remove(at)),
            1 => args.push(self.words.value()),
            2 if has_arguments => args[at] = self.words.value(),
            3 if has_arguments => args.insert(at, args[at].clone()),
            4 if has_arguments && args.len() > at + 1 => args.swap(at, at + 1),
            5 => args[0].make_ascii_lowercase(),
            6 if has_arguments => args[at].make_ascii_lowercase(),
            _ => {}
        }
    }
}
