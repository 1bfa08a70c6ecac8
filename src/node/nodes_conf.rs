//! The cluster's configuration file: one process holds it, and replaces it as a whole.
//!
//! The lock is on the file itself, as stock servers have it, so that neither kind starts beside the other. A save puts a new
//! file in the place of the old one: the new one is locked before it gets the name, and at no moment the name is that of a
//! file which nobody holds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{disk, os};

/// The right to the file, until it is dropped.
#[derive(Debug)]
pub struct NodesConf {
    held: File,
    /// What `held` replaced. Somebody may have opened it by its name just before, and not tried its lock yet.
    _before: Option<File>,
}

impl NodesConf {
    /// Takes the file, which is made (empty) if it is missing. `None` when another process has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn take(path: &Path) -> io::Result<Option<NodesConf>> {
        while let Some(held) = os::lock_exclusive(path)? {
            if names(path, &held)? {
                return Ok(Some(NodesConf { held, _before: None }));
            }
            // It was replaced between opening and locking.
        }
        Ok(None)
    }

    /// Puts `bytes` in the place of what the file holds. With `fsync` they are durable on return.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace(&mut self, path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
        let fresh = disk::put_locked(path, bytes, fsync)?;
        self._before = Some(std::mem::replace(&mut self.held, fresh));
        if fsync { disk::sync_dir(path) } else { Ok(()) }
    }
}

/// Whether `path` is a name of this open file.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let here = match fs::metadata(path) {
        Ok(here) => here,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let held = file.metadata()?;
    Ok((here.dev(), here.ino()) == (held.dev(), held.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_it_holds_it_through_all_saves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes.conf");
        let mut conf = NodesConf::take(&path).unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        for text in ["first", "second", "third"] {
            let opened = File::open(&path).unwrap();
            conf.replace(&path, text.as_bytes(), true).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert!(NodesConf::take(&path).unwrap().is_none());
            assert!(opened.try_lock().is_err(), "who has opened it just before does not get it either");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
        drop(conf);
        assert!(NodesConf::take(&path).unwrap().is_some());
    }

    #[test]
    fn a_save_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes.conf");
        let mut conf = NodesConf::take(&path).unwrap().unwrap();
        conf.replace(&path, b"text", false).unwrap();
        assert!(conf.replace(&dir.path().join("no/such"), b"other", true).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert!(NodesConf::take(&path).unwrap().is_none());
        assert!(NodesConf::take(&dir.path().join("no/such")).is_err());
    }
}
