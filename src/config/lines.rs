//! Lines of a configuration file that are not directives of the table: they declare something each time
//! they appear.

/// The words after the name, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraLines {
    /// `rename-command OLD NEW`; an empty NEW takes the command away.
    pub renames: Vec<(Vec<u8>, Vec<u8>)>,
    /// `user NAME RULE…`
    pub users: Vec<Vec<Vec<u8>>>,
    /// `loadmodule PATH ARG…`
    pub modules: Vec<Vec<Vec<u8>>>,
    /// `sentinel …`
    pub sentinel: Vec<Vec<Vec<u8>>>,
}
