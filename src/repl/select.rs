//! The database in which the next streamed command will be executed.

use crate::base::num::push_u64;

/// Remembers the last SELECT of the stream. Nothing is selected at first, and again after a full synchronisation
/// began or a promotion: the next command is then preceded by a SELECT whatever its database.
#[derive(Clone, Copy, Default, Debug)]
pub struct SelectTracker {
    db: Option<u32>,
}

impl SelectTracker {
    /// Forgets what is selected.
    pub fn reset(&mut self) {
        self.db = None;
    }

    /// The selected database, if one is.
    #[must_use]
    pub fn db(&self) -> Option<u32> {
        self.db
    }

    /// Whether a command for `db` has to be preceded by a SELECT.
    #[must_use]
    pub fn needs_select(&self, db: u32) -> bool {
        self.db != Some(db)
    }

    /// Selects `db` and gives the command that does so.
    pub fn select(&mut self, db: u32) -> Vec<u8> {
        self.db = Some(db);
        let mut digits = Vec::with_capacity(10);
        push_u64(&mut digits, u64::from(db));
        command(&[b"SELECT", &digits])
    }
}

/// Encodes a command as the stream carries it: an array of bulk strings.
#[must_use]
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + words.iter().map(|w| w.len() + 16).sum::<usize>());
    out.push(b'*');
    push_u64(&mut out, words.len() as u64);
    out.extend_from_slice(b"\r\n");
    for word in words {
        out.push(b'$');
        push_u64(&mut out, word.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_once_for_each_change() {
        let mut tracker = SelectTracker::default();
        assert!(tracker.needs_select(0));
        assert_eq!(tracker.select(0), b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
        assert!(!tracker.needs_select(0));
        assert_eq!(tracker.select(12), b"*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n");
        tracker.reset();
        assert!(tracker.needs_select(12));
    }
}
