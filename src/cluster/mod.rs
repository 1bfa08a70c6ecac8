//! The cluster bus.
pub mod bitmap;
pub mod flags;
pub mod frame;
pub mod packet;
