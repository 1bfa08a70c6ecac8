//! GEORADIUS, GEORADIUSBYMEMBER and their forms that only read: what GEOSEARCH was before it had its own grammar.

use super::UNITS;
use super::options::Form;
use super::search::{self, ORDER, WITH_COORD, WITH_DIST, WITH_HASH};
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Find, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const FLAGS: Flags = Flags::DENYOOM.union(Flags::MOVABLE_KEYS).union(Flags::WRITE);
const READS: KeySpec = KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS));
const COMPLEXITY: &str =
    "O(N+log(M)) where N is the number of members in the cells around the circle and M that of members inside of it";

/// The key behind a word, searched from argument `from` on.
const fn stores(word: &'static str, from: i32) -> KeySpec {
    KeySpec::new(
        Begin::Keyword(word, from),
        Find::Range { last: 0, step: 1, limit: 0 },
        KeyFlags::OW.union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
    )
}

const KEY: Arg = Arg::key("key", 0);
const LONGITUDE: Arg = Arg::double("longitude");
const LATITUDE: Arg = Arg::double("latitude");
const MEMBER: Arg = Arg::string("member");
const RADIUS: Arg = Arg::double("radius");
const UNIT: Arg = Arg::one_of("unit", UNITS);
const STORE: Arg = Arg::one_of(
    "store",
    &[
        Arg::key("storekey", 1).token("STORE").display("key"),
        Arg::key("storedistkey", 2).token("STOREDIST").display("key"),
    ],
)
.optional();
const COUNT: Arg =
    Arg::block("count-block", &[Arg::int("count").token("COUNT"), Arg::flag("any", "ANY").since("6.2.0").optional()])
        .optional();
const COUNT_BY_MEMBER: Arg =
    Arg::block("count-block", &[Arg::int("count").token("COUNT"), Arg::flag("any", "ANY").optional()]).optional();

pub const COMMANDS: &[Command] = &[
    Command::new("georadius", -6, georadius)
        .flags(FLAGS)
        .acl(Acl::GEO)
        .keys(&[READS, stores("STORE", 6), stores("STOREDIST", 6)])
        .doc(Group::Geo, "3.2.0", COMPLEXITY, "Gives or stores the members inside of a circle.")
        .args(&[KEY, LONGITUDE, LATITUDE, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER, STORE]),
    Command::new("georadius_ro", -6, georadius_ro)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(&[READS])
        .doc(Group::Geo, "3.2.10", COMPLEXITY, "Gives the members inside of a circle.")
        .args(&[KEY, LONGITUDE, LATITUDE, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER]),
    Command::new("georadiusbymember", -5, georadiusbymember)
        .flags(FLAGS)
        .acl(Acl::GEO)
        .keys(&[READS, stores("STORE", 5), stores("STOREDIST", 5)])
        .doc(Group::Geo, "3.2.0", COMPLEXITY, "Gives or stores the members inside of a circle around a member.")
        .args(&[KEY, MEMBER, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT_BY_MEMBER, ORDER, STORE]),
    Command::new("georadiusbymember_ro", -5, georadiusbymember_ro)
        .flags(Flags::READONLY)
        .acl(Acl::GEO)
        .keys(&[READS])
        .doc(Group::Geo, "3.2.10", COMPLEXITY, "Gives the members inside of a circle around a member.")
        .args(&[KEY, MEMBER, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT_BY_MEMBER, ORDER]),
];

fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search::run(ctx, args, 1, Form::Radius { by_member: false, may_store: true })
}

fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search::run(ctx, args, 1, Form::Radius { by_member: false, may_store: false })
}

fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search::run(ctx, args, 1, Form::Radius { by_member: true, may_store: true })
}

fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search::run(ctx, args, 1, Form::Radius { by_member: true, may_store: false })
}
