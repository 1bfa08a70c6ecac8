//! The formats on disk and in DUMP payloads, over `Read` and `Write`: no files, no clock, no sockets.
//!
//! - [`aof`]: the append-only log: manifest, names, reading, appending, decisions
//! - [`check`]: what the checkers of files say
//! - [`disk`]: the door to the disk behind which tests put one that fails
//! - [`dump`]: the payload of DUMP and RESTORE
//! - [`forms`]: payloads as other servers read them, older ones and those of other vendors
//! - [`payload`]: values of files as payloads, and comparing payloads
//! - [`rdb`]: the snapshot file, written (version 10, which Redis 7.0 reads) and read (every version)
//! - [`snapshot_file`]: a snapshot on its way into a file
//! - [`ziplist`], [`zipmap`]: compact structures of old servers, read only

pub mod aof;
pub mod check;
pub mod disk;
pub mod dump;
pub mod forms;
#[cfg(test)]
mod oracle;
pub mod payload;
pub mod rdb;
#[cfg(test)]
mod samples;
pub mod snapshot_file;
pub mod ziplist;
pub mod zipmap;
