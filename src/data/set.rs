//! The set value.

#[derive(Debug, Default)]
pub struct Set {}
