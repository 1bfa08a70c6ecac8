//! The geo group: members of sorted sets that stand for positions on Earth.

mod add;
mod look;
mod options;
mod radius;
mod reply;
mod search;

use crate::commands::parse;
use crate::data::geohash::{self, Position};
use crate::exec::{Arg, Command};
use crate::resp::{ErrorReply, is_word};

pub const FAMILIES: &[&[Command]] = &[add::COMMANDS, look::COMMANDS, radius::COMMANDS, search::COMMANDS];

const UNITS: &[Arg] = &[Arg::flag("m", "M"), Arg::flag("km", "KM"), Arg::flag("ft", "FT"), Arg::flag("mi", "MI")];

/// Metres of a unit of length.
fn unit(word: &[u8]) -> Result<f64, ErrorReply> {
    const METRES: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let found = METRES.iter().find(|(name, _)| is_word(word, name));
    found
        .map(|(_, metres)| *metres)
        .ok_or(ErrorReply::Static("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A position of the map, from its longitude and latitude.
fn position(longitude: &[u8], latitude: &[u8]) -> Result<Position, ErrorReply> {
    let position = Position { longitude: parse::float(longitude)?, latitude: parse::float(latitude)? };
    if geohash::is_on_map(position) {
        return Ok(position);
    }
    let Position { longitude, latitude } = position;
    Err(ErrorReply::text_of(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}
