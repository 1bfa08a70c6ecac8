//! The only room of the server that does IO: listeners, connections, bus links, disk, signals, log.

pub mod log;
pub mod os;
