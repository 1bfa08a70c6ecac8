//! Files of the data directory: written to a temporary file, made durable, and renamed over the old one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// Writes `bytes` to `path` so that a crash leaves the old content or the new. With `fsync` it is durable on return.
///
/// # Errors
/// What the system says; the old content is untouched.
pub fn replace_file(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let temp = path.with_file_name(name);
    let written = File::create(&temp).and_then(|mut file| {
        file.write_all(bytes)?;
        if fsync { file.sync_all() } else { Ok(()) }
    });
    if let Err(error) = written.and_then(|()| fs::rename(&temp, path)) {
        let _ = fs::remove_file(&temp);
        return Err(error);
    }
    if fsync { sync_dir(path) } else { Ok(()) }
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

/// The file a snapshot is written to before it takes its name.
#[must_use]
pub fn temp_rdb_path(config: &Config) -> PathBuf {
    data_path(config, format!("temp-{}.rdb", std::process::id()).as_bytes())
}
