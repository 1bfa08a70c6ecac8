//! What GEOSEARCH and the older GEORADIUS ask for: where, how far, which members and what of them.

use super::{position, unit};
use crate::base::num;
use crate::commands::parse;
use crate::data::geohash::{self, Position, Shape};
use crate::data::zset::ZSet;
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

/// What the name of a command settles in advance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The area is given with words; with `true` the result is stored.
    Search { stored: bool },
    /// The area stands in front of the options: around coordinates, or around a member. With `true` the result may be
    /// stored.
    Radius { by_member: bool, may_store: bool },
}

/// Where found members go.
#[derive(Clone, Copy)]
pub(super) struct Store<'a> {
    pub key: &'a [u8],
    /// With distances as scores, instead of their positions.
    pub distances: bool,
}

pub(super) struct Options<'a> {
    /// Nothing can be found when it is missing: it would be around a member of a key that does not exist.
    pub shape: Option<Shape>,
    /// Metres of the unit in which distances are told.
    pub unit_m: f64,
    pub with_distance: bool,
    pub with_hash: bool,
    pub with_position: bool,
    /// No more members than that; all when 0.
    pub count: usize,
    /// Any members will do, not the nearest ones.
    pub any: bool,
    pub descending: Option<bool>,
    pub store: Option<Store<'a>>,
}

/// Where an area is: around a member or around coordinates. A member of a key that does not exist is nowhere.
struct Centre {
    by_member: bool,
    position: Option<Position>,
}

/// An area as it was said, before its centre is known.
enum Area {
    Circle { radius_m: f64 },
    Box { width_m: f64, height_m: f64 },
    Polygon(Vec<Position>),
}

/// The parser: reads words one after the other.
struct Words<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Words<'a> {
    fn is(&self, word: &str) -> bool {
        self.args.is(self.at, word)
    }

    /// Whether the next word is this one and at least `values` follow it.
    fn has(&self, word: &str, values: usize) -> bool {
        self.is(word) && self.at + values < self.args.len()
    }

    fn next(&mut self) -> &'a [u8] {
        self.at += 1;
        self.args.get(self.at - 1).unwrap_or_default()
    }
}

const NO_MEMBER: ErrorReply = ErrorReply::Static("ERR could not decode requested zset member");
const FEW_CORNERS: ErrorReply = ErrorReply::Static("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");

fn around_member(words: &mut Words<'_>, set: Option<&ZSet>) -> Result<Centre, ErrorReply> {
    let member = words.next();
    let position = set.map(|set| set.score(member).map(geohash::position).ok_or(NO_MEMBER)).transpose()?;
    Ok(Centre { by_member: true, position })
}

fn around_coordinates(words: &mut Words<'_>) -> Result<Centre, ErrorReply> {
    Ok(Centre { by_member: false, position: Some(position(words.next(), words.next())?) })
}

fn length(word: &[u8], what: &str) -> Result<f64, ErrorReply> {
    num::parse_f64(word).ok_or_else(|| ErrorReply::text_of(format!("ERR need numeric {what}")))
}

/// A radius and its unit: the area and the metres of the unit.
fn circle(words: &mut Words<'_>) -> Result<(Area, f64), ErrorReply> {
    let radius = length(words.next(), "radius")?;
    if radius < 0.0 {
        return Err(ErrorReply::Static("ERR radius cannot be negative"));
    }
    let unit_m = unit(words.next())?;
    Ok((Area::Circle { radius_m: radius * unit_m }, unit_m))
}

fn rectangle(words: &mut Words<'_>) -> Result<(Area, f64), ErrorReply> {
    let (width, height) = (length(words.next(), "width")?, length(words.next(), "height")?);
    if width < 0.0 || height < 0.0 {
        return Err(ErrorReply::Static("ERR height or width cannot be negative"));
    }
    let unit_m = unit(words.next())?;
    Ok((Area::Box { width_m: width * unit_m, height_m: height * unit_m }, unit_m))
}

/// Corners, as many as the first word says.
fn polygon(words: &mut Words<'_>) -> Result<(Area, f64), ErrorReply> {
    let count = parse::int(words.next()).ok().and_then(|count| i32::try_from(count).ok());
    let count = count.ok_or(ErrorReply::Static("ERR invalid number of vertices"))?;
    let count = usize::try_from(count).unwrap_or(0);
    let left = words.args.len() - words.at;
    if count < 3 || left / 2 < count {
        return Err(FEW_CORNERS);
    }
    let corners = (0..count).map(|_| position(words.next(), words.next())).collect::<Result<_, _>>()?;
    Ok((Area::Polygon(corners), 1.0))
}

impl<'a> Options<'a> {
    /// Reads the arguments of a command; `set` is what is searched, if it exists.
    pub fn parse(args: Args<'a>, form: Form, set: Option<&ZSet>) -> Result<Options<'a>, ErrorReply> {
        let mut options = Options {
            shape: None,
            unit_m: 1.0,
            with_distance: false,
            with_hash: false,
            with_position: false,
            count: 0,
            any: false,
            descending: None,
            store: None,
        };
        let mut words = Words { args, at: 2 };
        let (mut centre, mut area) = (None, None);
        match form {
            Form::Search { stored: true } => {
                options.store = Some(Store { key: args.at(1), distances: false });
                words.at = 3;
            }
            Form::Search { stored: false } => {}
            // Around a member of nothing: how far is not even looked at.
            Form::Radius { by_member: true, .. } if set.is_none() => {
                centre = Some(Centre { by_member: true, position: None });
                area = Some((Area::Circle { radius_m: 0.0 }, 1.0));
                words.at = 5;
            }
            Form::Radius { by_member, .. } => {
                centre =
                    Some(if by_member { around_member(&mut words, set)? } else { around_coordinates(&mut words)? });
                area = Some(circle(&mut words)?);
            }
        }
        while words.at < args.len() {
            if matches!(form, Form::Search { .. })
                && (take_centre(&mut words, set, area.as_ref(), &mut centre)?
                    || take_area(&mut words, centre.is_some(), &mut area)?)
            {
                continue;
            }
            options.take_word(&mut words, form)?;
        }
        options.check(args.at(0), form, centre.is_some(), area.as_ref().map(|(area, _)| area))?;
        if let Some((area, unit_m)) = area {
            options.unit_m = unit_m;
            options.shape = area.placed(centre.and_then(|centre| centre.position));
        }
        if options.count > 0 && !options.any {
            // The nearest ones are meant.
            options.descending.get_or_insert(false);
        }
        Ok(options)
    }

    /// Reads one of the words that say what to do with what is found.
    fn take_word(&mut self, words: &mut Words<'a>, form: Form) -> Result<(), ErrorReply> {
        let may_store = form.may_store();
        let word = words.at;
        if words.is("withdist") {
            self.with_distance = true;
        } else if words.is("withhash") {
            self.with_hash = true;
        } else if words.is("withcoord") {
            self.with_position = true;
        } else if words.is("any") {
            self.any = true;
        } else if words.is("asc") {
            self.descending = Some(false);
        } else if words.is("desc") {
            self.descending = Some(true);
        } else if words.has("count", 1) {
            words.at += 1;
            let count = usize::try_from(parse::int(words.args.at(words.at))?).ok().filter(|count| *count > 0);
            self.count = count.ok_or(ErrorReply::Static("ERR COUNT must be > 0"))?;
        } else if may_store && (words.has("store", 1) || words.has("storedist", 1)) {
            words.at += 1;
            self.store = Some(Store { key: words.args.at(words.at), distances: words.args.is(word, "storedist") });
        } else if let (true, Form::Search { .. }, Some(store)) = (words.is("storedist"), form, &mut self.store) {
            store.distances = true;
        } else {
            return Err(ErrorReply::Syntax);
        }
        words.at += 1;
        Ok(())
    }

    /// What shows only when all words are read.
    fn check(&self, name: &[u8], form: Form, has_centre: bool, area: Option<&Area>) -> Result<(), ErrorReply> {
        let by_polygon = matches!(area, Some(Area::Polygon(_)));
        let name = shown(name, 128);
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_position) {
            let who = if form.may_store() { "STORE option in GEORADIUS" } else { "GEOSEARCHSTORE" };
            Err(ErrorReply::text_of(format!(
                "ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )))
        } else if !has_centre && !by_polygon {
            Err(ErrorReply::text_of(format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")))
        } else if area.is_none() {
            Err(ErrorReply::text_of(format!(
                "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {name}"
            )))
        } else if self.any && self.count == 0 {
            Err(ErrorReply::Static("ERR the ANY argument requires COUNT argument"))
        } else {
            Ok(())
        }
    }
}

impl Form {
    /// Whether STORE and STOREDIST name a key.
    fn may_store(self) -> bool {
        matches!(self, Form::Radius { may_store: true, .. })
    }
}

impl Area {
    fn placed(self, centre: Option<Position>) -> Option<Shape> {
        Some(match self {
            Area::Circle { radius_m } => Shape::Circle { centre: centre?, radius_m },
            Area::Box { width_m, height_m } => Shape::Box { centre: centre?, width_m, height_m },
            Area::Polygon(corners) => Shape::polygon(corners),
        })
    }
}

/// Reads FROMMEMBER or FROMLONLAT, if one of them is next. Not both may be said, and none beside a polygon.
fn take_centre(
    words: &mut Words<'_>,
    set: Option<&ZSet>,
    area: Option<&(Area, f64)>,
    centre: &mut Option<Centre>,
) -> Result<bool, ErrorReply> {
    let by_member = words.has("frommember", 1);
    let other = centre.as_ref().is_some_and(|centre| centre.by_member != by_member);
    if other || matches!(area, Some((Area::Polygon(_), _))) || !(by_member || words.has("fromlonlat", 2)) {
        return Ok(false);
    }
    words.next();
    *centre = Some(if by_member { around_member(words, set)? } else { around_coordinates(words)? });
    Ok(true)
}

/// Reads BYRADIUS, BYBOX or BYPOLYGON, if one of them is next. Only one kind of area may be said, and a polygon has a
/// centre of its own.
fn take_area(words: &mut Words<'_>, has_centre: bool, area: &mut Option<(Area, f64)>) -> Result<bool, ErrorReply> {
    type Read = fn(&mut Words<'_>) -> Result<(Area, f64), ErrorReply>;
    let said = area.as_ref().map(|(area, _)| area);
    let (read, fits): (Read, bool) = if words.has("byradius", 2) {
        (circle, matches!(said, None | Some(Area::Circle { .. })))
    } else if words.has("bybox", 3) {
        (rectangle, matches!(said, None | Some(Area::Box { .. })))
    } else if words.has("bypolygon", 1) {
        (polygon, !has_centre && matches!(said, None | Some(Area::Polygon(_))))
    } else {
        return Ok(false);
    };
    if !fits {
        return Err(ErrorReply::Syntax);
    }
    words.next();
    *area = Some(read(words)?);
    Ok(true)
}
