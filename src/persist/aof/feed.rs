//! Appending commands: the SELECT in front of a change of database and the time marks between them.

use crate::base::num;
use crate::resp::args::push_bulk;

/// What must stand in front of the next command. One belongs to each file: a new file begins with a new feed, so that it
/// can be read on its own.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    db: Option<usize>,
    marked_secs: Option<i64>,
}

impl Feed {
    /// Appends an encoded command that ran in database `db`. With `now_secs` (wall time) given, a `#TS:`
    /// annotation precedes it whenever the second has advanced.
    pub fn append(&mut self, out: &mut Vec<u8>, db: usize, now_secs: Option<i64>, command: &[u8]) {
        if let Some(now) = now_secs
            && self.marked_secs.is_none_or(|marked| now > marked)
        {
            push_timestamp(out, now);
            self.marked_secs = Some(now);
        }
        if self.db != Some(db) {
            push_select(out, db);
            self.db = Some(db);
        }
        out.extend_from_slice(command);
    }
}

/// Appends the annotation that later commands ran at `secs` (wall time) or after.
pub fn push_timestamp(out: &mut Vec<u8>, secs: i64) {
    out.extend_from_slice(b"#TS:");
    num::push_i64(out, secs);
    out.extend_from_slice(b"\r\n");
}

/// Appends a SELECT command.
pub fn push_select(out: &mut Vec<u8>, db: usize) {
    out.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n");
    push_bulk(out, itoa::Buffer::new().format(db).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select_and_time_only_when_they_change() {
        let mut feed = Feed::default();
        let mut out = Vec::new();
        for (db, now) in [(0, 5), (0, 5), (12, 5), (12, 4), (12, 7)] {
            feed.append(&mut out, db, Some(now), b"<c>");
        }
        assert_eq!(
            out.escape_ascii().to_string().replace("\\r\\n", " "),
            "#TS:5 *2 $6 SELECT $1 0 <c><c>*2 $6 SELECT $2 12 <c><c>#TS:7 <c>"
        );
        out.clear();
        Feed::default().append(&mut out, 3, None, b"<c>");
        assert_eq!(out, b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n<c>");
    }
}
