//! The containers, one per file, and the values built from them.
