//! LOLWUT: a picture, for no reason.

use crate::base::Rng;
use crate::commands::parse;
use crate::exec::state::COMPAT_VERSION;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::Args;

pub const COMMANDS: &[Command] = &[Command::new("lolwut", -1, lolwut)
    .flags(Flags::FAST.union(Flags::READONLY))
    .doc(Group::Server, "5.0.0", "O(columns * rows)", "Draws a picture and tells the version.")
    .args(&[Arg::int("version").token("VERSION").optional()])];

/// The one picture there is.
const VERSION: i64 = 1;
const COLUMNS: (i64, i64) = (48, 160);
const ROWS: (i64, i64) = (9, 40);

/// `LOLWUT [VERSION version] [columns] [rows]`.
fn lolwut(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut version, mut words) = (VERSION, args.from(1));
    if words.len() >= 2 && words.is(0, "version") {
        version = parse::int(words.at(1))?;
        words = words.from(2);
    }
    let number = |i: usize, (usual, most): (i64, i64)| match words.get(i) {
        Some(word) => parse::int(word).map(|n| n.clamp(1, most) as usize),
        None => Ok(usual as usize),
    };
    let (columns, rows) = (number(0, COLUMNS)?, number(1, ROWS)?);
    let mut text = String::new();
    if version == VERSION {
        text = picture(columns, rows, &mut ctx.server.rng);
        text.push_str("\nHills that nobody has climbed, under a sky of slots. ");
    }
    text.push_str(&format!("Redis ver. {COMPAT_VERSION}\n"));
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// Ranges of hills one behind the other, the nearest in front, and a few stars above them.
fn picture(columns: usize, rows: usize, rng: &mut Rng) -> String {
    const RANGES: [char; 3] = ['.', '+', '#'];
    let mut cells = vec![vec![' '; columns]; rows];
    for row in cells.iter_mut().take(rows / 2) {
        for cell in row.iter_mut().filter(|_| rng.below(40) == 0) {
            *cell = '*';
        }
    }
    for (n, shade) in RANGES.into_iter().enumerate() {
        // Further ranges are higher, and the nearest is the roughest.
        let top = rows as f64 * (0.75 - 0.22 * n as f64);
        for (column, height) in ridge(columns, top, (n + 1) as f64, rng).into_iter().enumerate() {
            let from = rows - (height.round() as usize).min(rows);
            for row in &mut cells[from..] {
                row[column] = shade;
            }
        }
    }
    let line = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_owned() + "\n";
    cells.iter().map(line).collect()
}

/// Heights of a ridge of about `top`: the middle of every stretch is moved up or down, less and less.
fn ridge(columns: usize, top: f64, roughness: f64, rng: &mut Rng) -> Vec<f64> {
    let mut heights = vec![top; columns];
    let mut stretch = columns.next_power_of_two();
    let mut shift = top / 2.0;
    while stretch > 1 {
        for start in (0..columns).step_by(stretch) {
            let by = (rng.unit() - 0.5) * 2.0 * shift;
            // A hill over the whole stretch, highest in its middle.
            for (i, height) in heights[start..].iter_mut().take(stretch).enumerate() {
                let away = (i as f64 / stretch as f64 - 0.5).abs() * 2.0;
                *height = (*height + by * (1.0 - away)).max(0.0);
            }
        }
        stretch /= 2;
        shift /= 2.6 - 0.3 * roughness;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_every_size() {
        let mut rng = Rng::seeded(7);
        for columns in [1, 2, 3, 48, 160] {
            for rows in [1, 2, 9, 40] {
                let text = picture(columns, rows, &mut rng);
                assert_eq!(text.lines().count(), rows);
                assert!(text.lines().all(|line| line.len() <= columns), "{text}");
            }
        }
    }
}
