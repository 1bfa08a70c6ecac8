//! Whether the targets read what the sources would send: found out before the first slot is opened.
//!
//! DUMP and MIGRATE send the version of the form in which a server writes, and a server refuses what is newer than all it
//! knows. That is judged by one of the very keys that are to go, and only of servers of which it is known what they read.
//! In doubt the slots go, and the first key that is refused ends it.

use redis::Value;

use super::super::client::{Client, command, info_field, join_all, text_of};
use super::super::vitals;
use super::link::Link;
use super::{Slot, Trouble};

/// The versions that a server reads: all up to one, and perhaps another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    up_to: u16,
    also: Option<u16>,
}

/// Written by Valkey 9; those between this and 11 are of Redis alone.
const VALKEY: u16 = 80;
/// A value is asked for that takes little to write.
const SMALL: i64 = 16 * 1024;
/// Among so many keys of so many slots.
const SLOTS: usize = 8;
const KEYS: usize = 4;

/// Complains of the first target that would refuse what comes.
pub async fn check<'l, 'v: 'l>(links: impl Iterator<Item = &'l Link<'v>>) -> Result<(), Trouble> {
    let found = join_all(links.map(complaint)).await;
    found.into_iter().flatten().next().map_or(Ok(()), Err)
}

async fn complaint(link: &Link<'_>) -> Option<Trouble> {
    if link.counts.values().all(|&keys| keys == 0) {
        return None;
    }
    let (source, target) = (link.source().await.ok()?, link.target().await.ok()?);
    let (sender, receiver) = tokio::join!(info(&source), info(&target));
    let (sender, receiver) = (vitals::version(&sender?), receiver?);
    let version = vitals::version(&receiver);
    if version == sender {
        return None;
    }
    let is_strict = target.config(&["rdb-version-check"]).await.ok()?.iter().all(|(_, value)| value == "strict");
    let known = known(&receiver).filter(|_| is_strict)?;
    let sent = sent(link).await?;
    let reads = sent <= known.up_to || Some(sent) == known.also;
    let too_old = || Trouble::TooOld { to: link.target.addr.clone(), version, from: link.source.addr.clone(), sender };
    (!reads).then(too_old)
}

async fn info(client: &Client) -> Option<String> {
    text_of(&client.call(&command("INFO server")).await.ok()?)
}

/// What a server reads that is strict about it; `None` where nobody can be sure. Others call themselves Redis of some
/// version for their clients, and tell of themselves beside it.
fn known(info: &str) -> Option<Known> {
    const NAMES: [&str; 4] = ["redis_version", "valkey_version", "node_version", "gcc_version"];
    let mut names = info.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    if names.any(|name| name.ends_with("_version") && !NAMES.contains(&name)) {
        return None;
    }
    let server = info_field(info, "server_name").unwrap_or("redis");
    let mut numbers = info_field(info, &format!("{server}_version"))?.split('.').map(|part| part.parse::<u32>().ok());
    let version = (numbers.next()??, numbers.next()??);
    let up_to = |up_to| Some(Known { up_to, also: None });
    match (server, version) {
        ("redis", (5 | 6, _)) => up_to(9),
        ("redis", (7, 0)) => up_to(10),
        ("redis", (7, 2)) | ("valkey", (7 | 8, _)) => up_to(11),
        ("redis", (7, 4) | (8, 0..=2)) => up_to(12),
        ("valkey", (9, _)) | ("node", _) => Some(Known { up_to: 11, also: Some(VALKEY) }),
        _ => None,
    }
}

/// In which version the source writes a key that is to go, if one is found that is small.
async fn sent(link: &Link<'_>) -> Option<u16> {
    let held: Vec<Slot> =
        link.counts.iter().filter(|&(_, &keys)| keys > 0).map(|(&slot, _)| slot).take(SLOTS).collect();
    for database in 0..link.databases().await.ok()? {
        let client = link.source_in(database).await.ok()?;
        let keys = link.list(database, &held, KEYS).await.ok()?.concat();
        let about = |verb: &str, key: &Vec<u8>| command(verb).arg(key).to_owned();
        let sizes: Vec<_> = keys.iter().map(|key| about("MEMORY USAGE", key)).collect();
        let sizes = client.pipeline(client.timeouts().reply, &sizes).await.ok()?;
        let is_small = |size: &Result<Value, _>| matches!(size, Ok(Value::Int(bytes)) if *bytes <= SMALL);
        let Some((key, _)) = keys.iter().zip(&sizes).find(|(_, size)| is_small(size)) else { continue };
        if let Ok(Value::BulkString(payload)) = client.call(&about("DUMP", key)).await {
            return version_of(&payload);
        }
    }
    None
}

/// A payload ends in the version, in two bytes, and eight more of a checksum.
fn version_of(payload: &[u8]) -> Option<u16> {
    let (_, end) = payload.split_last_chunk::<10>()?;
    Some(u16::from_le_bytes([end[0], end[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_read_is_known_of_some() {
        let redis = |version: &str| known(&format!("# Server\r\nredis_version:{version}\r\ngcc_version:12.2.0\r\n"));
        let up_to = |version: &str| redis(version).map(|known| (known.up_to, known.also));
        assert_eq!(["6.2.14", "7.0.15", "7.2.4", "8.2.3"].map(up_to), [9, 10, 11, 12].map(|up_to| Some((up_to, None))));
        assert_eq!(["8.4.0", "9.0.0", "x", "255"].map(up_to), [None; 4]);
        let other = |lines: &str| known(&format!("redis_version:7.2.4\r\n{lines}"));
        assert_eq!(other("server_name:valkey\r\nvalkey_version:8.1.3\r\n").unwrap(), Known { up_to: 11, also: None });
        assert_eq!(other("server_name:valkey\r\nvalkey_version:9.0.1\r\n").unwrap().also, Some(VALKEY));
        assert_eq!(other("dragonfly_version:df-v1.2\r\n"), None);
        assert_eq!(other("server_name:something\r\n"), None);
        assert_eq!(known(""), None);
    }

    #[test]
    fn a_payload_tells_its_version() {
        // DUMP of "2" by a Valkey 9 server.
        assert_eq!(version_of(b"\x00\xc0\x02\x50\x00\x40\x88\x79\x2d\x66\x86\x19\x3f"), Some(VALKEY));
        assert_eq!(version_of(b"short"), None);
    }
}
