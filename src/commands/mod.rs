//! The commands, one folder a group, one file a family: declaration and handler together.
