//! The directives whose value is more than one word, with the kinds that read and show them.

use bitflags::bitflags;

use super::kind::{Kind, Number, Refusal, bytes_with_unit, must_be_one_of, parse_bytes, single};
use crate::base::num;
use crate::base::words;
use crate::keyspace::EventClass;

fn join(words: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    words.into_iter().collect::<Vec<_>>().join(&b' ')
}

/// A list of words, at most `max` of them; a single empty word is an empty list.
pub struct Words {
    pub max: usize,
    pub too_many: &'static str,
}

impl Kind for Words {
    type Value = Vec<String>;

    fn parse(&self, args: &[&[u8]], _: &Vec<String>) -> Result<Vec<String>, Refusal> {
        if matches!(args, [b""]) {
            return Ok(Vec::new());
        }
        if args.len() > self.max {
            return Err(self.too_many.into());
        }
        Ok(args.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    fn show(&self, value: &Vec<String>) -> Vec<u8> {
        value.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<String>) -> Vec<Vec<u8>> {
        if value.is_empty() {
            return vec![b"\"\"".to_vec()];
        }
        vec![join(value.iter().map(|word| words::plain_or_quoted(word.as_bytes())))]
    }
}

/// A save point: a snapshot is due when `changes` writes happened and `secs` seconds passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    pub secs: i64,
    pub changes: i64,
}

/// `save`: pairs of seconds and changes, added to the points that are there; `""` removes them all.
pub struct SavePoints;

impl Kind for SavePoints {
    type Value = Vec<SavePoint>;

    fn parse(&self, args: &[&[u8]], old: &Vec<SavePoint>) -> Result<Vec<SavePoint>, Refusal> {
        if matches!(args, [b""]) {
            return Ok(Vec::new());
        }
        let (pairs, rest) = args.as_chunks::<2>();
        let mut points = old.clone();
        for [secs, changes] in pairs {
            match (num::parse_i64(secs), num::parse_i64(changes)) {
                (Some(secs @ 1..), Some(changes @ 0..)) => points.push(SavePoint { secs, changes }),
                _ => return Err("Invalid save parameters".into()),
            }
        }
        if rest.is_empty() { Ok(points) } else { Err("Invalid save parameters".into()) }
    }

    fn show(&self, value: &Vec<SavePoint>) -> Vec<u8> {
        join(value.iter().map(|p| format!("{} {}", p.secs, p.changes).into_bytes()))
    }

    fn lines(&self, value: &Vec<SavePoint>) -> Vec<Vec<u8>> {
        if value.is_empty() {
            return vec![b"\"\"".to_vec()];
        }
        value.iter().map(|p| format!("{} {}", p.secs, p.changes).into_bytes()).collect()
    }
}

/// When a client whose output is not read is closed: at `hard_bytes` at once, at `soft_bytes` after `soft_secs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputLimit {
    pub hard_bytes: u64,
    pub soft_bytes: u64,
    pub soft_secs: i64,
}

/// The output limits of the three classes of client. Zero is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    pub replica: OutputLimit,
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    fn default() -> OutputLimits {
        let limit = |hard_bytes, soft_bytes, soft_secs| OutputLimit { hard_bytes, soft_bytes, soft_secs };
        OutputLimits {
            normal: limit(0, 0, 0),
            replica: limit(256 << 20, 64 << 20, 60),
            pubsub: limit(32 << 20, 8 << 20, 60),
        }
    }
}

/// `client-output-buffer-limit`: `class hard soft seconds`, any number of times; other classes keep their limits.
pub struct OutputLimitsKind;

impl Kind for OutputLimitsKind {
    type Value = OutputLimits;

    fn parse(&self, args: &[&[u8]], old: &OutputLimits) -> Result<OutputLimits, Refusal> {
        if matches!(args, [b""]) {
            return Ok(*old);
        }
        let (quads, rest) = args.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *old;
        for [class, hard, soft, secs] in quads {
            let class = match class.to_ascii_lowercase().as_slice() {
                b"normal" => &mut limits.normal,
                b"slave" | b"replica" => &mut limits.replica,
                b"pubsub" => &mut limits.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            match (parse_bytes(hard), parse_bytes(soft), num::parse_i64(secs)) {
                (Some(hard_bytes), Some(soft_bytes), Some(soft_secs @ 0..)) => {
                    *class = OutputLimit { hard_bytes, soft_bytes, soft_secs };
                }
                _ => {
                    return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
                }
            }
        }
        Ok(limits)
    }

    fn show(&self, value: &OutputLimits) -> Vec<u8> {
        // The class keeps its old name here: clients of every version look for it.
        let class = |name: &str, l: OutputLimit| {
            format!("{name} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_secs).into_bytes()
        };
        join([class("normal", value.normal), class("slave", value.replica), class("pubsub", value.pubsub)])
    }

    fn lines(&self, value: &OutputLimits) -> Vec<Vec<u8>> {
        let class = |name: &str, l: OutputLimit| {
            let secs = l.soft_secs.to_string().into_bytes();
            join([name.into(), bytes_with_unit(l.hard_bytes), bytes_with_unit(l.soft_bytes), secs])
        };
        vec![class("normal", value.normal), class("replica", value.replica), class("pubsub", value.pubsub)]
    }
}

/// The letters in the order in which CONFIG GET shows them. `A` goes first and stands for the classes up to `d`.
const NOTIFY_LETTERS: [(u8, EventClass); 14] = [
    (b'g', EventClass::GENERIC),
    (b'$', EventClass::STRING),
    (b'l', EventClass::LIST),
    (b's', EventClass::SET),
    (b'h', EventClass::HASH),
    (b'z', EventClass::ZSET),
    (b'x', EventClass::EXPIRED),
    (b'e', EventClass::EVICTED),
    (b't', EventClass::STREAM),
    (b'd', EventClass::MODULE),
    (b'K', EventClass::KEYSPACE),
    (b'E', EventClass::KEYEVENT),
    (b'm', EventClass::KEY_MISS),
    (b'n', EventClass::NEW),
];

/// `notify-keyspace-events`: letters in one word.
pub struct Notify;

impl Kind for Notify {
    type Value = EventClass;

    fn parse(&self, args: &[&[u8]], _: &EventClass) -> Result<EventClass, Refusal> {
        let mut flags = EventClass::empty();
        for letter in single(args)? {
            flags |= match NOTIFY_LETTERS.iter().find(|(l, _)| l == letter) {
                Some((_, flag)) => *flag,
                None if *letter == b'A' => EventClass::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
        }
        Ok(flags)
    }

    fn show(&self, value: &EventClass) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = *value;
        if value.contains(EventClass::ALL) {
            out.push(b'A');
            rest -= EventClass::ALL;
        }
        out.extend(NOTIFY_LETTERS.iter().filter(|(_, flag)| rest.contains(*flag)).map(|(letter, _)| *letter));
        out
    }

    fn lines(&self, value: &EventClass) -> Vec<Vec<u8>> {
        vec![words::quoted(&self.show(value))]
    }
}

bitflags! {
    /// How a termination signal shuts the server down. Empty is the default behaviour.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ShutdownFlags: u32 {
        const SAVE = 1;
        const NOSAVE = 1 << 1;
        const NOW = 1 << 2;
        const FORCE = 1 << 3;
        const SAFE = 1 << 4;
        const FAILOVER = 1 << 5;
    }
}

const SHUTDOWN_NAMES: [(&str, ShutdownFlags); 7] = [
    ("default", ShutdownFlags::empty()),
    ("save", ShutdownFlags::SAVE),
    ("nosave", ShutdownFlags::NOSAVE),
    ("now", ShutdownFlags::NOW),
    ("force", ShutdownFlags::FORCE),
    ("safe", ShutdownFlags::SAFE),
    ("failover", ShutdownFlags::FAILOVER),
];

/// `shutdown-on-sigint`, `shutdown-on-sigterm`: one or more words.
pub struct Shutdown;

impl Kind for Shutdown {
    type Value = ShutdownFlags;

    fn parse(&self, args: &[&[u8]], _: &ShutdownFlags) -> Result<ShutdownFlags, Refusal> {
        let refusal = || must_be_one_of(SHUTDOWN_NAMES.iter().map(|(name, _)| *name));
        let mut flags = ShutdownFlags::empty();
        for word in args {
            let hit = SHUTDOWN_NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
            flags |= hit.ok_or_else(refusal)?.1;
        }
        if args.is_empty() {
            return Err(refusal());
        }
        if flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        if flags.contains(ShutdownFlags::SAFE | ShutdownFlags::FORCE) {
            return Err("shutdown options SAFE and FORCE can't be used simultaneously".into());
        }
        Ok(flags)
    }

    fn show(&self, value: &ShutdownFlags) -> Vec<u8> {
        if value.is_empty() {
            return b"default".to_vec();
        }
        let set = SHUTDOWN_NAMES.iter().filter(|(_, flag)| !flag.is_empty() && value.contains(*flag));
        join(set.map(|(name, _)| name.as_bytes().to_vec()))
    }
}

/// The most memory that all clients together may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientsMemory {
    /// 0 is no limit.
    Bytes(u64),
    /// A share of `maxmemory`, 1 to 100.
    Percent(u8),
}

/// `maxmemory-clients`: bytes, or a percentage of `maxmemory`.
pub struct MemoryOrPercent;

impl Kind for MemoryOrPercent {
    type Value = ClientsMemory;

    fn parse(&self, args: &[&[u8]], _: &ClientsMemory) -> Result<ClientsMemory, Refusal> {
        let word = single(args)?;
        let refusal = || Refusal::from("argument must be a memory or percent value");
        let Some(number) = word.strip_suffix(b"%") else {
            return match parse_bytes(word) {
                Some(n) if i64::try_from(n).is_ok() => Ok(ClientsMemory::Bytes(n)),
                // Redis keeps a percentage as a negative number, and says so.
                Some(_) => Err("percentage argument must be less or equal to 100".into()),
                None => Err(refusal()),
            };
        };
        match num::parse_i64(number) {
            Some(0) => Ok(ClientsMemory::Bytes(0)),
            Some(n @ 1..=100) => Ok(ClientsMemory::Percent(n as u8)),
            Some(101..) => Err("percentage argument must be less or equal to 100".into()),
            _ => Err(refusal()),
        }
    }

    fn show(&self, value: &ClientsMemory) -> Vec<u8> {
        match value {
            ClientsMemory::Bytes(n) => n.to_string().into_bytes(),
            ClientsMemory::Percent(n) => format!("{n}%").into_bytes(),
        }
    }

    fn lines(&self, value: &ClientsMemory) -> Vec<Vec<u8>> {
        match value {
            ClientsMemory::Bytes(n) => vec![bytes_with_unit(*n)],
            ClientsMemory::Percent(_) => vec![self.show(value)],
        }
    }
}

/// `slot-migration-max-failover-repl-bytes`: bytes, or -1 for no limit.
pub struct MemoryOrNoLimit;

impl Kind for MemoryOrNoLimit {
    type Value = Option<u64>;

    fn parse(&self, args: &[&[u8]], _: &Option<u64>) -> Result<Option<u64>, Refusal> {
        match single(args)? {
            b"-1" => Ok(None),
            word => match parse_bytes(word) {
                Some(n) if i64::try_from(n).is_ok() => Ok(Some(n)),
                _ => Err("argument must be a memory value".into()),
            },
        }
    }

    fn show(&self, value: &Option<u64>) -> Vec<u8> {
        value.map_or_else(|| b"-1".to_vec(), |n| n.to_string().into_bytes())
    }

    fn lines(&self, value: &Option<u64>) -> Vec<Vec<u8>> {
        vec![value.map_or_else(|| self.show(value), bytes_with_unit)]
    }
}

/// The primary this server is told to replicate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrimaryAddr {
    pub host: String,
    pub port: u16,
}

/// `replicaof`: a host and a port, or `no one`.
pub struct ReplicaOf;

impl Kind for ReplicaOf {
    type Value = Option<PrimaryAddr>;

    fn parse(&self, args: &[&[u8]], _: &Option<PrimaryAddr>) -> Result<Option<PrimaryAddr>, Refusal> {
        let [host, port] = args else {
            return Err("wrong number of arguments".into());
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(None);
        }
        let port = num::parse_i64(port).and_then(|n| u16::from_wide(n.into())).ok_or("Invalid master port")?;
        Ok(Some(PrimaryAddr { host: String::from_utf8_lossy(host).into_owned(), port }))
    }

    fn show(&self, value: &Option<PrimaryAddr>) -> Vec<u8> {
        value.as_ref().map_or_else(Vec::new, |p| format!("{} {}", p.host, p.port).into_bytes())
    }

    fn lines(&self, value: &Option<PrimaryAddr>) -> Vec<Vec<u8>> {
        let line = |p: &PrimaryAddr| join([words::plain_or_quoted(p.host.as_bytes()), p.port.to_string().into_bytes()]);
        value.iter().map(line).collect()
    }
}

/// `oom-score-adj-values`: for a primary, a replica and a background child.
pub struct OomScores;

impl Kind for OomScores {
    type Value = [i32; 3];

    fn parse(&self, args: &[&[u8]], _: &[i32; 3]) -> Result<[i32; 3], Refusal> {
        let words: [&[u8]; 3] = args.try_into().map_err(|_| "wrong number of arguments")?;
        let mut scores = [0; 3];
        for (score, word) in scores.iter_mut().zip(words) {
            let n = num::parse_i64(word).filter(|n| (-2000..=2000).contains(n));
            *score = n.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")? as i32;
        }
        Ok(scores)
    }

    fn show(&self, value: &[i32; 3]) -> Vec<u8> {
        join(value.map(|n| n.to_string().into_bytes()))
    }
}

/// `latency-tracking-info-percentiles`: numbers from 0 to 100; `""` is an empty list.
pub struct Percentiles;

impl Kind for Percentiles {
    type Value = Vec<f64>;

    fn parse(&self, args: &[&[u8]], _: &Vec<f64>) -> Result<Vec<f64>, Refusal> {
        if matches!(args, [b""]) {
            return Ok(Vec::new());
        }
        let parse = |word: &&[u8]| match num::parse_f64(word) {
            None => Err("Invalid latency-tracking-info-percentiles parameters".into()),
            Some(p) if (0.0..=100.0).contains(&p) => Ok(p),
            Some(_) => Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into()),
        };
        args.iter().map(parse).collect()
    }

    fn show(&self, value: &Vec<f64>) -> Vec<u8> {
        join(value.iter().map(|p| {
            let text = format!("{p:.6}");
            text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
        }))
    }

    fn lines(&self, value: &Vec<f64>) -> Vec<Vec<u8>> {
        vec![if value.is_empty() { b"\"\"".to_vec() } else { self.show(value) }]
    }
}

/// A file name without a directory.
pub(super) fn check_dbfilename(name: &[u8]) -> Result<(), Refusal> {
    if name.contains(&b'/') { Err("dbfilename can't be a path, just a filename".into()) } else { Ok(()) }
}

pub(super) fn check_appendfilename(name: &[u8]) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err("appendfilename can't be empty".into());
    }
    if name.contains(&b'/') { Err("appendfilename can't be a path, just a filename".into()) } else { Ok(()) }
}

pub(super) fn check_appenddirname(name: &[u8]) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err("appenddirname can't be empty".into());
    }
    if name.contains(&b'/') { Err("appenddirname can't be a path, just a dirname".into()) } else { Ok(()) }
}

/// What other nodes are told, and write into a file of theirs whose words end at blanks and commas.
pub(super) fn check_announced(text: &[u8]) -> Result<(), Refusal> {
    let plain = |b: &u8| *b > b',' && *b < 0x7f && !b";<=>?@[]^{|}~\\`".contains(b);
    if text.len() < 256 && text.iter().all(plain) {
        Ok(())
    } else {
        Err("Announced values must be less than 256 printable characters without blanks, commas and brackets".into())
    }
}

pub(super) fn check_ipv4(text: &[u8]) -> Result<(), Refusal> {
    check_address::<std::net::Ipv4Addr>(text, "Invalid IPv4 address")
}

pub(super) fn check_ipv6(text: &[u8]) -> Result<(), Refusal> {
    check_address::<std::net::Ipv6Addr>(text, "Invalid IPv6 address")
}

fn check_address<T: std::str::FromStr>(text: &[u8], refusal: &'static str) -> Result<(), Refusal> {
    let is_address = std::str::from_utf8(text).is_ok_and(|text| text.parse::<T>().is_ok());
    if text.is_empty() || is_address { Ok(()) } else { Err(refusal.into()) }
}

/// Keys of the cluster bus, blank-separated.
pub(super) fn check_auth_keys(text: &[u8]) -> Result<(), Refusal> {
    let short = text.split(|b| *b == b' ').any(|key| !key.is_empty() && key.len() < AUTH_KEY_MIN);
    if short { Err("Keys of the cluster bus must be at least 16 characters long".into()) } else { Ok(()) }
}

/// What can be guessed protects nothing.
const AUTH_KEY_MIN: usize = 16;

pub(super) fn check_hostname(name: &[u8]) -> Result<(), Refusal> {
    if name.len() >= 256 {
        return Err("Hostnames must be less than 256 characters".into());
    }
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'.';
    if name.iter().all(plain) {
        Ok(())
    } else {
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into())
    }
}
