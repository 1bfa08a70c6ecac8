//! The command-line tool: look, plan, show, apply.
//!
//! One run: look at the cluster ([`view`], through [`client`]), let a pure planner decide, show the plan,
//! ask, apply it, verify, and turn the end into an exit code ([`error`]). It talks to any Redis or Valkey.

pub mod addr;
pub mod client;
pub mod error;
pub mod nodes_text;
pub mod slots;
pub mod view;
