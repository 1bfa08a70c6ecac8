//! What the table says about one directive, and the macro that declares all of them together with the
//! fields they set.

use bitflags::bitflags;

use super::Config;
use super::kind::Refusal;

bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        /// Set at start only: CONFIG SET refuses.
        const IMMUTABLE = 1;
        /// CONFIG SET asks `enable-protected-configs` first.
        const PROTECTED = 1 << 1;
        /// A secret: its value is kept out of logs.
        const SENSITIVE = 1 << 2;
        /// CONFIG SET splits its value at blanks.
        const MULTI = 1 << 3;
        /// Shown by CONFIG GET only when named in full.
        const HIDDEN = 1 << 4;
        /// Known so that configuration files of stock servers load, but without effect here yet: a start
        /// with another value than the default says so in the log.
        const NOT_YET = 1 << 5;
        /// Known, and without anything to do: the server always does what it could ask for, as the table says.
        const MOOT = 1 << 6;
        /// CONFIG SET refuses while a dataset is read: it says from where.
        const NOT_LOADING = 1 << 7;
    }
}

/// One directive: its names and how its value is read from and written to a [`Config`].
pub struct Directive {
    /// The name that CONFIG REWRITE writes.
    pub name: &'static str,
    /// Other names of the same value: accepted everywhere, shown by CONFIG GET beside the first.
    pub aliases: &'static [&'static str],
    pub flags: Flags,
    pub(super) get: fn(&Config) -> Vec<u8>,
    pub(super) set: fn(&mut Config, &[&[u8]]) -> Result<(), Refusal>,
    pub(super) lines: fn(&Config) -> Vec<Vec<u8>>,
}

impl Directive {
    /// The value as CONFIG GET shows it.
    #[must_use]
    pub fn get(&self, config: &Config) -> Vec<u8> {
        (self.get)(config)
    }

    /// The value as lines of a configuration file, without the name. Most directives have one.
    #[must_use]
    pub fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        (self.lines)(config)
    }

    /// All names, the canonical one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Sets the value from the words of a line or of CONFIG SET. A value of several words may come as one
    /// word with blanks between.
    pub(super) fn set(&self, config: &mut Config, args: &[&[u8]]) -> Result<(), Refusal> {
        match args {
            [one] if self.flags.contains(Flags::MULTI) && !one.is_empty() => {
                let parts: Vec<&[u8]> = one.split(|b| *b == b' ').collect();
                (self.set)(config, &parts)
            }
            _ => (self.set)(config, args),
        }
    }
}

/// Declares [`Config`](super::Config), its defaults and the table from one list.
///
/// A row is `"name" / "alias" => field: Type = default, kind, FLAGS…;`. The rows after `limits:` set fields
/// of [`Limits`](crate::data::Limits) instead and take their defaults from there.
macro_rules! directives {
    (
        $($name:literal $(/ $alias:literal)* => $field:ident: $ty:ty = $default:expr, $kind:expr $(, $flag:ident)*;)*
        limits:
        $($lname:literal $(/ $lalias:literal)* => $lfield:ident, $lkind:expr $(, $lflag:ident)*;)*
    ) => {
        /// The value of every directive. Times and sizes carry their unit in the name; text is kept as bytes.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = concat!("`", $name, "`")] pub $field: $ty,)*
            /// When small collections stop being compact: the `*-max-*` directives.
            pub limits: Limits,
            /// Lines of the configuration file that are not directives of the table.
            pub lines: ExtraLines,
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($field: $default,)* limits: Limits::default(), lines: ExtraLines::default() }
            }
        }

        /// Every directive, in the order in which CONFIG REWRITE appends them.
        pub static DIRECTIVES: &[Directive] = &[
            $(directives!(@row $name [$($alias)*] ($field) $kind, [$($flag)*]),)*
            $(directives!(@row $lname [$($lalias)*] (limits.$lfield) $lkind, [$($lflag)*]),)*
        ];
    };
    (@row $name:literal [$($alias:literal)*] ($($path:tt)*) $kind:expr, [$($flag:ident)*]) => {
        Directive {
            name: $name,
            aliases: &[$($alias),*],
            flags: Flags::empty()$(.union(Flags::$flag))*,
            get: |config| $kind.show(&config.$($path)*),
            set: |config, args| {
                config.$($path)* = $kind.parse(args, &config.$($path)*)?;
                Ok(())
            },
            lines: |config| $kind.lines(&config.$($path)*),
        }
    };
}

pub(super) use directives;
