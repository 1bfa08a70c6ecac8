//! The wire protocol, without IO.
