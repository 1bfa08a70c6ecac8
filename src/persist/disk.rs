//! The door to the disk for the files that hold the dataset.
//!
//! The log and the snapshots decide what is written, made durable, renamed and deleted, and in which order; what does
//! it stands behind this door. So the same decisions run over a disk of a test that tears writes, forgets what was not
//! made durable, and fails.

use std::io;
use std::path::Path;

/// A directory tree. Names of files are durable only after [`Disk::sync_dir`], contents only after [`DiskFile::sync`].
pub trait Disk {
    type File: DiskFile;

    /// An empty file to append to, whatever was there before.
    ///
    /// # Errors
    /// What the system says, here and below.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// A file to append to, made when it is missing.
    fn append_to(&self, path: &Path) -> io::Result<Self::File>;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The length of a file; an error when it is missing.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Makes a directory, durably, unless it is there; an error where that in which it is to be is missing.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in the place of what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes all names of a directory durable as they are.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file that is appended to.
pub trait DiskFile {
    /// Appends some of the bytes, and says how many.
    ///
    /// # Errors
    /// What the system says, here and below.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Makes what has been written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// The same open file once more, for what is done to it beside further writes.
    fn twin(&self) -> io::Result<Self>
    where
        Self: Sized;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Appends all of `bytes`. Says how many are in the file, which are fewer only together with an error.
pub fn write_all(file: &mut impl DiskFile, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..]) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Writes `bytes` to `path` by way of `temp`, so that a crash leaves the old content or the new. What is there is durable
/// only after [`Disk::sync_dir`].
///
/// # Errors
/// What the system says; the old content is untouched.
pub fn replace(disk: &impl Disk, path: &Path, temp: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = disk.create(temp).and_then(|mut file| {
        write_all(&mut file, bytes).1?;
        file.sync()
    });
    written.and_then(|()| disk.rename(temp, path)).inspect_err(|_| {
        // It may not even have been made.
        let _ = disk.remove(temp);
    })
}
