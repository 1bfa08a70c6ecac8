//! `trib`: see the library's room of the same name. `trib node ...` is the server, for the case that only
//! this one program was installed.

use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match args.get(1) {
        Some(word) if word == "node" => trib::node::main(args[2..].to_vec()),
        _ => trib::trib::main(args),
    }
}
