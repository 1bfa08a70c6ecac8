//! The engine of replication: a state machine without IO, clock or randomness of its own.
