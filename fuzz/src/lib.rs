//! The targets of `tests/fuzz`, for a fuzzer that learns from which paths an input takes.

#[path = "../../tests/fuzz/bus.rs"]
pub mod bus;
#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;
