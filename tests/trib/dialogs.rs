//! Dialogs at a terminal: `script` gives the program one.

use std::path::Path;

use crate::cluster;
use crate::slots::id_of;
use crate::support::{Ran, ServerKind, program_is_available, run};

/// Runs `trib` at a terminal where this is typed.
fn at_terminal(line: &str, typed: &str) -> Ran {
    let command = format!("{} {line}", env!("CARGO_BIN_EXE_trib"));
    run("script", &["-qec", &command, "/dev/null"], typed, &[])
}

#[test]
fn nodes_are_chosen_from_a_list_by_the_beginning_of_the_id_or_by_address() {
    if !ServerKind::Stock.is_available() || !program_is_available(Path::new("script")) {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let (first, second) = (id_of(&servers[0]), id_of(&servers[1]));
    // Whole IDs and Enter, as scripts type them; a number that makes no sense first.
    let ran = at_terminal(&format!("reshard {seed}"), &format!("0\n3\n{first}\r{second}\rdone\ryes\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches("Moving slot ").count() % 2, 0, "{ran:?}");
    assert!(ran.stdout.contains("*** '0' is not a number from 1 to 16384, please retry."), "{ran:?}");
    assert!(ran.stdout.contains(&format!("from {} to {seed}", servers[1].addr())), "{ran:?}");
    // All others; the answer no.
    let ran = at_terminal(&format!("reshard {seed}"), &format!("3\n{}\rall\rno\n", servers[1].addr()));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stdout.contains("Ready to move 3 slots."), "{ran:?}");
    // The end of what is typed, at a number, at a list, and at the last question.
    for options in ["", "--slots 1", &format!("--from {first} --to {second} --slots 1")] {
        let ran = at_terminal(&format!("reshard {options} {seed}"), "");
        assert!(ran.code == 1 && ran.stdout.contains("*** Aborting: the input ended"), "{ran:?}");
    }
}
