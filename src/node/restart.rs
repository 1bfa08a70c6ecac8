//! The process begins anew, with the same program and the same command line (DEBUG RESTART, DEBUG CRASH-AND-RECOVER).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::aof::Aof;
use super::disk;
use super::run::shut_down;
use super::shared::Shared;
use super::startup::{Start, plain};
use crate::exec::effect::{RestartRequest, ShutdownRequest};
use crate::resp::ErrorReply;

/// Comes back only when it fails: then whoever asked for it is told.
pub async fn begin_anew(shared: &Arc<Shared>, aof: &Arc<Aof>, start: &Start, request: RestartRequest) {
    let reason = match prepare(shared, aof, start, request).await {
        Ok(()) => {
            std::thread::sleep(Duration::from_millis(request.delay_ms));
            // All descriptors close by themselves.
            plain(&command(start).exec())
        }
        Err(reason) => reason,
    };
    shared.logger.warning(format_args!("Can't restart: {reason}"));
    let error = ErrorReply::Static("ERR failed to restart the server. Check server logs.");
    shared.with(|server| server.finish_ok(request.token, Err(error)));
}

/// What has to be done before, and whether there is a program to begin with.
async fn prepare(shared: &Arc<Shared>, aof: &Arc<Aof>, start: &Start, request: RestartRequest) -> Result<(), String> {
    rustix::fs::access(&start.program, rustix::fs::Access::EXEC_OK)
        .map_err(|error| format!("{}: {}", start.program.display(), plain(&error.into())))?;
    if !request.graceful {
        return Ok(());
    }
    let (file, config) = {
        let server = shared.server();
        (server.facts.config_file.clone(), server.config.clone())
    };
    if let Some(file) = file {
        disk::rewrite_config(Path::new(&file), &config, false)
            .map_err(|error| format!("rewriting the configuration file: {}", plain(&error)))?;
    }
    let ending = ShutdownRequest { now: true, ..ShutdownRequest::default() };
    if shut_down(shared, aof, &ending).await { Ok(()) } else { Err("the dataset cannot be saved".to_owned()) }
}

fn command(start: &Start) -> Command {
    let mut words = start.args.iter().map(|word| OsStr::from_bytes(word));
    let mut command = Command::new(&start.program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).current_dir(&start.directory);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_line_in_the_same_place() {
        let start = Start {
            program: "/bin/sh".into(),
            args: [&b"-x"[..], b"a b"].map(<[u8]>::to_vec).to_vec(),
            directory: "/".into(),
        };
        let command = command(&start);
        assert_eq!(command.get_program(), "/bin/sh");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["a b"]);
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
    }
}
