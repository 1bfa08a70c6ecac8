//! The house rules that a compiler does not know: who may use whom, how long a file may be, no file forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms from left to right: each may use those before it, and itself.
const ORDER: [&str; 10] =
    ["base", "resp", "data", "keyspace", "pubsub", "config", "persist", "exec", "commands", "node"];

/// Rooms beside the row, and what they may use.
const BESIDE: [(&str, &[&str]); 3] =
    [("cluster", &["base", "resp"]), ("repl", &["base", "resp"]), ("trib", &["base", "resp", "persist"])];

/// The longest a source file may be.
const LINES_MAX: usize = 1000;

/// The largest a file under version control may be: the longest are generated.
const BYTES_MAX: u64 = 512 << 10;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What `room` may use.
fn allowed(room: &str) -> BTreeSet<&'static str> {
    if let Some((_, rooms)) = BESIDE.iter().find(|(name, _)| *name == room) {
        return rooms.iter().copied().collect();
    }
    let place = ORDER.iter().position(|name| *name == room).unwrap_or_else(|| panic!("{room} is no room"));
    let mut rooms: BTreeSet<&str> = ORDER[..place].iter().copied().collect();
    if ["exec", "commands", "node"].contains(&room) {
        rooms.extend(["cluster", "repl"]);
    }
    // The data room is not to know the wire.
    if room == "data" {
        rooms.remove("resp");
    }
    rooms
}

#[test]
fn a_room_uses_only_rooms_to_its_left() {
    let src = root().join("src");
    let mut broken = Vec::new();
    for room in ORDER.iter().copied().chain(BESIDE.iter().map(|(name, _)| *name)) {
        let allowed = allowed(room);
        for file in sources(&src.join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            for (n, line) in text.lines().enumerate() {
                for (at, _) in line.match_indices("crate::") {
                    let name: String =
                        line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    let is_room = ORDER.contains(&name.as_str()) || BESIDE.iter().any(|(b, _)| *b == name);
                    // `trib` starts a server in its own process when no other program is there to do it.
                    let door = room == "trib" && name == "node" && line.contains("crate::node::main");
                    if is_room && name != room && !allowed.contains(name.as_str()) && !door {
                        broken.push(format!("{}:{}: {room} uses {name}", file.display(), n + 1));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_small_enough_to_hold_in_the_head() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|dir| sources(&root().join(dir)))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let silent: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn no_file_is_forgotten() {
    let mut forgotten = Vec::new();
    for file in sources(&root().join("src")) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let parent = file.parent().unwrap();
        if matches!(name, "lib" | "main") || parent.ends_with("bin") {
            continue;
        }
        let (dir, module) = if name == "mod" {
            (parent.parent().unwrap(), parent.file_name().unwrap().to_str().unwrap())
        } else {
            (parent, name)
        };
        let holders = [dir.join("mod.rs"), dir.join("lib.rs"), dir.with_extension("rs")];
        let declared = holders
            .iter()
            .any(|holder| fs::read_to_string(holder).is_ok_and(|text| text.contains(&format!("mod {module};"))));
        if !declared {
            forgotten.push(file.display().to_string());
        }
    }
    assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
}

#[test]
fn nothing_large_is_under_version_control() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("SKIPPED: this is no working tree of git");
        return;
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let bytes = |name: &str| fs::metadata(root().join(name)).map_or(0, |meta| meta.len());
    let large: Vec<&str> = listed.split_terminator('\0').filter(|name| bytes(name) > BYTES_MAX).collect();
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn no_directive_is_silently_ignored() {
    let table = root().join("src/config/table.rs");
    let elsewhere: String = sources(&root().join("src"))
        .iter()
        .filter(|file| **file != table)
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    let text = fs::read_to_string(&table).unwrap();
    let rows: Vec<&str> = text.split(";\n").filter(|row| row.contains(" => ")).collect();
    assert!(rows.len() > 150, "the rows of the table look different now");
    let field = |row: &str| {
        let behind = row.split(" => ").nth(1).unwrap_or_default();
        behind.split([':', ',']).next().unwrap_or_default().to_owned()
    };
    let ignored: Vec<String> = rows
        .iter()
        .filter(|row| !row.contains("NOT_YET") && !row.contains("MOOT"))
        .map(|row| field(row))
        .filter(|field| !elsewhere.contains(&format!(".{field}")))
        .collect();
    assert!(
        ignored.is_empty(),
        "read from the configuration and used nowhere, so they need NOT_YET (or MOOT): {ignored:?}"
    );
}
