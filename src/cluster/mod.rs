//! The engine of the cluster bus: a state machine without IO, clock or randomness of its own.
//!
//! ```text
//!  links, packets, ticks, facts ──▶ Engine::handle ──▶ outputs(), performed in order
//!  CLUSTER commands ──────────────▶ Engine::admin  ──▶ a reply, and outputs
//!  requests ──────────────────────▶ Engine::redirect, and the queries of `view`
//! ```
//!
//! - [`packet`], [`frame`], [`bitmap`], [`flags`]: the wire; [`auth`]: links that only holders of a key open
//! - [`engine`]: the state and the order of consequences; [`io`]: inputs and outputs; [`config`]
//! - [`node`], [`slots`]: the tables everything else is about
//! - `receive` → `handshake`, `gossip`, `role`, `claims`, `epoch`, `failure`: what a packet does
//! - `cadence`, `links`: what time and connections do
//! - `election`, `manual`, `migration`, `state`: who serves, and whether; `hand_over`: slots of atomic migrations
//! - [`conf`]: `nodes.conf`; `open_slots`: what a full synchronisation carries; [`admin`]: CLUSTER commands; [`view`]: what is shown; [`redirect`]: -MOVED and friends
//!
//! The same inputs with the same seed give the same outputs: nothing here reads a clock, opens a socket
//! or walks a hash map.

pub mod admin;
pub mod auth;
pub mod bitmap;
mod blacklist;
pub mod breakage;
mod cadence;
mod claims;
pub mod clock;
pub mod conf;
pub mod config;
mod election;
pub mod engine;
mod epoch;
mod failure;
pub mod flags;
pub mod frame;
mod gossip;
mod hand_over;
mod handshake;
pub mod io;
mod links;
mod manual;
mod migration;
pub mod node;
mod open_slots;
pub mod packet;
mod publish;
mod receive;
pub mod redirect;
mod role;
pub mod slots;
mod startup;
mod state;
pub mod stats;
mod vacant;
pub mod view;

pub use admin::{AdminCommand, AdminError, AdminReply, FailoverMode, SetSlot, SetSlotAction};
pub use breakage::Breakage;
pub use clock::Clock;
pub use conf::ConfError;
pub use config::{Config, EndpointType};
pub use engine::Engine;
pub use flags::NodeFlags;
pub use frame::Frame;
pub use io::{DataAge, FollowTarget, Input, LinkId, LocalFacts, LogLevel, Output, SlotKeys};
pub use node::{Addr, Attributes, Node, NodeIdx};
pub use redirect::{Presence, Redirect, Request};
pub use view::{ClientNet, LinkView, NodeView, ShardView};

#[cfg(test)]
mod harness;
#[cfg(test)]
mod scenarios;
