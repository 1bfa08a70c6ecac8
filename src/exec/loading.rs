//! A dataset being read, from the disk or from the primary.

use super::client::{Client, ClientFlags, ClientId};
use super::effect::LogLevel;
use super::server::Server;
use super::slot_migration::ranges::SlotRanges;
use super::slot_migration::{JobName, why};
use super::table::Lookup;
use crate::base::{Millis, Rng};
use crate::data::value::Value;
use crate::keyspace::{Keyspace, LapsedFields, SetExpire, Tables};
use crate::persist::rdb::LoadedEntry;
use crate::repl::{Input, SavedHistory};
use crate::resp::Args;

/// How far a load is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loading {
    pub started: Millis,
    pub total_bytes: u64,
    pub loaded_bytes: u64,
    /// What the dataset took in memory where the file was written, as that says.
    pub used_mem: u64,
    pub keys_loaded: u64,
    pub keys_expired: u64,
    /// From the primary: the old data is gone, and a failure leaves nothing.
    pub from_primary: bool,
    /// The old data stays until all of the new is here, and is served meanwhile.
    pub serving: bool,
    /// The base of a log: what follows it may still be about what has expired meanwhile.
    pub log_base: bool,
    /// The file says at which point of a history it was written: who was there as well may go on from it.
    pub has_history: bool,
}

impl Loading {
    /// How long the rest takes, in seconds, if it goes on as it did; 1 while nobody knows.
    #[must_use]
    pub fn eta_secs(&self, now: Millis) -> u64 {
        let elapsed = u64::try_from(now.secs() - self.started.secs()).unwrap_or(0);
        if elapsed == 0 {
            return 1;
        }
        let left = u128::from(self.total_bytes.saturating_sub(self.loaded_bytes));
        u64::try_from(u128::from(elapsed) * left / (u128::from(self.loaded_bytes) + 1)).unwrap_or(u64::MAX)
    }
}

/// What a file tells of itself.
#[derive(Clone, Debug, Default)]
pub struct LoadedFacts {
    pub saved: Option<SavedHistory>,
    pub stream_db: Option<u32>,
    /// The open slots of the server that wrote it.
    pub open_slots: Vec<u8>,
}

/// A dataset that is read beside the one that is there.
#[derive(Debug)]
pub(super) struct Aside {
    keyspace: Keyspace,
    /// The slots that were on their way to the server that wrote it.
    imports: Vec<(JobName, SlotRanges)>,
}

impl Server {
    /// Begins to read a dataset of about `total_bytes`. One from the primary replaces what there is.
    pub fn begin_loading(&mut self, now: Millis, total_bytes: u64, from_primary: bool) {
        self.now = now;
        self.loading = Some(Loading { started: now, total_bytes, from_primary, ..Loading::default() });
        self.lapsed_in_file.clear();
        self.update_events_wanted();
        if from_primary {
            // What the log had on disk was of another dataset.
            self.repl_input(Input::Fsynced(None));
            self.break_watches_of_db(None, None, None);
            self.migrations_replaced(why::FULL_SYNC);
            let old = self.keyspace.flush(None);
            self.free_tables(old, self.config.replica_lazy_flush);
            self.invalidate_everything(None);
        }
        // What is loaded is not told key by key, but at the end.
        self.update_observed();
        self.keyspace.begin(now, true, false, None);
    }

    /// Begins to read a dataset from the primary beside the one that is there. `serving`: the old one belongs to the same
    /// history, so that clients may read it meanwhile.
    pub fn begin_loading_aside(&mut self, now: Millis, total_bytes: u64, serving: bool) {
        self.now = now;
        self.loading = Some(Loading { started: now, total_bytes, from_primary: true, serving, ..Loading::default() });
        self.update_events_wanted();
        self.update_observed();
        let rng = Rng::seeded(self.rng.next_u64());
        let mut fresh = Keyspace::new(self.keyspace.databases(), self.keyspace.is_slotted(), rng);
        fresh.set_access_policy(self.keyspace.access_policy());
        fresh.set_lazy_free(Server::lazy_free(&self.config));
        fresh.set_replica(true);
        fresh.begin(now, true, false, None);
        self.aside = Some(Box::new(Aside { keyspace: fresh, imports: Vec::new() }));
    }

    /// Puts the dataset that was read aside in the place of the one that is there.
    fn take_aside(&mut self, aside: Aside) {
        self.repl_input(Input::Fsynced(None));
        self.break_watches_of_db(None, None, None);
        self.migrations_replaced(why::FULL_SYNC);
        let old = self.keyspace.take_over(aside.keyspace);
        for (name, ranges) in aside.imports {
            self.follow_import(name, ranges);
        }
        self.break_watches_of_db(None, None, None);
        self.free_tables(old, self.config.replica_lazy_flush);
        self.invalidate_everything(None);
    }

    /// Begins to read the dataset anew, emptying it before if `flush`. Gives what there was, in case it cannot be read.
    pub fn begin_reload(&mut self, now: Millis, total_bytes: u64, flush: bool) -> Option<Vec<Tables>> {
        self.migrations_replaced(why::NEW_FILE);
        self.break_watches_of_db(None, None, None);
        let old = if flush { self.keyspace.set_aside() } else { None };
        self.begin_loading(now, total_bytes, false);
        old
    }

    /// The dataset has been read anew, or could not be: then `failed` is what there was before. Who waited for keys may find
    /// them now.
    pub fn end_reload(&mut self, now: Millis, failed: Option<Vec<Tables>>) {
        if let Some(old) = failed {
            let partial = self.keyspace.put_back(old);
            self.free_tables(partial, false);
            self.break_watches_of_db(None, None, None);
        }
        self.end_loading(now, &LoadedFacts::default(), Ok(()));
        self.tell_what_lapsed();
        self.note_ready_in(None);
        self.serve_ready();
    }

    /// Makes room for the keys that a file says it has in a database: no more than it can have.
    pub fn expect_keys(&mut self, db: u32, keys: u64, volatile: u64) {
        /// A key and its value take at least so much of a file, and their place in the table takes about as much.
        const KEY_BYTES: u64 = 8;
        let Some(loading) = &self.loading else { return };
        let possible = loading.total_bytes / KEY_BYTES;
        let (keys, volatile) = (keys.min(possible) as usize, volatile.min(possible) as usize);
        self.loaded_keyspace().db(db).reserve(keys, volatile);
    }

    /// Adds one key of a file. A primary drops what has expired meanwhile; a replica keeps everything until it is told.
    ///
    /// # Errors
    /// With the key, when it is there already and is not to be replaced (`merge`).
    pub fn load_key(&mut self, db: u32, loaded: LoadedEntry, merge: bool) -> Result<(), Vec<u8>> {
        let LoadedEntry { key, mut value, expire, idle_secs, frequency } = loaded;
        let Some(loading) = &mut self.loading else { return Ok(()) };
        let keeps_expired = loading.from_primary || loading.log_base || !self.repl.is_primary();
        let mut lapsed = LapsedFields { db, key: Box::default(), fields: Vec::new(), key_gone: false };
        if !keeps_expired && expire.is_some_and(|at| at < loading.started) {
            lapsed.key_gone = true;
        } else if let (false, Value::Hash(hash)) = (keeps_expired, &mut value) {
            let had_fields = !hash.is_empty();
            lapsed.fields.extend(std::iter::from_fn(|| hash.take_due(loading.started)));
            lapsed.key_gone = had_fields && hash.is_empty();
        }
        let has_lapsed = lapsed.key_gone || !lapsed.fields.is_empty();
        let key_gone = lapsed.key_gone;
        if has_lapsed && loading.has_history {
            lapsed.key = key[..].into();
            self.lapsed_in_file.push(lapsed);
        }
        if key_gone {
            loading.keys_expired += 1;
            return Ok(());
        }
        loading.keys_loaded += 1;
        let expire = expire.map_or(SetExpire::Never, SetExpire::At);
        let now = self.now;
        let keyspace = self.loaded_keyspace();
        let used = keyspace.access_policy().told(idle_secs, frequency, now);
        let loaded = keyspace.db(db).load(&key, value, expire, used, merge);
        if loaded { Ok(()) } else { Err(key) }
    }

    /// A file tells of slots that were on their way here when it was written. What is not understood is passed over: it
    /// only says what is not to be shown.
    pub fn load_slot_import(&mut self, name: &[u8], ranges: &[(u16, u16)]) {
        if let (true, Some(name), Some(ranges)) =
            (self.cluster.is_some(), JobName::parse(name), SlotRanges::of_file(ranges))
        {
            match &mut self.aside {
                Some(aside) => aside.imports.push((name, ranges)),
                None => self.follow_import(name, ranges),
            }
        }
    }

    /// The dataset that is being read.
    fn loaded_keyspace(&mut self) -> &mut Keyspace {
        self.aside.as_mut().map_or(&mut self.keyspace, |aside| &mut aside.keyspace)
    }

    /// The commands of a log follow.
    pub fn begin_replay(&mut self, now: Millis) {
        self.now = now;
        let mut client = Client::new(ClientId(0), String::new(), String::new(), now);
        client.flags |= ClientFlags::LOADER;
        client.authenticated = true;
        self.loader = Some(Box::new(client));
    }

    /// Runs one command of a log.
    ///
    /// # Errors
    /// The server does not have this command, or not with so many arguments.
    pub fn replay(&mut self, args: Args<'_>) -> Result<(), String> {
        let Some(mut client) = self.loader.take() else { return Ok(()) };
        let known = self.find_command(&mut client, args).map(drop).map_err(|error| match self.commands.lookup(args) {
            Lookup::Found(_) => error.text().trim_start_matches("ERR ").to_owned(),
            _ => format!("Unknown command '{}'", String::from_utf8_lossy(args.at(0))),
        });
        if known.is_ok() {
            self.dispatch(&mut client, args);
            client.reply.buf.clear();
        }
        self.loader = Some(client);
        known
    }

    /// The log has been read.
    pub fn end_replay(&mut self) {
        self.loader = None;
    }

    /// The file has been read to its end, or could not be.
    pub fn end_loading(&mut self, now: Millis, facts: &LoadedFacts, result: Result<(), String>) {
        self.now = now;
        let Some(loading) = self.loading.take() else { return };
        self.last_load = (loading.keys_loaded, loading.keys_expired);
        self.update_events_wanted();
        self.update_observed();
        if loading.from_primary {
            match (&result, self.aside.take()) {
                (Ok(()), None) => {}
                (Ok(()), Some(fresh)) => self.take_aside(*fresh),
                (Err(error), aside) => {
                    self.log(
                        LogLevel::Warning,
                        format!("Failed trying to load the MASTER synchronization DB: {error}"),
                    );
                    let partial =
                        aside.map_or_else(|| self.keyspace.flush(None), |mut aside| aside.keyspace.flush(None));
                    self.free_tables(partial, self.config.replica_lazy_flush);
                }
            }
            self.stream_db = facts.stream_db.unwrap_or(0);
            if let (Some(engine), Ok(())) = (&mut self.cluster, &result) {
                engine.take_open_slots(&facts.open_slots);
            }
            self.note_ready_in(None);
            self.repl_input(Input::LoadDone { ok: result.is_ok() });
            self.serve_ready();
        }
        // Loading changes nothing that would have to be saved.
        self.saves.dirty_at_last_save = self.keyspace.dirty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_so_much_did() {
        let loading = |total_bytes, loaded_bytes| Loading {
            started: Millis(1_000_500),
            total_bytes,
            loaded_bytes,
            ..Loading::default()
        };
        let after = |secs: i64| Millis(1_000_500 + secs * 1000);
        assert_eq!(loading(1000, 10).eta_secs(after(0)), 1, "nobody knows yet");
        assert_eq!(loading(1_000_000, 249_999).eta_secs(after(5)), 15);
        assert_eq!(loading(1000, 1000).eta_secs(after(5)), 0);
        assert_eq!(loading(1000, 1200).eta_secs(after(5)), 0, "more than was said");
        assert_eq!(loading(1000, 0).eta_secs(after(5)), 5000);
        assert_eq!(loading(u64::MAX, 0).eta_secs(after(9)), u64::MAX);
        assert_eq!(loading(1000, 10).eta_secs(after(-5)), 1, "a clock that was set back");
    }
}
