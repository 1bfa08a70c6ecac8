//! Positions on Earth as 52-bit integers, which sorted sets keep exactly as scores: near positions have near numbers,
//! and a cell of the map is a range of them.
//!
//! Longitude and latitude are halved 26 times each; the bits of the halves are interleaved, those of the latitude at
//! the even places. A geohash of fewer steps names a larger cell.

mod cover;
mod shape;

pub use cover::cover;
pub use shape::{Shape, distance_m};

/// Halvings of the geohash that is a score.
pub const STEPS_MAX: u32 = 26;

/// What a position's coordinates may be, in degrees: the square map of the web.
pub const LONGITUDE: Range = Range { min: -180.0, max: 180.0 };
pub const LATITUDE: Range = Range { min: -85.051_128_78, max: 85.051_128_78 };

/// A position, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub longitude: f64,
    pub latitude: f64,
}

/// Coordinates from `min` to `max`, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub min: f64,
    pub max: f64,
}

impl Range {
    fn contains(self, degrees: f64) -> bool {
        (self.min..=self.max).contains(&degrees)
    }

    /// Which of the `2^steps` parts a coordinate is in.
    fn part_of(self, degrees: f64, steps: u32) -> u32 {
        ((degrees - self.min) / (self.max - self.min) * f64::from(1u32 << steps)) as u32
    }

    /// Part number `part` of `2^steps`.
    fn part(self, part: u32, steps: u32) -> Range {
        let (width, parts) = (self.max - self.min, f64::from(1u32 << steps));
        Range {
            min: self.min + f64::from(part) / parts * width,
            max: self.min + (f64::from(part) + 1.0) / parts * width,
        }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

/// A cell of the map: the number of its column and row when every side is halved `steps` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

impl Cell {
    /// The cell of `steps` halvings that holds a position of the map.
    #[must_use]
    pub fn of(position: Position, steps: u32) -> Cell {
        Cell {
            column: LONGITUDE.part_of(position.longitude, steps),
            row: LATITUDE.part_of(position.latitude, steps),
            steps,
        }
    }

    fn from_bits(bits: u64, steps: u32) -> Cell {
        Cell { column: gather(bits >> 1), row: gather(bits), steps }
    }

    fn bits(self) -> u64 {
        spread(self.column) << 1 | spread(self.row)
    }

    fn longitudes(self) -> Range {
        LONGITUDE.part(self.column, self.steps)
    }

    fn latitudes(self) -> Range {
        LATITUDE.part(self.row, self.steps)
    }

    /// The cell that many columns and rows away; the map has no edges.
    fn neighbour(self, columns: i32, rows: i32) -> Cell {
        let mask = (1 << self.steps) - 1;
        // The easternmost longitude lies one column beyond the last, and stays there.
        let moved = |n: u32, by: i32| if by == 0 { n } else { n.wrapping_add_signed(by) & mask };
        Cell { column: moved(self.column, columns), row: moved(self.row, rows), steps: self.steps }
    }

    /// The scores of the positions in this cell: from the first up to, not including, the second.
    #[must_use]
    pub fn scores(self) -> (u64, u64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        (self.bits() << shift, (self.bits() + 1) << shift)
    }
}

/// Whether a position is on the map.
#[must_use]
pub fn is_on_map(position: Position) -> bool {
    LONGITUDE.contains(position.longitude) && LATITUDE.contains(position.latitude)
}

/// The score of a position of the map.
#[must_use]
pub fn score(position: Position) -> u64 {
    Cell::of(position, STEPS_MAX).bits()
}

/// The middle of the cell that a score means.
#[must_use]
pub fn position(score: f64) -> Position {
    let cell = Cell::from_bits(bits_of(score), STEPS_MAX);
    Position {
        longitude: cell.longitudes().middle().clamp(LONGITUDE.min, LONGITUDE.max),
        latitude: cell.latitudes().middle().clamp(LATITUDE.min, LATITUDE.max),
    }
}

/// The integral part of a score in 64 bits. No position has a score that is negative or too large for them, but any sorted
/// set may: the answer is that of Redis on x86-64, where negative numbers wrap around, what is too small becomes the smallest
/// signed number, and what is too large becomes 0.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |number: f64| if (-HALF..HALF).contains(&number) { number as i64 } else { i64::MIN };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ (1 << 63) }
}

/// The geohash of a position as everybody else writes it: with latitudes up to the poles, in letters and digits.
#[must_use]
pub fn text(position: Position) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let poles = Range { min: -90.0, max: 90.0 };
    let cell = Cell {
        column: LONGITUDE.part_of(position.longitude, STEPS_MAX),
        row: poles.part_of(position.latitude, STEPS_MAX),
        steps: STEPS_MAX,
    };
    let bits = cell.bits();
    // 52 bits make ten letters; the two that are left are not shown, and the eleventh letter stands for none.
    std::array::from_fn(|i| {
        let shift = (2 * STEPS_MAX).checked_sub(5 * (i as u32 + 1));
        LETTERS[shift.map_or(0, |shift| bits >> shift & 31) as usize]
    })
}

/// Moves the bits of a number to the even places.
fn spread(n: u32) -> u64 {
    const STEPS: [(u32, u64); 5] = [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    STEPS.iter().fold(u64::from(n), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// The bits at the even places as a number.
fn gather(bits: u64) -> u32 {
    const STEPS: [(u32, u64); 5] = [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ];
    STEPS.iter().fold(bits & 0x5555_5555_5555_5555, |bits, (shift, mask)| (bits | bits >> shift) & mask) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Position = Position { longitude: 13.361389, latitude: 38.115556 };

    pub(super) fn on_map() -> impl Strategy<Value = Position> {
        (LONGITUDE.min..LONGITUDE.max, LATITUDE.min..LATITUDE.max)
            .prop_map(|(longitude, latitude)| Position { longitude, latitude })
    }

    #[test]
    fn known_places() {
        assert_eq!(score(PALERMO), 3_479_099_956_230_698);
        let back = position(score(PALERMO) as f64);
        assert_eq!(
            format!("{:.17} {:.17}", back.longitude, back.latitude),
            "13.36138933897018433 38.11555639549629859"
        );
        assert_eq!(&text(back), b"sqc8b49rny0");
    }

    #[test]
    fn the_map_goes_round() {
        let corner = Cell::of(Position { longitude: -180.0, latitude: LATITUDE.min }, 3);
        assert_eq!((corner.column, corner.row), (0, 0));
        assert_eq!(corner.neighbour(-1, -1), Cell { column: 7, row: 7, steps: 3 });
        assert_eq!(corner.neighbour(-1, -1).neighbour(1, 1), corner);
    }

    proptest! {
        #[test]
        fn scores_mean_cells_around_their_positions(at in on_map(), steps in 1..=STEPS_MAX) {
            let back = position(score(at) as f64);
            prop_assert!((back.longitude - at.longitude).abs() < 1e-5 && (back.latitude - at.latitude).abs() < 1e-5);
            prop_assert_eq!(score(back), score(at));
            let (first, end) = Cell::of(at, steps).scores();
            prop_assert!((first..end).contains(&score(at)));
        }

        #[test]
        fn bits_are_spread_and_gathered(a: u32, b: u32) {
            let bits = spread(a) << 1 | spread(b);
            prop_assert_eq!((gather(bits >> 1), gather(bits)), (a, b));
        }

        #[test]
        fn any_score_is_somewhere(score: f64) {
            prop_assert!(is_on_map(position(score)));
        }
    }
}
