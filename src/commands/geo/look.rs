//! GEODIST, GEOHASH, GEOPOS.

use super::{UNITS, reply, unit};
use crate::data::geohash;
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, Typed};
use crate::resp::{Args, ErrorReply, Reply};

const READS: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))];

pub const COMMANDS: &[Command] = &[
    Command::new("geodist", -4, geodist)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(READS)
        .doc(Group::Geo, "3.2.0", "O(1)", "Gives the distance between two members.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("member1"),
            Arg::string("member2"),
            Arg::one_of("unit", UNITS).optional(),
        ]),
    Command::new("geohash", -2, geohash_text)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(READS)
        .doc(Group::Geo, "3.2.0", "O(1) for each member", "Gives positions as geohash strings.")
        .args(&[Arg::key("key", 0), Arg::string("member").optional().multiple()]),
    Command::new("geopos", -2, geopos)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(READS)
        .doc(Group::Geo, "3.2.0", "O(1) for each member", "Gives positions as longitudes and latitudes.")
        .args(&[Arg::key("key", 0), Arg::string("member").optional().multiple()]),
];

fn find<'d>(db: &'d mut Db<'_>, key: &[u8]) -> Result<Option<&'d ZSet>, ErrorReply> {
    db.read(key).map(Typed::zset).transpose()
}

fn geodist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.at(4))?,
        _ => return Err(ErrorReply::Syntax),
    };
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    let position = |member| set.and_then(|set| set.score(member)).map(geohash::position);
    match position(args.at(2)).zip(position(args.at(3))) {
        Some((from, to)) => reply::push_distance(reply, geohash::distance_m(from, to) / metres),
        None => reply.null(),
    }
    Ok(())
}

fn geohash_text(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    each_member(ctx, args, |reply, score| match score {
        Some(score) => reply.bulk(&geohash::text(geohash::position(score))),
        None => reply.null(),
    })
}

fn geopos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    each_member(ctx, args, |reply, score| match score {
        Some(score) => reply::push_position(reply, geohash::position(score)),
        None => reply.null_array(),
    })
}

/// Shows something of the score of every member that is named.
fn each_member(ctx: &mut Ctx<'_>, args: Args<'_>, push: impl Fn(&mut Reply, Option<f64>)) -> Done {
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        push(reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}
