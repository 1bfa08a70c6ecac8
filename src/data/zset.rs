//! The zset value.

#[derive(Debug, Default)]
pub struct ZSet {}
