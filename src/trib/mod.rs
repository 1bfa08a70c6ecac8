//! The command-line tool: look, plan, show, apply.
