//! Databases: lookup, insert and delete, scan, expiry, watch, snapshot.
