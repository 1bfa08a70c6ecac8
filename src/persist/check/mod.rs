//! The checkers of files, for `--check-rdb` and `--check-aof`: they read a file to its end and say what they find, in
//! the words of redis-check-rdb and redis-check-aof.
//!
//! Nothing here opens a file, cuts one or asks anybody: the caller brings the bytes and acts on the outcome.

pub mod aof;
pub mod rdb;
