//! A grammar: lines of `grammar/*.txt`, one file a group of commands.
//!
//! - `#` begins a remark
//! - `5x GET <key>`: five times as likely as a line without a number
//! - `<kind>`, `<kind:hint>`: a word of that kind (`words.rs`)
//! - `(a|b|c)`: one of them; `[a|b|c]`: perhaps one of them; `{a|b|c}`: one of them, once or more often

use std::fs;
use std::path::PathBuf;

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Word(String),
    /// `<kind:hint>`
    Slot(String, String),
    Choice(Vec<Vec<Piece>>),
    Optional(Vec<Vec<Piece>>),
    Repeat(Vec<Vec<Piece>>),
}

/// All lines, with their weights.
pub struct Grammar {
    pub lines: Vec<(u64, Vec<Piece>)>,
    pub weight: u64,
}

impl Grammar {
    /// Of the files in a directory of `tests/diff`.
    pub fn read(dir: &str) -> Grammar {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diff").join(dir);
        let mut paths: Vec<PathBuf> = fs::read_dir(dir).expect("the grammar").flatten().map(|e| e.path()).collect();
        paths.sort();
        let mut lines = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).expect("a file of the grammar");
            lines.extend(text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(parse));
        }
        let weight = lines.iter().map(|(weight, _)| weight).sum();
        Grammar { lines, weight }
    }
}

/// A line and its weight.
fn parse(line: &str) -> (u64, Vec<Piece>) {
    let (weight, rest) = match line.split_once("x ") {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => (number.parse().expect("a number"), rest),
        _ => (1, line),
    };
    let mut tokens = tokens(rest);
    tokens.reverse();
    let pieces = sequence(&mut tokens, line);
    assert!(tokens.is_empty(), "unbalanced: {line}");
    (weight, pieces)
}

/// Brackets and bars for themselves, words between them. A `<…>` may hold anything.
fn tokens(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in line.split_ascii_whitespace() {
        let mut plain = String::new();
        for c in word.chars() {
            if "[](){}|".contains(c) && !plain.starts_with('<') {
                tokens.extend((!plain.is_empty()).then(|| std::mem::take(&mut plain)));
                tokens.push(c.to_string());
            } else {
                plain.push(c);
                if c == '>' && plain.starts_with('<') {
                    tokens.push(std::mem::take(&mut plain));
                }
            }
        }
        tokens.extend((!plain.is_empty()).then_some(plain));
    }
    tokens
}

/// Pieces up to a closing bracket or a bar, which stay (`left` is in reverse).
fn sequence(left: &mut Vec<String>, line: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(token) = left.pop() {
        pieces.push(match token.as_str() {
            "]" | ")" | "}" | "|" => {
                left.push(token);
                break;
            }
            "(" => Piece::Choice(alternatives(left, ")", line)),
            "[" => Piece::Optional(alternatives(left, "]", line)),
            "{" => Piece::Repeat(alternatives(left, "}", line)),
            word => match word.strip_prefix('<').and_then(|slot| slot.strip_suffix('>')) {
                Some(slot) => {
                    let (kind, hint) = slot.split_once(':').unwrap_or((slot, ""));
                    Piece::Slot(kind.to_owned(), hint.to_owned())
                }
                None => Piece::Word(token),
            },
        });
    }
    pieces
}

fn alternatives(left: &mut Vec<String>, end: &str, line: &str) -> Vec<Vec<Piece>> {
    let mut all = Vec::new();
    loop {
        all.push(sequence(left, line));
        match left.pop().as_deref() {
            Some("|") => {}
            Some(token) if token == end => return all,
            _ => panic!("unbalanced: {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let word = |text: &str| Piece::Word(text.to_owned());
        let slot = |kind: &str, hint: &str| Piece::Slot(kind.to_owned(), hint.to_owned());
        let (weight, pieces) = parse("5x SET <key:string> [NX|XX] (EX <int>|KEEPTTL) {a}");
        assert_eq!(weight, 5);
        assert_eq!(pieces[..2], [word("SET"), slot("key", "string")]);
        assert_eq!(pieces[2], Piece::Optional(vec![vec![word("NX")], vec![word("XX")]]));
        assert_eq!(
            pieces[3..],
            [
                Piece::Choice(vec![vec![word("EX"), slot("int", "")], vec![word("KEEPTTL")]]),
                Piece::Repeat(vec![vec![word("a")]])
            ]
        );
    }
}
