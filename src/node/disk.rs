//! Files of the data directory: written to a temporary file, made durable, and renamed over the old one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::persist::aof::names;
use crate::persist::disk::{Disk, DiskFile};

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path).and_then(|file| {
            file.set_len(0)?;
            Ok(file)
        })
    }

    fn append_to(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|meta| meta.len())
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir(path)?;
        sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn twin(&self) -> io::Result<File> {
        self.try_clone()
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|meta| meta.len())
    }
}

/// Writes `bytes` to `path` so that a crash leaves the old content or the new. With `fsync` it is durable on return.
///
/// # Errors
/// What the system says; the old content is untouched.
pub fn replace_file(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    put(path, bytes, fsync, |_| Ok(()))?;
    if fsync { sync_dir(path) } else { Ok(()) }
}

/// As [`replace_file`], with a file that is locked before it takes the place of the old one, and stays so while what is
/// returned lives. That it has taken it is not durable yet.
///
/// # Errors
/// What the system says; the old content is untouched.
pub fn put_locked(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<File> {
    put(path, bytes, fsync, |file| file.try_lock().map_err(io::Error::from))
}

/// Puts a new file, which `prepare` sees first, in the place of another.
fn put(path: &Path, bytes: &[u8], fsync: bool, prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let temp = path.with_file_name(name);
    let written = File::create(&temp).and_then(|mut file| {
        prepare(&file)?;
        file.write_all(bytes)?;
        if fsync {
            file.sync_all()?;
        }
        fs::rename(&temp, path)?;
        Ok(file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written
}

/// Brings the configuration file up to date. `whole`: with every directive.
///
/// # Errors
/// What the system says; the old file is untouched.
pub fn rewrite_config(path: &Path, config: &Config, whole: bool) -> io::Result<()> {
    let old = fs::read(path).unwrap_or_default();
    replace_file(path, &if whole { config.rewrite_whole(&old) } else { config.rewrite(&old) }, true)
}

/// Makes a rename in the directory of `path` durable.
///
/// # Errors
/// What the system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// A file of the data directory. The process's current directory is the data directory at the start; CONFIG SET dir
/// moves both.
#[must_use]
pub fn data_path(config: &Config, name: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(&config.dir)).join(OsStr::from_bytes(name))
}

/// The RDB file.
#[must_use]
pub fn rdb_path(config: &Config) -> PathBuf {
    data_path(config, &config.dbfilename)
}

/// The file that the base of a log is written to before it takes its name.
#[must_use]
pub fn temp_base_path(config: &Config) -> PathBuf {
    data_path(config, names::temp_rewrite(std::process::id()).as_bytes())
}

/// The file a snapshot is written to before it takes its name.
#[must_use]
pub fn temp_rdb_path(config: &Config) -> PathBuf {
    data_path(config, format!("temp-{}.rdb", std::process::id()).as_bytes())
}
