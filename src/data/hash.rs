//! The hash value.

#[derive(Debug, Default)]
pub struct Hash {}
