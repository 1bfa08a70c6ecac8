//! `nodes.json` of a backup: the nodes as redis-cli describes them, and beside that what was saved of each, so that damage
//! to a file is found.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dial::without_number;
use super::error::Error;
use super::slots::SlotSet;
use crate::base::Slot;
use crate::base::crc64::crc64;

pub const FILE_NAME: &str = "nodes.json";
/// How tools begin the names of the files of nodes.
const PREFIXES: [&str; 2] = ["redis-node", "valkey-node"];
const CHUNK: usize = 256 * 1024;

/// One node, as redis-cli describes it, and what was saved of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub replicate: Option<String>,
    pub slots: Vec<[u16; 2]>,
    pub slots_count: usize,
    #[serde(default)]
    pub flags: String,
    #[serde(default)]
    pub current_epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_errors: Option<usize>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrating: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub importing: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The CRC-64 at the end of the file, where the server writes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where in the replication stream of the primary the snapshot stands, as far as the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub path: PathBuf,
    pub entry: Entry,
}

impl Saved {
    /// The slots that the node had.
    #[must_use]
    pub fn slots(&self) -> SlotSet {
        let mut slots = SlotSet::new();
        for [first, last] in &self.entry.slots {
            if let (Some(first), Some(last)) = (Slot::new(*first), Slot::new(*last)) {
                slots.insert_range(first, last);
            }
        }
        slots
    }

    /// Compares the file with what was written down of it. Says what is wrong.
    pub fn check(&self) -> Result<Sums, String> {
        let sums = Sums::of(&self.path).map_err(|e| without_number(&e.to_string()).to_owned())?;
        let entry = &self.entry;
        if let Some(bytes) = entry.bytes.filter(|bytes| *bytes != sums.bytes) {
            return Err(format!("it has {} bytes, and had {bytes}", sums.bytes));
        }
        if entry.sha256.as_ref().is_some_and(|sha256| *sha256 != sums.sha256) {
            return Err("its SHA-256 is not the one in nodes.json".to_owned());
        }
        match sums.crc64 {
            Some((said, is)) if said != 0 && said != is => Err("its checksum does not fit".to_owned()),
            _ => Ok(sums),
        }
    }
}

/// Sums over a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub bytes: u64,
    pub sha256: String,
    /// The checksum that stands at the end, and what it should be.
    pub crc64: Option<(u64, u64)>,
}

impl Sums {
    /// Reads the file once.
    pub fn of(path: &Path) -> std::io::Result<Sums> {
        let mut file = std::fs::File::open(path)?;
        let bytes = file.metadata()?.len();
        let (mut sha, mut crc, mut left) = (Sha256::new(), 0, bytes);
        let mut end: Vec<u8> = Vec::with_capacity(8);
        let mut chunk = vec![0; CHUNK];
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            file.read_exact(&mut chunk[..length])?;
            sha.update(&chunk[..length]);
            left -= length as u64;
            // The last eight bytes are not part of what they sum up.
            let body = usize::try_from(8u64.saturating_sub(left)).unwrap_or(0).min(length);
            crc = crc64(crc, &chunk[..length - body]);
            end.extend_from_slice(&chunk[length - body..length]);
        }
        let sha256 = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let said = <[u8; 8]>::try_from(end.as_slice()).ok().map(u64::from_le_bytes);
        Ok(Sums { bytes, sha256, crc64: said.map(|said| (said, crc)) })
    }
}

/// The files of the backup in this directory: those of the primaries in nodes.json, whoever made it.
pub fn read(dir: &Path) -> Result<Vec<Saved>, Error> {
    let path = dir.join(FILE_NAME);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::failed(format!("[ERR] {} cannot be read: {}", path.display(), without_number(&e.to_string())))
            .hint("a backup is a directory with nodes.json and the files that it names: 'trib backup' makes one")
    })?;
    let entries: Vec<Entry> = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("[ERR] {} describes no backup: {e}", path.display())))?;
    let mut saved = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.replicate.is_none()) {
        let usual = PREFIXES.map(|prefix| format!("{prefix}-{}-{}-{}.rdb", entry.host, entry.port, entry.name));
        let name = match &entry.file {
            // Names stay inside of the directory.
            Some(name) => Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned()),
            None => usual.iter().find(|name| dir.join(name).is_file()).cloned(),
        };
        match name {
            Some(name) => saved.push(Saved { path: dir.join(name), entry }),
            None if entry.slots_count == 0 => {}
            None => {
                return Err(Error::failed(format!(
                    "[ERR] The backup has no file of {}:{}, which had {} slots.",
                    entry.host, entry.port, entry.slots_count
                ))
                .hint("the backup was not finished, or a file was moved away"));
            }
        }
    }
    if saved.is_empty() {
        return Err(Error::failed(format!("[ERR] {} names no file.", path.display())));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(host: &str, slots_count: usize, file: Option<&str>) -> Entry {
        Entry {
            name: "id".to_owned(),
            host: host.to_owned(),
            port: 1,
            slots: vec![[3, 4]],
            slots_count,
            file: file.map(str::to_owned),
            ..Entry::default()
        }
    }

    #[test]
    fn the_files_of_a_backup_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |entries: &[Entry]| {
            std::fs::write(dir.path().join(FILE_NAME), serde_json::to_string(entries).unwrap()).unwrap();
            read(dir.path()).map(|saved| {
                saved
                    .iter()
                    .map(|one| one.path.strip_prefix(dir.path()).unwrap().display().to_string())
                    .collect::<Vec<_>>()
            })
        };
        assert!(read(dir.path()).is_err());
        let replica = Entry { replicate: Some("id".to_owned()), ..entry("r", 0, None) };
        assert_eq!(write(&[entry("a", 2, Some("../a.rdb")), replica, entry("empty", 0, None)]).unwrap(), ["a.rdb"]);
        assert!(write(&[entry("a", 2, None)]).is_err());
        std::fs::write(dir.path().join("valkey-node-a-1-id.rdb"), "").unwrap();
        assert_eq!(write(&[entry("a", 2, None)]).unwrap(), ["valkey-node-a-1-id.rdb"]);
        assert!(write(&[]).is_err());
        std::fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(read(dir.path()).is_err());
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.rdb");
        for length in [1, 100, CHUNK - 3] {
            let mut bytes: Vec<u8> = (1..=length).map(|n| n as u8).collect();
            bytes.extend(crc64(0, &bytes).to_le_bytes());
            std::fs::write(&path, &bytes).unwrap();
            let sums = Sums::of(&path).unwrap();
            let (said, is) = sums.crc64.unwrap();
            assert_eq!((said, sums.bytes), (is, bytes.len() as u64), "{length}");
            let entry = Entry { bytes: Some(sums.bytes), sha256: Some(sums.sha256.clone()), ..entry("h", 2, None) };
            let saved = Saved { path: path.clone(), entry };
            assert_eq!(saved.check().as_ref(), Ok(&sums));
            let mut other = saved.clone();
            other.entry.sha256 = Some("0".to_owned());
            assert!(other.check().unwrap_err().contains("SHA-256"));
            // A zero would shift the checksum by what it covers more.
            bytes.push(1);
            std::fs::write(&path, &bytes).unwrap();
            assert!(saved.check().unwrap_err().contains("bytes"));
            other.entry = Entry::default();
            assert!(other.check().unwrap_err().contains("checksum"));
        }
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(Sums::of(&path).unwrap().crc64, None);
    }

    #[test]
    fn slots_of_a_node() {
        let saved = Saved { path: PathBuf::new(), entry: entry("h", 2, None) };
        assert_eq!(saved.slots().to_string(), "3-4");
    }
}
