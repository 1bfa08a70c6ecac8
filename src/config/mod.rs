//! The one table of directives: names, types, defaults, limits; the configuration file and its rewriting.
