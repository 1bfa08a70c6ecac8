//! The append-only log of a simulated machine: appended to, made durable once a second or before every reply, begun anew
//! with a base of the dataset, and read at the start.

use trib::config::AppendFsync;
use trib::exec::loading::LoadedFacts;
use trib::exec::rdb_load::{self, LoadError, RdbLoad};
use trib::exec::snapshot::Purpose;
use trib::persist::aof::reader::has_rdb_preamble;
use trib::persist::aof::startup::{Verdict, judge_damage};
use trib::persist::aof::{AofReader, BaseFormat, LogFile, Manifest, Record};

use crate::queue::SEC;
use crate::world::{Event, World};

const NAME: &str = "appendonly.aof";
const MANIFEST: &str = "appendonly.aof.manifest";

/// What the process remembers of its log.
#[derive(Default)]
pub struct Log {
    /// The increment being appended to; none while the log is off.
    file: Option<String>,
    manifest: Manifest,
    unsynced: bool,
    /// The base being written: whether an increment began with it, and of which dataset it is.
    base: Option<(bool, u64)>,
    base_waits: bool,
    /// Counts how often the whole dataset was replaced, and which one the last complete base is of.
    dataset: u64,
    based_on: Option<u64>,
    /// What is written belongs to this offset of the replication stream.
    stream_offset: u64,
}

impl Log {
    pub fn dataset_replaced(&mut self) {
        self.dataset += 1;
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl World {
    /// Appends what is waiting. False when there is no log to append to.
    pub fn flush_log(&mut self, node: usize) -> bool {
        let machine = &mut self.nodes[node];
        let Some(process) = &mut machine.process else { return false };
        let Some(name) = process.log.file.clone() else { return false };
        let mut bytes = Vec::new();
        process.server.aof.take(&mut bytes);
        if !bytes.is_empty() {
            machine.disk.append(&name, &bytes);
            process.log.unsynced = true;
        }
        process.log.stream_offset = process.server.repl.offset();
        if machine.config.appendfsync == AppendFsync::Always {
            machine.disk.fsync(&name);
            process.log.unsynced = false;
            self.tell_durable(node);
        }
        true
    }

    fn tell_durable(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.log.based_on == Some(process.log.dataset) {
            process.server.log_is_durable(process.log.stream_offset);
        }
    }

    /// Every second.
    pub fn sync_log(&mut self, node: usize) {
        if self.flush_log(node) {
            let machine = &mut self.nodes[node];
            if let Some(process) = &mut machine.process
                && let Some(name) = &process.log.file
                && std::mem::take(&mut process.log.unsynced)
            {
                machine.disk.fsync(name);
            }
            self.tell_durable(node);
            self.perform_all(node);
        }
        if self.nodes[node].process.as_ref().is_some_and(|process| process.log.base_waits) {
            self.begin_base(node);
            self.perform_all(node);
        }
        let life = self.nodes[node].life;
        self.plan(SEC, Event::LogSync { node, life });
    }

    /// The server's own work may have asked for something of the log.
    pub fn log_cron(&mut self, node: usize) {
        let waits = |process: &crate::machine::Process| process.log.base_waits && process.server.may_snapshot();
        if self.nodes[node].process.as_ref().is_some_and(|process| waits(process)) {
            self.begin_base(node);
            self.perform_all(node);
        }
    }

    /// Begins a new base: what is appended from now on goes to a new increment.
    pub fn begin_base(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        let Some(process) = &mut machine.process else { return };
        if !machine.config.appendonly {
            return;
        }
        process.log.base_waits = !process.server.may_snapshot();
        if process.log.base_waits {
            return;
        }
        let mut bytes = Vec::new();
        process.server.aof.take(&mut bytes);
        let log = &mut process.log;
        let name = text(&log.manifest.open_increment(NAME, 0).name);
        machine.disk.append(&name, &[]);
        if let Some(old) = &log.file {
            // A crash before the base is complete loads the old base and both increments.
            machine.disk.append(old, &bytes);
            machine.disk.fsync(old);
            machine.disk.replace(MANIFEST, log.manifest.format(), true);
        }
        log.file = Some(name);
        log.base = Some((true, log.dataset));
        process.server.log_growth.begun(process.server.aof.offset);
        process.server.start_snapshot(Purpose::AofBase);
    }

    /// The base is complete: it takes its name, and what it replaces is deleted.
    pub fn finish_base(&mut self, node: usize, bytes: Vec<u8>) {
        let machine = &mut self.nodes[node];
        let Some(process) = &mut machine.process else { return };
        let log = &mut process.log;
        let Some((opened, dataset)) = log.base.take() else { return };
        let base = log.manifest.next_base(NAME, BaseFormat::Rdb);
        machine.disk.replace(&text(&base.name), bytes, true);
        log.manifest.replace_base(base, opened);
        machine.disk.replace(MANIFEST, log.manifest.format(), true);
        for old in log.manifest.take_history() {
            machine.disk.remove(&text(&old.name));
        }
        machine.disk.replace(MANIFEST, log.manifest.format(), true);
        log.based_on = Some(dataset);
    }

    /// Reads the log at the start and opens its last increment.
    pub fn load_log(&mut self, node: usize) -> Result<LoadedFacts, LoadError> {
        let manifest = self.nodes[node].disk.read(MANIFEST).map(Manifest::parse);
        let mut manifest = match manifest {
            Some(Ok(manifest)) => manifest,
            Some(Err(error)) => return Err(LoadError::Io(std::io::Error::other(error))),
            None => Manifest::default(),
        };
        let files: Vec<LogFile> = manifest.to_load().cloned().collect();
        for (i, file) in files.iter().enumerate() {
            self.load_log_file(node, &text(&file.name), i + 1 == files.len())?;
        }
        let machine = &mut self.nodes[node];
        let Some(process) = &mut machine.process else { return Ok(LoadedFacts::default()) };
        if manifest.increments.is_empty() {
            manifest.open_increment(NAME, 0);
        }
        let name = text(&manifest.increments[manifest.increments.len() - 1].name);
        machine.disk.append(&name, &[]);
        machine.disk.fsync(&name);
        machine.disk.replace(MANIFEST, manifest.format(), true);
        process.log = Log { file: Some(name), manifest, based_on: Some(0), ..Log::default() };
        process.server.aof.switch(true);
        process.server.log_growth.opened(0, process.server.aof.offset);
        Ok(LoadedFacts::default())
    }

    fn load_log_file(&mut self, node: usize, name: &str, is_last: bool) -> Result<(), LoadError> {
        let damaged = |text: String| LoadError::Io(std::io::Error::other(text));
        let machine = &mut self.nodes[node];
        let bytes = machine.disk.read(name).map(<[u8]>::to_vec);
        let bytes = bytes.ok_or_else(|| damaged(format!("{name} is not there")))?;
        let Some(process) = &mut machine.process else { return Ok(()) };
        let (mut rest, mut offset) = (&bytes[..], 0);
        if has_rdb_preamble(rest) {
            let mut load = RdbLoad::new(rdb_load::open(rest, &process.server.config)?, false);
            while !load.step(&mut process.server, || true)? {}
            let (_, reader) = load.into_parts();
            offset = reader.offset();
            rest = reader.into_inner()?;
        }
        let now = process.server.now;
        process.server.begin_replay(now);
        let mut reader = AofReader::new(rest, offset);
        let result = loop {
            match reader.next() {
                Ok(None) => break Ok(()),
                Ok(Some(Record::Annotation(_))) => {}
                Ok(Some(Record::Command(args))) => process.server.replay(args).map_err(damaged)?,
                Err(error) => break Err(error),
            }
        };
        process.server.end_replay();
        let Err(error) = result else { return Ok(()) };
        match judge_damage(&error, name, is_last, true) {
            Verdict::Truncate { len, .. } => machine.disk.truncate(name, len as usize),
            Verdict::Refuse { log } => return Err(damaged(log.join("; "))),
        }
        Ok(())
    }
}
