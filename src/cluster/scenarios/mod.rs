//! What a cluster does as a whole, told as short stories in the deterministic world of `harness`.

mod admin;
mod chaos;
mod conf;
mod directives;
mod failover;
mod formation;
mod hostile;
mod moving;

use super::harness::Net;
use super::*;
use crate::base::{NodeId, Slot};
