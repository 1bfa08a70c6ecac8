//! The order of texts by the rules of a locale (`locale-collate`), as SORT ALPHA has it.
//!
//! The C library compares texts that end at their first zero byte, so what stands behind one does not count.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

unsafe extern "C" {
    fn strxfrm_l(to: *mut c_char, from: *const c_char, size: usize, locale: libc::locale_t) -> usize;
}

/// The locale in use; null stands for plain bytes. One that was ever in use is never freed, so that whoever reads it may
/// use it.
static LOCALE: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

/// All that were ever in use, by their names.
static USED: Mutex<BTreeMap<CString, Locale>> = Mutex::new(BTreeMap::new());

/// A locale of the C library.
struct Locale(libc::locale_t);

// SAFETY: nothing changes a locale once it is made, and `strxfrm_l` may be called with it by any thread.
unsafe impl Send for Locale {}

impl Locale {
    /// `None` when the system has none of this name.
    fn find(name: &CStr) -> Option<Locale> {
        // SAFETY: the name ends with a zero; without a base a new locale is made, or null comes back.
        let locale = unsafe { libc::newlocale(libc::LC_COLLATE_MASK, name.as_ptr(), ptr::null_mut()) };
        (!locale.is_null()).then(|| Locale(locale))
    }

    fn is_plain(&self) -> bool {
        [c"a", c"B"].iter().all(|text| key_in(self.0, text).as_deref() == Some(text.to_bytes()))
    }
}

impl Drop for Locale {
    fn drop(&mut self) {
        // SAFETY: `newlocale` made it, and who drops it has the only use of it.
        unsafe { libc::freelocale(self.0) }
    }
}

/// Takes the locale of this name: empty for that of the environment, `C` and `POSIX` for plain bytes. False when the
/// system has none of this name; then all is as before.
pub fn use_locale(name: &[u8]) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    let Some(locale) = Locale::find(&name) else { return false };
    if locale.is_plain() {
        LOCALE.store(ptr::null_mut(), Ordering::Release);
    } else {
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        LOCALE.store(used.entry(name).or_insert(locale).0.cast(), Ordering::Release);
    }
    true
}

/// Appends bytes that sort as `text` does.
pub fn push_key(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.iter().position(|b| *b == 0).unwrap_or(text.len())];
    let locale = LOCALE.load(Ordering::Acquire);
    let key =
        if locale.is_null() { None } else { CString::new(text).ok().and_then(|text| key_in(locale.cast(), &text)) };
    match key {
        Some(key) => out.extend_from_slice(&key),
        None => out.extend_from_slice(text),
    }
}

/// Whether texts without zero bytes are compared byte by byte.
#[must_use]
pub fn is_plain() -> bool {
    LOCALE.load(Ordering::Acquire).is_null()
}

/// `None` when the text means nothing in the locale.
fn key_in(locale: libc::locale_t, text: &CStr) -> Option<Vec<u8>> {
    /// A key longer than this is an error's number.
    const LONGEST: usize = isize::MAX as usize;
    let mut key = vec![0u8; 4 * text.count_bytes() + 16];
    loop {
        // SAFETY: the text ends with a zero, the locale is one that `newlocale` made and that is not freed
        // meanwhile, and at most
        // `key.len()` bytes are written to `key`.
        let len = unsafe { strxfrm_l(key.as_mut_ptr().cast(), text.as_ptr(), key.len(), locale) };
        if len >= LONGEST {
            return None;
        }
        if len < key.len() {
            key.truncate(len);
            return Some(key);
        }
        key.resize(len + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &[u8]) -> Vec<u8> {
        let mut out = b"x".to_vec();
        push_key(&mut out, text);
        out.split_off(1)
    }

    #[test]
    fn what_is_behind_a_zero_does_not_count() {
        assert_eq!(key(b"b\0a"), key(b"b"));
        assert!(key(b"a") < key(b"b"));
        assert_eq!(key(b""), b"");
    }

    #[test]
    fn unknown_locales_change_nothing() {
        assert!(!use_locale(b"no_SUCH.locale"));
        assert!(!use_locale(b"a\0b"));
        assert!(use_locale(b"C") && is_plain());
        assert!(use_locale(b"POSIX") && is_plain());
    }

    proptest! {
        #[test]
        fn plain_keys_are_the_texts(text in prop::collection::vec(1u8.., 0..40)) {
            prop_assert_eq!(key(&text), text);
        }

        /// In the one locale besides C that every system has, keys are in the order of the code points.
        #[test]
        fn keys_of_a_locale_are_bytes_without_zeros(text in "[a-zA-Z0-9éß ]{0,40}") {
            let locale = Locale::find(c"C.UTF-8");
            prop_assume!(locale.is_some());
            let text = CString::new(text).expect("no zeros");
            let key = locale.and_then(|locale| key_in(locale.0, &text)).expect("a text of the locale");
            prop_assert!(!key.contains(&0));
        }
    }
}
