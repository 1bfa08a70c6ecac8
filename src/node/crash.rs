//! The end that nobody asked for, or that DEBUG asks for: as if something had gone wrong.

use std::alloc::{Layout, handle_alloc_error};

use rustix::process::{Signal, getpid, kill_process};

use super::log::Logger;
use crate::exec::effect::Crash;

/// Ends the process at once. Nothing is saved.
pub fn crash(logger: &Logger, how: Crash) {
    match how {
        Crash::Assertion => logger.warning(format_args!("Crash asked for: DEBUG ASSERT")),
        Crash::Panic => logger.warning(format_args!("Crash asked for: DEBUG PANIC")),
        Crash::ReplicaUnsaved => logger.warning(format_args!("Replica was unable to write command to disk.")),
        Crash::Segfault => {
            logger.warning(format_args!("Crash asked for: DEBUG SEGFAULT"));
            let _ = kill_process(getpid(), Signal::SEGV);
        }
        Crash::OutOfMemory => {
            logger.warning(format_args!("Crash asked for: DEBUG OOM"));
            if let Ok(layout) = Layout::from_size_align(isize::MAX as usize, 1) {
                handle_alloc_error(layout);
            }
        }
    }
    // A signal may have been blocked; the process ends in any case.
    std::process::abort();
}
