//! Values that are about to be overwritten or dropped: each is written to a file first, in a form that RESTORE takes. 'trib
//! import' reads such files, and 'trib undo' has it do so.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use redis::{Cmd, Value};
use serde::{Deserialize, Serialize};

use super::addr::Addr;
use super::client::{Client, command};
use super::ferry::Cargo;
use super::journal::Record;
use super::journal::store::now_ms;
use super::keytext::hex;
use super::mover::Trouble;
use super::session::Session;
use super::ui::Ui;
use crate::base::key_slot;

/// A file of this run, made when the first value comes; the journal gets to know of it.
pub struct Quarantine {
    path: PathBuf,
    session: Rc<Session>,
    file: RefCell<Option<File>>,
}

/// A value that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value could not be saved in {path}, so it was not overwritten: {text}")]
pub struct NotKept {
    path: String,
    text: String,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    at_ms: u64,
    node: String,
    pub database: u32,
    slot: u16,
    /// Readable; bytes that are not as `\xff`.
    key: String,
    key_hex: String,
    /// What PTTL says: -1 for a key that does not expire.
    ttl_ms: i64,
    /// What DUMP says.
    dump_hex: String,
}

impl Quarantine {
    /// For one run, in this directory.
    #[must_use]
    pub fn new(dir: &Path, session: Rc<Session>) -> Quarantine {
        // The journal is read in other directories.
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let path = dir.join(format!("quarantine-{}-{}.jsonl", now_ms(), std::process::id()));
        Quarantine { path, session, file: RefCell::default() }
    }

    /// Saves what the node holds under the key, if anything. It is on the disk when this returns.
    pub async fn keep(&self, client: &Client, database: u32, key: &[u8]) -> Result<(), Trouble> {
        let about = |verb: &str| {
            let mut cmd = command(verb);
            cmd.arg(key);
            cmd
        };
        // The slot may be importing or migrating.
        let asking = || -> Cmd { command("ASKING") };
        let cmds = [asking(), about("DUMP"), asking(), about("PTTL")];
        let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?.into_iter().skip(1).step_by(2);
        let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
        let (dump, ttl) = (next()?, next()?);
        let (Value::BulkString(dump), Value::Int(ttl_ms)) = (dump, ttl) else { return Ok(()) };
        Ok(self.save(client.addr(), database, key, ttl_ms, &dump)?)
    }

    /// Saves a value that the node holds: what DUMP and PTTL say of it. It is on the disk when this returns.
    pub fn save(&self, node: &Addr, database: u32, key: &[u8], ttl_ms: i64, dump: &[u8]) -> Result<(), NotKept> {
        let kept = Kept {
            at_ms: now_ms(),
            node: node.to_string(),
            database,
            slot: key_slot(key).get(),
            key: key.escape_ascii().to_string(),
            key_hex: hex(key),
            ttl_ms,
            dump_hex: hex(dump),
        };
        self.write(&kept).map_err(|e| NotKept { path: self.path.display().to_string(), text: e.to_string() })
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let mut line = serde_json::to_vec(kept).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = self.file.borrow_mut();
        let file = match &mut *file {
            Some(file) => file,
            none => {
                if let Some(dir) = self.path.parent() {
                    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                }
                let made = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&self.path)?;
                self.session.note(&Record::Saved { file: self.path.display().to_string() });
                none.insert(made)
            }
        };
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Says where the values are, if there are any, and how they are had again.
    pub fn tell(&self, ui: &Ui, seed: &Addr) {
        if self.file.borrow().is_some() {
            ui.note(format!("Values that had to give way are saved in {}", self.path.display()));
            ui.note(format!("They are put back by: {}", back(&self.path.display().to_string(), seed)));
        }
    }
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The command that puts the values of a file back.
#[must_use]
pub fn back(file: &str, seed: &Addr) -> String {
    format!("trib import --from {file} --on-conflict replace {seed}")
}

impl Kept {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(line: &[u8]) -> Result<Kept, String> {
        serde_json::from_slice(line).map_err(|e| e.to_string())
    }

    /// The value as it is brought in at this time, if it has not expired since.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn cargo(&self, now_ms: u64) -> Result<Option<Cargo>, String> {
        let bytes = |name: &str, text: &str| unhex(text).ok_or_else(|| format!("its {name} is not in hexadecimal"));
        let (key, payload) = (bytes("key_hex", &self.key_hex)?, bytes("dump_hex", &self.dump_hex)?);
        let ttl_ms = match u64::try_from(self.ttl_ms) {
            Err(_) => 0,
            Ok(ttl) => match (self.at_ms + ttl).checked_sub(now_ms) {
                None | Some(0) => return Ok(None),
                Some(left) => left,
            },
        };
        Ok(Some(Cargo { key, payload, ttl_ms }))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(&dir.path().join("new"), Rc::default());
        let node: Addr = "h:1".parse().unwrap();
        let key = b"k\xff\"\n";
        quarantine.save(&node, 3, key, -1, b"\x00\x01\xfe").unwrap();
        quarantine.save(&node, 0, b"t", 5000, b"").unwrap();
        let text = fs::read_to_string(&quarantine.path).unwrap();
        let kept: Vec<Kept> = text.lines().map(|line| Kept::parse(line.as_bytes()).unwrap()).collect();
        assert_eq!((kept.len(), kept[0].database, kept[0].key.as_str()), (2, 3, "k\\xff\\\"\\n"));
        let expected = Cargo { key: key.to_vec(), payload: b"\x00\x01\xfe".to_vec(), ttl_ms: 0 };
        assert_eq!(kept[0].cargo(u64::MAX), Ok(Some(expected)));
        // The time to live goes on meanwhile.
        let at = kept[1].at_ms;
        assert_eq!(kept[1].cargo(at + 1000).unwrap().unwrap().ttl_ms, 4000);
        assert_eq!(kept[1].cargo(at + 5000), Ok(None));
        for bad in ["", "{}", &text[..20]] {
            assert!(Kept::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let odd = Kept { key_hex: "0".into(), ..Kept::parse(text.lines().next().unwrap().as_bytes()).unwrap() };
        assert!(odd.cargo(0).unwrap_err().contains("key_hex"));
        assert_eq!(unhex("0g"), None);
    }
}
