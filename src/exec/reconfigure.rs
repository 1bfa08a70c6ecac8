//! Taking a changed configuration over: what the rooms below keep of it, and what only the owner can do.

use super::effect::{ConfigRequest, Effect};
use super::server::Server;
use crate::config::{Change, Config, SetError};
use crate::keyspace::AccessPolicy;
use crate::repl::Input;
use crate::resp::ErrorReply;

/// Directives whose change the machine has to agree to: it may have no such directory, socket, locale or number of files,
/// no room for a log, or not allow it.
const OUTSIDE: &[&str] =
    &["appendonly", "bind", "dir", "locale-collate", "maxclients", "oom-score-adj", "oom-score-adj-values", "port"];

impl Server {
    /// Whether a change can only be put in place once the machine has done its part.
    #[must_use]
    pub fn needs_outside(change: &Change) -> bool {
        OUTSIDE.iter().any(|name| change.has(name))
    }

    /// The machine has done its part of a CONFIG SET (the result is the data directory as an absolute path), or
    /// refuses it.
    pub fn config_applied(&mut self, request: ConfigRequest, result: Result<Vec<u8>, SetError>) {
        // Meanwhile other directives may have been changed: only those of the request are to be set.
        let pairs: Vec<(&[u8], &[u8])> = request.pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        let result = result.and_then(|dir| {
            let mut change = self.config.with_set(&pairs, request.local)?;
            change.config.dir = dir;
            self.reconfigure(change);
            Ok(())
        });
        self.finish_ok(request.token, result.map_err(|error| ErrorReply::text_of(format!("ERR {error}"))));
    }

    /// Puts a changed configuration in place.
    pub fn reconfigure(&mut self, change: Change) {
        let log_ends = change.has("appendonly") && !change.config.appendonly;
        let names: Vec<&'static str> = change.changed.iter().map(|directive| directive.name).collect();
        if change.has("maxmemory-policy") {
            self.eviction.clear();
        }
        self.config = change.config;
        self.keyspace.set_lazy_free(Server::lazy_free(&self.config));
        self.keyspace.set_access_policy(Server::access_policy(&self.config));
        self.update_events_wanted();
        self.settle_expiry();
        self.switch_slot_stats();
        let node_id = self.cluster.as_ref().map(|engine| engine.my_id());
        self.repl_input(Input::Reconfigure(Box::new(Server::repl_config(&self.config, node_id))));
        let clock = self.clock();
        if let Some(engine) = &mut self.cluster {
            engine.set_config(clock, Server::cluster_config(&self.config));
            self.drain_cluster();
        }
        if log_ends {
            self.outbox.push(Effect::CloseAof);
        }
        if !names.is_empty() {
            self.outbox.push(Effect::Reconfigure { names });
        }
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

    /// Whether keys are evicted by when, or how often, they were used.
    #[must_use]
    pub fn evicts_by_use(config: &Config) -> bool {
        use crate::config::EvictionPolicy::{AllKeysLfu, AllKeysLru, VolatileLfu, VolatileLru};
        matches!(config.maxmemory_policy, AllKeysLru | VolatileLru | AllKeysLfu | VolatileLfu)
    }
}
