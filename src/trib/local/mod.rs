//! A cluster on this machine, for trying things out and for tests: started, listed and stopped as a whole.
//!
//! Everything lives in one directory: a directory for each node, and `trib.json`, which says what was
//! started and as which processes. A process is ours only while its number and its start time are those
//! that were written down: numbers are used again, and nobody wants to stop somebody else's program.

pub mod files;
pub mod layout;
pub mod process;
pub mod start;
pub mod state;
pub mod topology;
