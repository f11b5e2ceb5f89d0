//! External text in output for people: no character of it moves the cursor, starts a line or reorders what is shown.
//!
//! ```
//! assert_eq!(claimsmith::escape::line("a\u{1b}[31m\nb"), "a\\u001b[31m\\nb");
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns `text` as one line: line ends and everything else that is not shown as itself are escaped.
///
/// The escapes are those of JSON, so a JSON document stays the same document.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// Returns `text` with its line feeds, and everything else that is not shown as itself escaped. Only for text whose external
/// parts went through [`line()`].
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |char| char != '\n' && is_unsafe(char))
}

/// Returns `true` for control characters (C0, DEL, C1), separators of lines and paragraphs, characters that change the order of
/// what is shown, and everything without a width of its own (`Default_Ignorable_Code_Point` of Unicode 16).
pub(crate) fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for char in rest.chars() {
        match char {
            '\n' if is_escaped(char) => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_escaped(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// Characters for tests of outputs.
#[cfg(test)]
pub(crate) mod testing {
    /// Characters of each class that is escaped: control characters (C0, DEL, C1), separators, bidirectional formatting,
    /// and characters without a width.
    pub(crate) const HOSTILE: [char; 24] = [
        '\0',
        '\u{7}',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{80}',
        '\u{85}',
        '\u{9b}',
        '\u{9f}',
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{3164}',
        '\u{feff}',
        '\u{e0041}',
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_characters_are_escaped_and_text_is_kept() {
        let kept = "Zoë, 日本, 🦀, שלום, e\u{301}: a\\b \"c\" {d}";
        assert_eq!(line(kept), kept);
        assert!(matches!(line(kept), Cow::Borrowed(_)));
        assert_eq!(line("a\r\n\tb\0\u{7f}\u{9b}"), "a\\r\\n\\tb\\u0000\\u007f\\u009b");
        assert_eq!(line("\u{202e}\u{2066}\u{2028}\u{feff}"), "\\u202e\\u2066\\u2028\\ufeff");
        assert_eq!(line("\u{e0041}"), "\\udb40\\udc41");
        assert_eq!(lines("a\nb\r\n"), "a\nb\\r\n");
        assert!(testing::HOSTILE.into_iter().all(is_unsafe));
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_hostile_character(text in any::<String>()) {
            let shown = line(&text);
            prop_assert!(!shown.chars().any(is_unsafe));
            prop_assert_eq!(line(&shown), shown.as_ref());
            let joined: Vec<_> = text.split('\n').map(|part| line(part).into_owned()).collect();
            prop_assert_eq!(lines(&text), joined.join("\n"));
        }

        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&line(&json)).unwrap(), text);
        }
    }
}
