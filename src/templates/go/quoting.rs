//! Text in quotes, by the rules of Go's `strconv`.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{Origin, Text, characters};

/// Go's `strconv.Quote`, or `QuoteToASCII`. What a session holds is encoded by it, so that it can stand in JSON wherever
/// Go's escapes are JSON's.
pub(super) fn quote(text: &Text, ascii: bool) -> Text {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for (at, character, _) in characters(text.bytes()) {
        match character {
            Some(character) => quote_into(character, '"', ascii, &mut quoted),
            None => quoted.push_str(&format!("\\x{:02x}", text.bytes()[at])),
        }
    }
    quoted.push('"');
    let origin = if text.origin() == Origin::Template { Origin::Template } else { Origin::Encoded };
    Text::new(quoted, origin)
}

pub(super) fn quote_char(character: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    quote_into(character, '\'', ascii, &mut quoted);
    quoted.push('\'');
    quoted
}

fn quote_into(character: char, mark: char, ascii: bool, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        _ if character == mark => {
            out.push('\\');
            out.push(mark);
        }
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(character) && (!ascii || character.is_ascii()) => out.push(character),
        _ => {
            let code = u32::from(character);
            out.push_str(&match code {
                0..0x20 | 0x7f => format!("\\x{code:02x}"),
                0x20..0x10000 => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            });
        }
    }
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(super) fn is_printable(character: char) -> bool {
    static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").ok());
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    PRINTABLE.as_ref().is_some_and(|printable| printable.is_match(character.encode_utf8(&mut [0; 4])))
}
