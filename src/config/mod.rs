//! The one table of directives: names, types, defaults, limits; the configuration file and its rewriting.
//!
//! [`Config`] is a plain struct that the server reads by field. The [`DIRECTIVES`] table beside it reads and
//! sets the same fields by name, for the file, the command line and the CONFIG commands.

pub mod args;
mod choice;
mod directive;
mod file;
mod kind;
mod lines;
#[cfg(test)]
mod oracle;
mod rewrite;
mod set;
mod special;
mod table;
mod title;

pub use choice::*;
pub use directive::{Directive, Flags};
pub use file::{Host, LoadError};
pub use kind::{Choice, Kind, Refusal, parse_bytes};
pub use lines::ExtraLines;
pub use set::{Change, SetError};
pub use special::{ClientsMemory, OutputLimit, OutputLimits, PrimaryAddr, SavePoint, ShutdownFlags};
pub use table::{Config, DIRECTIVES};
pub use title::{TitleFacts, expand as expand_title};

/// The version of Redis whose behaviour is mirrored, as clients see it.
pub const COMPAT_VERSION: &str = "7.2.4";

/// The directive with this name or alias, in any case.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|d| d.names().any(|n| n.as_bytes().eq_ignore_ascii_case(name)))
}
