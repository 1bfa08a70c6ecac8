//! The snapshot that arrives from a machine's primary, and where its data goes: by a file, at once into the emptied server, or
//! beside the old data, which it replaces at its end.

use trib::config::DisklessLoad;
use trib::exec::loading::LoadedFacts;
use trib::repl::SavedHistory;

use crate::machine::DUMP;
use crate::process::load;
use crate::queue::MS;
use crate::world::{Event, World};

/// What becomes of the old data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It goes when the new data is in a file.
    File,
    /// It goes first.
    Straight,
    /// It goes at the end.
    Aside,
}

/// A snapshot on its way.
pub struct Incoming {
    bytes: Vec<u8>,
    place: Place,
    /// All of it is here.
    ended: bool,
}

impl World {
    pub fn begin_incoming(&mut self, node: usize, history: Option<SavedHistory>) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        let Some(process) = &mut machine.process else { return };
        let server = &mut process.server;
        let place = match server.config.repl_diskless_load {
            DisklessLoad::Disabled => Place::File,
            DisklessLoad::OnEmptyDb if server.keyspace.is_empty() => Place::Straight,
            DisklessLoad::OnEmptyDb => Place::File,
            DisklessLoad::FlushBeforeLoad => Place::Straight,
            DisklessLoad::SwapDb => Place::Aside,
        };
        match place {
            Place::File => {}
            Place::Straight => {
                process.log.dataset_replaced();
                server.begin_loading(now, 0, true);
            }
            Place::Aside => {
                let same = history.is_some_and(|history| history.id == server.repl.history().id);
                server.begin_loading_aside(now, 0, same);
            }
        }
        process.incoming = Some(Incoming { bytes: Vec::new(), place, ended: false });
        if place == Place::Straight {
            self.checks.dataset_replaced(node);
        }
    }

    pub fn take_chunk(&mut self, node: usize, chunk: &[u8]) {
        let process = self.nodes[node].process.as_mut();
        if let Some(incoming) = process.and_then(|process| process.incoming.as_mut()) {
            incoming.bytes.extend_from_slice(chunk);
        }
    }

    /// All of it is here: it is read in a moment.
    pub fn end_incoming(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        let life = machine.life;
        if let Some(incoming) = machine.process.as_mut().and_then(|process| process.incoming.as_mut()) {
            incoming.ended = true;
        }
        let after = MS + self.rng.below(20 * MS);
        self.plan(after, Event::Incoming { node, life });
    }

    /// The rest of it will not come.
    pub fn abort_incoming(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        let Some(process) = &mut machine.process else { return };
        if process.incoming.take().is_some() && process.server.loading.is_some_and(|loading| loading.from_primary) {
            let error = "the link to the primary broke".to_owned();
            process.server.end_loading(now, &LoadedFacts::default(), Err(error));
        }
    }

    /// The snapshot of the primary takes the place of the dataset.
    pub fn load_incoming(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        let Some(process) = &mut machine.process else { return };
        // Another one may have begun since this one was given up.
        let Some(Incoming { bytes, place, .. }) = process.incoming.take_if(|incoming| incoming.ended) else { return };
        if place == Place::File {
            process.server.begin_loading(now, bytes.len() as u64, true);
        }
        if place != Place::Straight {
            process.log.dataset_replaced();
        }
        let facts = match load(&mut process.server, &bytes) {
            Ok(facts) => facts,
            Err(error) => return self.fail(|| format!("node {node} cannot load the snapshot of its primary: {error}")),
        };
        if place == Place::File {
            machine.disk.replace(DUMP, bytes, true);
        }
        process.server.end_loading(now, &facts, Ok(()));
        if process.server.aof.is_on() {
            process.server.ask_for_rewrite(None);
        }
        self.checks.dataset_replaced(node);
        self.perform_all(node);
        self.check(node);
    }
}
