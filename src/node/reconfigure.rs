//! CONFIG SET of what the machine has a say in: sockets, the data directory, the limit of open files.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use super::listeners::Listeners;
use super::os;
use super::shared::Shared;
use super::startup::plain;
use super::tuning;
use crate::base::collate;
use crate::config::SetError;
use crate::exec::effect::ConfigRequest;

/// Does what the changed configuration needs, all of it or nothing, and tells the server.
pub async fn apply(shared: &Arc<Shared>, listeners: &mut Listeners, request: ConfigRequest) {
    let result = perform(shared, listeners, &request).await;
    if let Err(SetError::Failed { name, .. }) = &result {
        shared.logger.warning(format_args!(
            "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
        ));
    }
    shared.with(|server| server.config_applied(request, result));
}

/// The data directory as an absolute path.
async fn perform(shared: &Shared, listeners: &mut Listeners, request: &ConfigRequest) -> Result<Vec<u8>, SetError> {
    let failed = |name: &str, reason: String| SetError::Failed { name: name.to_owned(), reason };
    let has = |name| request.names.contains(&name);
    let old_dir = PathBuf::from(OsStr::from_bytes(&shared.server().config.dir));
    if has("maxclients") {
        let open_files = os::raise_open_files(request.config.maxclients as u64 + os::RESERVED_FILES);
        if open_files.refused.is_some() {
            let usable = open_files.limit.saturating_sub(os::RESERVED_FILES);
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try with {usable}"
            );
            return Err(failed("maxclients", reason));
        }
    }
    if has("locale-collate") && !collate::use_locale(&request.config.locale_collate) {
        return Err(failed("locale-collate", "The system has no such locale.".to_owned()));
    }
    if has("oom-score-adj") || has("oom-score-adj-values") {
        let follows = !shared.server().repl.is_primary();
        tuning::rate(&request.config, follows).map_err(|error| {
            shared.logger.warning(format_args!("Unable to write oom_score_adj: {}", plain(&error)));
            let reason = "Failed to apply new oom_score_adj configuration, check server logs.";
            failed(if has("oom-score-adj") { "oom-score-adj" } else { "oom-score-adj-values" }, reason.to_owned())
        })?;
    }
    if has("dir") {
        let enter = std::env::set_current_dir(OsStr::from_bytes(&request.config.dir));
        enter.map_err(|error| failed("dir", plain(&error)))?;
    }
    let log_begins = has("appendonly") && request.config.appendonly;
    if log_begins && !shared.aof.switch_on().await {
        return Err(failed("appendonly", "Unable to turn on AOF. Check server logs.".to_owned()));
    }
    let moved = if has("port") || has("bind") { listeners.move_to(&request.config).await } else { true };
    if !moved {
        // It was the current directory until now.
        let _ = std::env::set_current_dir(&old_dir);
        if log_begins {
            shared.aof.close();
        }
        return Err(if has("port") {
            failed("port", "Unable to listen on this port. Check server logs.".to_owned())
        } else {
            failed("bind", "Failed to bind to specified addresses.".to_owned())
        });
    }
    if has("appendonly") && !request.config.appendonly {
        // Last, as it is not to be taken back. What runs after the reply must not be in the file any more.
        shared.aof.switch_off().await;
    }
    Ok(std::env::current_dir().unwrap_or(old_dir).into_os_string().into_vec())
}
