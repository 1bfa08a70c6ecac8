//! The hand-written lines: one command a line, in redis-cli's quoting, `#` for remarks.

use std::fs;
use std::path::PathBuf;

use crate::Oracle;
use crate::compare::Session;
use crate::known::Known;
use crate::pair::{Argv, MODES, Pair, Wire, argv};
use crate::reply::shown;
use crate::support::ServerKind;

/// In cluster mode every key gets this tag, so that commands of several keys work.
const TAG: &[u8] = b"{t}";

/// The files of a directory and their commands.
pub fn files(dir: &str) -> Vec<(String, Vec<String>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diff").join(dir);
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).expect("the lines").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let commands = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a file of lines");
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    paths.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), commands(path))).collect()
}

/// The command with its keys tagged. Words equal to a key are tagged too: both servers get the same.
fn tagged(asker: &mut Wire, args: Argv) -> Argv {
    let mut question = argv("COMMAND GETKEYS");
    question.extend(args.iter().cloned());
    let keys = asker.call(&question).expect("COMMAND GETKEYS is answered");
    let is_key = |word: &Vec<u8>| keys.items.iter().any(|key| key.string() == Some(word));
    let tag = |word: Vec<u8>| if is_key(&word) { [TAG, &word].concat() } else { word };
    let mut words = args.into_iter();
    words.next().into_iter().chain(words.map(tag)).collect()
}

/// Runs one file on both and adds what differs to `differences`.
fn run_file(pair: &mut Pair, tag: bool, (file, commands): &(String, Vec<String>), known: &mut Known) -> Vec<String> {
    pair.reconnect();
    pair.both("FLUSHALL");
    let mut asker = Wire::connect(&pair.stock_server, false);
    let mut session = Session::default();
    let mut differences = Vec::new();
    for line in commands {
        let mut args = argv(line);
        if tag {
            args = tagged(&mut asker, args);
        }
        let (node, stock) = match pair.call(&args) {
            Ok(replies) => replies,
            Err(error) => {
                differences.push(format!("{file}> {line}\n  {error} after {}", shown(&args)));
                return differences;
            }
        };
        if !session.same(&args, &node, &stock) && !known.has(file, line, &node, &stock) {
            differences.push(format!("{file}> {line}\n  node  {node}\n  stock {stock}"));
        }
    }
    differences
}

fn compare(oracle: Oracle) {
    if !oracle.kind.is_available() {
        return;
    }
    let files = files(oracle.lines);
    let mut known = Known::read(oracle.known);
    for (file, commands) in &files {
        known.assert_unambiguous(file, commands);
    }
    let mut report = Vec::new();
    for mode in MODES {
        let mut pair = Pair::start(mode, oracle.kind);
        // In cluster mode also as they are: most keys of a command are in different slots then. (Not beside Valkey, which
        // sets keys of any slots with MSETEX.)
        let tags: &[bool] = match (mode.cluster, oracle.kind) {
            (false, _) => &[false],
            (true, ServerKind::Stock) => &[true, false],
            (true, _) => &[true],
        };
        for tag in tags {
            for file in &files {
                let differences = run_file(&mut pair, *tag, file, &mut known);
                if !differences.is_empty() {
                    report.push(format!("--- {mode:?}, tagged: {tag}\n{}", differences.join("\n")));
                }
            }
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
    let unmet = known.unmet();
    assert!(unmet.is_empty(), "known.txt has entries that do not differ (any more):\n{}", unmet.join("\n"));
}

#[test]
fn every_line_is_answered_as_stock_redis_answers_it() {
    compare(crate::STOCK);
}

#[test]
fn every_line_for_valkey_is_answered_as_valkey_answers_it() {
    compare(crate::VALKEY);
}
