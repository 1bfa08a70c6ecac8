//! The list value.

#[derive(Debug, Default)]
pub struct List {}
