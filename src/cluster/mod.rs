//! The engine of the cluster bus: a state machine without IO, clock or randomness of its own.
