//! The active side of expiry: finds keys whose time has come although nobody asks for them.

use super::{Db, Keyspace};

/// Keys looked at in one step of one table.
const SAMPLE: usize = 20;

/// Where the cycle goes on next time.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpireCursor {
    db: u32,
    table: usize,
    cursor: u64,
}

impl Keyspace {
    /// Walks the volatile keys from where it stopped last and deletes the expired ones, until `more` says stop or all
    /// databases were seen once. `more` is asked after every few dozen keys: the caller's share of CPU. The deleted keys
    /// are then in [`Keyspace::take_expired`].
    pub fn expire_cycle(&mut self, at: &mut ExpireCursor, mut more: impl FnMut() -> bool) {
        if self.replica {
            return;
        }
        let databases = self.databases();
        at.db %= databases;
        for _ in 0..=databases {
            while let Some(table) = self.next_volatile(at) {
                let mut due = Vec::new();
                let now = self.now;
                let mut seen = 0;
                while seen < SAMPLE {
                    at.cursor = self.dbs[at.db as usize].get(table).scan_volatile(at.cursor, &mut |entry| {
                        seen += 1;
                        if entry.expire_at().is_some_and(|t| t <= now) {
                            due.push(Box::<[u8]>::from(entry.key()));
                        }
                    });
                    if at.cursor == 0 {
                        break;
                    }
                }
                let mut db = Db { ks: self, index: at.db };
                for key in &due {
                    db.delete_expired(table, key);
                }
                if at.cursor == 0 {
                    at.table = table + 1;
                }
                if !more() {
                    return;
                }
            }
            *at = ExpireCursor { db: (at.db + 1) % databases, table: 0, cursor: 0 };
        }
    }

    /// The table to go on with, or `None` when this database is done.
    fn next_volatile(&self, at: &mut ExpireCursor) -> Option<usize> {
        let tables = &self.dbs[at.db as usize];
        if tables.volatile_len() == 0 {
            return None;
        }
        loop {
            let table = tables.next_nonempty(at.table)?;
            if table != at.table {
                (at.table, at.cursor) = (table, 0);
            }
            if tables.get(table).volatile_len() > 0 {
                return Some(table);
            }
            at.table += 1;
        }
    }
}
