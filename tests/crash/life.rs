//! One seed: a server with its files, from its first start through some crashes.

use std::path::{Path, PathBuf};

use trib::base::{Millis, Rng};
use trib::commands;
use trib::config::{Config, Guard};
use trib::exec::loading::LoadedFacts;
use trib::exec::memory::MemoryMeter;
use trib::exec::server::{Facts, Stopwatch};
use trib::exec::snapshot::{Purpose, Save, Slice};
use trib::exec::table::CommandTable;
use trib::exec::{ClientId, Server, Setup};
use trib::persist::aof::startup::{Found, Start, Verdict, decide_start, judge_damage};
use trib::persist::aof::{AofReader, BaseFormat, Begun, Log, Manifest, Place, Record, log, reader::has_rdb_preamble};
use trib::persist::disk::{Disk, DiskFile};
use trib::persist::rdb::{Event, RdbReader, ReadOptions};
use trib::persist::snapshot_file::SnapshotFile;
use trib::resp::request::{Batch, RequestLimits, RequestParser};

use super::disk::{SimDisk, SimFile};

/// What keeps the data, and so what must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Always,
    EverySecond,
    /// The RDB file alone.
    Saves,
}

/// What happened, so that a run can be seen to have met what it is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub commands: u64,
    pub crashes: u64,
    pub snapshots: u64,
    /// Times at which the disk refused something and the server went on.
    pub refusals: u64,
}

impl Told {
    pub fn add(&mut self, other: Told) {
        self.commands += other.commands;
        self.crashes += other.crashes;
        self.snapshots += other.snapshots;
        self.refusals += other.refusals;
    }
}

/// Time and memory stand still.
struct Still;

impl Stopwatch for Still {
    fn micros(&self) -> u64 {
        0
    }

    fn wall_micros(&self) -> i64 {
        0
    }
}

impl MemoryMeter for Still {
    fn used_bytes(&self) -> u64 {
        0
    }
}

const NOW: Millis = Millis(1_700_000_000_000);
const DATA: &str = "/data";

fn rdb_path() -> PathBuf {
    Path::new(DATA).join("dump.rdb")
}

fn temp_path(base: bool) -> PathBuf {
    Path::new(DATA).join(if base { "temp-rewriteaof-bg-1.aof" } else { "temp-1.rdb" })
}

/// A state that the server had: how its data looked after `offset` bytes of log.
struct Moment {
    offset: u64,
    digest: String,
}

struct Life {
    seed: u64,
    rng: Rng,
    keeps: Keeps,
    disk: SimDisk,
    place: Place,
    config: Config,
    server: Server,
    client: ClientId,
    /// Looks at the dataset, also while the other one waits.
    watcher: ClientId,
    log: Log<SimDisk>,
    /// The states since the last start, the first one being that of the start.
    past: Vec<Moment>,
    /// The newest of them that must not be lost.
    floor: usize,
    /// A snapshot under way, and the moment it is of.
    saving: Option<(SnapshotFile<SimFile>, bool, usize)>,
    /// The log is being made durable beside its writing, up to this offset.
    syncing: Option<(SimFile, u64)>,
    told: Told,
}

/// Why a start failed: the machine ended in the middle of it, or what the log would say.
enum NoStart {
    Gone,
    Refused(String),
}

pub fn live(seed: u64, keeps: Keeps) -> Told {
    let mut rng = Rng::seeded(seed);
    let place = Place {
        dir: Path::new(DATA).join("appendonlydir"),
        name: "appendonly.aof".to_owned(),
        keep_history: rng.below(8) == 0,
    };
    let config = Config {
        enable_debug_command: Guard::Yes,
        appendonly: keeps != Keeps::Saves,
        aof_use_rdb_preamble: rng.below(3) > 0,
        stop_writes_on_bgsave_error: false,
        ..Config::default()
    };
    let disk = SimDisk::new(rng.next_u64());
    let (server, client, watcher) = new_server(&config);
    let log = Log::new(disk.clone());
    let mut life = Life {
        seed,
        rng,
        keeps,
        disk,
        place,
        config,
        server,
        client,
        watcher,
        log,
        past: Vec::new(),
        floor: 0,
        saving: None,
        syncing: None,
        told: Told::default(),
    };
    life.crash();
    for _ in 0..3 + life.rng.below(4) {
        life.work();
        life.crash();
    }
    life.told
}

fn new_server(config: &Config) -> (Server, ClientId, ClientId) {
    let mut server = Server::new(Setup {
        config: config.clone(),
        commands: CommandTable::new(&commands::all()),
        stopwatch: Box::new(Still),
        memory: Box::new(Still),
        seed: 1,
        now: NOW,
        facts: Facts::default(),
    });
    let [client, watcher] =
        ["client", "watcher"].map(|name| server.connect(name.to_owned(), String::new(), NOW).expect("there is room"));
    (server, client, watcher)
}

impl Life {
    fn arm(&mut self) {
        let operations = 10 + self.rng.below(250);
        let fails_in = if self.rng.below(3) == 0 { 8 + self.rng.below(40) } else { 0 };
        self.disk.arm(operations, fails_in);
    }

    fn call(&mut self, client: ClientId, line: &str) -> Vec<u8> {
        let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
        let limits = RequestLimits { bulk_max_bytes: 1 << 20, ..RequestLimits::default() };
        let mut buf = line.replace(';', "\r\n").into_bytes();
        buf.extend_from_slice(b"\r\n");
        parser.parse(&mut buf, limits, &mut batch).expect("well-formed lines");
        self.server.run_batch(client, &buf, &batch, 0, NOW);
        self.server.outbox.clear();
        std::mem::take(&mut self.server.clients.get_mut(client).expect("it stays").reply.buf)
    }

    fn digest(&mut self) -> String {
        String::from_utf8_lossy(&self.call(self.watcher, "DEBUG DIGEST")).into_owned()
    }

    fn remember(&mut self) {
        let digest = self.digest();
        self.past.push(Moment { offset: self.server.aof.offset, digest });
    }

    /// Lives until the machine is gone, or for a while.
    fn work(&mut self) {
        for _ in 0..20 + self.rng.below(120) {
            match self.rng.below(20) {
                // Nothing else may be done with the log meanwhile.
                0..8 if self.syncing.is_some() => self.command(),
                8..12 if self.syncing.is_some() => self.flush(false),
                _ if self.syncing.is_some() => self.end_sync(),
                0..10 => self.command(),
                10..13 => self.flush(true),
                13 => self.begin_sync(),
                14 => self.flush(false),
                15 => self.begin_base(),
                16 => self.begin_save(),
                17 if self.rng.below(12) == 0 => self.switch(),
                _ => self.go_on_saving(),
            }
            if self.disk.is_gone() {
                return;
            }
        }
    }

    fn command(&mut self) {
        if self.server.clients.get(self.client).is_some_and(|client| client.parked.is_some()) {
            // It waits for the file that says that all is gone.
            return self.go_on_saving();
        }
        let n = self.rng.below(1000);
        let key = self.rng.below(6);
        let line = match self.rng.below(12) {
            0..3 => format!("INCR n{key}"),
            3 => format!("APPEND s{key} {n}"),
            4 => format!("RPUSH l{key} {n} {}", "x".repeat(n as usize % 100)),
            5 => format!("LPOP l{key}"),
            6 => format!("SADD t{key} {n}"),
            7 => format!("MULTI;INCR n0;HSET h{key} f{n} v;INCR n1;EXEC"),
            8 => format!("ZINCRBY z{key} {n} m{}", n % 5),
            9 => format!("DEL s{key} h{key}"),
            10 => format!("SELECT 3;INCR n{key};SELECT 0"),
            _ => format!("XADD x{key} * f {n}"),
        };
        if n < 5 {
            self.call(self.client, "FLUSHALL");
            self.remember();
            return self.follow();
        }
        self.call(self.client, &line);
        self.told.commands += 1;
        self.remember();
    }

    /// Writes what waits; everything up to then is durable after a sync.
    fn flush(&mut self, sync: bool) {
        if !self.log.is_on() {
            return;
        }
        let server = &mut self.server;
        self.log.fill(|buf| server.aof.take(buf));
        let upto = server.aof.offset;
        let sync = sync || self.keeps == Keeps::Always;
        let result = self.log.write().and_then(|()| if sync { self.log.sync() } else { Ok(()) });
        match result {
            Ok(()) if sync => self.is_durable(upto),
            Ok(()) => {}
            Err(_) if self.disk.is_gone() => {}
            Err(_) => {
                self.told.refusals += 1;
                if self.keeps == Keeps::Always {
                    // The process ends, with what it has written and not answered.
                    self.disk.arm(0, 0);
                }
            }
        }
    }

    fn begin_sync(&mut self) {
        self.flush(false);
        // What the disk has refused is not part of it.
        if self.keeps == Keeps::EverySecond
            && self.log.waiting_bytes() == 0
            && let Ok(Some(file)) = self.log.begin_sync()
        {
            self.syncing = Some((file, self.server.aof.offset));
        }
    }

    fn end_sync(&mut self) {
        let Some((mut file, upto)) = self.syncing.take() else { return };
        let result = file.sync();
        self.log.end_sync(result.is_ok());
        match result {
            Ok(()) => self.is_durable(upto),
            Err(_) => self.told.refusals += u64::from(!self.disk.is_gone()),
        }
    }

    /// The log is on disk up to this offset. Without a base that is worth nothing.
    fn is_durable(&mut self, upto: u64) {
        if self.log.has_base()
            && let Some(newest) = self.past.iter().rposition(|moment| moment.offset <= upto)
        {
            self.floor = self.floor.max(newest);
        }
    }

    fn begin_base(&mut self) {
        if self.keeps == Keeps::Saves || self.saving.is_some() || !self.log.is_on() {
            return;
        }
        self.rewrite();
    }

    fn rewrite(&mut self) {
        let server = &mut self.server;
        let format = if self.config.aof_use_rdb_preamble { BaseFormat::Rdb } else { BaseFormat::Commands };
        let mut begun_at = 0;
        let begun = self.log.begin_rewrite(|before| {
            server.aof.take(before);
            server.aof.switch(true);
            begun_at = server.aof.offset;
            server.start_snapshot(Purpose::AofBase);
            Some(format)
        });
        match begun {
            Ok(Begun::Yes) => {
                self.is_durable(begun_at);
                self.open_snapshot(true);
            }
            Ok(Begun::NotNow) => unreachable!("there is no other snapshot"),
            Err(_) => {
                self.told.refusals += u64::from(!self.disk.is_gone());
                self.server.snapshot_ended(NOW, Err("no".to_owned()));
                self.follow();
            }
        }
    }

    fn begin_save(&mut self) {
        if self.saving.is_none() {
            self.server.start_snapshot(Purpose::File(Save::InBackground));
            self.open_snapshot(false);
        }
    }

    fn open_snapshot(&mut self, base: bool) {
        match SnapshotFile::create(&self.disk, &temp_path(base), true) {
            Ok(file) => self.saving = Some((file, base, self.past.len() - 1)),
            Err(_) => self.give_up(base),
        }
    }

    /// The server has begun a save of its own.
    fn follow(&mut self) {
        if self.saving.is_none() && self.server.job.is_some() {
            self.open_snapshot(false);
        }
    }

    fn give_up(&mut self, base: bool) {
        if base {
            self.log.abandon_rewrite();
        }
        self.told.refusals += u64::from(!self.disk.is_gone());
        self.server.snapshot_ended(NOW, Err("no".to_owned()));
        self.follow();
    }

    /// A slice of the snapshot under way, or its end.
    fn go_on_saving(&mut self) {
        let Some((mut file, base, of)) = self.saving.take() else { return };
        let mut chunk = Vec::new();
        let slice = self.server.snapshot_slice(NOW, &mut chunk);
        if file.write(&chunk).is_err() {
            file.discard(&self.disk);
            return self.give_up(base);
        }
        if slice == Slice::Cancelled {
            // FLUSHALL has given it up.
            file.discard(&self.disk);
            self.server.snapshot_ended(NOW, Err("cancelled".to_owned()));
            return self.follow();
        }
        if slice != Slice::Complete {
            self.saving = Some((file, base, of));
            return;
        }
        let ended = if base {
            file.sync().and_then(|()| self.log.finish_rewrite(&temp_path(true)))
        } else {
            file.place(&self.disk, &rdb_path()).map(drop)
        };
        if ended.is_err() {
            return self.give_up(base);
        }
        self.told.snapshots += 1;
        self.server.snapshot_ended(NOW, Ok(1));
        if base {
            self.delete_history();
        } else if self.keeps == Keeps::Saves {
            self.floor = of;
        }
        self.follow();
    }

    fn delete_history(&mut self) {
        let files = self.log.garbage();
        for file in &files {
            let _ = self.disk.remove(&self.place.path(&file.name));
        }
        self.log.forget(&files);
    }

    /// The log is switched off and on again: until its new base is complete nothing is promised.
    fn switch(&mut self) {
        if self.keeps == Keeps::Saves || self.saving.is_some() || !self.log.has_base() {
            return;
        }
        self.flush(true);
        if self.disk.is_gone() {
            return;
        }
        self.log.close();
        self.server.aof.switch(false);
        if self.log.find(self.place.clone()).is_ok() {
            self.rewrite();
        }
    }

    fn crash(&mut self) {
        self.told.crashes += 1;
        let mut power_failure = self.rng.below(4) > 0;
        loop {
            let disk = self.disk.after(power_failure);
            self.disk = disk;
            // The start may be interrupted as well; what it does is all about names, so nothing more may be lost.
            let operations = if self.rng.below(4) == 0 { self.rng.below(12) } else { u64::MAX };
            self.disk.arm(operations, 0);
            let promised = self.log_counts().then_some(self.floor);
            if self.start_again(promised) {
                self.arm();
                return;
            }
            power_failure = true;
        }
    }

    /// Whether what is on disk is the log of the data of this life, and not of a former one.
    fn log_counts(&self) -> bool {
        !self.past.is_empty() && (self.keeps == Keeps::Saves || self.log.has_base())
    }

    /// Starts a server on what is there. False when the machine ends meanwhile.
    fn start_again(&mut self, promised: Option<usize>) -> bool {
        let (server, client, watcher) = new_server(&self.config);
        let offset = server.aof.offset;
        let log = std::mem::replace(&mut self.log, Log::new(self.disk.clone()));
        (self.server, self.client, self.watcher) = (server, client, watcher);
        (self.saving, self.syncing) = (None, None);
        match self.load() {
            Ok(()) => {}
            Err(NoStart::Gone) => {
                // As it was before: what was promised still is.
                self.log = log;
                return false;
            }
            Err(NoStart::Refused(why)) => {
                panic!("seed {} {:?}: no start: {why}\n{}", self.seed, self.keeps, self.disk.list())
            }
        }
        self.server.end_loading(NOW, &LoadedFacts::default(), Ok(()));
        if self.keeps != Keeps::Saves {
            self.server.aof.switch(true);
        }
        let digest = self.digest();
        if let Some(floor) = promised {
            let known = self.past[floor..].iter().any(|moment| moment.digest == digest);
            let older = self.past[..floor].iter().rposition(|moment| moment.digest == digest);
            assert!(
                known,
                "seed {} {:?}: lost: {} moments, {floor} promised, found {older:?}\n{}",
                self.seed,
                self.keeps,
                self.past.len(),
                self.disk.list()
            );
        }
        self.past = vec![Moment { offset, digest }];
        self.floor = 0;
        true
    }

    fn load(&mut self) -> Result<(), NoStart> {
        self.server.begin_loading(NOW, 0, false);
        if self.keeps == Keeps::Saves {
            return match self.disk.read(&rdb_path()) {
                Ok(bytes) => self.read_rdb(&bytes).map(drop),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(self.refused(&error)),
            };
        }
        let manifest = log::read_manifest(&self.disk, &self.place).map_err(|e| self.refused(&e))?;
        let found = Found { manifest, single_file: false, base_present: true, data_present: false };
        let manifest = match decide_start(found, &self.place.name) {
            Start::Load(manifest) => manifest,
            Start::Upgrade(_) | Start::Refuse => unreachable!("there is no file of an old server"),
            Start::Create => {
                log::create_base(&self.disk, &self.place, BaseFormat::Commands, b"").map_err(|e| self.refused(&e))?
            }
        };
        self.read_log(&manifest)?;
        self.log.open(self.place.clone(), manifest).map_err(|e| self.refused(&e))?;
        self.delete_history();
        if self.disk.is_gone() { Err(NoStart::Gone) } else { Ok(()) }
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> NoStart {
        if self.disk.is_gone() { NoStart::Gone } else { NoStart::Refused(error.to_string()) }
    }

    fn read_log(&mut self, manifest: &Manifest) -> Result<(), NoStart> {
        let files: Vec<_> = manifest.to_load().cloned().collect();
        for (i, file) in files.iter().enumerate() {
            let path = self.place.path(&file.name);
            let bytes = self.disk.read(&path).map_err(|e| self.refused(&format!("{}: {e}", path.display())))?;
            let skipped = if has_rdb_preamble(&bytes) { self.read_rdb(&bytes)? } else { 0 };
            let mut reader = AofReader::new(&bytes[skipped..], skipped as u64);
            self.server.begin_replay(NOW);
            let damage = loop {
                match reader.next() {
                    Ok(Some(Record::Command(args))) => self.server.replay(args).map_err(NoStart::Refused)?,
                    Ok(Some(Record::Annotation(_))) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            self.server.end_replay();
            let Some(damage) = damage else { continue };
            match judge_damage(&damage, &path.display().to_string(), i + 1 == files.len(), true) {
                Verdict::Refuse { log } => return Err(self.refused(&log.join("\n"))),
                Verdict::Truncate { len, .. } => {
                    let cut = self.disk.append_to(&path).and_then(|mut file| {
                        file.cut(len)?;
                        file.sync()
                    });
                    cut.map_err(|e| self.refused(&e))?;
                }
            }
        }
        Ok(())
    }

    /// Reads an RDB, and says how long it is.
    fn read_rdb(&mut self, bytes: &[u8]) -> Result<usize, NoStart> {
        let mut reader = RdbReader::open(bytes, ReadOptions::default(), &self.config.limits)
            .map_err(|e| NoStart::Refused(e.to_string()))?;
        let mut db = 0;
        loop {
            match reader.next().map_err(|e| NoStart::Refused(e.to_string()))? {
                Event::SelectDb(number) => db = number as u32,
                Event::Entry(entry) => self.server.load_key(db, entry, false).expect("no key twice"),
                Event::End { .. } => return Ok(reader.offset() as usize),
                _ => {}
            }
        }
    }
}
