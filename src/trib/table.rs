//! Tables for people and scripts: columns of text under a head, or the same as CSV.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// Lines around the head and below the end, none between rows: they are many, and scripts read them.
const RULE: LineStyle = LineStyle::new('─', '─', '─', '─');
const RULED: TableStyle = TableStyle::new().top_border(RULE).header_separator(RULE).bottom_border(RULE);

/// Rows of text under a head.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A column whose name begins with `>` stands to the right: numbers.
    #[must_use]
    pub fn new(head: &[&'static str]) -> Sheet {
        Sheet { head: head.to_vec(), rows: Vec::new() }
    }

    pub fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// The table; cells without text show a dash.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(RULED);
        table.set_header(self.names());
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| if cell.is_empty() { "-" } else { cell }));
        }
        for (index, name) in self.head.iter().enumerate() {
            if let Some(column) = table.column_mut(index).filter(|_| name.starts_with('>')) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    /// The same with commas, the head first.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut lines = vec![self.names().collect::<Vec<_>>().join(",")];
        lines.extend(self.rows.iter().map(|row| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",")));
        lines.join("\n")
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.head.iter().map(|name| name.trim_start_matches('>'))
    }
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// Bytes for people: `1.5 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A text for people in at most `most` characters, of which the dots need three: its beginning, its end, and dots between them.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    const DOTS: &str = "...";
    let chars = text.chars().count();
    if chars <= most {
        return text.to_owned();
    }
    let end = most.saturating_sub(DOTS.len()) / 3;
    let start = most.saturating_sub(DOTS.len()) - end;
    let from = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    format!("{}{DOTS}{}", &text[..from(start)], &text[from(chars - end)..])
}

/// So many of them, for people: `1 key`, `2 keys`. The noun's plural ends in `s`.
#[must_use]
pub fn count(n: impl TryInto<u64> + Copy, noun: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_a_table_or_csv() {
        let mut sheet = Sheet::new(&["name", ">keys"]);
        sheet.add(["a,b".to_owned(), "7".to_owned()]);
        sheet.add(["say \"x\"".to_owned(), String::new()]);
        assert_eq!(sheet.csv(), "name,keys\n\"a,b\",7\n\"say \"\"x\"\"\",");
        insta::assert_snapshot!(sheet.table(), @r#"
        ──────────────────
          name      keys  
        ──────────────────
          a,b          7  
          say "x"      -  
        ──────────────────
        "#);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([0, 1023, 1024, 1_572_864].map(bytes), ["0 B", "1023 B", "1.0 kB", "1.5 MB"]);
    }

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(shortened("user:1000", 9), "user:1000");
        assert_eq!(shortened("user:10000:profile", 12), "user:1...ile");
        assert_eq!(shortened("äöüäöüäöüäöü", 9), "äöüä...öü");
        assert_eq!(shortened(&"x".repeat(3000), 60).len(), 60);
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| count(n, "key")), ["0 keys", "1 key", "2 keys"]);
    }
}
