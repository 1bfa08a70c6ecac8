//! Expiry as commands say it: the words EX, PX, EXAT, PXAT, KEEPTTL and PERSIST, and what happens when the moment has
//! passed already.

use super::parse::{self, TimeUnit};
use crate::base::Millis;
use crate::exec::{Arg, Ctx};
use crate::keyspace::EventClass;
use crate::resp::{Args, Argv, ErrorReply, is_word};

/// What GETEX and HGETEX take: a time to come, or none any more.
pub const EXPIRATION: Arg = Arg::one_of(
    "expiration",
    &[
        Arg::int("seconds").token("EX"),
        Arg::int("milliseconds").token("PX"),
        Arg::unix_time("unix-time-seconds").token("EXAT"),
        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
        Arg::flag("persist", "PERSIST"),
    ],
)
.optional();

/// One of the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Ex,
    Px,
    Exat,
    Pxat,
    KeepTtl,
    Persist,
}

impl Word {
    fn parse(text: &[u8]) -> Option<Word> {
        const WORDS: [(&str, Word); 6] = [
            ("ex", Word::Ex),
            ("px", Word::Px),
            ("exat", Word::Exat),
            ("pxat", Word::Pxat),
            ("keepttl", Word::KeepTtl),
            ("persist", Word::Persist),
        ];
        WORDS.iter().find(|(word, _)| is_word(text, word)).map(|(_, word)| *word)
    }

    fn takes_time(self) -> bool {
        !matches!(self, Word::KeepTtl | Word::Persist)
    }
}

/// What the options of a command say of the expiry. The same word may come twice, two different ones may not.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpiryClause<'a> {
    said: Option<(Word, &'a [u8])>,
}

/// What is to become of a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing was said.
    Unsaid,
    Keep,
    Persist,
    /// `as_is`: given as PXAT, the form that may be propagated unchanged.
    At {
        at: Millis,
        as_is: bool,
    },
}

impl<'a> ExpiryClause<'a> {
    /// Reads the word at argument `i`, if it is one that may stand there. Gives how many arguments it took.
    pub fn accept(&mut self, args: Args<'a>, i: usize) -> Option<usize> {
        let word = Word::parse(args.get(i)?)?;
        if self.said.is_some_and(|(said, _)| said != word) {
            return None;
        }
        let time = if word.takes_time() { args.get(i + 1)? } else { &[] };
        self.said = Some((word, time));
        Some(if word.takes_time() { 2 } else { 1 })
    }

    #[must_use]
    pub fn keeps(&self) -> bool {
        self.said.is_some_and(|(word, _)| word == Word::KeepTtl)
    }

    #[must_use]
    pub fn persists(&self) -> bool {
        self.said.is_some_and(|(word, _)| word == Word::Persist)
    }

    /// The moment that was said, for `command`.
    ///
    /// # Errors
    /// When it is not a number, not positive, or too far away.
    pub fn resolve(&self, now: Millis, command: &str) -> Result<Expiry, ErrorReply> {
        self.resolve_from(1, now, command)
    }

    /// The same for fields of hashes, whose time may be zero: they end at once.
    pub fn resolve_or_now(&self, now: Millis, command: &str) -> Result<Expiry, ErrorReply> {
        self.resolve_from(0, now, command)
    }

    fn resolve_from(&self, least: i64, now: Millis, command: &str) -> Result<Expiry, ErrorReply> {
        let (word, text) = match self.said {
            None => return Ok(Expiry::Unsaid),
            Some((Word::KeepTtl, _)) => return Ok(Expiry::Keep),
            Some((Word::Persist, _)) => return Ok(Expiry::Persist),
            Some(said) => said,
        };
        let unit = if matches!(word, Word::Ex | Word::Exat) { TimeUnit::Seconds } else { TimeUnit::Millis };
        if parse::int(text)? < least {
            return Err(ErrorReply::invalid_expire(command));
        }
        let at = parse::expire_at(text, unit, matches!(word, Word::Ex | Word::Px), now, command)?;
        Ok(Expiry::At { at, as_is: word == Word::Pxat })
    }
}

/// Whether a key that is to expire at `at` is deleted at once instead. A replica, and whoever obeys a stream or a file,
/// leaves that to the one who decides.
#[must_use]
pub fn is_past(ctx: &Ctx<'_>, at: Millis) -> bool {
    at <= ctx.now && !ctx.client.is_obeyed() && ctx.server.repl.is_primary() && !ctx.server.config.import_mode
}

/// Deletes a key whose new expiry has passed already, here and in the stream. False when there is no such key.
pub fn expire_now(ctx: &mut Ctx<'_>, key: &[u8]) -> bool {
    let removed = ctx.db().delete(key);
    if removed {
        ctx.changed(1);
        ctx.notify(EventClass::GENERIC, "del", key);
        let verb: &[u8] = if ctx.server.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
        ctx.propagate_as(Argv::of(&[verb, key]));
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(words: &[&str]) -> Option<Result<Expiry, ErrorReply>> {
        let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        let argv = Argv::of(&words);
        let mut clause = ExpiryClause::default();
        let mut i = 0;
        while i < argv.args().len() {
            i += clause.accept(argv.args(), i)?;
        }
        Some(clause.resolve(Millis(500), "set"))
    }

    #[test]
    fn words_are_read() {
        let at = |ms, as_is| Some(Ok(Expiry::At { at: Millis(ms), as_is }));
        assert_eq!(clause(&[]), Some(Ok(Expiry::Unsaid)));
        assert_eq!(clause(&["ex", "2"]), at(2500, false));
        assert_eq!(clause(&["PX", "2"]), at(502, false));
        assert_eq!(clause(&["exAt", "2"]), at(2000, false));
        assert_eq!(clause(&["pxat", "2"]), at(2, true));
        assert_eq!(clause(&["ex", "2", "ex", "3"]), at(3500, false));
        assert_eq!(clause(&["keepttl"]), Some(Ok(Expiry::Keep)));
        assert_eq!(clause(&["persist"]), Some(Ok(Expiry::Persist)));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(clause(&["ex"]), None);
        assert_eq!(clause(&["ex", "2", "px", "3"]), None);
        assert_eq!(clause(&["keepttl", "ex", "3"]), None);
        assert_eq!(clause(&["px", "x"]), Some(Err(ErrorReply::NotInteger)));
        let argv = Argv::of(&[b"ex", b"0"]);
        let mut of_a_field = ExpiryClause::default();
        of_a_field.accept(argv.args(), 0);
        let now = Ok(Expiry::At { at: Millis(500), as_is: false });
        assert_eq!(of_a_field.resolve_or_now(Millis(500), "hgetex"), now);
        for time in ["0", "-1", "9223372036854775807"] {
            assert_eq!(clause(&["ex", time]), Some(Err(ErrorReply::invalid_expire("set"))), "{time}");
        }
        assert_eq!(clause(&["px", "9223372036854775807"]), Some(Err(ErrorReply::invalid_expire("set"))));
    }
}
