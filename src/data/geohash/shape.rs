//! The areas that are searched, and how far things are from each other on a sphere.

use super::{Position, Range};

/// Radius of the sphere that the Earth is taken for, in metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560856;

/// An area, with the position from which distances are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Circle { centre: Position, radius_m: f64 },
    Box { centre: Position, width_m: f64, height_m: f64 },
    Polygon { centre: Position, corners: Vec<Position> },
}

/// Metres between two positions along a meridian.
fn meridian_m(latitude: f64, other: f64) -> f64 {
    EARTH_RADIUS_M * (other.to_radians() - latitude.to_radians()).abs()
}

/// Metres between two positions: the haversine formula.
#[must_use]
pub fn distance_m(from: Position, to: Position) -> f64 {
    let across = ((to.longitude.to_radians() - from.longitude.to_radians()) / 2.0).sin();
    // Too close for the formula.
    if across.abs() <= 1e-15 {
        return meridian_m(from.latitude, to.latitude);
    }
    let (from, to) = (from.latitude.to_radians(), to.latitude.to_radians());
    let along = ((to - from) / 2.0).sin();
    let a = along * along + from.cos() * to.cos() * across * across;
    2.0 * EARTH_RADIUS_M * a.sqrt().asin()
}

impl Shape {
    /// A polygon; distances are told from the mean of its corners: of the points in space, brought back to the sphere.
    #[must_use]
    pub fn polygon(corners: Vec<Position>) -> Shape {
        let mean = |part: fn(f64, f64) -> f64| {
            let all = corners.iter().map(|corner| part(corner.longitude.to_radians(), corner.latitude.to_radians()));
            all.sum::<f64>() / corners.len() as f64
        };
        let x = mean(|longitude, latitude| latitude.cos() * longitude.cos());
        let y = mean(|longitude, latitude| latitude.cos() * longitude.sin());
        let z = mean(|_, latitude| latitude.sin());
        let centre =
            Position { longitude: y.atan2(x).to_degrees(), latitude: z.atan2((x * x + y * y).sqrt()).to_degrees() };
        Shape::Polygon { centre, corners }
    }

    #[must_use]
    pub fn centre(&self) -> Position {
        match self {
            Shape::Circle { centre, .. } | Shape::Box { centre, .. } | Shape::Polygon { centre, .. } => *centre,
        }
    }

    /// Metres from the centre to `at`, if that is in the area.
    #[must_use]
    pub fn distance_within_m(&self, at: Position) -> Option<f64> {
        let distance = |centre| distance_m(centre, at);
        match self {
            Shape::Circle { centre, radius_m } => Some(distance(*centre)).filter(|metres| metres <= radius_m),
            Shape::Box { centre, width_m, height_m } => {
                // The sides are measured along the meridian and the parallel of the position itself.
                let beside = Position { longitude: centre.longitude, latitude: at.latitude };
                let inside = meridian_m(at.latitude, centre.latitude) <= height_m / 2.0
                    && distance_m(at, beside) <= width_m / 2.0;
                inside.then(|| distance(*centre))
            }
            Shape::Polygon { centre, corners } => is_inside(at, corners).then(|| distance(*centre)),
        }
    }

    /// Half of the longest way through the area, at least: what the size of cells is chosen by.
    pub(super) fn reach_m(&self) -> f64 {
        match self {
            Shape::Circle { radius_m, .. } => *radius_m,
            Shape::Box { width_m, height_m, .. } => {
                (width_m / 2.0 * (width_m / 2.0) + height_m / 2.0 * (height_m / 2.0)).sqrt()
            }
            Shape::Polygon { centre, corners } => {
                corners.iter().map(|corner| distance_m(*centre, *corner)).fold(0.0, f64::max)
            }
        }
    }

    /// The longitudes and latitudes between which the area lies. They may lie beyond the map.
    pub(super) fn bounds(&self) -> (Range, Range) {
        let around = |middle: f64, delta: f64| Range { min: middle - delta, max: middle + delta };
        let degrees = |metres: f64| (metres / EARTH_RADIUS_M) / 1f64.to_radians();
        let (centre, half_width_m, half_height_m) = match self {
            Shape::Circle { centre, radius_m } => (centre, *radius_m, *radius_m),
            Shape::Box { centre, width_m, height_m } => (centre, width_m / 2.0, height_m / 2.0),
            Shape::Polygon { corners, .. } => {
                let range = |part: fn(&Position) -> f64| {
                    let all = corners.iter().map(part);
                    Range { min: all.clone().fold(f64::INFINITY, f64::min), max: all.fold(f64::NEG_INFINITY, f64::max) }
                };
                return (range(|corner| corner.longitude), range(|corner| corner.latitude));
            }
        };
        let up = degrees(half_height_m);
        // A metre is the more degrees of longitude the nearer the pole is: the nearer side counts.
        let nearest_pole = if centre.latitude < 0.0 { centre.latitude - up } else { centre.latitude + up };
        let across = (half_width_m / EARTH_RADIUS_M / nearest_pole.to_radians().cos()) / 1f64.to_radians();
        (around(centre.longitude, across), around(centre.latitude, up))
    }
}

/// Whether a line from the position to the east crosses the sides an odd number of times.
fn is_inside(at: Position, corners: &[Position]) -> bool {
    let mut inside = false;
    let previous = corners.iter().cycle().skip(corners.len().saturating_sub(1));
    for (a, b) in corners.iter().zip(previous) {
        if (a.latitude > at.latitude) != (b.latitude > at.latitude) {
            let part = (at.latitude - a.latitude) / (b.latitude - a.latitude);
            inside ^= at.longitude < a.longitude + part * (b.longitude - a.longitude);
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_map;
    use super::*;
    use proptest::prelude::*;

    fn at(longitude: f64, latitude: f64) -> Position {
        Position { longitude, latitude }
    }

    #[test]
    fn distances() {
        let (palermo, catania) = (at(13.361389338970184, 38.1155563954963), at(15.087267458438873, 37.50266842333162));
        assert_eq!(format!("{:.4}", distance_m(palermo, catania)), "166274.1516");
        assert_eq!(distance_m(palermo, palermo), 0.0);
        assert_eq!(distance_m(at(5.0, 1.0), at(5.0, 2.0)), meridian_m(1.0, 2.0));
    }

    #[test]
    fn polygons() {
        let hook = Shape::polygon(
            [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (3.0, 4.0), (3.0, 1.0), (0.0, 1.0)].map(|(x, y)| at(x, y)).into(),
        );
        for (x, y, inside) in
            [(1.0, 0.5, true), (3.5, 3.0, true), (1.0, 2.0, false), (5.0, 0.5, false), (-1.0, 0.5, false)]
        {
            assert_eq!(hook.distance_within_m(at(x, y)).is_some(), inside, "{x} {y}");
        }
        assert_eq!(hook.bounds(), (Range { min: 0.0, max: 4.0 }, Range { min: 0.0, max: 4.0 }));
    }

    proptest! {
        /// A small box is inside of the circle around it, and around the circle inside of it.
        #[test]
        fn boxes_and_circles(centre in on_map(), other in on_map(), size_m in 1.0..1e6) {
            let square = Shape::Box { centre, width_m: size_m, height_m: size_m };
            let inner = Shape::Circle { centre, radius_m: size_m / 2.0 * 0.99 };
            prop_assume!(other.latitude.abs() < 60.0 && centre.latitude.abs() < 60.0);
            if inner.distance_within_m(other).is_some() {
                prop_assert!(square.distance_within_m(other).is_some());
            }
        }
    }
}
