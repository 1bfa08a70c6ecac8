//! The server as a state machine: clients, gates, call, effects, transactions, cron.
