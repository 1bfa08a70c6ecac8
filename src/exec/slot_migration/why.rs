//! Why migrations fail, in the words that operators know.

pub const OUT_OF_MEMORY: &str = "Ran out of memory (OOM) during slot import";
pub const FLUSHED: &str = "Data was flushed";
pub const NOT_MINE: &str = "Slots are no longer owned by myself";
pub const NOT_THE_SOURCES: &str = "Slots are no longer owned by source node";
pub const MINE_ALREADY: &str = "Slots were unexpectedly assigned to myself during import";
pub const FAILOVER: &str = "A failover occurred during slot import";
pub const FULL_SYNC: &str = "Full resynchronization occurred";
pub const NEW_FILE: &str = "A new RDB is being loaded";
pub const RESTARTED: &str = "Process restarted";
pub const TARGET_LOST: &str =
    "Connection lost to target. Check CLUSTER GETSLOTMIGRATIONS on the target node for more information.";
pub const SOURCE_LOST: &str =
    "Connection lost to source. Check CLUSTER GETSLOTMIGRATIONS on the source node for more information.";
pub const TIMED_OUT_PAUSED: &str = "Timed out before streaming completed";
pub const UNPAUSED: &str = "Unpaused before failover completed";
pub const UNPAUSED_GRANTED: &str =
    "Unpaused before migration completed (migration may have succeeded with lost writes)";
pub const SILENCE: &str = "Timed out after too long with no interaction";
pub const BAD_COMMAND: &str = "Failed to process command during slot migration. Check logs for more information";
pub const OUT_OF_ORDER: &str = "Unexpected state machine transition";
