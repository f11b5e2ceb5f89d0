//! The writer: compact and indented JSON text, and strings.

use super::Json;
use super::skip::length_without;

impl Json<'_> {
    /// Appends the compact JSON text of this value.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(number) => out.push_str(number.token()),
            Json::String(text) => write_string(text, out),
            Json::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Json::Object(object) => {
                out.push('{');
                for (index, (name, value)) in object.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Appends this value on several lines, indented by two spaces.
    pub fn write_pretty(&self, out: &mut String) {
        self.write_indented(0, out);
    }

    /// Returns this value on several lines, indented by two spaces.
    pub fn to_pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(&mut out);
        out
    }

    fn write_indented(&self, depth: usize, out: &mut String) {
        let indent = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Json::Array(elements) if !elements.is_empty() => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    indent(out, depth + 1);
                    element.write_indented(depth + 1, out);
                }
                indent(out, depth);
                out.push(']');
            }
            Json::Object(members) if !members.is_empty() => {
                out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    indent(out, depth + 1);
                    write_string(name, out);
                    out.push_str(": ");
                    member.write_indented(depth + 1, out);
                }
                indent(out, depth);
                out.push('}');
            }
            scalar => scalar.write(out),
        }
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_escaped(text, out);
    out.push('"');
}

/// Appends `text` escaped for a JSON string, without quotes. Escapes quotes, backslashes and control characters, and
/// also U+2028 and U+2029, so that the result is safe inside JavaScript source.
pub fn write_escaped(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut written = 0;
    let mut at = 0;
    loop {
        at += unescaped_length(&bytes[at..]);
        let Some(&byte) = bytes.get(at) else { break };
        let (escape, length) = match byte {
            b'"' => ("\\\"", 1),
            b'\\' => ("\\\\", 1),
            b'\n' => ("\\n", 1),
            b'\r' => ("\\r", 1),
            b'\t' => ("\\t", 1),
            0x08 => ("\\b", 1),
            0x0c => ("\\f", 1),
            0x00..=0x1f | 0x7f => ("", 1),
            _ => match bytes.get(at..at + 3) {
                Some([0xe2, 0x80, 0xa8]) => ("\\u2028", 3),
                Some([0xe2, 0x80, 0xa9]) => ("\\u2029", 3),
                _ => {
                    at += 1;
                    continue;
                }
            },
        };
        out.push_str(&text[written..at]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        at += length;
        written = at;
    }
    out.push_str(&text[written..]);
}

/// Returns the number of bytes at the start of `bytes` that need no escape. The byte after them may need one.
///
/// Reads blocks first, because most tokens and claims are long and plain. A block without a branch for each byte
/// compiles to a few vector instructions.
fn unescaped_length(bytes: &[u8]) -> usize {
    let mut plain = 0;
    while let Some(block) = bytes[plain..].first_chunk::<32>() {
        let is = |byte: u8, other: u8| u8::from(byte == other);
        let is_special =
            |byte: u8| u8::from(byte < 0x20) | is(byte, b'"') | is(byte, b'\\') | is(byte, 0x7f) | is(byte, 0xe2);
        if block.iter().fold(0, |any, byte| any | is_special(*byte)) != 0 {
            break;
        }
        plain += block.len();
    }
    plain + length_without(&bytes[plain..], &[b'"', b'\\', 0x7f, 0xe2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ReadLimits;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaped_text_is_read_back_and_has_no_line_ends(text in "[a-z\"\\\\\u{0}-\u{20}\u{7e}-\u{80}é€\u{2026}-\u{202a}𝄞]{0,40}", plain in 0..80_usize) {
            let text = "x".repeat(plain) + &text + &"y".repeat(plain);
            let mut out = String::new();
            write_string(&text, &mut out);
            let read = Json::parse(out.as_bytes(), ReadLimits::default()).unwrap();
            prop_assert_eq!(read.as_str(), Some(text.as_str()));
            let is_bare = |c: char| c.is_ascii_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!out.contains(is_bare), "{}", out);
        }
    }

    #[test]
    fn indented_text_is_equivalent() {
        let text = br#"{"a":[1,{"b":[]}],"c":{},"d":2.0}"#;
        let value = Json::parse(text, ReadLimits::default()).unwrap();
        let pretty = value.to_pretty();
        assert_eq!(Json::parse(pretty.as_bytes(), ReadLimits::default()).unwrap(), value);
        assert!(pretty.starts_with("{\n  \"a\": [\n    1,\n"), "{pretty}");
    }
}
