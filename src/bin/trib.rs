//! `trib`: see the library's room of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    trib::trib::main(std::env::args_os())
}
