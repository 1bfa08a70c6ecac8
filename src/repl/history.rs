//! Which history of writes this node's data belong to, and how far along it they are.
//!
//! Two data sets with the same replication id and the same offset are equal. A node that was promoted remembers the
//! id it followed before, up to the offset where the histories part, so that its former siblings can go on from there.

use crate::base::{NodeId, Rng};

/// A replication id: 40 characters.
pub type ReplId = NodeId;

/// How the unset second id is shown.
pub const NO_ID: &str = "0000000000000000000000000000000000000000";

/// The id that was followed before, and the first offset that is no longer part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Previous {
    pub id: ReplId,
    /// `second_repl_offset`: the first byte number that differs; a replica may ask for it, but not beyond.
    pub until: u64,
}

/// The node's place in the history of writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    pub id: ReplId,
    /// `master_repl_offset`: bytes put into the stream so far; on a replica, those that are fully applied.
    pub offset: u64,
    pub previous: Option<Previous>,
}

impl History {
    /// A history of its own, at offset 0.
    #[must_use]
    pub fn new(rng: &mut Rng) -> History {
        History { id: ReplId::random(rng), offset: 0, previous: None }
    }

    /// Takes a fresh id and forgets the previous one: nobody can go on from here.
    pub fn restart(&mut self, rng: &mut Rng) {
        self.id = ReplId::random(rng);
        self.previous = None;
    }

    /// Goes on under `id`, remembering the old one as valid up to here: a promotion, or a `+CONTINUE` with a new id.
    pub fn shift(&mut self, id: ReplId) {
        self.previous = Some(Previous { id: self.id, until: self.offset + 1 });
        self.id = id;
    }

    /// Whether byte number `offset` of the history named `id` is the byte that this history has, or will have, there.
    /// Ids are compared without case, as stock servers do.
    #[must_use]
    pub fn shares(&self, id: &[u8], offset: u64) -> bool {
        let is = |own: &ReplId| own.as_bytes().eq_ignore_ascii_case(id);
        is(&self.id) || self.previous.as_ref().is_some_and(|p| is(&p.id) && offset <= p.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_keeps_the_past_valid_up_to_the_next_byte() {
        let mut rng = Rng::seeded(1);
        let mut history = History::new(&mut rng);
        history.offset = 100;
        let old = history.id;
        history.shift(ReplId::random(&mut rng));
        assert_ne!(history.id, old);
        assert!(history.shares(old.as_bytes(), 101));
        assert!(!history.shares(old.as_bytes(), 102));
        assert!(history.shares(history.id.as_str().to_ascii_uppercase().as_bytes(), 5000));
        assert!(!history.shares(b"?", 1));
        history.restart(&mut rng);
        assert!(!history.shares(old.as_bytes(), 50));
    }
}
