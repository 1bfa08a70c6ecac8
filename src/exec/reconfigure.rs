//! Taking a changed configuration over: what the rooms below keep of it, and what only the owner can do.

use super::effect::Effect;
use super::server::Server;
use crate::config::{Change, Config, SetError};
use crate::keyspace::AccessPolicy;
use crate::repl::Input;

/// Directives that can be set by their type, but that take a new process here.
const AT_START_ONLY: &[&str] = &["port", "bind", "io-threads"];

impl Server {
    /// Puts a changed configuration in place.
    ///
    /// # Errors
    /// When it holds something that this server changes at its start only; then nothing has changed.
    pub fn reconfigure(&mut self, change: Change) -> Result<(), SetError> {
        if let Some(name) = AT_START_ONLY.iter().find(|name| change.has(name)) {
            let reason = "this server changes it at its start only".to_owned();
            return Err(SetError::Failed { name: (*name).to_owned(), reason });
        }
        let aof = change.has("appendonly");
        let names: Vec<&'static str> = change.changed.iter().map(|directive| directive.name).collect();
        self.config = change.config;
        self.keyspace.set_access_policy(Server::access_policy(&self.config));
        self.update_events_wanted();
        let node_id = self.cluster.as_ref().map(|engine| engine.my_id());
        self.repl_input(Input::Reconfigure(Box::new(Server::repl_config(&self.config, node_id))));
        let clock = self.clock();
        if let Some(engine) = &mut self.cluster {
            engine.set_config(clock, Server::cluster_config(&self.config));
            self.drain_cluster();
        }
        if aof {
            self.outbox.push(Effect::SwitchAof { on: self.config.appendonly });
        }
        if !names.is_empty() {
            self.outbox.push(Effect::Reconfigure { names });
        }
        Ok(())
    }

    /// How uses of keys are remembered, as the maxmemory policy wants it.
    #[must_use]
    pub fn access_policy(config: &Config) -> AccessPolicy {
        use crate::config::EvictionPolicy::{AllKeysLfu, VolatileLfu};
        match config.maxmemory_policy {
            AllKeysLfu | VolatileLfu => {
                AccessPolicy::Lfu { log_factor: config.lfu_log_factor, decay_minutes: config.lfu_decay_time_mins }
            }
            _ => AccessPolicy::Lru,
        }
    }
}
