//! The order of texts by the rules of a locale (`locale-collate`), as SORT ALPHA has it.
//!
//! The C library compares texts that end at their first zero byte, so what stands behind one does not count.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    fn strxfrm_l(to: *mut c_char, from: *const c_char, size: usize, locale: libc::locale_t) -> usize;
}

/// The locale in use; null stands for plain bytes. A locale is never freed, so that whoever reads it may use it.
static LOCALE: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

/// Takes the locale of this name: empty for that of the environment, `C` and `POSIX` for plain bytes. False when the
/// system has none of this name; then all is as before.
pub fn use_locale(name: &[u8]) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    let mask: c_int = libc::LC_COLLATE_MASK;
    // SAFETY: the name ends with a zero; without a base a new locale is made, or null comes back.
    let locale = unsafe { libc::newlocale(mask, name.as_ptr(), ptr::null_mut()) };
    if locale.is_null() {
        return false;
    }
    let is_plain =
        key_in(locale.cast(), c"a").as_deref() == Some(b"a") && key_in(locale.cast(), c"B").as_deref() == Some(b"B");
    LOCALE.store(if is_plain { ptr::null_mut() } else { locale.cast() }, Ordering::Release);
    true
}

/// Appends bytes that sort as `text` does.
pub fn push_key(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.iter().position(|b| *b == 0).unwrap_or(text.len())];
    let locale = LOCALE.load(Ordering::Acquire);
    let key = if locale.is_null() { None } else { CString::new(text).ok().and_then(|text| key_in(locale, &text)) };
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
fn key_in(locale: *mut libc::c_void, text: &std::ffi::CStr) -> Option<Vec<u8>> {
    /// A key longer than this is an error's number.
    const LONGEST: usize = isize::MAX as usize;
    let mut key = vec![0u8; 4 * text.count_bytes() + 16];
    loop {
        // SAFETY: the text ends with a zero, the locale is one that `newlocale` made and nobody frees, and at most
        // `key.len()` bytes are written to `key`.
        let len = unsafe { strxfrm_l(key.as_mut_ptr().cast(), text.as_ptr(), key.len(), locale.cast()) };
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
            // SAFETY: as in `use_locale`.
            let locale = unsafe { libc::newlocale(libc::LC_COLLATE_MASK, c"C.UTF-8".as_ptr(), ptr::null_mut()) };
            prop_assume!(!locale.is_null());
            let text = CString::new(text).expect("no zeros");
            let key = key_in(locale.cast(), &text).expect("a text of the locale");
            prop_assert!(!key.contains(&0));
        }
    }
}
