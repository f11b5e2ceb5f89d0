//! JSON text out: compact, over several lines, and strings as they stand in it.

use super::Json;

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

    /// Appends this value over several lines, two spaces a level.
    pub fn write_pretty(&self, out: &mut String) {
        self.write_indented(0, out);
    }

    /// This value over several lines, two spaces a level.
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

/// Appends `text` as it stands inside a JSON string: quotes, backslashes and control characters are escaped, and
/// U+2028 and U+2029 too, so that the result is also safe inside JavaScript source.
pub fn write_escaped(text: &str, out: &mut String) {
    let mut written = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0x00..=0x1f | 0x7f => "",
            0xe2 => match text.as_bytes().get(index..index + 3) {
                Some([_, 0x80, 0xa8]) => "\\u2028",
                Some([_, 0x80, 0xa9]) => "\\u2029",
                _ => continue,
            },
            _ => continue,
        };
        out.push_str(&text[written..index]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        written = index + if byte == 0xe2 { 3 } else { 1 };
    }
    out.push_str(&text[written..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ReadLimits;

    #[test]
    fn pretty_text_is_the_same_json() {
        let text = br#"{"a":[1,{"b":[]}],"c":{},"d":2.0}"#;
        let value = Json::parse(text, ReadLimits::default()).unwrap();
        let pretty = value.to_pretty();
        assert_eq!(Json::parse(pretty.as_bytes(), ReadLimits::default()).unwrap(), value);
        assert!(pretty.starts_with("{\n  \"a\": [\n    1,\n"), "{pretty}");
    }
}
