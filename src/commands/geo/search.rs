//! GEOSEARCH, GEOSEARCHSTORE, and the search behind all of the group's commands.

use std::ops::Bound;

use super::options::{Form, Options, Store};
use super::{UNITS, reply};
use crate::commands::element;
use crate::data::Item;
use crate::data::geohash::{self, Position, Shape};
use crate::data::value::Value;
use crate::data::zset::{ScoreRange, ZSet};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, Reply};

const COMPLEXITY: &str =
    "O(N+log(M)) where N is the number of members in the cells around the area and M that of members inside of it";

const FROM: Arg = Arg::one_of(
    "from",
    &[
        Arg::string("member").token("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")]).token("FROMLONLAT"),
    ],
)
.optional();
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::double("radius").token("BYRADIUS"), Arg::one_of("unit", UNITS)]),
        Arg::block("box", &[Arg::double("width").token("BYBOX"), Arg::double("height"), Arg::one_of("unit", UNITS)]),
        Arg::block(
            "polygon",
            &[
                Arg::int("num-vertices").token("BYPOLYGON"),
                Arg::block("vertices", &[Arg::double("longitude"), Arg::double("latitude")]).multiple(),
            ],
        )
        .since("9.0.0"),
    ],
);
pub(super) const ORDER: Arg = Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional();
const COUNT: Arg =
    Arg::block("count-block", &[Arg::int("count").token("COUNT"), Arg::flag("any", "ANY").optional()]).optional();
pub(super) const WITH_COORD: Arg = Arg::flag("withcoord", "WITHCOORD").optional();
pub(super) const WITH_DIST: Arg = Arg::flag("withdist", "WITHDIST").optional();
pub(super) const WITH_HASH: Arg = Arg::flag("withhash", "WITHHASH").optional();

pub const COMMANDS: &[Command] = &[
    Command::new("geosearch", -7, geosearch)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::Geo, "6.2.0", COMPLEXITY, "Gives the members inside of a circle, a box or a polygon.")
        .args(&[Arg::key("key", 0), FROM, BY, ORDER, COUNT, WITH_COORD, WITH_DIST, WITH_HASH]),
    Command::new("geosearchstore", -8, geosearchstore)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::GEO)
        .keys(&[
            KeySpec::range(1, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE)),
            KeySpec::range(2, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        ])
        .doc(Group::Geo, "6.2.0", COMPLEXITY, "Stores the members inside of a circle, a box or a polygon.")
        .args(&[
            Arg::key("destination", 0),
            Arg::key("source", 1),
            FROM,
            BY,
            ORDER,
            COUNT,
            Arg::flag("storedist", "STOREDIST").optional(),
        ]),
];

fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    run(ctx, args, 1, Form::Search { stored: false })
}

fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    run(ctx, args, 2, Form::Search { stored: true })
}

/// A member inside of the area.
struct Found {
    member: Vec<u8>,
    score: f64,
    position: Position,
    distance_m: f64,
}

/// Searches the key that is argument `source`, and shows or stores what is found.
pub(super) fn run(ctx: &mut Ctx<'_>, args: Args<'_>, source: usize, form: Form) -> Done {
    let (mut db, reply, limits) = ctx.split_with_limits();
    let set = db.read(args.at(source)).map(Typed::zset).transpose()?;
    let options = Options::parse(args, form, set)?;
    let mut found = match (set, &options.shape) {
        (Some(set), Some(shape)) => search(set, shape, if options.any { options.count } else { usize::MAX }),
        _ => Vec::new(),
    };
    match options.descending {
        Some(false) => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
        Some(true) => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
        None => {}
    }
    if options.count > 0 {
        found.truncate(options.count);
    }
    let Some(Store { key, distances }) = options.store else {
        show(reply, &found, &options);
        return Ok(());
    };
    reply.uint(found.len());
    let mut stored = ZSet::new();
    stored.expect(found.len(), found.iter().map(|found| found.member.len()).max().unwrap_or(0), limits);
    for Found { member, score, distance_m, .. } in &found {
        stored.insert(member, if distances { distance_m / options.unit_m } else { *score }, limits);
    }
    let value = (!found.is_empty()).then(|| Value::ZSet(stored));
    let event = if matches!(form, Form::Search { .. }) { "geosearchstore" } else { "georadiusstore" };
    let changed = db.store_found(key, value, EventClass::ZSET, event);
    ctx.changed(if changed { found.len().max(1) } else { 0 });
    Ok(())
}

/// The members inside of `shape`, cell by cell, at most `max` of them.
fn search(set: &ZSet, shape: &Shape, max: usize) -> Vec<Found> {
    let mut found = Vec::new();
    for cell in geohash::cover(shape) {
        let (first, end) = cell.scores();
        let range = ScoreRange { min: Bound::Included(first as f64), max: Bound::Excluded(end as f64) };
        for (member, score) in set.range(set.ranks_by_score(&range)) {
            let position = geohash::position(score);
            if let Some(distance_m) = shape.distance_within_m(position) {
                found.push(Found { member: member.to_vec(), score, position, distance_m });
                if found.len() == max {
                    return found;
                }
            }
        }
    }
    found
}

fn show(reply: &mut Reply, found: &[Found], options: &Options<'_>) {
    let parts = [options.with_distance, options.with_hash, options.with_position].iter().filter(|with| **with).count();
    reply.array(found.len());
    for Found { member, score, position, distance_m } in found {
        if parts > 0 {
            reply.array(1 + parts);
        }
        element::push(reply, Item::Bytes(member));
        if options.with_distance {
            reply::push_distance(reply, distance_m / options.unit_m);
        }
        if options.with_hash {
            reply.int(*score as i64);
        }
        if options.with_position {
            reply::push_position(reply, *position);
        }
    }
}
