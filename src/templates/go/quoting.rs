//! Text in quotes, by the rules of Go's `strconv`.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{Origin, Text, characters};
use crate::json::write_escaped;

/// Go's `strconv.Quote`, or `QuoteToASCII`.
pub(super) fn quote(text: &Text, ascii: bool) -> Text {
    let mut quoted = Text::new("\"", Origin::Syntax);
    for (piece, origin) in text.pieces() {
        let mut content = String::with_capacity(piece.len());
        for (at, character, _) in characters(piece) {
            match character {
                Some(character) => quote_into(character, '"', ascii, &mut content),
                None => content.push_str(&format!("\\x{:02x}", piece[at])),
            }
        }
        let origin = if origin == Origin::Template { origin } else { Origin::Quoted };
        quoted.push(content.as_bytes(), origin);
    }
    quoted.push(b"\"", Origin::Syntax);
    quoted
}

/// The content of a string in Go's syntax as that of a JSON string; `None` if it is not such content. What JSON has,
/// too, stays as it is.
pub(super) fn to_json_content(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((first, after)) = rest.split_first() {
        let length = match (first, after.first()) {
            (b'"' | 0..0x20, _) => return None,
            (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
            (b'\\', Some(b'u')) => {
                code(after.get(1..5)?)?;
                6
            }
            (b'\\', Some(escape)) => {
                let (character, length) = match escape {
                    b'a' => ('\u{7}', 2),
                    b'v' => ('\u{b}', 2),
                    b'\'' => ('\'', 2),
                    // From 0x80 on it stands for a byte that is not UTF-8.
                    b'x' => match code(after.get(1..3)?)? {
                        ascii @ 0..0x80 => (char::from_u32(ascii)?, 4),
                        _ => (char::REPLACEMENT_CHARACTER, 4),
                    },
                    b'U' => (char::from_u32(code(after.get(1..9)?)?)?, 10),
                    _ => return None,
                };
                let mut written = String::new();
                write_escaped(character.encode_utf8(&mut [0; 4]), &mut written);
                out.extend_from_slice(written.as_bytes());
                rest = &rest[length..];
                continue;
            }
            (b'\\', None) => return None,
            _ => 1,
        };
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    Some(out)
}

fn code(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code: u32, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
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
