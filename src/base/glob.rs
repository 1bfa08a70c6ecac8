//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET understand them: `*`, `?`, `[a-c]`, `[^x]`, `\x`.

/// Whether `text` matches `pattern`. Linear in memory and bounded in time: on a mismatch only the last
/// `*` is tried again, so a pattern of many stars cannot take exponential time. An empty text matches the empty pattern
/// only, as in Redis.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            while p < pattern.len() && pattern[p] == b'*' {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        let step = if t < text.len() { one(&pattern[p..], text[t], ignore_case) } else { None };
        match step {
            Some(used) => {
                p += used;
                t += 1;
            }
            None if t == text.len() && p == pattern.len() => return true,
            None => match retry {
                Some((star, from)) if from < text.len() => {
                    retry = Some((star, from + 1));
                    p = star;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

/// Whether `pattern` has no special character, so that it can only match itself.
#[must_use]
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|b| b"*?[\\".contains(b))
}

/// Matches one character against the head of the pattern (which is not `*`): how many pattern bytes it used.
fn one(pattern: &[u8], c: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| if ignore_case { b.to_ascii_lowercase() } else { b };
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, fold(c), fold),
        b'\\' if pattern.len() >= 2 => (fold(pattern[1]) == fold(c)).then_some(2),
        literal => (fold(literal) == fold(c)).then_some(1),
    }
}

/// A bracket expression. An unterminated one ends with the pattern, as in Redis.
fn class(pattern: &[u8], c: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let mut i = 1;
    let negated = pattern.get(i) == Some(&b'^');
    if negated {
        i += 1;
    }
    let mut hit = false;
    loop {
        match pattern.get(i) {
            None => break,
            Some(b'\\') if i + 1 < pattern.len() => {
                hit |= fold(pattern[i + 1]) == c;
                i += 2;
            }
            Some(b']') => {
                i += 1;
                break;
            }
            Some(&from) if pattern.get(i + 1) == Some(&b'-') && i + 2 < pattern.len() => {
                let (a, b) = (fold(from), fold(pattern[i + 2]));
                hit |= (a.min(b)..=a.max(b)).contains(&c);
                i += 3;
            }
            Some(&literal) => {
                hit |= fold(literal) == c;
                i += 1;
            }
        }
    }
    (hit != negated).then_some(i)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", false),
            ("*", "a", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "hllo", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b", "xaxb", true),
            ("*a*b", "xaxbc", false),
            ("a*", "b", false),
            ("[a", "a", true),
            ("a**", "a", true),
            ("a?", "a", false),
            ("abc*", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} {text}");
        }
        assert!(matches(b"FOO*", b"foobar", true));
        assert!(!matches(&b"a*".repeat(30), &b"a".repeat(29), false));
    }
}
