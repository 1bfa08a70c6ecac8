//! A value on its way to a server that may be older than the one that wrote it.
//!
//! It is sent as it came. A server that does not read that says so and changes nothing; then the value is written anew, in
//! the forms that other servers read, one after the other.

use crate::persist::forms::{FORMS, Form, form};
use crate::resp::client::ReplyValue;
use crate::trib::error::is_unread_text;

/// The first form; those behind it are the ones of [`form`].
pub const AS_IT_CAME: usize = 0;

/// A value in the form in which it is sent.
pub struct Cast<'c> {
    came: &'c [u8],
    form: usize,
    /// The value in another form, or why it has none.
    anew: Option<Result<Form, String>>,
}

impl<'c> Cast<'c> {
    /// A payload, to be sent in the form that was taken last. Hashes whose fields expire have forms of their own.
    #[must_use]
    pub fn new(came: &'c [u8], form: usize) -> Cast<'c> {
        let mut cast = Cast { came, form: AS_IT_CAME, anew: None };
        if form != AS_IT_CAME && (!cast.take(form) || cast.lesson().is_none()) {
            cast.form = AS_IT_CAME;
            cast.anew = None;
        }
        cast
    }

    /// Writes the value in this form; false where it has none.
    fn take(&mut self, number: usize) -> bool {
        let anew = self.anew.insert(form(self.came, number - 1).map_err(|e| e.to_string()));
        self.form = if anew.is_ok() { number } else { AS_IT_CAME };
        anew.is_ok()
    }

    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match &self.anew {
            Some(Ok(form)) => &form.payload,
            _ => self.came,
        }
    }

    /// Turns to the next form; false when there is none.
    pub fn recast(&mut self) -> bool {
        self.form < FORMS && !matches!(self.anew, Some(Err(_))) && self.take(self.form + 1)
    }

    /// When the value was taken in another form than that in which it came: what is to be known for others.
    #[must_use]
    pub fn lesson(&self) -> Option<usize> {
        matches!(&self.anew, Some(Ok(form)) if !form.expires).then_some(self.form)
    }

    /// Why the value was taken in no form.
    #[must_use]
    pub fn explain(&self, said: &str) -> String {
        match &self.anew {
            Some(Ok(form)) if form.expires => {
                format!("{said} (fields of it expire, which only Redis since 7.4 and Valkey since 9 know)")
            }
            Some(Err(why)) => format!("{said} (it cannot be written anew: {why})"),
            _ => said.to_owned(),
        }
    }
}

/// Whether this is how a server says that it does not read a payload.
#[must_use]
pub fn is_unread(reply: &ReplyValue) -> bool {
    reply.as_error().is_some_and(|text| is_unread_text(&String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DUMP of "2" by a Valkey 9 server.
    const PAYLOAD: &[u8] = b"\x00\xc0\x02\x50\x00\x40\x88\x79\x2d\x66\x86\x19\x3f";

    #[test]
    fn older_forms_follow_until_there_is_none() {
        let mut cast = Cast::new(PAYLOAD, AS_IT_CAME);
        assert_eq!((cast.payload(), cast.lesson()), (PAYLOAD, None));
        let mut versions = Vec::new();
        while cast.recast() {
            versions.push(cast.payload()[3]);
        }
        assert_eq!((versions, cast.lesson()), (vec![10, 9], Some(2)));
        assert_eq!(cast.explain("no"), "no");
        assert_eq!(Cast::new(PAYLOAD, 2).payload(), cast.payload());
    }

    #[test]
    fn what_cannot_be_read_has_one_form() {
        let mut cast = Cast::new(b"nonsense", 1);
        assert_eq!(cast.payload(), b"nonsense");
        assert!(!cast.recast() && cast.lesson().is_none());
        assert!(cast.explain("no").contains("cannot be written anew"));
    }

    #[test]
    fn refusals_of_a_form_are_told_from_others() {
        let error = |text: &str| is_unread(&ReplyValue::Error(text.into()));
        assert!(error("ERR DUMP payload version or checksum are wrong") && error("ERR Bad data format"));
        assert!(!error("BUSYKEY Target key name already exists.") && !is_unread(&ReplyValue::Null));
    }
}
