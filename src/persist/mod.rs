//! The formats on disk and in DUMP payloads, over `Read` and `Write`.
