//! Values that are about to be overwritten or dropped: each is written to a file first, in a form that RESTORE takes.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redis::{Cmd, Value};
use serde::Serialize;

use super::super::client::{Client, command};
use super::Trouble;
use crate::base::Slot;
use crate::trib::journal::store::now_ms;

/// A file of this run, made when the first value comes.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    file: RefCell<Option<File>>,
}

/// A line of it.
#[derive(Serialize)]
struct Kept {
    at_ms: u64,
    node: String,
    database: u32,
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
    pub fn new(dir: &Path) -> Quarantine {
        let path = dir.join(format!("quarantine-{}-{}.jsonl", now_ms(), std::process::id()));
        Quarantine { path, file: RefCell::default() }
    }

    /// Saves what the node holds under the key, if anything. It is on the disk when this returns.
    pub async fn keep(&self, client: &Client, database: u32, slot: Slot, key: &[u8]) -> Result<(), Trouble> {
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
        let kept = Kept {
            at_ms: now_ms(),
            node: client.addr().to_string(),
            database,
            slot: slot.get(),
            key: key.escape_ascii().to_string(),
            key_hex: hex(key),
            ttl_ms,
            dump_hex: hex(&dump),
        };
        let full = |e: io::Error| Trouble::NotKept { path: self.path.display().to_string(), text: e.to_string() };
        self.write(&kept).map_err(full)
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
                none.insert(OpenOptions::new().create_new(true).append(true).mode(0o600).open(&self.path)?)
            }
        };
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Where the values are, if there are any.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.borrow().is_some().then_some(self.path.as_path())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
