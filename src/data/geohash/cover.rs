//! Which cells of the map together cover an area: the one around its centre and its neighbours, of a size that makes
//! nine enough.

use super::shape::Shape;
use super::{Cell, STEPS_MAX};

/// Half of the way around the equator of the web's map, in metres.
const HALF_EQUATOR_M: f64 = 20_037_726.37;

/// Columns and rows from the centre, in the order in which cells are searched.
const AROUND: [(i32, i32); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The cells to search for what is in `shape`.
#[must_use]
pub fn cover(shape: &Shape) -> Vec<Cell> {
    let (longitudes, latitudes) = shape.bounds();
    let mut steps = steps_for(shape.reach_m(), shape.centre().latitude);
    let mut centre = Cell::of(shape.centre(), steps);
    let falls_short = |centre: Cell| {
        centre.neighbour(0, 1).latitudes().max < latitudes.max
            || centre.neighbour(0, -1).latitudes().min > latitudes.min
            || centre.neighbour(1, 0).longitudes().max < longitudes.max
            || centre.neighbour(-1, 0).longitudes().min > longitudes.min
    };
    if steps > 1 && falls_short(centre) {
        steps -= 1;
        centre = Cell::of(shape.centre(), steps);
    }
    // Sides on which the cell in the middle is enough need no neighbours.
    let needed = |columns: i32, rows: i32| {
        steps < 2
            || !((rows < 0 && centre.latitudes().min < latitudes.min)
                || (rows > 0 && centre.latitudes().max > latitudes.max)
                || (columns < 0 && centre.longitudes().min < longitudes.min)
                || (columns > 0 && centre.longitudes().max > longitudes.max))
    };
    let mut cells: Vec<Cell> = Vec::with_capacity(AROUND.len());
    for (columns, rows) in AROUND {
        let cell = centre.neighbour(columns, rows);
        if needed(columns, rows) && !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

/// How often to halve the map so that a cell is about as wide as the area reaches.
fn steps_for(reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let (mut steps, mut size_m) = (1, reach_m);
    while size_m < HALF_EQUATOR_M {
        size_m *= 2.0;
        steps += 1;
    }
    // Two fewer make sure that the neighbours reach far enough; towards the poles cells become narrow.
    steps -= 2 + i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_map;
    use super::super::{Position, distance_m, score};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_of_cells() {
        assert_eq!(steps_for(0.0, 0.0), 26);
        assert_eq!(steps_for(f64::MIN_POSITIVE, 0.0), 26);
        assert_eq!(steps_for(f64::INFINITY, 0.0), 1);
        assert!(steps_for(1000.0, 0.0) > steps_for(1000.0, 70.0));
        assert!(steps_for(1000.0, 70.0) > steps_for(1000.0, 81.0));
    }

    proptest! {
        /// Away from the poles and from the edge of the map nothing in the circle is missed.
        #[test]
        fn what_is_near_is_covered(centre in on_map(), other in on_map(), radius_m in 1.0..500_000.0, shrink in 0.0..0.01) {
            prop_assume!(centre.latitude.abs() < 70.0 && centre.longitude.abs() < 160.0);
            let other = Position {
                longitude: centre.longitude + (other.longitude - centre.longitude) * shrink,
                latitude: centre.latitude + (other.latitude - centre.latitude) * shrink,
            };
            prop_assume!(distance_m(centre, other) <= radius_m);
            let cells = cover(&Shape::Circle { centre, radius_m });
            prop_assert!(cells.iter().map(|cell| cell.scores()).any(|(first, end)| (first..end).contains(&score(other))));
        }
    }
}
