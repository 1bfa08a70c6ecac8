//! A snapshot on its way into a file: written under a temporary name, made durable in steps, then given its name.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile, write_all};

/// How much is written between two steps: so the last one, for which others wait, is as short as any.
const STEP_BYTES: u64 = 4 << 20;

/// A file under way. Given up it should be [`SnapshotFile::discard`]ed.
#[derive(Debug)]
pub struct SnapshotFile<F> {
    file: F,
    temp: PathBuf,
    in_steps: bool,
    len: u64,
    synced: u64,
}

impl<F: DiskFile> SnapshotFile<F> {
    /// `in_steps`: made durable while it is written (`rdb-save-incremental-fsync`), and not only at the end.
    ///
    /// # Errors
    /// What the system says, here and below.
    pub fn create<D: Disk<File = F>>(disk: &D, temp: &Path, in_steps: bool) -> io::Result<SnapshotFile<F>> {
        Ok(SnapshotFile { file: disk.create(temp)?, temp: temp.to_owned(), in_steps, len: 0, synced: 0 })
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.len
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(&mut self.file, bytes).1?;
        self.len += bytes.len() as u64;
        if self.in_steps && self.len - self.synced >= STEP_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced = self.len;
        Ok(())
    }

    /// Gives the file, which is complete, its name, durably.
    pub fn place<D: Disk<File = F>>(mut self, disk: &D, name: &Path) -> io::Result<u64> {
        let placed = self.sync().and_then(|()| disk.rename(&self.temp, name));
        if let Err(error) = placed {
            self.discard(disk);
            return Err(error);
        }
        disk.sync_dir(name.parent().unwrap_or(Path::new(".")))?;
        Ok(self.len)
    }

    /// Deletes what was written.
    pub fn discard<D: Disk<File = F>>(self, disk: &D) {
        // There is nobody who could do more about it.
        let _ = disk.remove(&self.temp);
    }
}
