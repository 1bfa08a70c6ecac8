//! The real machine as the state machine sees it: performs effects, in order, on the main thread.

use std::sync::Arc;

use super::aof::Aof;
use super::bus::Bus;
use super::disk;
use super::exports::Exports;
use super::memory::Reaper;
use super::migrate::Targets;
use super::nodes_conf::NodesConf;
use super::primary::PrimaryLink;
use super::reload;
use super::shared::Shared;
use super::snapshot;
use super::startup::plain;
use super::tuning;
use super::{crash, crash_report};
use crate::base::Millis;
use crate::cluster;
use crate::config::{ConfigSaveBehavior, LogLevel};
use crate::exec::effect::{self, ConfigRequest, RestartRequest, ShutdownRequest};
use crate::exec::{Effect, Token, World};
use crate::resp::ErrorReply;

/// Everything outside of the state machine.
pub struct Machine {
    pub shared: Arc<Shared>,
    pub bus: Bus,
    pub reaper: Reaper,
    pub primary: PrimaryLink,
    pub aof: Arc<Aof>,
    pub targets: Arc<Targets>,
    pub exports: Exports,
    /// The cluster's configuration file, held as long as the process lives.
    pub nodes_conf: Option<NodesConf>,
    /// When waits of clients end.
    pub alarm: Option<Millis>,
    /// How often the server's own work is due, when that has changed.
    pub new_hz: Option<u32>,
    /// Changes of the configuration that need more than this thread of work can do at once.
    pub config_requests: Vec<ConfigRequest>,
    /// The end of the process, once it has been decided.
    pub ending: Option<ShutdownRequest>,
    /// The process is to begin anew.
    pub restart: Option<RestartRequest>,
}

impl Machine {
    /// Performs everything that is waiting, and what that leads to.
    pub fn perform_all(&mut self) {
        loop {
            let effects = self.shared.take_outbox();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
        }
    }

    fn perform_bus(&mut self, output: cluster::Output) {
        match output {
            cluster::Output::SaveConfig { text, fsync } => self.save_nodes_conf(&text, fsync),
            cluster::Output::Connect { link, ip, port } => self.bus.connect(link, ip, port),
            cluster::Output::Send { link, bytes } => self.bus.send(link, bytes),
            cluster::Output::Close { link } => self.bus.close(link),
            other => debug_assert!(false, "{other:?} is the state machine's own business"),
        }
    }

    /// A vote or an epoch that is not on disk could be given twice: better no node than a lying one.
    fn save_nodes_conf(&mut self, text: &str, fsync: bool) {
        if let Err(error) = self.write_nodes_conf(text, fsync) {
            let text = plain(&error);
            if self.shared.server().config.cluster_config_save_behavior == ConfigSaveBehavior::BestEffort {
                self.shared.logger.warning(format_args!("Error saving the cluster node config: {text}"));
            } else {
                self.shared.logger.warning(format_args!("Fatal: can't update cluster config file: {text}"));
                std::process::exit(1);
            }
        }
        if fsync {
            self.shared.nodes_conf_is_saved();
        }
    }

    fn write_nodes_conf(&mut self, text: &str, fsync: bool) -> std::io::Result<()> {
        // Only a member of a cluster saves it, and only who holds it is one.
        let Some(file) = &mut self.nodes_conf else { return Ok(()) };
        let path = {
            let server = self.shared.server();
            disk::data_path(&server.config, &server.config.cluster_config_file)
        };
        file.replace(&path, text.as_bytes(), fsync)
    }

    fn rewrite_config(&self, token: Token, whole: bool) {
        let (path, config) = {
            let server = self.shared.server();
            (server.facts.config_file.clone(), server.config.clone())
        };
        let result = match path {
            None => Err(ErrorReply::Static("ERR The server is running without a config file")),
            Some(path) => disk::rewrite_config(std::path::Path::new(&path), &config, whole)
                .map_err(|error| ErrorReply::text_of(format!("ERR Rewriting config file: {}", plain(&error)))),
        };
        self.shared.with(|server| server.finish_ok(token, result));
    }

    fn reconfigure(&mut self, names: &[&'static str]) {
        let config = self.shared.server().config.clone();
        if names.contains(&"loglevel") {
            self.shared.logger.set_level(config.loglevel);
        }
        if names.contains(&"cluster-auth-mode") {
            self.bus.enforce_auth();
        }
        if names.contains(&"log-format") || names.contains(&"log-timestamp-format") {
            self.shared.logger.set_style(config.log_format, config.log_timestamp_format);
        }
        if names.contains(&"jemalloc-bg-thread") {
            tuning::run_allocator_thread(config.jemalloc_bg_thread, &self.shared.logger);
        }
        if names.contains(&"crash-log-enabled") {
            crash_report::want(config.crash_log_enabled);
        }
        if names.contains(&"hz") {
            self.new_hz = Some(config.hz);
        }
    }
}

impl World for Machine {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Wake(id) => self.shared.ring(id),
            Effect::Alarm { at } => self.alarm = Some(self.alarm.map_or(at, |earlier| earlier.min(at))),
            Effect::Bus(output) => self.perform_bus(output),
            Effect::ToPrimary(output) => self.primary.perform(output),
            Effect::Migrate(request) => {
                let (targets, shared) = (Arc::clone(&self.targets), Arc::clone(&self.shared));
                tokio::spawn(async move { targets.perform(shared, *request).await });
            }
            Effect::OpenExport { link, host, port } => self.exports.open(link, host, port),
            Effect::WakeExport(link) => self.exports.wake(link),
            Effect::CloseExport(link) => self.exports.close(link),
            Effect::SnapshotStarted => {
                tokio::spawn(snapshot::carry(Arc::clone(&self.shared), Arc::clone(&self.aof)));
            }
            Effect::SendSnapshotFile { snapshot, replica } => {
                tokio::spawn(snapshot::send_file(Arc::clone(&self.shared), snapshot.0, replica));
            }
            Effect::RewriteConfig { token, whole } => self.rewrite_config(token, whole),
            Effect::SaveNodesConf { token, text } => {
                let saved = self.write_nodes_conf(&text, true).map_err(|error| {
                    ErrorReply::text_of(format!("ERR error saving the cluster node config: {}", plain(&error)))
                });
                self.shared.with(|server| server.finish_ok(token, saved));
            }
            Effect::ApplyConfig(request) => self.config_requests.push(*request),
            Effect::Reconfigure { names } => self.reconfigure(&names),
            Effect::RewriteAof { token } => {
                let on = self.shared.server().config.appendonly;
                self.aof.begin_base(on, token);
            }
            Effect::CloseAof => self.aof.close(),
            Effect::Sleep { micros, token } => self.shared.stand_still(micros, token),
            Effect::Reload(request) => reload::begin(&self.shared, &self.aof, request),
            Effect::Crash(how) => crash::crash(&self.shared.logger, how),
            Effect::Restart(request) => self.restart = Some(request),
            Effect::Free(garbage) => self.reaper.free(garbage),
            Effect::Shutdown(request) => self.ending = Some(request),
            Effect::Log(level, text) => self.shared.logger.log(log_level(level), format_args!("{text}")),
        }
    }
}

pub(super) fn log_level(level: effect::LogLevel) -> LogLevel {
    match level {
        effect::LogLevel::Debug => LogLevel::Debug,
        effect::LogLevel::Verbose => LogLevel::Verbose,
        effect::LogLevel::Notice => LogLevel::Notice,
        effect::LogLevel::Warning => LogLevel::Warning,
    }
}
