//! Distances and positions as replies.

use crate::data::geohash::Position;
use crate::resp::{Proto, Reply};

/// A distance: four digits behind the point, in either protocol as text.
pub(super) fn push_distance(reply: &mut Reply, distance: f64) {
    reply.bulk_str(&format!("{distance:.4}"));
}

/// A position as a pair.
pub(super) fn push_position(reply: &mut Reply, position: Position) {
    reply.array(2);
    push_coordinate(reply, position.longitude);
    push_coordinate(reply, position.latitude);
}

/// A coordinate: up to 17 digits behind the point.
fn push_coordinate(reply: &mut Reply, degrees: f64) {
    let text = format!("{degrees:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match reply.proto {
        Proto::Resp2 => reply.bulk_str(text),
        Proto::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
    }
}
